"""Days on which clocks change: literally, against the reference, and against cronsim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from reconciler.core.schedules import resolve
from reconciler.core.timetable import Timetable, Verdict, verdict
from schemas.schedule import Schedule as DeclaredSchedule
from tests.unit.core.timetables import (
    BERLIN,
    CHANGES,
    DAY,
    LORD_HOWE,
    MINUTE,
    NEW_YORK,
    PATTERNS,
    Pattern,
    between,
    cron,
    every,
    reference,
    utc,
)

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


# --- against a reference and against cronsim ---------------------------------------------------------------------

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
