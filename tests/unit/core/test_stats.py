from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Outcome, Tally
from reconciler.core.stats import percentile, stats, success_rate

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = {"since": MONDAY, "until": MONDAY + timedelta(days=7)}


def tally(hours: int, outcome=Outcome.SUCCEEDED, latency_ms: int | None = 10, runs: int = 1) -> Tally:
    return Tally(MONDAY + timedelta(hours=hours), outcome, latency_ms, runs)


def test_without_a_run_nothing_is_claimed():
    view = stats([], **WEEK)
    assert view.total == 0
    assert view.success_rate is None
    assert view.latency.shape() == {"calls": 0, "p50": None, "p90": None, "p95": None, "p99": None, "max": None}


def test_runs_are_summed_by_outcome_and_every_outcome_is_named():
    view = stats([tally(1, runs=3), tally(1, Outcome.FAILED, 20, 2), tally(5, Outcome.MISSED, None)], **WEEK)
    assert view.total == 6
    assert view.outcomes == {"succeeded": 3, "failed": 2, "skipped": 0, "missed": 1, "unknown": 0}


@pytest.mark.parametrize(
    ("outcomes", "rate"),
    [
        ({}, None),
        ({Outcome.SKIPPED: 5}, None),
        ({Outcome.SUCCEEDED: 1}, 1.0),
        ({Outcome.SUCCEEDED: 1, Outcome.SKIPPED: 9}, 1.0),
        ({Outcome.SUCCEEDED: 3, Outcome.FAILED: 1}, 0.75),
        ({Outcome.SUCCEEDED: 1, Outcome.MISSED: 1}, 0.5),
        ({Outcome.SUCCEEDED: 1, Outcome.UNKNOWN: 3}, 0.25),
        ({Outcome.FAILED: 1}, 0.0),
    ],
)
def test_the_success_rate_counts_what_was_to_be_a_successful_call(outcomes, rate):
    assert success_rate(outcomes) == rate


@pytest.mark.parametrize(("percent", "latency"), [(50, 50), (90, 90), (95, 95), (99, 99), (100, 100)])
def test_percentiles_of_one_to_a_hundred_are_exact(percent, latency):
    assert percentile([(ms, 1) for ms in range(1, 101)], percent) == latency


def test_a_percentile_is_a_latency_that_was_measured():
    assert percentile([(1, 1), (1000, 1)], 50) == 1
    assert percentile([(1, 1), (1000, 1)], 51) == 1000
    assert percentile([(7, 1)], 1) == 7


def test_one_slow_call_in_a_million_shows_in_the_maximum_only():
    view = stats([tally(1, latency_ms=3, runs=999_999), tally(2, latency_ms=30_000)], **WEEK)
    assert (view.latency.p99, view.latency.max, view.latency.calls) == (3, 30_000, 1_000_000)


def test_latencies_of_all_hours_and_outcomes_are_taken_together():
    view = stats([tally(1, latency_ms=30), tally(2, Outcome.FAILED, 10), tally(3, latency_ms=20)], **WEEK)
    assert (view.latency.p50, view.latency.max, view.latency.calls) == (20, 30, 3)


def test_a_run_without_a_call_has_no_latency():
    view = stats([tally(1, Outcome.MISSED, None, 9), tally(1, latency_ms=5)], **WEEK)
    assert (view.latency.calls, view.latency.p50) == (1, 5)


@given(st.dictionaries(st.integers(0, 10_000), st.integers(1, 5), min_size=1), st.integers(1, 100))
def test_percentiles_agree_with_sorting_every_single_call(counts, percent):
    calls = sorted(ms for ms, n in counts.items() for _ in range(n))
    rank = -(-len(calls) * percent // 100)  # the ceiling
    assert percentile(sorted(counts.items()), percent) == calls[rank - 1]


def test_every_day_of_the_window_is_named_also_without_a_run():
    view = stats([tally(30)], **WEEK)
    assert [(bucket.day, bucket.total) for bucket in view.days] == [
        (date(2026, 3, day), 1 if day == 3 else 0) for day in range(2, 9)
    ]


def test_a_window_that_ends_at_midnight_does_not_touch_the_next_day():
    days = stats([], since=MONDAY, until=MONDAY + timedelta(days=1)).days
    assert [bucket.day for bucket in days] == [date(2026, 3, 2)]
    days = stats([], since=MONDAY, until=MONDAY + timedelta(days=1, milliseconds=1)).days
    assert [bucket.day for bucket in days] == [date(2026, 3, 2), date(2026, 3, 3)]


def test_days_and_hours_are_those_of_utc_whatever_zone_the_instants_carry():
    east = timezone(timedelta(hours=9))
    at = datetime(2026, 3, 3, 2, tzinfo=east)  # Monday 17:00 in UTC
    view = stats([Tally(at, Outcome.SUCCEEDED, 1, 1)], since=at, until=at + timedelta(hours=1))
    assert [(bucket.day, bucket.total) for bucket in view.days] == [(date(2026, 3, 2), 1)]
    assert view.hours[17].total == 1


def test_there_are_24_hours_and_each_sums_up_all_days():
    view = stats([tally(9), tally(33, Outcome.FAILED), tally(57), tally(10)], **WEEK)
    assert [bucket.hour for bucket in view.hours] == list(range(24))
    assert view.hours[9].outcomes["succeeded"] == 2
    assert view.hours[9].success_rate == pytest.approx(2 / 3, abs=1e-6)
    assert view.hours[10].total == 1
    assert view.hours[11].success_rate is None


@given(st.lists(st.tuples(st.integers(0, 167), st.sampled_from(list(Outcome)[1:]), st.integers(1, 9)), max_size=40))
def test_days_and_hours_each_sum_to_the_total(rows):
    view = stats([tally(hour, outcome, 1, runs) for hour, outcome, runs in rows], **WEEK)
    assert view.total == sum(bucket.total for bucket in view.days) == sum(bucket.total for bucket in view.hours)
    assert len(view.days) == 7


def test_the_window_is_said_as_from_and_to():
    shape = stats([], **WEEK, application="billing", api="nightly").shape()
    assert (shape["from"], shape["to"]) == ("2026-03-02T00:00:00.000Z", "2026-03-09T00:00:00.000Z")
    assert (shape["application"], shape["api"]) == ("billing", "nightly")
    assert shape["days"][0]["day"] == "2026-03-02"
