"""What a job's slots were, by the history of its schedules.

Forbidden here: the present time, and runs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from reconciler.core.model import Era, JobKey, StoredJob
from reconciler.core.timetable import Timetable

# Around the moment at which an edit was applied, a slot may have followed the schedule before it or the one after it.
GRACE = timedelta(seconds=2)

_EVERY = 10**9  # more slots than a span has
_AT_ONCE = 16  # timetables whose slots are remembered: many jobs share one


class Span(NamedTuple):
    """A stretch of time: slots after its beginning, up to its end and with it."""

    after: datetime
    until: datetime

    def within(self, other: Span) -> Span:
        """What it has in common with another one; it may be empty, or end before it begins."""
        return Span(max(self.after, other.after), min(self.until, other.until))

    def holds(self, instant: datetime) -> bool:
        """Whether an instant lies in it."""
        return self.after < instant <= self.until


class History:
    """What a job's slots were, and when that changed.

    Args:
        key: the job.
        eras: those of the job, in any order.
        jitter: how long after its slot a run of it may have been claimed.
    """

    def __init__(self, key: JobKey, eras: Iterable[Era], jitter: timedelta = timedelta(0)) -> None:
        self.key = key
        self._eras = sorted(eras, key=lambda era: era.begin)
        self._begins = [era.begin for era in self._eras]
        self._jitter = jitter

    def parts(self, span: Span) -> Iterator[tuple[Era, Span]]:
        """The eras that hold anywhere in a span, each with its stretch of it; oldest first."""
        for place, era in enumerate(self._eras, start=1):
            end = self._begins[place] if place < len(self._begins) else span.until
            part = Span(era.begin, end).within(span)
            if part.after < part.until:
                yield era, part

    def followed(self) -> frozenset[JobKey]:
        """The jobs that this one follows, or has followed."""
        schedules = (era.schedule for era in self._eras)
        return frozenset(one.after.key for one in schedules if one is not None and one.after is not None)

    def at(self, slot: datetime) -> Era | None:
        """The era that a slot follows; ``None`` before the first."""
        place = bisect_left(self._begins, slot)
        return self._eras[place - 1] if place else None

    def is_disputed(self, slot: datetime) -> bool:
        """Whether the schedule was changed so close to a slot that nobody can be blamed for it.

        A run that waits for its jitter follows what its job has become meanwhile.
        """
        place = bisect_left(self._begins, slot)
        before = place > 0 and slot - self._begins[place - 1] <= GRACE
        return before or (place < len(self._begins) and self._begins[place] - slot <= GRACE + self._jitter)


def first_era(stored: StoredJob) -> Era:
    """The era of a job that was stored before there was a history of schedules."""
    job = stored.job
    return Era(
        key=stored.key,
        begin=stored.since,
        schedule=None if job.suspend else job.schedule,
        revision=stored.revision,
        file=job.file,
        line=job.line,
    )


@lru_cache(maxsize=_AT_ONCE)
def slots(timetable: Timetable, span: Span) -> tuple[datetime, ...]:
    """The slots of a timetable in a span; remembered, for many jobs share one.

    Raises:
        NotFoundError: this machine does not know its zone.
        ScheduleError: it has no meaning to this version.
    """
    return timetable.between(span.after, span.until, _EVERY)
