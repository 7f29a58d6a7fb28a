"""Which write of a run stands where several are possible, and which leader's is refused. Forbidden here: any store."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.model import Outcome, Run
from reconciler.errors import DeposedError


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


def deposed(stands: int | None, term: int) -> DeposedError:
    """The error of a write under ``term``, where the lease says otherwise; ``None`` where there is none."""
    why = "the lease is gone" if stands is None else f"another process leads by now, with term {stands}"
    return DeposedError(f"{why}; ours was {term}")
