"""What is declared, from the memory of a process, so that a question costs no reading of thousands of records.

Forbidden here: asking a store.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.model import ApplicationState, JobKey, StoredJob
from reconciler.services.reconcile import Reconciliation


class Remembered:
    """What is declared, from the memory of the process that has synced it; see ``web.state.Declared``."""

    def __init__(self, reconciliation: Reconciliation) -> None:
        self._reconciliation = reconciliation

    async def jobs(self) -> Sequence[StoredJob]:
        """Every job, ordered by key."""
        return sorted(self._reconciliation.jobs, key=lambda stored: stored.key)

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""
        return self._reconciliation.job(key)

    async def applications(self) -> Sequence[ApplicationState]:
        """Every Application, ordered by name."""
        return sorted(self._reconciliation.applications, key=lambda state: state.name)
