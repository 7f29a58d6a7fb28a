from __future__ import annotations

import time
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from reconciler.core.cron import normalise
from reconciler.core.model import Schedule
from reconciler.core.schedules import resolve
from reconciler.core.timetable import Timetable, Verdict, spread, verdict, words
from schemas.schedule import Schedule as DeclaredSchedule

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


# --- a day of wall time, minute by minute ------------------------------------------------------------------------


def day_of(timetable: Timetable, zone: str, date: str) -> list[str]:
    """Let ``now`` pass through one day of wall time, midnight to midnight; what came due, as the wall showed it."""
    tz = ZoneInfo(zone)
    midnight = datetime.fromisoformat(date).replace(tzinfo=tz)
    before = midnight.astimezone(UTC) - timedelta(seconds=1)
    end = (midnight + DAY).astimezone(UTC) - timedelta(seconds=1)
    shown = []
    while before < end:
        now = min(before + MINUTE, end)
        for slot in timetable.between(before, now, 100):
            assert verdict(slot, now, timedelta(hours=1)) in (Verdict.ON_TIME, Verdict.LATE)
            shown.append(slot.astimezone(tz).isoformat()[11:].replace(":00+", "+").replace(":00-", "-"))
        before = now
    return shown


BERLIN_SPRING, BERLIN_AUTUMN = (BERLIN, "2026-03-29"), (BERLIN, "2026-10-25")
NEW_YORK_SPRING, NEW_YORK_AUTUMN = (NEW_YORK, "2026-03-08"), (NEW_YORK, "2026-11-01")
LORD_HOWE_SPRING, LORD_HOWE_AUTUMN = (LORD_HOWE, "2026-10-04"), (LORD_HOWE, "2026-04-05")


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        (BERLIN_SPRING, "01:15+01:00 01:45+01:00 03:00+02:00"),
        (BERLIN_AUTUMN, "01:15+02:00 01:45+02:00 02:15+02:00 02:45+02:00"),
        (NEW_YORK_SPRING, "01:15-05:00 01:45-05:00 03:00-04:00"),
        (NEW_YORK_AUTUMN, "01:15-04:00 01:45-04:00 02:15-05:00 02:45-05:00"),
        (LORD_HOWE_SPRING, "01:15+10:30 01:45+10:30 02:30+11:00 02:45+11:00"),
        (LORD_HOWE_AUTUMN, "01:15+11:00 01:45+11:00 02:15+10:30 02:45+10:30"),
    ],
)
class TestWallTimesOnADayWhenClocksChange:
    """What does not exist runs right after the gap, and once where several fall there; what repeats runs once."""

    def test_cron_with_five_fields(self, day, slots):
        assert day_of(cron("15,45 1,2 * * *", day[0]), *day) == slots.split()

    def test_cron_with_six_fields(self, day, slots):
        assert day_of(cron("0 15,45 1,2 * * *", day[0]), *day) == slots.split()


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        (BERLIN_SPRING, "01:00+01:00 01:30+01:00"),
        (BERLIN_AUTUMN, "01:00+02:00 01:30+02:00 02:00+02:00 02:30+02:00 02:00+01:00 02:30+01:00"),
        (NEW_YORK_SPRING, "01:00-05:00 01:30-05:00"),
        (NEW_YORK_AUTUMN, "01:00-04:00 01:30-04:00 01:00-05:00 01:30-05:00 02:00-05:00 02:30-05:00"),
        (LORD_HOWE_SPRING, "01:00+10:30 01:30+10:30 02:30+11:00"),
        (LORD_HOWE_AUTUMN, "01:00+11:00 01:30+11:00 01:30+10:30 02:00+10:30 02:30+10:30"),
    ],
)
class TestRealTimeOnADayWhenClocksChange:
    """Nothing in the gap, both passes of what repeats."""

    def test_cron_with_five_fields(self, day, slots):
        assert day_of(cron("*/30 1-2 * * *", day[0]), *day) == slots.split()

    def test_cron_with_six_fields(self, day, slots):
        assert day_of(cron("0 */30 1-2 * * *", day[0]), *day) == slots.split()


@pytest.mark.parametrize(
    ("day", "first", "offset", "others"),
    [
        (BERLIN_SPRING, "01:00+01:00", "+02:00", "05:00 08:00 11:00 14:00 17:00 20:00 23:00"),
        (BERLIN_AUTUMN, "02:00+02:00", "+01:00", "04:00 07:00 10:00 13:00 16:00 19:00 22:00"),
        (NEW_YORK_SPRING, "01:00-05:00", "-04:00", "05:00 08:00 11:00 14:00 17:00 20:00 23:00"),
        (NEW_YORK_AUTUMN, "01:00-05:00", "-05:00", "04:00 07:00 10:00 13:00 16:00 19:00 22:00"),
        (LORD_HOWE_SPRING, "01:30+10:30", "+11:00", "05:00 08:00 11:00 14:00 17:00 20:00 23:00"),
        (LORD_HOWE_AUTUMN, "01:30+10:30", "+10:30", "04:30 07:30 10:30 13:30 16:30 19:30 22:30"),
    ],
)
def test_an_interval_keeps_its_pace_when_clocks_change(day, first, offset, others):
    slots = day_of(every(timedelta(hours=3)), *day)
    assert slots == [first, *(shown + offset for shown in others.split())]


@pytest.mark.parametrize(
    ("day", "at", "slot"),
    [
        (BERLIN_SPRING, "02:15", "03:00+02:00"),
        (BERLIN_AUTUMN, "02:15", "02:15+02:00"),
        (NEW_YORK_SPRING, "02:15", "03:00-04:00"),
        (NEW_YORK_AUTUMN, "01:45", "01:45-04:00"),
        (LORD_HOWE_SPRING, "02:15", "02:30+11:00"),
        (LORD_HOWE_AUTUMN, "01:45", "01:45+11:00"),
    ],
)
class TestOneTimeOnADayWhenClocksChange:
    def test_once(self, day, at, slot):
        assert day_of(declared({"at": f"{day[1]}T{at}:00"}, day[0]), *day) == [slot]

    def test_daily(self, day, at, slot):
        assert day_of(declared({"frequency": "daily", "time": at}, day[0]), *day) == [slot]

    def test_weekly(self, day, at, slot):
        assert day_of(declared({"frequency": "weekly", "on": "SUN", "time": at}, day[0]), *day) == [slot]


def declared(schedule: dict[str, object], zone: str) -> Timetable:
    value = TypeAdapter(DeclaredSchedule).validate_python(schedule)
    return Timetable.of(resolve(value, zone=zone, starts_at=None, ends_at=None, seed="billing/nightly"))


# --- against a reference that looks at every minute --------------------------------------------------------------


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
ALWAYS = ("*", set(range(7)))
YEARLONG = (
    Pattern(("15,45", {15, 45}), ("1-3", {1, 2, 3}), ALWAYS),
    Pattern(("*/20", {0, 20, 40}), ("2", {2}), ALWAYS),
    Pattern(("0", {0}), ("*", set(range(24))), ALWAYS),
    Pattern(("7", {7}), ("*/6", {0, 6, 12, 18}), ("6,0", {0, 6})),
)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes]), PATTERNS)
def test_around_a_change_of_clocks_slots_are_those_of_the_reference(place, pattern):
    zone, change = place
    after, until = change - DAY, change + DAY
    assert between(cron(pattern.text, zone), after, until) == reference(pattern, zone, after, until)


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("pattern", YEARLONG, ids=repr)
def test_over_a_whole_year_slots_are_those_of_the_reference(zone, pattern):
    after, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)
    assert between(cron(pattern.text, zone), after, until) == reference(pattern, zone, after, until)


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes]),
    PATTERNS,
    st.integers(-5000, 5000),
)
def test_asked_from_any_instant_the_next_slot_is_the_first_after_it(place, pattern, seconds):
    zone, change = place
    instant = change + timedelta(seconds=seconds, milliseconds=1)
    until = change + DAY
    expected = [slot for slot in reference(pattern, zone, change - DAY, until) if slot > instant]
    slot = cron(pattern.text, zone).next_after(instant)
    assert slot == expected[0] if expected else slot is None or slot > until


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_in_zones_that_change_by_whole_hours_five_fields_are_what_cronsim_says(zone, data):
    """cronsim's own arithmetic is right there; it is not for half an hour, nor has it the rules for six fields."""
    pattern = data.draw(PATTERNS)
    change = data.draw(st.sampled_from(CHANGES[zone]))
    walls = CronSim(pattern.text, (change - DAY).astimezone(ZoneInfo(zone)))
    theirs = []
    for wall in walls:
        if wall.astimezone(UTC) > change + DAY:
            break
        theirs.append(wall.astimezone(UTC))
    assert between(cron(pattern.text, zone), change - DAY, change + DAY) == theirs


# --- zones that are hard -----------------------------------------------------------------------------------------


def test_a_day_that_a_zone_skips_runs_once_after_it():
    # Samoa had no 30 December 2011.
    slots = cron("0 6,18 * * *", "Pacific/Apia").upcoming(utc("2011-12-29 10:00"), 4)
    assert slots == (utc("2011-12-29 16:00"), utc("2011-12-30 04:00"), utc("2011-12-30 10:00"), utc("2011-12-30 16:00"))


def test_real_time_goes_on_over_a_day_that_a_zone_skips():
    slots = between(cron("0 * * * *", "Pacific/Apia"), utc("2011-12-30 00:00"), utc("2011-12-31 00:00"))
    assert slots == [utc("2011-12-30 00:00") + timedelta(hours=number) for number in range(1, 25)]


def test_midnight_that_does_not_exist_runs_at_the_days_first_instant():
    slots = cron("@daily", "America/Sao_Paulo").upcoming(utc("2018-11-03 12:00"), 2)
    assert slots == (utc("2018-11-04 03:00"), utc("2018-11-05 02:00"))


def test_seconds_in_the_repeated_hour_come_once_for_wall_times_and_twice_for_real_time():
    after, until = utc("2026-10-24 23:59:59"), utc("2026-10-25 01:59:59")
    assert len(between(cron("0-59 0-59 2 * * *", BERLIN), after, until)) == 3600
    assert len(between(cron("* * 2 * * *", BERLIN), after, until)) == 7200


def test_the_second_pass_is_found_from_within_the_first():
    # Nothing more matches in the first pass; cronsim's next wall time lies a year ahead.
    timetable = cron("*/5 2 25 10 *", BERLIN)
    assert timetable.next_after(utc("2026-10-25 00:58")) == utc("2026-10-25 01:00")
    assert timetable.next_after(utc("2026-10-25 01:58")) == utc("2027-10-25 00:00")


def test_sparse_real_time_patterns_skip_the_years_between():
    assert cron("*/5 * 29 2 *", BERLIN).next_after(utc("2096-03-01")) == utc("2104-02-28 23:00")
    assert cron("*/30 2 */28 2 MON#5", BERLIN).next_after(utc("2016-03-01")) == utc("2044-02-29 01:00")


# --- every, at, bounds -------------------------------------------------------------------------------------------


class TestEvery:
    def test_is_anchored_at_the_epoch(self):
        slots = every(timedelta(hours=5)).upcoming(utc("1969-12-31 16:00"), 4)
        assert slots == (
            utc("1969-12-31 19:00"),
            utc("1970-01-01 00:00"),
            utc("1970-01-01 05:00"),
            utc("1970-01-01 10:00"),
        )

    def test_is_anchored_at_its_beginning(self):
        timetable = every(timedelta(hours=5), starts_at=utc("2026-01-01 01:30"))
        assert timetable.upcoming(utc("2020-01-01"), 2) == (utc("2026-01-01 01:30"), utc("2026-01-01 06:30"))
        assert timetable.next_after(utc("2026-06-01")) == utc("2026-06-01 02:30")

    def test_takes_fractions_of_a_second(self):
        timetable = every(timedelta(milliseconds=250))
        assert timetable.upcoming(utc("2026-01-01 00:00:00.100"), 3) == (
            utc("2026-01-01 00:00:00.250"),
            utc("2026-01-01 00:00:00.500"),
            utc("2026-01-01 00:00:00.750"),
        )

    @given(
        st.integers(1, 10**9).map(lambda number: timedelta(milliseconds=number)),
        st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2200-01-01")),
    )
    def test_is_exact_however_long_it_runs(self, interval, instant):
        instant = instant.replace(tzinfo=UTC)
        slot = every(interval).next_after(instant)
        assert timedelta(0) < slot - instant <= interval
        assert (slot - datetime(1970, 1, 1, tzinfo=UTC)) % interval == timedelta(0)


def test_at_comes_once():
    timetable = Timetable(at=utc("2026-12-01 10:00"))
    assert timetable.next_after(utc("2026-12-01 09:59:59.999")) == utc("2026-12-01 10:00")
    assert timetable.next_after(utc("2026-12-01 10:00")) is None
    assert timetable.upcoming(utc("2000-01-01"), 5) == (utc("2026-12-01 10:00"),)


@pytest.mark.parametrize(
    "timetable",
    [cron("0 * * * *"), every(timedelta(hours=1))],
    ids=["cron", "every"],
)
def test_both_bounds_are_within(timetable):
    bounded = Timetable(
        cron=timetable.cron, every=timetable.every, starts_at=utc("2026-01-01 10:00"), ends_at=utc("2026-01-01 12:00")
    )
    expected = (utc("2026-01-01 10:00"), utc("2026-01-01 11:00"), utc("2026-01-01 12:00"))
    assert bounded.upcoming(utc("2020-01-01"), 9) == expected
    assert bounded.next_after(expected[0]) == expected[1]
    assert bounded.next_after(expected[2]) is None


@pytest.mark.parametrize(
    "timetable", [Timetable(), Timetable(cron="0 0 */31 * MON#5"), Timetable(cron="* * */31 * MON#5")]
)
def test_one_that_names_nothing_has_no_slots(timetable):
    assert timetable.next_after(utc("2026-01-01")) is None


@pytest.mark.parametrize(
    "timetable",
    [cron("0 0 * * *", NEW_YORK), cron("* * * * *", BERLIN), cron("0 0 29 2 *"), cron("*/5 * 29 2 *"),
     every(timedelta(days=3650)), every(timedelta(seconds=1))],
    ids=repr,
)  # fmt: skip
class TestTheCalendarsEnds:
    def test_after_the_last_day_nothing_comes(self, timetable):
        assert timetable.next_after(datetime.max.replace(tzinfo=UTC)) is None

    def test_up_to_it_slots_come_and_end(self, timetable):
        slots = between(timetable, utc("9999-12-31 23:50"), datetime.max.replace(tzinfo=UTC))
        assert len(slots) < 600

    def test_before_the_first_something_comes(self, timetable):
        assert timetable.next_after(datetime.min.replace(tzinfo=UTC)) is not None


# --- many slots --------------------------------------------------------------------------------------------------


class TestBetween:
    def test_excludes_its_beginning_and_includes_its_end(self):
        slots = between(cron("0 * * * *"), utc("2026-01-01 10:00"), utc("2026-01-01 12:00"))
        assert slots == [utc("2026-01-01 11:00"), utc("2026-01-01 12:00")]

    def test_gives_the_first_ones_where_there_are_too_many(self):
        slots = cron("0 * * * *").between(utc("2026-01-01"), utc("2027-01-01"), 2)
        assert slots == (utc("2026-01-01 01:00"), utc("2026-01-01 02:00"))
        assert cron("0 * * * *").between(utc("2026-01-01"), utc("2027-01-01"), 0) == ()

    def test_upcoming_may_be_none_at_all(self):
        assert cron("0 * * * *").upcoming(utc("2026-01-01"), 0) == ()


class TestNewest:
    def test_gives_the_last_ones_where_there_are_too_many(self):
        slots = cron("0 * * * *").newest(utc("2026-01-01"), utc("2027-01-01"), 2)
        assert slots == (utc("2026-12-31 23:00"), utc("2027-01-01 00:00"))

    def test_gives_all_where_there_are_few(self):
        slots = cron("0 * * * *").newest(utc("2026-01-01 10:00"), utc("2026-01-01 12:00"), 2)
        assert slots == (utc("2026-01-01 11:00"), utc("2026-01-01 12:00"))
        assert cron("0 0 1 1 *").newest(utc("2026-01-02"), utc("2026-06-01"), 5) == ()

    @settings(deadline=None, max_examples=40)
    @given(PATTERNS, st.integers(0, 200_000), st.integers(1, 30), st.sampled_from(sorted(CHANGES)))
    def test_is_the_end_of_all_between(self, pattern, minutes, limit, zone):
        timetable = cron(pattern.text, zone)
        until = CHANGES[zone][1] + timedelta(seconds=minutes, milliseconds=minutes)
        after = until - timedelta(hours=60)
        assert timetable.newest(after, until, limit) == tuple(between(timetable, after, until)[-limit:])

    @given(st.integers(1, 400), st.integers(1, 30), st.integers(0, 7200))
    def test_is_so_for_intervals_too(self, seconds, limit, length):
        timetable = every(timedelta(seconds=seconds))
        after, until = utc("2026-01-01"), utc("2026-01-01") + timedelta(seconds=length)
        assert timetable.newest(after, until, limit) == tuple(between(timetable, after, until)[-limit:])

    @pytest.mark.parametrize("timetable", [cron("* * * * * *", BERLIN), every(timedelta(milliseconds=100))])
    def test_is_quick_after_a_year(self, timetable):
        begin = time.perf_counter()
        slots = timetable.newest(utc("2026-01-01"), utc("2027-01-01"), 100)
        assert time.perf_counter() - begin < 2
        assert len(slots) == 100
        assert slots[-1] == utc("2027-01-01")


# --- identity ----------------------------------------------------------------------------------------------------


def test_schedules_that_name_the_same_instants_share_a_timetable():
    one = Timetable.of(Schedule(declared="H 2 * * *", cron="27 2 * * *", zone=BERLIN))
    same = Timetable.of(Schedule(declared="27 2 * * *", cron="27 2 * * *", zone=BERLIN))
    other = Timetable.of(Schedule(declared="27 2 * * *", cron="27 2 * * *", zone=NEW_YORK))
    assert len({one, same, other}) == 2


def test_the_zone_makes_no_difference_to_intervals():
    hour = timedelta(hours=1)
    assert Timetable.of(Schedule(declared="", every=hour, zone=BERLIN)) == Timetable.of(
        Schedule(declared="", every=hour)
    )


# --- lateness, spread, words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (timedelta(seconds=-5), Verdict.ON_TIME),
        (timedelta(0), Verdict.ON_TIME),
        (timedelta(seconds=1), Verdict.ON_TIME),
        (timedelta(seconds=1, milliseconds=1), Verdict.LATE),
        (timedelta(hours=1), Verdict.LATE),
        (timedelta(hours=1, milliseconds=1), Verdict.MISSED),
    ],
)
def test_a_slot_is_on_time_then_late_then_missed(late, expected):
    slot = utc("2026-01-01")
    assert verdict(slot, slot + late, timedelta(hours=1)) is expected


def test_a_deadline_under_a_second_is_kept_to():
    slot = utc("2026-01-01")
    assert verdict(slot, slot + timedelta(milliseconds=200), timedelta(milliseconds=100)) is Verdict.MISSED


class TestSpread:
    @given(st.integers(0, 10**8), st.text())
    def test_is_a_stable_delay_within_the_jitter(self, milliseconds, seed):
        jitter = timedelta(milliseconds=milliseconds)
        delay = spread(jitter, seed)
        assert timedelta(0) <= delay <= jitter
        assert delay == spread(jitter, seed)
        assert delay % timedelta(milliseconds=1) == timedelta(0)

    def test_is_even_over_jobs(self):
        delays = [spread(timedelta(seconds=10), f"shop/job-{number}").total_seconds() for number in range(2000)]
        assert 4.5 < sum(delays) / len(delays) < 5.5
        assert min(delays) < 0.5
        assert max(delays) > 9.5


def said(expression: str, zone: str = "UTC") -> str:
    return words(Schedule(declared=expression, cron=normalise(expression, "billing/nightly"), zone=zone))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "every minute"),
        ("*/15 9-17 * * MON-FRI", "every 15 minutes from 09:00 through 17:59 on Monday through Friday"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/2 * * * MON", "every 2 minutes on Monday"),
        ("*/7 * * * *", "every 7 minutes of every hour"),
        ("*/10 * * * * *", "every 10 seconds of every minute"),
        ("* * * * * *", "every second"),
        ("0 */2 * * *", "at minute 0 past every 2nd hour"),
        ("0 0 */3 * *", "at 00:00 on every 3rd day of month"),
        ("0 0 */11 * *", "at 00:00 on every 11th day of month"),
        ("45 9 * * SUN", "at 09:45 on Sunday"),
        ("0 0 21,22,23,31 * *", "at 00:00 on the 21st, the 22nd, the 23rd, and the 31st day of month"),
        ("0 0 11,12,13 * *", "at 00:00 on the 11th, the 12th, and the 13th day of month"),
        ("0 0 L * *", "at 00:00 on the last day of every month"),
        ("0 2 * * *", "at 02:00 every day"),
    ],
)
def test_cron_in_words(expression, expected):
    assert said(expression, BERLIN) == f"{expected} (Europe/Berlin)"


def test_words_name_the_zone_even_if_it_is_utc():
    assert said("0 2 * * *") == "at 02:00 every day (UTC)"
    assert words(Schedule(declared="", every=timedelta(hours=2, minutes=30))) == "every 2h30m (UTC)"


def test_once_and_bounds_are_told_as_wall_time():
    at = Schedule(declared="", at=utc("2026-12-01 09:00"), zone=BERLIN)
    assert words(at) == "once, at 2026-12-01 10:00:00 (Europe/Berlin)"
    bounded = Schedule(
        declared="",
        every=timedelta(hours=1),
        zone=BERLIN,
        starts_at=utc("2026-01-01"),
        ends_at=utc("2026-02-01 00:00:00.5"),
    )
    assert words(bounded) == "every 1h, from 2026-01-01 01:00:00, until 2026-02-01 01:00:00.500 (Europe/Berlin)"


def test_words_are_found_for_what_cannot_be():
    assert words(Schedule(declared="")) == "never (UTC)"
    last = Schedule(declared="", at=datetime.max.replace(tzinfo=UTC, microsecond=0), zone=BERLIN)
    assert words(last) == "once, at 9999-12-31 23:59:59 (Europe/Berlin)"


@settings(deadline=None)
@given(PATTERNS)
def test_every_pattern_has_words(pattern):
    text = said(pattern.text)
    assert text.endswith(" (UTC)")
    assert text[0].islower()


# --- speed -------------------------------------------------------------------------------------------------------


def test_the_next_slot_is_found_quickly():
    timetables = [cron(text, BERLIN) for text in ("0 2 * * *", "*/15 * * * *", "*/5 9-17 * * MON-FRI", "* * * * *")]
    instants = [utc("2026-03-20") + number * timedelta(minutes=37) for number in range(250)]
    best = min(timed(timetable, instants) for timetable in timetables for _ in range(3))
    assert best < 100e-6  # some 20 µs where nothing else runs


@pytest.mark.parametrize("expression", ["0 0 29 2 MON#5", "0 0 */28 2 MON#5", "*/5 * */28 2 MON#5", "0 0 L 2 FRI#5"])
def test_sparse_patterns_are_found_within_50_ms(expression):
    timetable = cron(expression, BERLIN)
    timetable.next_after(utc("2016-03-01"))  # the zone's changes are looked up once
    assert min(timed(timetable, [utc("2016-03-01")]) for _ in range(3)) < 0.05


def timed(timetable: Timetable, instants: list[datetime]) -> float:
    begin = time.perf_counter()
    for instant in instants:
        timetable.next_after(instant)
    return (time.perf_counter() - begin) / len(instants)


def test_slots_rise():
    slots = cron("*/20 1-3 * * *", LORD_HOWE).upcoming(utc("2026-04-04"), 50)
    assert all(earlier < later for earlier, later in pairwise(slots))
