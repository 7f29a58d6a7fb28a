from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.arrears import Older, decide, overtaken
from reconciler.core.model import JobKey, Outcome, Schedule, Stop, StopKind
from reconciler.core.stops import said
from reconciler.core.timetable import spread
from tests.fakes import START, job_of, stored_job

NAME = "billing/nightly"
KEY = JobKey.parse(NAME)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
NOW = START + HOUR
PAUSED = Stop(kind=StopKind.PAUSED, by="ops@host", reason="a move")


def never(_key, _slot):
    return None


def fates(owed, *, older=None, stopped=never, now=NOW, **changes):
    return decide(stored_job(**changes), owed, older, now, stopped)


def outcomes(*args, **changes):
    return [fate.outcome.value for fate in fates(*args, **changes)]


def minutes_ago(*numbers):
    return [NOW - number * MINUTE for number in numbers]


class TestPolicies:
    def test_none_runs_nothing_that_is_late(self):
        (fate,) = fates(minutes_ago(3), catch_up="none")
        assert fate == (minutes_ago(3)[0], Outcome.MISSED, "not caught up: catchUp is none; 3m late", False, 1, None)

    def test_latest_runs_the_newest_and_names_it_to_the_others(self):
        old, older, newest = fates(minutes_ago(3, 2, 1), catch_up="latest")
        assert (newest.outcome, newest.is_late, newest.reason) == (Outcome.RUNNING, True, "")
        reason = "superseded by the catch-up of 2026-03-02T09:59:00Z"
        assert [(fate.outcome, fate.reason) for fate in (old, older)] == [(Outcome.MISSED, reason)] * 2

    def test_all_runs_every_one(self):
        assert outcomes(minutes_ago(3, 2, 1), catch_up="all") == ["running"] * 3

    @pytest.mark.parametrize("catch_up", ["latest", "all"])
    def test_nothing_runs_beyond_its_deadline(self, catch_up):
        late, good = fates(minutes_ago(31, 30), catch_up=catch_up, starting_deadline=30 * MINUTE)
        assert (late.outcome, late.reason) == (Outcome.MISSED, "31m late; the starting deadline is 30m")
        assert good.outcome is Outcome.RUNNING

    def test_latest_runs_nothing_where_the_newest_is_beyond_it(self):
        assert outcomes(minutes_ago(50, 40), catch_up="latest", starting_deadline=MINUTE) == ["missed"] * 2

    @pytest.mark.parametrize("catch_up", ["none", "latest", "all"])
    def test_a_slot_of_the_last_ten_seconds_runs_as_always(self, catch_up):
        (fate,) = fates([NOW - 10 * SECOND], catch_up=catch_up)
        assert (fate.outcome, fate.is_late) == (Outcome.RUNNING, False)

    def test_but_not_beyond_its_deadline(self):
        (fate,) = fates([NOW - 5 * SECOND], starting_deadline=SECOND, catch_up="none")
        assert (fate.outcome, fate.reason) == (Outcome.MISSED, "5s late; the starting deadline is 1s")

    def test_latest_counts_such_a_slot_as_the_newest(self):
        assert outcomes([NOW - MINUTE, NOW - SECOND], catch_up="latest") == ["missed", "running"]

    def test_every_slot_of_the_last_ten_seconds_runs(self):
        assert outcomes([NOW - 3 * SECOND, NOW - 2 * SECOND], catch_up="latest") == ["running"] * 2


class TestJitter:
    def test_counts_before_lateness_does(self):
        jitter = 30 * MINUTE
        delay = spread(jitter, NAME)
        due, late = fates([NOW - delay - 10 * SECOND], catch_up="none", jitter=jitter), []
        late = fates([NOW - delay - 11 * SECOND], catch_up="none", jitter=jitter)
        assert [fate.outcome for fate in due + late] == [Outcome.RUNNING, Outcome.MISSED]
        assert late[0].reason == "not caught up: catchUp is none; 11s late"

    def test_is_that_of_the_old_name_after_a_rename(self):
        jitter = 30 * MINUTE
        slot = NOW - spread(jitter, "billing/old") - 10 * SECOND
        assert outcomes([slot], catch_up="none", jitter=jitter, derived_from="billing/old") == ["running"]


class TestStops:
    def test_a_stopped_slot_is_skipped_for_the_reason_of_the_stop(self):
        (fate,) = fates(minutes_ago(3), stopped=lambda _key, _slot: PAUSED)
        assert (fate.outcome, fate.reason) == (Outcome.SKIPPED, said(PAUSED))

    def test_a_stopped_slot_is_not_the_latest(self):
        def stopped(key, slot):
            assert key == KEY
            return PAUSED if slot > NOW - 2 * MINUTE else None

        assert outcomes(minutes_ago(3, 2, 1), stopped=stopped) == ["missed", "running", "skipped"]


class TestOlder:
    def older(self, **changes):
        fields = {"slots": 240, "first": START - HOUR, "last": START - MINUTE}
        (fate, *_) = fates(minutes_ago(1), older=Older(**(fields | changes)))
        return fate

    def test_is_one_record(self):
        fate = self.older()
        assert (fate.slot, fate.slots, fate.through) == (START - HOUR, 240, START - MINUTE)
        assert (fate.outcome, fate.is_late) == (Outcome.MISSED, False)
        assert fate.reason == "not caught up: 240 slots are older than the newest 100"

    def test_of_one_slot_is_a_record_like_any_other(self):
        fate = self.older(slots=1, last=START - HOUR)
        assert (fate.slots, fate.through) == (1, None)

    def test_says_how_many_were_stopped_by_what(self):
        fate = self.older(asked=240, stops={StopKind.PAUSED: 3, StopKind.EXCLUDED: 40})
        assert fate.reason.endswith("; of these 40 excluded and 3 paused were not to run")

    def test_says_of_how_many_that_is_known(self):
        fate = self.older(asked=100, stops={StopKind.FROZEN: 1})
        assert fate.reason.endswith("; of the newest 100 of these 1 frozen was not to run")


class TestOvertaken:
    def job(self, **changes):
        return job_of(schedule=Schedule(declared="", cron="0 * * * *"), **changes)

    def test_a_claim_that_was_held_up_for_moments_runs(self):
        assert overtaken(self.job(catch_up="none"), START, START + 10 * SECOND) == ""

    def test_all_runs_every_one(self):
        assert overtaken(self.job(catch_up="all"), START, START + 5 * HOUR) == ""

    def test_none_runs_nothing_that_is_late(self):
        assert overtaken(self.job(catch_up="none"), START, START + MINUTE) == "not caught up: catchUp is none; 1m late"

    def test_latest_runs_until_a_newer_slot_has_come(self):
        assert overtaken(self.job(), START, START + 59 * MINUTE) == ""
        reason = "superseded by the catch-up of 2026-03-02T10:00:00Z or later"
        assert overtaken(self.job(), START, START + HOUR) == reason

    def test_a_schedule_of_one_instant_is_never_overtaken(self):
        job = job_of(schedule=Schedule(declared="", at=START))
        assert overtaken(job, START, START + HOUR) == ""


def naive(job, owed, now, is_stopped):
    """Slot by slot, in so many words."""
    jitter = spread(job.jitter, str(job.key)) if job.jitter else timedelta(0)
    late = {slot: now - slot - jitter for slot in owed}
    may_run = [slot for slot in owed if not is_stopped(slot) and late[slot] <= job.starting_deadline]
    if job.catch_up == "none":
        may_run = [slot for slot in may_run if late[slot] <= 10 * SECOND]
    found = []
    for slot in owed:
        if is_stopped(slot):
            found.append("skipped")
        elif slot not in may_run:
            found.append("missed")
        elif late[slot] <= 10 * SECOND or job.catch_up == "all" or slot == may_run[-1]:
            found.append("running")
        else:
            found.append("missed")
    return found


@given(
    st.sets(st.integers(-30, 400), max_size=100),
    st.sampled_from(["none", "latest", "all"]),
    st.integers(1, 500),
    st.integers(0, 60),
    st.sets(st.integers(-30, 400)),
)
def test_every_owed_slot_has_the_outcome_of_the_plain_rules(ages, catch_up, deadline, jitter, stopped_ages):
    owed = sorted(NOW - age * SECOND for age in ages)
    stopped = {NOW - age * SECOND for age in stopped_ages}
    job = stored_job(catch_up=catch_up, starting_deadline=deadline * SECOND, jitter=jitter * SECOND)
    found = decide(job, owed, None, NOW, lambda _key, slot: PAUSED if slot in stopped else None)
    assert [fate.slot for fate in found] == owed
    assert [fate.outcome.value for fate in found] == naive(job.job, owed, NOW, stopped.__contains__)
    assert all(bool(fate.reason) == (fate.outcome is not Outcome.RUNNING) for fate in found)
