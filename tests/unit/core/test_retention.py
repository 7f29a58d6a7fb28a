from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Lease, Outcome, Retention
from reconciler.core.records import first_id
from reconciler.core.retention import FAILURES, OTHERS, Aged, aged, keep_per_job, look_back, needed
from tests.fakes import START, stored_job

DAY = timedelta(days=1)
MONTH = Retention(keep_for=30 * DAY, keep_failures_for=90 * DAY, keep_per_job=1000)
WEEK = Retention(keep_for=7 * DAY, keep_failures_for=14 * DAY, keep_per_job=5)


def test_every_outcome_of_a_run_that_has_ended_is_a_failure_or_is_none():
    assert {*FAILURES, *OTHERS} == set(Outcome) - {Outcome.RUNNING}
    assert set(FAILURES).isdisjoint(OTHERS)


def test_failures_are_kept_for_a_time_of_their_own():
    assert list(aged(START, MONTH, {})) == [
        Aged(below=first_id(START - 30 * DAY), outcomes=OTHERS, application=None),
        Aged(below=first_id(START - 90 * DAY), outcomes=FAILURES, application=None),
    ]


def test_applications_that_keep_theirs_otherwise_are_left_out_of_the_rest():
    found = list(aged(START, MONTH, {"b": WEEK, "a": MONTH}))
    assert [(one.application, one.others) for one in found] == [
        *[(None, ("a", "b"))] * 2,
        *[("a", ())] * 2,
        *[("b", ())] * 2,
    ]
    assert [one.below for one in found[-2:]] == [first_id(START - 7 * DAY), first_id(START - 14 * DAY)]


@pytest.mark.parametrize(("job", "kept"), [("b/x", 5), ("a/b", 1000), ("none/x", 1)])
def test_how_many_are_kept_is_the_applications_affair_and_one_at_least(job, kept):
    declared = {"b": WEEK, "none": Retention(keep_per_job=0)}
    assert keep_per_job(job, MONTH, declared) == kept


LEASE = Lease(
    holder="p", term=1, since=START, expires_at=START, accounted_from=START - DAY, accounted_until=START - DAY / 2
)


def test_what_comes_after_the_mark_is_needed():
    found = needed(LEASE, START, DAY / 24)
    assert found.from_id == found.following_from_id == first_id(START - DAY / 2)
    assert found.before(START) == START - DAY / 2
    assert found.before(START - DAY) == START - DAY


def test_what_follows_an_end_is_needed_for_as_long_as_it_is_looked_for():
    found = needed(replace(LEASE, accounted_until=START), START, DAY)
    assert (found.from_id, found.following_from_id) == (first_id(START), first_id(START - DAY))


def test_where_nobody_has_led_nothing_is_owed():
    found = needed(None, START, DAY)
    assert found.from_id > first_id(START + 10_000 * DAY)
    assert found.following_from_id == first_id(START - DAY)
    assert found.before(START) == START


@pytest.mark.parametrize(
    ("deadlines", "expected"),
    [((), 0 * DAY), ((DAY, 3 * DAY), 3 * DAY), ((DAY, 400 * DAY), 31 * DAY)],
    ids=["no job", "the longest", "a month at most"],
)
def test_ends_are_looked_for_as_far_back_as_a_run_may_still_start(deadlines, expected):
    jobs = [stored_job(f"a/{place}", starting_deadline=deadline) for place, deadline in enumerate(deadlines)]
    assert look_back(jobs) == expected
