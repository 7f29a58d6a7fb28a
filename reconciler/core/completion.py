"""Whether a job is complete: its schedule has no further slot, and never will have one again.

A job that follows another one is never complete, and neither is one whose slots its calendars leave out: those are
slots all the same. Forbidden here: the present time, which is always a parameter.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from reconciler.core.model import Schedule
from reconciler.core.timetable import Timetable

# The last slot before an end is looked for so far back: 29 February comes every eighth year at the rarest.
_LOOK_BACK = timedelta(days=9 * 366)


def completed_at(schedule: Schedule, now: datetime) -> datetime | None:
    """The last slot of a schedule that has no further one after ``now``; ``None`` where there is one to come.

    Where there never was a slot, it is the instant at which the schedule ended.

    Raises:
        NotFoundError: this machine does not know the schedule's zone.
    """
    if schedule.at is not None:
        return schedule.at if schedule.at <= now else None
    if schedule.ends_at is None or schedule.after is not None:
        return None
    timetable = Timetable.of(schedule)
    if schedule.ends_at > now and timetable.next_after(now) is not None:
        return None
    return _last(timetable, schedule.ends_at)


@lru_cache(maxsize=1024)
def _last(timetable: Timetable, ends_at: datetime) -> datetime:
    return (*timetable.newest(ends_at - _LOOK_BACK, ends_at, 1), ends_at)[0]
