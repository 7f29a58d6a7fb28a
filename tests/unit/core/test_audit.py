from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.audit import JobAudit, Kind
from reconciler.core.eras import GRACE, History, Span
from reconciler.core.model import After, Cause, Era, JobKey, Outcome, Run, Schedule
from reconciler.core.runs import run_id
from tests.fakes import START
from tests.unit.core.timetables import BERLIN, utc

KEY, EXTRACT = JobKey("billing", "nightly"), JobKey("billing", "extract")
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
MINUTELY = Schedule(declared="* * * * *", cron="* * * * *")
FIVE = Schedule(declared="*/5 * * * *", cron="*/5 * * * *")
BEFORE = START - DAY


def era(begin: datetime, schedule: Schedule | None = MINUTELY, **changes) -> Era:
    return Era(key=KEY, begin=begin, schedule=schedule, **changes)


def history(*eras: Era, jitter: timedelta = timedelta(0)) -> History:
    return History(KEY, eras or [era(BEFORE)], jitter)


def run(slot: datetime, outcome: Outcome = Outcome.SUCCEEDED, cause: Cause = Cause.SCHEDULE, **changes) -> Run:
    fields = {"id": run_id(KEY, slot, cause, str(changes.get("upstream", ""))), "key": KEY, "claimed_at": slot}
    fields["finished_at"] = None if outcome is Outcome.RUNNING else slot + SECOND
    return Run(slot=slot, cause=cause, outcome=outcome, **(fields | changes))


def minutes(first: int, last: int) -> list[Run]:
    """A run for each minute after nine o'clock from one to another, both with it."""
    return [run(START + number * MINUTE) for number in range(first, last + 1)]


def audited(past: History, runs=(), after=START, until=START + 10 * MINUTE, ends=(), known=(), **options):
    found = JobAudit(past, Span(after, until), **options)
    for one in runs:
        found.note(one)
    found.settle(Span(after, until), ends, known)
    return found.end()


def named(result, kind: Kind) -> list[tuple[datetime, datetime, int]]:
    return [(one.slot, one.through, one.slots) for one in result.differences if one.kind is kind]


class TestSlotsAndRecords:
    def test_every_slot_with_a_record_is_counted_by_outcome(self):
        outcomes = [one for one in Outcome if one is not Outcome.RUNNING] * 2
        runs = [run(START + number * MINUTE, outcome) for number, outcome in enumerate(outcomes, 1)]
        result = audited(history(), reversed(runs))
        assert (result.outcomes, result.differences) == (dict(Counter(outcomes)), ())
        assert not result.has_missing

    def test_a_slot_without_a_record_is_missing_and_says_who_declared_it(self):
        past = history(era(BEFORE, file="billing.yaml", line=7, revision="0123456789abcdef"))
        result = audited(past, [*minutes(1, 4), *minutes(6, 10)])
        assert named(result, Kind.MISSING) == [(START + 5 * MINUTE, START + 5 * MINUTE, 1)]
        (one,) = result.differences
        assert one.said == "no record; due by `* * * * *` (billing.yaml:7 at 0123456789ab)"
        assert result.outcomes == {"succeeded": 9, "missing": 1}
        assert result.has_missing

    def test_slots_in_a_row_without_a_record_are_one_difference(self):
        result = audited(history(), [*minutes(3, 4), *minutes(8, 9)])
        assert named(result, Kind.MISSING) == [
            (START + MINUTE, START + 2 * MINUTE, 2),
            (START + 5 * MINUTE, START + 7 * MINUTE, 3),
            (START + 10 * MINUTE, START + 10 * MINUTE, 1),
        ]

    def test_a_record_without_a_slot_is_surplus(self):
        stray = run(START + 90 * SECOND)
        result = audited(history(), [*minutes(1, 10), stray])
        (one,) = result.differences
        assert (one.kind, one.run, one.said) == (Kind.SURPLUS, stray.id, "nothing was due by `* * * * *`")
        assert result.outcomes == {"succeeded": 10}

    def test_a_second_record_of_one_slot_is_surplus(self):
        second = replace(run(START + MINUTE), id="another")
        result = audited(history(), [*minutes(1, 10), second])
        assert [(one.kind, one.run, one.said) for one in result.differences] == [
            (Kind.SURPLUS, "another", "a second run of this slot")
        ]

    def test_a_record_from_before_the_job_existed_is_surplus(self):
        result = audited(history(era(START + 5 * MINUTE)), minutes(1, 10))
        assert {one.said for one in result.differences} == {"nothing was due: the job did not exist yet"}
        assert len(result.differences) == 4  # the fifth is close to its beginning

    def test_manual_runs_and_those_owed_after_a_freeze_stand_beside(self):
        others = [run(START + 90 * SECOND, cause=cause) for cause in (Cause.MANUAL, Cause.CATCH_UP)]
        result = audited(history(), [*minutes(1, 10), *others])
        assert (result.beside, result.differences) == (2, ())

    def test_a_span_begins_after_its_first_instant_and_ends_with_its_last(self):
        assert audited(history(), minutes(1, 10)).outcomes == {"succeeded": 10}

    def test_stretches_add_up(self):
        found = JobAudit(history(), Span(START, START + 10 * MINUTE))
        for first, last in ((1, 4), (6, 10)):
            for one in minutes(first, last):
                found.note(one)
            found.settle(Span(START + (first // 6) * 5 * MINUTE, START + (5 + first // 6 * 5) * MINUTE))
        result = found.end()
        assert result.outcomes == {"succeeded": 9, "missing": 1}
        assert named(result, Kind.MISSING) == [(START + 5 * MINUTE, START + 5 * MINUTE, 1)]


class TestRunsWithoutAnEnd:
    def test_a_run_that_may_still_run_is_no_difference(self):
        result = audited(history(), [*minutes(1, 9), run(START + 10 * MINUTE, Outcome.RUNNING)])
        assert (result.outcomes, result.differences) == ({"succeeded": 9, "running": 1}, ())

    def test_a_run_that_should_have_ended_is_unfinished_and_says_why(self):
        stuck = run(START + 10 * MINUTE, Outcome.RUNNING)
        result = audited(history(), [*minutes(1, 9), stuck], unexplained={stuck.id: "its process is gone"})
        assert result.outcomes == {"succeeded": 9, "unfinished": 1}
        assert [(one.kind, one.run, one.said) for one in result.differences] == [
            (Kind.UNFINISHED, stuck.id, "its process is gone")
        ]

    def test_so_is_a_manual_one(self):
        stuck = run(START + 90 * SECOND, Outcome.RUNNING, Cause.MANUAL)
        result = audited(history(), [*minutes(1, 10), stuck], unexplained={stuck.id: "its process is gone"})
        assert named(result, Kind.UNFINISHED) == [(stuck.slot, stuck.slot, 1)]

    def test_one_that_has_ended_meanwhile_is_not(self):
        done = run(START + 10 * MINUTE)
        result = audited(history(), [*minutes(1, 9), done], unexplained={done.id: "its process is gone"})
        assert (result.outcomes, result.differences) == ({"succeeded": 10}, ())


class TestEdits:
    def test_slots_follow_the_schedule_of_their_time(self):
        past = history(era(BEFORE, FIVE), era(START + 330 * SECOND, MINUTELY))
        assert audited(past, [run(START + 5 * MINUTE), *minutes(6, 10)]).differences == ()

    def test_a_run_by_the_schedule_of_another_time_is_surplus(self):
        past = history(era(BEFORE, MINUTELY), era(START + 330 * SECOND, FIVE))
        result = audited(past, minutes(1, 10))
        assert named(result, Kind.SURPLUS) == [
            (START + number * MINUTE, START + number * MINUTE, 1) for number in (6, 7, 8, 9)
        ]

    @pytest.mark.parametrize("runs", [minutes(1, 10), [*minutes(1, 4), *minutes(6, 10)]])
    @pytest.mark.parametrize("offset", [-GRACE, timedelta(0), GRACE])
    def test_a_slot_close_to_an_edit_is_held_against_nobody(self, runs, offset):
        past = history(era(BEFORE), era(START + 5 * MINUTE + offset))
        assert audited(past, runs).differences == ()

    def test_a_slot_a_little_farther_is(self):
        past = history(era(BEFORE), era(START + 5 * MINUTE + GRACE + timedelta(milliseconds=1)))
        assert len(audited(past, [*minutes(1, 4), *minutes(6, 10)]).differences) == 1

    def test_a_record_close_to_an_edit_counts_although_nothing_was_due(self):
        past = history(era(BEFORE, FIVE), era(START + 4 * MINUTE + SECOND, None))
        result = audited(past, minutes(4, 4))
        assert (result.outcomes, result.differences) == ({"succeeded": 1}, ())

    def test_a_run_that_waited_for_its_jitter_follows_what_its_job_became(self):
        past = [era(BEFORE), era(START + 330 * SECOND, None)]
        assert len(audited(history(*past), minutes(1, 4)).differences) == 1
        assert audited(history(*past, jitter=MINUTE), minutes(1, 4)).differences == ()

    def test_nothing_is_due_while_a_job_is_suspended(self):
        past = history(era(BEFORE), era(START + 150 * SECOND, None), era(START + 450 * SECOND))
        result = audited(past, [*minutes(1, 2), *minutes(8, 10)])
        assert (result.outcomes, result.differences) == ({"succeeded": 5}, ())
        stray = audited(past, minutes(1, 10))
        assert {one.said for one in stray.differences} == {"nothing was due: the job was suspended or removed"}

    def test_a_pause_does_not_take_a_slot_away(self):
        paused = [run(START + number * MINUTE, Outcome.SKIPPED) for number in range(1, 10)]
        result = audited(history(), paused)
        assert result.outcomes == {"skipped": 9, "missing": 1}

    def test_what_was_before_and_what_comes_after_does_not_count(self):
        past = history(era(BEFORE - DAY, FIVE), era(BEFORE), era(START + HOUR, None))
        assert audited(past, minutes(1, 10)).differences == ()

    def test_a_schedule_that_has_ended_names_no_slot(self):
        past = history(era(BEFORE, replace(MINUTELY, ends_at=START + 3 * MINUTE)))
        assert audited(past, minutes(1, 3)).differences == ()


class TestClockChanges:
    SPRING, AUTUMN = utc("2026-03-29 00:00"), utc("2026-10-25 00:00")

    @pytest.mark.parametrize(
        ("day", "slots"),
        [
            (SPRING, ["01:00"]),  # 02:30 does not exist, and runs when the clocks have been put forward
            (AUTUMN, ["00:30"]),  # 02:30 comes twice, and runs the first time
        ],
    )
    def test_a_wall_time_has_one_slot_on_either_day(self, day, slots):
        past = history(era(BEFORE, Schedule(declared="30 2 * * *", cron="30 2 * * *", zone=BERLIN)))
        runs = [run(day + timedelta(hours=int(one[:2]), minutes=int(one[3:]))) for one in slots]
        assert audited(past, runs, day, day + 12 * HOUR).outcomes == {"succeeded": 1}
        late = run(runs[0].slot + HOUR)
        kinds = {one.kind for one in audited(past, [late], day, day + 12 * HOUR).differences}
        assert kinds == {Kind.MISSING, Kind.SURPLUS}

    @pytest.mark.parametrize("day", [SPRING, AUTUMN])
    def test_what_follows_real_time_has_a_slot_each_hour(self, day):
        past = history(era(BEFORE, Schedule(declared="0 * * * *", cron="0 * * * *", zone=BERLIN)))
        runs = [run(day + number * HOUR) for number in range(1, 6)]
        assert audited(past, runs, day, day + 5 * HOUR).outcomes == {"succeeded": 5}


def counted(first: int, last: int, slots: int, **changes) -> Run:
    fields = {"slots": slots, "through": START + last * MINUTE} | changes
    return run(START + first * MINUTE, Outcome.MISSED, **fields)


class TestCountedRecords:
    def test_a_record_of_several_slots_covers_them(self):
        result = audited(history(), [counted(2, 8, 7), *minutes(1, 1), *minutes(9, 10)])
        assert (result.outcomes, result.differences) == ({"succeeded": 3, "missed": 7}, ())

    def test_slots_within_it_may_have_records_of_their_own(self):
        result = audited(history(), [counted(2, 8, 5), *minutes(1, 1), *minutes(4, 5), *minutes(9, 10)])
        assert (result.outcomes, result.differences) == ({"succeeded": 5, "missed": 5}, ())

    def test_it_covers_no_more_than_it_says(self):
        result = audited(history(), [counted(2, 8, 7), *minutes(9, 10)])
        assert named(result, Kind.MISSING) == [(START + MINUTE, START + MINUTE, 1)]

    def test_it_may_begin_before_the_span(self):
        result = audited(history(), minutes(6, 10), before=counted(-5, 5, 11))
        assert (result.outcomes, result.differences) == ({"succeeded": 5, "missed": 5}, ())

    def test_it_may_end_after_the_span(self):
        result = audited(history(), [*minutes(1, 5), counted(6, 20, 15)])
        assert (result.outcomes, result.differences) == ({"succeeded": 5, "missed": 5}, ())

    def test_it_reaches_over_stretches(self):
        found = JobAudit(history(), Span(START, START + 10 * MINUTE))
        for one in [counted(1, 8, 8)]:
            found.note(one)
        found.settle(Span(START, START + 5 * MINUTE))
        for one in minutes(9, 10):
            found.note(one)
        found.settle(Span(START + 5 * MINUTE, START + 10 * MINUTE))
        assert found.end().outcomes == {"succeeded": 2, "missed": 8}

    @pytest.mark.parametrize(("slots", "kind", "number"), [(9, Kind.SURPLUS, 2), (5, Kind.MISSING, 2)])
    def test_a_wrong_count_is_a_difference(self, slots, kind, number):
        result = audited(history(), [*minutes(1, 1), counted(2, 8, slots), *minutes(9, 10)])
        assert named(result, kind) == [(START + 2 * MINUTE, START + 8 * MINUTE, number)]
        assert result.differences[0].said == f"the record counts {slots} slots, and 7 were due that have no other"

    def test_a_count_that_begins_at_an_edit_may_differ(self):
        past = history(era(START + 2 * MINUTE))
        assert audited(past, [counted(2, 8, 7), *minutes(9, 10)]).differences == ()


FOLLOWING = Schedule(declared="after billing/extract", after=After(key=EXTRACT))


def end(number: int, outcome: Outcome = Outcome.SUCCEEDED, key: JobKey = EXTRACT) -> Run:
    """A run that ended so many minutes after nine."""
    at = START + number * MINUTE
    return Run(
        id=run_id(key, at - MINUTE, Cause.SCHEDULE),
        key=key,
        slot=at - MINUTE,
        cause=Cause.SCHEDULE,
        outcome=outcome,
        claimed_at=at - MINUTE,
        finished_at=None if outcome is Outcome.RUNNING else at,
    )


def chained(upstream: Run, outcome: Outcome = Outcome.SUCCEEDED, **changes) -> Run:
    assert upstream.finished_at is not None
    return run(upstream.finished_at, outcome, Cause.AFTER, upstream=upstream.id, **changes)


class TestChains:
    PAST = history(era(BEFORE, FOLLOWING))

    def test_each_end_that_matches_has_its_run(self):
        ends = [end(1), end(2), end(3, Outcome.FAILED)]
        result = audited(self.PAST, [chained(ends[0]), chained(ends[1], Outcome.FAILED)], ends=ends)
        assert (result.outcomes, result.differences) == ({"succeeded": 1, "failed": 1}, ())

    def test_an_end_that_started_nothing_is_missing(self):
        ends = [end(1), end(2)]
        result = audited(self.PAST, [chained(ends[0])], ends=ends)
        (one,) = result.differences
        assert (one.kind, one.slot, result.outcomes) == (
            Kind.MISSING,
            START + 2 * MINUTE,
            {"succeeded": 1, "missing": 1},
        )
        assert one.said == f"no record; due after run {ends[1].id} of billing/extract ended as succeeded"

    def test_ends_outside_the_span_are_not_looked_at(self):
        assert audited(self.PAST, ends=[end(0), end(11), end(5, Outcome.RUNNING)]).differences == ()

    def test_ends_from_before_the_chain_was_declared_start_nothing(self):
        past = history(era(BEFORE, MINUTELY), era(START + 150 * SECOND, FOLLOWING))
        result = audited(past, [*minutes(1, 2), chained(end(4))], ends=[end(1), end(4)])
        assert result.differences == ()

    def test_ends_close_to_an_edit_are_held_against_nobody(self):
        past = history(era(BEFORE, None), era(START + 59 * SECOND, FOLLOWING))
        for runs in ([], [chained(end(1))]):
            assert audited(past, runs, ends=[end(1)], known=[end(1)]).differences == ()

    def test_a_chained_run_that_its_end_cannot_have_started_is_surplus(self):
        failed, gone = end(1, Outcome.FAILED), end(2)
        result = audited(self.PAST, [chained(failed), chained(gone)], known=[failed])
        assert [(one.kind, one.said) for one in result.differences] == [
            (Kind.SURPLUS, f"run {failed.id} of billing/extract ended as failed, which starts nothing here"),
            (Kind.SURPLUS, f"the run that it names as the one before it, {gone.id}, is not there"),
        ]

    def test_a_chained_run_whose_upstream_may_have_been_removed_is_no_difference(self):
        ends = [end(1), end(2)]
        result = audited(self.PAST, map(chained, ends), forgotten=ends[1].id)
        assert [one.slot for one in result.differences] == [START + 2 * MINUTE]
        assert (result.outcomes, result.orphans, result.forgiven) == ({"succeeded": 1}, 2, 1)

    def test_a_chained_run_whose_upstream_still_runs_is_surplus(self):
        open_end = replace(end(1), outcome=Outcome.RUNNING, finished_at=None)
        (one,) = audited(self.PAST, [chained(end(1))], known=[open_end]).differences
        assert one.said == f"run {open_end.id} of billing/extract still runs, which starts nothing here"

    def test_a_chained_run_of_a_job_that_follows_nothing_is_surplus(self):
        (one,) = audited(
            history(era(BEFORE, FIVE)), [chained(end(1)), run(START + 5 * MINUTE), *minutes(10, 10)]
        ).differences
        assert (one.kind, one.said) == (Kind.SURPLUS, "nothing was due by `*/5 * * * *`")

    def test_a_job_that_was_renamed_has_started_what_it_started(self):
        before = end(1, key=JobKey("billing", "unload"))
        assert audited(self.PAST, [chained(before)], known=[before]).outcomes == {"succeeded": 1}

    def test_a_chained_run_that_should_have_ended_is_unfinished(self):
        stuck = chained(end(1), Outcome.RUNNING)
        result = audited(self.PAST, [stuck], ends=[end(1)], unexplained={stuck.id: "its process is gone"})
        assert result.outcomes == {"unfinished": 1}
        assert named(result, Kind.UNFINISHED) == [(stuck.slot, stuck.slot, 1)]


@given(st.sets(st.integers(1, 120)), st.sets(st.integers(1, 120)), st.lists(st.integers(0, 119), max_size=3))
def test_every_lost_and_every_stray_record_is_named(lost, strays, edits):
    """Random losses, strays half a minute after a slot, and edits that change nothing but begin an era."""
    begins = sorted({START + number * MINUTE + 30 * SECOND for number in edits})
    past = history(era(BEFORE), *(era(begin) for begin in begins))
    wild = {START + number * MINUTE + 15 * SECOND for number in strays}
    runs = [run(START + number * MINUTE) for number in range(1, 121) if number not in lost] + [run(one) for one in wild]
    result = audited(past, runs, until=START + 121 * MINUTE - SECOND)
    missing = [one for one in result.differences if one.kind is Kind.MISSING]
    named_slots = {one.slot + number * MINUTE for one in missing for number in range(one.slots)}
    assert named_slots == {START + number * MINUTE for number in lost}
    assert {one.slot for one in result.differences if one.kind is Kind.SURPLUS} == wild
    assert sum(result.outcomes.values()) == 120
