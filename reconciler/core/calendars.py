"""Which slots of a schedule its calendars leave out, why, and the slots that are left.

A day is a day in the calendar's own zone, however long it is there: 23, 24 or 25 hours where clocks change. A slot is
left out where any calendar of ``except`` names its day, or where ``only`` has calendars and none of them does.

Forbidden here: the present time, which is always a parameter, and what becomes of a slot that is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from reconciler.core.model import Calendar, Schedule, Stop, StopKind
from reconciler.core.timetable import Timetable
from reconciler.core.windows import TICK
from reconciler.core.zones import localise, wall_time

_WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")  # as ``date.weekday`` counts
_ONE_DAY: Final = timedelta(days=1)
# The days of a calendar come again after 40 years at most, even across 2100, which is no leap year. What is not found
# within them is never.
_FARTHEST: Final = timedelta(days=40 * 366)
# So many stretches of days without a run are passed in search of the next run: a daily run, left out on all days but
# 29 February, passes one; a monthly one on the 13th that is to be a Friday a dozen.
_MOST_STRETCHES: Final = 1_000
_MOST_MEMORIES: Final = 4_096


class _Days:
    """The days of one calendar."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._dates = frozenset(calendar.dates)
        self._weekly = frozenset(_WEEKDAYS.index(name) for name in calendar.weekly)
        self._dated = [(first, last) for first, last in calendar.ranges if len(first) > len("12-25")]
        self._yearly = [(first, last) for first, last in calendar.ranges if len(first) == len("12-25")]
        self._known: dict[date, bool] = {}

    def __contains__(self, day: date) -> bool:
        known = self._known.get(day)
        if known is None:
            if len(self._known) >= _MOST_MEMORIES:
                self._known.clear()
            known = self._known[day] = self._names(day)
        return known

    def _names(self, day: date) -> bool:
        full = day.isoformat()
        short = full[5:]
        if full in self._dates or short in self._dates or day.weekday() in self._weekly:
            return True
        if any(first <= full <= last for first, last in self._dated):
            return True
        return any(
            first <= short <= last if first <= last else short >= first or short <= last for first, last in self._yearly
        )


class Left(NamedTuple):
    """A slot that is left out: by which calendar, on which of its days; ``only`` where it is of none of those."""

    calendar: Calendar
    day: date
    only: bool

    def __str__(self) -> str:
        if self.only:
            return f"not a day of calendar {self.calendar.name} ({self.day.isoformat()})"
        return f"excluded by calendar {self.calendar.name} ({self.day.isoformat()})"


class _Rule:
    """The calendars of a schedule together. What was asked last is remembered: thousands ask about one instant."""

    def __init__(self, but_not: tuple[Calendar, ...], only: tuple[Calendar, ...]) -> None:
        self._but_not = [_days(calendar) for calendar in but_not]
        self._only = [_days(calendar) for calendar in only]
        self._zones = {calendar.zone for calendar in (*but_not, *only)}
        self._latest: tuple[datetime | None, Left | None] = (None, None)
        self._stretch: tuple[datetime, datetime | None] | None = None

    def left(self, slot: datetime) -> Left | None:
        """Why a slot is left out; ``None`` if it is not."""
        instant, left = self._latest
        if instant is not slot:
            left = self._look(slot)
            self._latest = slot, left
        return left

    def _look(self, slot: datetime) -> Left | None:
        for days in self._but_not:
            if (day := _day(slot, days.calendar.zone)) in days:
                return Left(days.calendar, day, only=False)
        if self._only and not any(_day(slot, days.calendar.zone) in days for days in self._only):
            first = self._only[0].calendar
            return Left(first, _day(slot, first.zone), only=True)
        return None

    def closed_until(self, slot: datetime) -> datetime | None:
        """From when on a slot would not be left out, after one that is; ``None`` for never."""
        stretch = self._stretch
        if stretch is None or slot < stretch[0] or (stretch[1] is not None and slot >= stretch[1]):
            self._stretch = stretch = slot, self._end_of_stretch(slot)
        return stretch[1]

    def _end_of_stretch(self, slot: datetime) -> datetime | None:
        try:
            instant, last = slot, slot + _FARTHEST
            while instant < last:
                instant = min(_end_of_day(instant, zone) for zone in self._zones)
                if self._look(instant) is None:
                    return instant
        except OverflowError:  # the year 10000
            pass
        return None


@lru_cache(maxsize=1024)
def _days(calendar: Calendar) -> _Days:
    return _Days(calendar)


def _day(instant: datetime, zone: str) -> date:
    return wall_time(instant, zone).date()


def _end_of_day(instant: datetime, zone: str) -> datetime:
    """When the next day begins; always later than the instant, also where clocks are set back across midnight."""
    end = localise(datetime.combine(_day(instant, zone) + _ONE_DAY, time()), zone)
    while end <= instant:  # the day came back: its rest is passed by the hour
        end += timedelta(hours=1)
    return end


@lru_cache(maxsize=1024)
def _rule(but_not: tuple[Calendar, ...], only: tuple[Calendar, ...]) -> _Rule:
    return _Rule(but_not, only)


# Hashing a calendar of a thousand days costs more than all the rest, so that rules are found by the identity of their
# calendars first; the calendars are kept here, so that no other can come to have the same identity.
_by_identity: dict[tuple[int, int], tuple[Schedule, _Rule]] = {}


def _rule_of(schedule: Schedule) -> _Rule:
    identity = id(schedule.but_not), id(schedule.only)
    found = _by_identity.get(identity)
    if found is None:
        if len(_by_identity) >= _MOST_MEMORIES:
            _by_identity.clear()
        found = _by_identity[identity] = schedule, _rule(schedule.but_not, schedule.only)
    return found[1]


def excluded(schedule: Schedule, slot: datetime) -> str | None:
    """Why the calendars of a schedule leave a slot out: ``excluded by calendar holidays (2026-12-25)``.

    ``None`` where they do not. Quick however many jobs ask about one instant.

    Raises:
        NotFoundError: this machine does not know the zone of a calendar.
    """
    if not (schedule.but_not or schedule.only):
        return None
    left = _rule_of(schedule).left(slot)
    return None if left is None else str(left)


def stop_of(schedule: Schedule, slot: datetime) -> Stop | None:
    """The same as a stop: why the slot is not run, by which calendar, and until when that is so.

    Raises:
        NotFoundError: this machine does not know the zone of a calendar.
    """
    if not (schedule.but_not or schedule.only):
        return None
    rule = _rule_of(schedule)
    left = rule.left(slot)
    if left is None:
        return None
    return Stop(kind=StopKind.EXCLUDED, reason=str(left), until=rule.closed_until(slot), by=left.calendar.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """The slots of a schedule that will run: those of its timetable that no calendar leaves out.

    Equal agendas name the same ones, whatever their manifests say.
    """

    timetable: Timetable
    but_not: tuple[Calendar, ...] = ()
    only: tuple[Calendar, ...] = ()

    @classmethod
    def of(cls, schedule: Schedule) -> Agenda:
        """The agenda of a resolved schedule."""
        return cls(timetable=Timetable.of(schedule), but_not=schedule.but_not, only=schedule.only)

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly after an instant that will run; ``None`` if there is none in sight."""
        return next(self.slots(instant), None)

    def upcoming(self, after: datetime, count: int) -> tuple[datetime, ...]:
        """The first ``count`` slots after an instant, or as many as there are."""
        return tuple(islice(self.slots(after), count))

    def between(self, after: datetime, until: datetime, limit: int) -> tuple[datetime, ...]:
        """The slots in (after, until], oldest first, at most the first ``limit``."""
        found: list[datetime] = []
        for slot in self.slots(after, until):
            if len(found) == limit:
                break
            found.append(slot)
        return tuple(found)

    def slots(self, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
        """The slots after an instant that will run, up to ``until``; whole days that are left out are passed at once.

        They end where a thousand stretches of days follow each other without one.
        """
        rule = _rule(self.but_not, self.only) if self.but_not or self.only else None
        passed = 0
        slot = self.timetable.next_after(after)
        while slot is not None and passed < _MOST_STRETCHES and (until is None or slot <= until):
            if rule is None or rule.left(slot) is None:
                yield slot
                passed = 0
                slot = self.timetable.next_after(slot)
                continue
            passed += 1
            opens = rule.closed_until(slot)
            slot = None if opens is None else self.timetable.next_after(opens - TICK)


def content(calendar: Calendar) -> str:
    """The days of a calendar in one line, in the words of a manifest: ``12-25, SAT, SUN, 12-24 to 01-02 (UTC)``."""
    ranges = (f"{first} to {last}" for first, last in calendar.ranges)
    return f"{', '.join((*calendar.dates, *calendar.weekly, *ranges)) or 'no days'} ({calendar.zone})"
