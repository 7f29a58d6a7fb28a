"""When a job has failed so often in a row that it is paused, and how that pause reads.

``failed`` and ``unknown`` count, ``succeeded`` begins the count anew, and what else became of a slot says nothing.
Forbidden here: the present time, which is always a parameter, and the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from reconciler.core.model import JobKey, Outcome, Pause, Run, whole_milliseconds
from reconciler.core.pauses import FOREVER, LONGEST_REASON
from reconciler.core.plural import plural
from reconciler.core.stops import covers, covers_until, is_for
from reconciler.core.visible import visible_line

BY = "reconciler"
STRIKES = (Outcome.FAILED, Outcome.UNKNOWN)
TELLING = (Outcome.SUCCEEDED, *STRIKES)  # the outcomes that say something about the job


def counts_from(pauses: Iterable[Pause], key: JobKey, now: datetime) -> tuple[bool, datetime | None]:
    """Whether a job may be paused now, which a paused one may not, and since when its failures count."""
    own = [pause for pause in pauses if is_for(pause, key)]
    is_free = not any(covers(pause, now) for pause in own)
    return is_free, max((covers_until(pause) for pause in own if covers_until(pause) <= now), default=None)


def failures_in_a_row(runs: Iterable[Run]) -> Sequence[Run]:
    """The failures at the end of these runs of one job, oldest first; runs stand in the order of their slots."""
    found: list[Run] = []
    for run in sorted((run for run in runs if run.outcome in TELLING), key=lambda run: run.id):
        if run.outcome is Outcome.SUCCEEDED:
            found.clear()
        else:
            found.append(run)
    return found


def pause_for(key: JobKey, failures: Sequence[Run], limit: int, now: datetime) -> Pause:
    """The pause of a job that has failed ``limit`` times in a row, or more often.

    Its id follows from the failure that was one too many, so that every process that counts writes the same one.
    """
    struck, last = failures[limit - 1], failures[-1]
    begun = struck.finished_at or struck.slot
    digest = hashlib.sha256(f"{key} {struck.id}".encode()).hexdigest()[:8]
    number = plural(len(failures), "failure")
    said = f"{number} in a row; the last: " if len(failures) > 1 else f"{number}: "
    reason = said + " ".join(visible_line(last.reason or last.outcome.value).split())
    if len(reason) > LONGEST_REASON:
        reason = f"{reason[: LONGEST_REASON - 1]}…"
    return Pause(
        id=f"{begun:%Y%m%dT%H%M%S}{begun.microsecond // 1000:03}Z-{digest}",
        application=key.application,
        api=key.api,
        reason=reason,
        by=BY,
        since=whole_milliseconds(now),
        until=FOREVER,
    )
