from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.timetable import Timetable
from tests.unit.core.timetables import BERLIN, CHANGES, PATTERNS, between, cron, every, utc

SECOND = timedelta(seconds=1)


@settings(deadline=None, max_examples=80)
@given(
    PATTERNS,
    st.sampled_from([(zone, change) for zone, changes in CHANGES.items() for change in changes]),
    st.integers(-300_000, 300_000),
    st.integers(0, 400_000),
)
def test_a_count_is_the_number_of_slots_also_where_clocks_change(pattern, change, begin, length):
    zone, instant = change
    after = instant + begin * SECOND
    until = after + length * SECOND
    timetable = cron(pattern.text, zone)
    assert timetable.count(after, until) == len(between(timetable, after, until))


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["*/7 3-50 * * * *", "5,10 30 2 * * *", "0 0 L * *", "15 4 * * SUN#2", "0 12 1 * MON"]),
    st.integers(0, 40_000_000),
    st.integers(0, 200_000),
)
def test_so_it_is_for_seconds_and_special_days(expression, begin, length):
    timetable = cron(expression, BERLIN)
    after = utc("2026-01-01") + begin * SECOND / 2
    until = after + length * SECOND
    assert timetable.count(after, until) == len(between(timetable, after, until))


@given(st.integers(1, 5000), st.integers(-5000, 5000), st.integers(0, 20_000), st.booleans())
def test_so_it_is_for_intervals_and_their_bounds(interval, begin, length, bounded):
    bounds = {"starts_at": utc("2026-03-01 00:10"), "ends_at": utc("2026-03-01 02:00")} if bounded else {}
    timetable = every(interval * SECOND, **bounds)
    after = utc("2026-03-01") + begin * SECOND
    until = after + length * SECOND
    assert timetable.count(after, until) == len(between(timetable, after, until))
    assert timetable.newest(after, until, 3) == tuple(between(timetable, after, until)[-3:])


def test_so_it_is_for_one_instant():
    at = utc("2026-03-01")
    once = Timetable(at=at)
    assert [once.count(at - SECOND, at), once.count(at, at + SECOND), once.count(at - SECOND, at - SECOND)] == [1, 0, 0]
    assert Timetable().count(at - SECOND, at + SECOND) == 0


def test_bounds_hold_for_cron_too():
    hourly = cron("0 * * * *", starts_at=utc("2026-03-01 02:00"), ends_at=utc("2026-03-01 05:00"))
    assert hourly.count(utc("2026-03-01"), utc("2026-03-02")) == 4


@pytest.mark.parametrize("expression", ["* * * * * *", "0 0-23 * * *"])
def test_a_year_is_counted_quickly(expression):
    timetable = cron(expression, BERLIN)
    begin = time.perf_counter()
    found = timetable.count(utc("2026-01-01"), utc("2027-01-01"))
    assert time.perf_counter() - begin < 1
    assert found == (31_536_000 if expression.startswith("* *") else 8_760 - 1)
