"""Timetables to try, and a reference for what they should name: it looks at every minute."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from reconciler.core.cron import normalise
from reconciler.core.timetable import Timetable

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
CHANGES = {
    BERLIN: (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    NEW_YORK: (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
    LORD_HOWE: (datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(expression: str, zone: str = "UTC", **bounds) -> Timetable:
    return Timetable(cron=normalise(expression, "billing/nightly"), zone=zone, **bounds)


def every(interval: timedelta, **bounds) -> Timetable:
    return Timetable(every=interval, **bounds)


def between(timetable: Timetable, after: datetime, until: datetime) -> list[datetime]:
    return list(timetable.between(after, until, 1_000_000))


@lru_cache(maxsize=8)
def minutes_of_2026(zone: str) -> tuple[tuple[datetime, datetime], ...]:
    """Every minute from 2026 on and a day around it, with what clocks show."""
    tz = ZoneInfo(zone)
    begin = datetime(2025, 12, 31, tzinfo=UTC)
    instants = (begin + number * MINUTE for number in range(367 * 1440))
    return tuple((instant, instant.astimezone(tz).replace(tzinfo=None, fold=0)) for instant in instants)


class Pattern:
    """A five-field expression together with the values that each of its fields means."""

    def __init__(self, minute, hour, weekday):
        self.text = f"{minute[0]} {hour[0]} * * {weekday[0]}"
        self.minutes, self.hours, self.weekdays = minute[1], hour[1], weekday[1]
        self.follows_real_time = minute[0].startswith("*") or hour[0].startswith("*")

    def matches(self, wall: datetime) -> bool:
        return wall.minute in self.minutes and wall.hour in self.hours and wall.isoweekday() % 7 in self.weekdays

    def __repr__(self):
        return self.text


def reference(pattern: Pattern, zone: str, after: datetime, until: datetime) -> list[datetime]:
    minutes = minutes_of_2026(zone)
    begin = bisect_left(minutes, after, key=lambda pair: pair[0])
    end = bisect_left(minutes, until, key=lambda pair: pair[0])
    if pattern.follows_real_time:
        return [instant for instant, wall in minutes[begin + 1 : end + 1] if pattern.matches(wall)]
    # Each wall time counts at the first minute at which clocks show it or have passed it.
    slots: list[datetime] = []
    upcoming = minutes[begin - 120][1]
    for instant, wall in minutes[begin - 120 : end + 1]:
        due = False
        while upcoming <= wall:
            due = due or pattern.matches(upcoming)
            upcoming += MINUTE
        if due and instant > after:
            slots.append(instant)
    return slots


def a_field(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """What people write in a field, and what they mean by it."""
    everything = set(range(low, high + 1))
    value = st.integers(low, high)
    return st.one_of(
        st.just(("*", everything)),
        st.integers(1, high - low).map(lambda step: (f"*/{step}", set(range(low, high + 1, step)))),
        st.sets(value, min_size=1, max_size=5).map(lambda found: (",".join(map(str, sorted(found))), found)),
        st.tuples(value, value)
        .map(sorted)
        .map(lambda pair: (f"{pair[0]}-{pair[1]}", set(range(pair[0], pair[1] + 1)))),
    )


# Clocks change at night: most examples should look there.
NIGHT_HOURS = st.sets(st.integers(0, 4), min_size=1).map(lambda found: (",".join(map(str, sorted(found))), found))
PATTERNS = st.builds(
    Pattern,
    a_field(0, 59),
    st.one_of(a_field(0, 23), NIGHT_HOURS),
    st.one_of(st.just(("*", set(range(7)))), a_field(0, 6)),
)
