from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Cause, JobKey, Outcome, Pause
from reconciler.core.pauses import FOREVER, LONGEST_REASON
from reconciler.core.runs import claim_of, ended
from reconciler.core.strikes import counts_from, failures_in_a_row, pause_for
from tests.fakes import START, stored_job

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEY = JobKey("billing", "nightly")
LETTERS = {one.value[0]: one for one in Outcome if one is not Outcome.SKIPPED} | {"-": Outcome.SKIPPED}


def runs(letters, reason="status 500, expected 2xx"):
    """A run for each minute: ``s``ucceeded, ``f``ailed, ``m``issed, ``u``nknown, ``r``unning, ``-`` skipped."""
    made = []
    for number, letter in enumerate(letters):
        slot = START + number * MINUTE
        claim = claim_of(stored_job(), slot, Cause.SCHEDULE, "me", slot)
        running = LETTERS[letter] is Outcome.RUNNING
        made.append(claim if running else ended(claim, LETTERS[letter], reason, slot))
    return made


@pytest.mark.parametrize(
    ("letters", "count"),
    [("", 0), ("fff", 3), ("ffs", 0), ("fsff", 2), ("fuf", 3), ("f-fmrf", 3), ("sm-r", 0)],
)
def test_failures_in_a_row_are_those_since_the_last_success(letters, count):
    assert len(failures_in_a_row(reversed(runs(letters)))) == count


def pause(target="billing", since=START - HOUR, until=START - MINUTE, **changes):
    application, _, api = target.partition("/")
    return Pause(
        id="1", application=application, api=api or None, reason="x", by="y", since=since, until=until, **changes
    )


@pytest.mark.parametrize(
    ("pauses", "expected"),
    [
        ([], (True, None)),
        ([pause("shop")], (True, None)),
        ([pause()], (True, START - MINUTE)),
        ([pause("billing/nightly"), pause(until=START - 2 * MINUTE)], (True, START - MINUTE)),
        ([pause(until=FOREVER, ended_at=START - 3 * MINUTE)], (True, START - 3 * MINUTE)),
        ([pause(until=FOREVER)], (False, None)),
        ([pause(), pause(until=START + HOUR)], (False, START - MINUTE)),
    ],
)
def test_failures_count_from_the_end_of_the_last_pause_and_not_during_one(pauses, expected):
    assert counts_from(pauses, KEY, START) == expected


class TestThePause:
    def test_stops_the_job_until_somebody_resumes_it_and_says_why(self):
        made = pause_for(KEY, runs("fff"), 3, START + HOUR)
        assert (made.target, made.by, made.since, made.until) == (
            "billing/nightly",
            "reconciler",
            START + HOUR,
            FOREVER,
        )
        assert made.reason == "3 failures in a row; the last: status 500, expected 2xx"

    def test_of_a_single_failure_says_so(self):
        assert pause_for(KEY, runs("u", ""), 1, START).reason == "1 failure: unknown"

    def test_is_named_by_the_failure_that_was_one_too_many(self):
        three, five = runs("fff"), runs("fffff")
        assert pause_for(KEY, three, 3, START).id == pause_for(KEY, five, 3, START + HOUR).id
        assert pause_for(KEY, three, 3, START).id.startswith("20260302T090200000Z-")
        assert pause_for(JobKey("a", "b"), three, 3, START).id != pause_for(KEY, three, 3, START).id

    def test_of_a_failure_without_an_end_is_named_by_its_slot(self):
        (one,) = runs("f")
        assert pause_for(KEY, [replace(one, finished_at=None)], 1, START).id.startswith("20260302T090000000Z-")

    def test_keeps_its_reason_short_and_on_one_line(self):
        reason = pause_for(KEY, runs("f", "bad\nanswer " + "x" * 1000), 1, START).reason
        assert len(reason) == LONGEST_REASON
        assert reason.startswith("1 failure: bad")
        assert "\n" not in reason
        assert reason.endswith("x…")
