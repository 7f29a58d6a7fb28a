from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.chains import followers, is_started_by, longest_run, starts
from reconciler.core.model import After, Auth, Cause, HttpRequest, JobKey, Outcome, RetryPolicy, Schedule
from reconciler.core.runs import claim_of, ended
from tests.fakes import START, job_of, stored_job

SECOND, MINUTE, HOUR = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours"))
EXTRACT = JobKey("billing", "extract")


def schedule(on="success", **bounds):
    return Schedule(declared="after billing/extract", after=After(key=EXTRACT, on=on), **bounds)


def run(outcome=Outcome.SUCCEEDED, at=START + MINUTE):
    claim = claim_of(stored_job("billing/extract"), START, Cause.SCHEDULE, "me", START)
    return claim if outcome is Outcome.RUNNING else ended(claim, outcome, "", at)


@pytest.mark.parametrize(
    ("on", "outcomes"),
    [
        ("success", {"succeeded"}),
        ("failure", {"failed", "missed", "unknown"}),
        ("completion", {"succeeded", "failed", "missed", "unknown"}),
    ],
)
def test_which_ends_start_a_run(on, outcomes):
    assert {one.value for one in Outcome if starts(schedule(on), run(one))} == outcomes


def test_only_the_job_that_is_followed_starts_one():
    assert not starts(schedule(), replace(run(), key=JobKey("billing", "other")))
    assert not starts(job_of().schedule, run())


def test_the_bounds_of_the_schedule_count_for_the_end():
    at = START + MINUTE
    bounds = [{"starts_at": at}, {"ends_at": at}, {"starts_at": at + SECOND}, {"ends_at": at - SECOND}]
    assert [starts(schedule(**each), run()) for each in bounds] == [True, True, False, False]


def test_only_ends_since_the_schedule_was_applied_start_a_run():
    since = [START, START + MINUTE]
    assert [is_started_by(stored_job("billing/load", since=one, schedule=schedule()), run()) for one in since] == [
        True,
        False,
    ]
    assert not is_started_by(stored_job("billing/load", schedule=schedule()), run(Outcome.RUNNING))


def test_a_suspended_job_follows_nothing():
    assert not is_started_by(stored_job("billing/load", schedule=schedule(), suspend=True), run())


def test_followers_stand_under_the_job_that_they_follow():
    load, report = (stored_job(name, schedule=schedule()) for name in ("billing/load", "billing/report"))
    assert followers([stored_job("billing/extract"), load, report]) == {EXTRACT: [load, report]}


@pytest.mark.parametrize(
    ("retry", "pauses"),
    [
        (RetryPolicy(), timedelta(0)),
        (RetryPolicy(limit=3, initial_delay=SECOND, factor=2, max_delay=MINUTE), 7 * SECOND),
        (RetryPolicy(limit=4, initial_delay=SECOND, factor=10, max_delay=15 * SECOND), 41 * SECOND),
        (RetryPolicy(limit=10_000, initial_delay=SECOND, factor=10, max_delay=SECOND), 10_000 * SECOND),
    ],
)
def test_a_run_lasts_as_long_as_its_wait_its_attempts_and_its_pauses(retry, pauses):
    job = job_of(retry=retry, timeout=MINUTE, starting_deadline=HOUR)
    assert longest_run(job) == (retry.limit + 1) * (HOUR + MINUTE) + pauses


def test_a_call_that_is_made_once_more_with_a_new_credential_counts_too():
    asked = Auth(kind="handshake", request=HttpRequest(method="POST", url="http://127.0.0.1/"))
    plain, fetching = (
        job_of(timeout=MINUTE, starting_deadline=HOUR, auth=auth) for auth in (Auth(kind="bearer"), asked)
    )
    assert longest_run(fetching) - longest_run(plain) == HOUR + MINUTE
