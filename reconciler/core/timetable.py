"""Which instants a schedule names, how late is too late, and a schedule in words for people.

cronsim knows which wall times an expression names; when a wall clock shows them is decided here, by the rules of
Debian's cron (cron(8), "Notes"): an expression whose minute and hour both do not begin with ``*`` names wall times:
a time that is skipped runs at the first instant after the gap, one that comes twice runs the first time only.
Every other expression, and ``every``, follows real time. cronsim has these rules for five fields and whole hours;
here they hold for six fields and for zones that change by half an hour, too.

Forbidden here: the present time (it is always a parameter), and the reading of cron fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from itertools import takewhile

from reconciler.core.counting import count
from reconciler.core.cron import parsed
from reconciler.core.model import Schedule
from reconciler.core.zones import FIRST, LAST, localise, steady_until, wall_time
from schemas.base import format_duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Later than this is late: a loaded machine wakes some tens of milliseconds after the slot.
PUNCTUAL = timedelta(seconds=1)

# Later than this, somebody or something was down, and the job's ``catchUp`` decides. Another process takes over sooner.
DOWNTIME = timedelta(seconds=10)

_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
# No clock has ever been set by more than a day.
_FARTHEST_CHANGE = timedelta(days=2)


class Verdict(StrEnum):
    """How late a slot has come to be looked at."""

    ON_TIME = "on time"
    LATE = "late"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The instants of a schedule. Equal timetables name the same ones, whatever their manifests say.

    The attributes are those of ``model.Schedule``; the zone is UTC where it makes no difference.
    """

    cron: str | None = None
    every: timedelta | None = None
    at: datetime | None = None
    zone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @classmethod
    def of(cls, schedule: Schedule) -> Timetable:
        """The timetable of a resolved schedule."""
        return cls(
            cron=schedule.cron,
            every=schedule.every,
            at=schedule.at,
            zone=schedule.zone if schedule.cron else "UTC",
            starts_at=schedule.starts_at,
            ends_at=schedule.ends_at,
        )

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly after an instant; ``None`` if there is none before the end of the calendar."""
        if self.starts_at is not None and instant < self.starts_at:
            instant = self.starts_at - _TICK
        try:
            slot = self._unbounded(max(instant, FIRST))
        except OverflowError:  # the year 10000
            return None
        return None if slot is None or (self.ends_at is not None and slot > self.ends_at) else slot

    def upcoming(self, after: datetime, count: int) -> tuple[datetime, ...]:
        """The first ``count`` slots after an instant, or as many as there are."""
        return tuple(slot for _, slot in zip(range(count), self._slots(after), strict=False))

    def between(self, after: datetime, until: datetime, limit: int) -> tuple[datetime, ...]:
        """The slots in (after, until], oldest first, at most the first ``limit``."""
        slots: list[datetime] = []
        for slot in self._slots(after):
            if slot > until or len(slots) == limit:
                break
            slots.append(slot)
        return tuple(slots)

    def newest(self, after: datetime, until: datetime, limit: int) -> tuple[datetime, ...]:
        """The slots in (after, until], oldest first, at most the last ``limit``; quick however many there are."""
        if self.every is not None:
            end = until if self.ends_at is None else min(until, self.ends_at)
            after = max(after, end - limit * self.every)
        elif self.count(after, until) > limit:
            after = self._last_before(after, until, limit)
        return self.between(after, until, limit)

    def count(self, after: datetime, until: datetime) -> int:
        """How many slots lie in (after, until]; quick however many there are."""
        after = after if self.starts_at is None else max(after, self.starts_at - _TICK)
        until = until if self.ends_at is None else min(until, self.ends_at)
        after, until = max(after, FIRST), min(until, LAST)
        if after >= until:
            return 0
        if self.every is not None:
            anchor = self.starts_at or EPOCH
            return (until - anchor) // self.every - (after - anchor) // self.every
        if self.cron is None:
            return int(self.at is not None and after < self.at <= until)
        walls = _names_wall_times(self.cron)
        return count(self.cron, self.zone, after, until, self._one_by_one if walls else None)

    def _one_by_one(self, after: datetime, until: datetime) -> int:
        return sum(1 for _ in takewhile(lambda slot: slot <= until, self._slots(after)))

    def _last_before(self, after: datetime, until: datetime, limit: int) -> datetime:
        """An instant after which ``limit`` of the more slots in (after, until] lie, by bisection.

        Slots are whole seconds apart.
        """
        low, high = after, until  # always: more than ``limit`` in (low, until], no more than that in (high, until]
        within = 0  # in (high, until]
        while high - low > _SECOND:
            middle = low + (high - low) / 2
            more = self.count(middle, high)
            if within + more > limit:
                low = middle
            else:
                high, within = middle, within + more
        return high

    def _slots(self, after: datetime) -> Iterator[datetime]:
        slot = self.next_after(after)
        while slot is not None:
            yield slot
            slot = self.next_after(slot)

    def _unbounded(self, instant: datetime) -> datetime | None:
        if self.cron is not None:
            rule = _wall_time_slot if _names_wall_times(self.cron) else _real_time_slot
            return rule(self.cron, self.zone, instant)
        if self.every is not None:
            anchor = self.starts_at or EPOCH
            return anchor + ((instant - anchor) // self.every + 1) * self.every
        return self.at if self.at is not None and self.at > instant else None


@lru_cache(maxsize=16_384)
def _names_wall_times(text: str) -> bool:
    """Debian cron's criterion; cronsim applies it to five fields only."""
    minute, hour = text.split()[-5:-3]
    return not (minute.startswith("*") or hour.startswith("*"))


def _wall_time_slot(text: str, zone: str, after: datetime) -> datetime | None:
    # Later wall times never come at earlier instants (each counts at its first showing), so that the first one
    # after the present wall time whose instant lies ahead is the next slot.
    walls = parsed(text)
    walls.dt = wall_time(after, zone).replace(microsecond=0)
    for wall in walls:
        slot = localise(wall, zone)
        if slot > after:
            return slot
    return None


def _real_time_slot(text: str, zone: str, after: datetime) -> datetime | None:
    walls = parsed(text)
    begin = after.astimezone(UTC).replace(microsecond=0) + _SECOND
    while begin < LAST:
        offset, end = steady_until(begin, zone)
        walls.dt = begin.replace(tzinfo=None) + offset - _SECOND
        wall = next(walls, None)
        if wall is None:
            return None
        slot = wall.replace(tzinfo=UTC) - offset
        if slot < end:
            return slot
        # Clocks set back just before ``begin`` or at ``end`` show some times again, which must be looked at.
        # From a steady time longer than that on, nothing comes until about the slot just found.
        begin = end if end - begin <= _FARTHEST_CHANGE else max(end, slot - _FARTHEST_CHANGE)
    return None


def verdict(slot: datetime, now: datetime, starting_deadline: timedelta) -> Verdict:
    """Judge a slot that is looked at now: on time up to a second, late up to the deadline, then missed."""
    lateness = now - slot
    if lateness > starting_deadline:
        return Verdict.MISSED
    return Verdict.ON_TIME if lateness <= PUNCTUAL else Verdict.LATE


def spread(jitter: timedelta, seed: str) -> timedelta:
    """A delay from zero to ``jitter``, whole milliseconds, always the same for one seed: the job's key."""
    number = int.from_bytes(sha256(f"{seed}\0jitter".encode()).digest()[:8])
    return timedelta(milliseconds=number % (jitter // timedelta(milliseconds=1) + 1))


def words(schedule: Schedule) -> str:
    """A schedule for people: ``every 15 minutes from 09:00 through 17:59 on Monday through Friday (Europe/Berlin)``.

    The zone is always named, and so are the bounds, as wall time there, and the calendars. A job that follows another
    one has no zone: ``after billing/nightly succeeds, except on holidays``.
    """
    if schedule.after is not None:
        return f"after {schedule.after.key} {_ENDS[schedule.after.on]}{_days_in_words(schedule)}"
    if schedule.cron is not None:
        said = _cron_in_words(schedule.cron)
    elif schedule.every is not None:
        said = f"every {format_duration(schedule.every)}"
    elif schedule.at is not None:
        said = f"once, at {_shown(schedule.at, schedule.zone)}"
    else:
        said = "never"
    if schedule.starts_at is not None:
        said += f", from {_shown(schedule.starts_at, schedule.zone)}"
    if schedule.ends_at is not None:
        said += f", until {_shown(schedule.ends_at, schedule.zone)}"
    return f"{said}{_days_in_words(schedule)} ({schedule.zone})"


def _days_in_words(schedule: Schedule) -> str:
    """``, only on business-days, except on holidays``; empty for every day."""
    said = ""
    for word, joining, calendars in (("only", " or ", schedule.only), ("except", " and ", schedule.but_not)):
        if calendars:
            said += f", {word} on {joining.join(calendar.name for calendar in calendars)}"
    return said


_ENDS = {"success": "succeeds", "failure": "fails", "completion": "ends"}
_UNIT = r"second|minute|hour|day of month|month|day of week"
_NUMBERS = {
    word: number
    for number, word in enumerate(("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"), 2)
}
_EVERY_NTH = re.compile(rf"(past |on |in )?every ({'|'.join(_NUMBERS)}|\d+th) ({_UNIT})\b")
_FULL_HOURS = re.compile(r"^every (\d+) minutes of every hour")
_ORDINAL = re.compile(r"\b([2-9]?)([123])th\b")
_ENDINGS = {"1": "st", "2": "nd", "3": "rd"}


@lru_cache(maxsize=16_384)
def _cron_in_words(text: str) -> str:
    """What cronsim says, with ``every 15th minute`` made ``every 15 minutes`` and ``21th`` made ``21st``."""
    said = parsed(text).explain()
    said = _EVERY_NTH.sub(_every_so_many, said[0].lower() + said[1:])
    if (match := _FULL_HOURS.match(said)) and 60 % int(match[1]) == 0:
        said = f"every {match[1]} minutes{said[match.end() :]}"
    return _ORDINAL.sub(lambda match: f"{match[1]}{match[2]}{_ENDINGS[match[2]]}", said)


def _every_so_many(match: re.Match[str]) -> str:
    preposition, ordinal, unit = match.groups()
    number = _NUMBERS.get(ordinal) or int(ordinal.removesuffix("th"))
    return f"{preposition}every {number}th {unit}" if preposition else f"every {number} {unit}s"


def _shown(instant: datetime, zone: str) -> str:
    try:
        wall = wall_time(instant, zone)
    except OverflowError:  # the last hours of the year 9999
        wall = instant.replace(tzinfo=None)
    return wall.isoformat(sep=" ", timespec="milliseconds" if wall.microsecond else "seconds")
