"""Which write of a run stands where several are possible. Forbidden here: any store."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.model import Outcome, Run


def standing(runs: Iterable[Run]) -> list[Run]:
    """One write for each run of a batch: what would stand if they were written one after the other.

    Databases do not promise an order within a batch. What has ended stays, and so does what a higher term has written.
    """
    found: dict[str, Run] = {}
    for run in runs:
        before = found.get(run.id)
        if before is None or (before.outcome is Outcome.RUNNING and before.term <= run.term):
            found[run.id] = run
    return list(found.values())
