from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.cron import normalise
from reconciler.core.model import Schedule
from reconciler.core.timetable import Timetable, Verdict, spread, verdict, words
from tests.unit.core.timetables import (
    BERLIN,
    CHANGES,
    LORD_HOWE,
    NEW_YORK,
    PATTERNS,
    between,
    cron,
    every,
    utc,
)

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
