from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.audit_bounds import age_note, bounds, kept_after, kept_by_count, unexplained
from reconciler.core.eras import Span
from reconciler.core.model import Cause, JobKey, Lease, Outcome, Process, Retention, RetryPolicy
from reconciler.core.runs import claim_of, ended
from tests.fakes import START, job_of, stored_job

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
ASKED = Span(START - DAY, START)


def lease(**changes) -> Lease:
    fields = {
        "holder": "me",
        "term": 3,
        "since": START - HOUR,
        "expires_at": START + SECOND,
        "accounted_from": START - 10 * DAY,
        "accounted_until": START - SECOND,
    }
    return Lease(**(fields | changes))


class TestWhatIsLookedAt:
    def test_what_was_asked_for_up_to_the_mark(self):
        found = bounds(ASKED, lease(), START)
        assert (found.span, found.notes) == (Span(START - DAY, START - SECOND), ())

    def test_nothing_from_before_somebody_led_for_the_first_time(self):
        found = bounds(ASKED, lease(accounted_from=START - HOUR), START)
        assert found.span.after == START - HOUR
        assert found.notes == (
            "slots up to 2026-03-02 08:00:00 UTC are nobody's: a reconciler led then for the first time",
        )

    def test_nothing_after_a_mark_that_has_been_left_behind(self):
        found = bounds(ASKED, lease(accounted_until=START - HOUR), START)
        assert found.span.until == START - HOUR
        assert found.notes == (
            "slots after 2026-03-02 08:00:00 UTC, 1h ago, are still to be accounted for, by whoever leads or will lead",
        )

    def test_a_mark_behind_does_not_matter_to_a_span_before_it(self):
        asked = Span(START - DAY, START - 2 * HOUR)
        assert bounds(asked, lease(accounted_until=START - HOUR), START).notes == ()

    def test_nothing_from_the_future_although_the_mark_lies_there(self):
        asked = Span(START - DAY, START + DAY)
        assert bounds(asked, lease(accounted_until=START + HOUR), START).span.until == START

    def test_nothing_where_nobody_ever_led(self):
        found = bounds(ASKED, None, START)
        assert found.span.after == found.span.until
        assert found.notes == ("no reconciler has ever led on this store: no slot is accounted for yet",)

    def test_nothing_where_the_span_ended_before_anybody_led(self):
        found = bounds(ASKED, lease(accounted_from=START + HOUR, accounted_until=START + HOUR), START + 2 * HOUR)
        assert found.span.after == found.span.until


class TestWhatIsKept:
    RETENTION = Retention(keep_for=30 * DAY, keep_failures_for=90 * DAY, keep_per_job=3)

    @staticmethod
    def newest(*outcomes):
        slots = (START - number * MINUTE for number in range(len(outcomes)))
        return [
            ended(claim_of(stored_job(), slot, Cause.SCHEDULE, "me", slot), outcome, "", slot)
            for slot, outcome in zip(slots, outcomes, strict=True)
        ]

    def test_nothing_older_than_either_kind_of_record_is_kept(self):
        assert kept_after(self.RETENTION, START) == START - 30 * DAY
        assert kept_after(replace(self.RETENTION, keep_failures_for=DAY), START) == START - DAY
        assert age_note(self.RETENTION) == (
            "records older than 30d may have been removed; slots from before are held against nobody"
        )

    def test_a_job_with_fewer_runs_than_are_kept_has_lost_none(self):
        assert kept_by_count(self.newest(Outcome.SUCCEEDED, Outcome.SUCCEEDED), self.RETENTION) is None

    @pytest.mark.parametrize(
        ("outcomes", "minutes"),
        [
            ((Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.SUCCEEDED), 2),
            ((Outcome.SUCCEEDED, Outcome.SKIPPED, Outcome.FAILED), 1),  # what did not fail goes first
            ((Outcome.UNKNOWN, Outcome.MISSED, Outcome.FAILED), 2),
        ],
    )
    def test_a_job_with_as_many_has_all_from_the_oldest_of_those_that_go_first(self, outcomes, minutes):
        assert kept_by_count(self.newest(*outcomes), self.RETENTION) == START - minutes * MINUTE


class TestRunsThatShouldHaveEnded:
    JOB = job_of(timeout=MINUTE, starting_deadline=HOUR, retry=RetryPolicy(limit=1, initial_delay=MINUTE))

    @staticmethod
    def running(since):
        return claim_of(stored_job(), since, Cause.SCHEDULE, "me", since)

    @staticmethod
    def process(seen_at, name="me"):
        return Process(id=name, role="run", host="h", pid=1, version="1", started_at=START - DAY, seen_at=seen_at)

    def found(self, run, *processes, jobs=None):
        jobs = {run.key: self.JOB} if jobs is None else jobs
        return unexplained([run], jobs, processes, START).get(run.id, "")

    def test_a_run_of_a_process_that_lives_may_run_as_long_as_its_attempts_take(self):
        longest = 2 * (HOUR + MINUTE) + MINUTE + MINUTE
        assert self.found(self.running(START - longest), self.process(START)) == ""
        assert self.found(self.running(START - longest - SECOND), self.process(START)) == (
            "claimed 2h 4m ago; its attempts, retries and waits end within 2h 4m"
        )

    def test_a_retry_may_wait_for_its_turn_as_long_as_a_call_may_start_late(self):
        """As under ``limits.rate``, where the first call has taken the only one of a while."""
        assert self.found(self.running(START - HOUR - 10 * MINUTE), self.process(START)) == ""

    def test_how_long_a_run_of_a_job_that_is_gone_may_run_is_not_known(self):
        assert self.found(self.running(START - DAY), self.process(START), jobs={JobKey("a", "b"): self.JOB}) == ""

    @pytest.mark.parametrize("processes", [[], [(START, "other")], [(START - 31 * SECOND, "me")]])
    def test_a_run_whose_process_shows_no_life_should_have_ended(self, processes):
        said = self.found(self.running(START - 40 * SECOND), *(self.process(*one) for one in processes))
        assert said == "claimed 40s ago by a process that shows no life"

    def test_whoever_recovers_is_given_time_to_notice(self):
        assert self.found(self.running(START - 30 * SECOND)) == ""
        assert self.found(self.running(START - HOUR), self.process(START - 30 * SECOND)) == ""
