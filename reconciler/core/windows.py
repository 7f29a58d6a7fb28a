"""When a freeze window is open and when it is closed, and whom it is for.

A window opens at the slots of its start and lasts for its duration in real time, whatever clocks show meanwhile.
Occurrences that overlap or touch are one stretch. Forbidden here: what follows for a job (``core.stops``), and the
present time, which is always a parameter.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.core.cron import day_times
from reconciler.core.model import FreezeWindow
from reconciler.core.timetable import Timetable
from reconciler.core.zones import LAST, steady_until, wall_time

TICK = timedelta(microseconds=1)

# A stretch of more steps than this has no end, or no beginning, that anybody could name. A step is an occurrence, or
# all those of a day that follow each other without a break.
_MOST_STEPS = 1_000
# How far back the last occurrence is looked for: a yearly one is found, on 29 February too where that was a leap year.
_LOOK_BACK = timedelta(days=400)


class Spell(NamedTuple):
    """A stretch, as long as it can be, over which a window is open, or closed: ``begin <= instant < end``.

    Attributes:
        begin: ``None`` where it is not in sight.
        end: ``None`` where it is not in sight, most often because there is none.
    """

    begin: datetime | None
    end: datetime | None
    is_open: bool


class Occurrences:
    """When one window is open. Asking again within the stretch asked for last costs next to nothing."""

    def __init__(self, window: FreezeWindow) -> None:
        self._timetable = Timetable.of(window.start)
        self._duration = window.duration
        day = day_times(window.start.cron) if window.start.cron else None
        self._day = day if day and day.widest <= window.duration else None  # each of its days is one stretch
        self._last: tuple[datetime, datetime, Spell] | None = None  # certain from the first instant to the second

    def spell(self, at: datetime) -> Spell:
        """The stretch in which an instant lies.

        Raises:
            NotFoundError: this machine does not know the window's zone.
        """
        if self._last is None or not self._last[0] <= at < self._last[1]:
            self._last = self._look(at)
        return self._last[2]

    def _look(self, at: datetime) -> tuple[datetime, datetime, Spell]:
        newest = self._timetable.newest(at - self._duration, at, 1)
        if newest:
            begin, begins = self._first_of_stretch(newest[0])
            end, ends = self._end_of_stretch(newest[0])
            return begin, end, Spell(begin if begins else None, end if ends else None, is_open=True)
        before = self._timetable.newest(at - self._duration - _LOOK_BACK, at, 1)
        closed_since = before[0] + self._duration if before else None
        opens = self._timetable.next_after(at)
        return closed_since or at, opens or at + _LOOK_BACK, Spell(closed_since, opens, is_open=False)

    def _first_of_stretch(self, start: datetime) -> tuple[datetime, bool]:
        """The start of the first occurrence of a stretch; whether it was found."""
        for _ in range(_MOST_STEPS):
            start = self._first_of_day(start)
            earlier = self._timetable.next_after(start - self._duration - TICK)
            if earlier is None or earlier >= start:
                return start, True
            start = earlier
        return start, False

    def _end_of_stretch(self, start: datetime) -> tuple[datetime, bool]:
        """The end of the last occurrence of a stretch; whether it was found."""
        for _ in range(_MOST_STEPS):
            start = self._last_of_day(start)
            if LAST - start < self._duration:  # the year 10000
                break
            end = start + self._duration
            # Where starts are close together, one in the second half takes a large step for the price of a small one.
            later = self._timetable.next_after(end - self._duration / 2)
            if later is None or later > end:
                newest = self._timetable.newest(start, end, 1)
                if not newest:
                    return end, True
                later = newest[0]
            start = later
        return min(start, LAST - self._duration) + self._duration, False

    # A start every minute or second makes thousands of occurrences in one stretch. Where those of a day leave no gap
    # between them, they are passed at once, as far as the zone's clocks go on steadily: around a change each is looked
    # at, because a time that was skipped or comes twice may be another day's.

    def _first_of_day(self, start: datetime) -> datetime:
        if self._day is None or start >= LAST:
            return start
        first = start - (_time_of_day(start, self._timetable.zone) - self._day.first)
        if first >= start:
            return start
        _, change = steady_until(first, self._timetable.zone)
        if change <= start:
            return self._earliest(start, change)
        bound = self._timetable.starts_at
        return first if bound is None or first >= bound else self._earliest(start, bound - TICK)

    def _earliest(self, start: datetime, after: datetime) -> datetime:
        found = self._timetable.next_after(after)
        return start if found is None else min(start, found)

    def _last_of_day(self, start: datetime) -> datetime:
        zone = self._timetable.zone
        if self._day is None or start >= LAST or steady_until(start - TICK, zone)[1] == start:
            return start
        last = start + (self._day.last - _time_of_day(start, zone))
        until = min(last, steady_until(start, zone)[1] - TICK, self._timetable.ends_at or last)
        if until == last or until <= start:
            return max(start, until)
        return (*self._timetable.newest(start, until, 1), start)[0]


def _time_of_day(instant: datetime, zone: str) -> timedelta:
    wall = wall_time(instant, zone)
    return wall - wall.replace(hour=0, minute=0, second=0, microsecond=0)


def concerns(window: FreezeWindow, application: str) -> bool:
    """Whether a window is for an Application."""
    return any(matches(pattern, application) for pattern in window.applications)


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern, in which ``*`` stands for any text and everything else for itself."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    place, end = len(first), len(name) - len(last)
    for part in middle:  # each as early as can be: if that does not fit, nothing does
        place = name.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True
