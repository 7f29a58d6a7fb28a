from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core import runs
from reconciler.core.model import Cause, HttpRequest, JobKey, Outcome, Overrides, Pause, Reply, RetryPolicy
from reconciler.core.stops import Stoppages
from reconciler.core.timetable import spread
from reconciler.errors import (
    IdempotencyConflictError,
    NotFoundError,
    OverridesError,
    StoreError,
    StoreUnavailableError,
)
from reconciler.services.run import Runner
from tests.fakes import START, FakeClock, Gate, MemoryStore, ScriptedCaller, finished, settle, stored_job

KEY = JobKey("billing", "nightly")
NAME = "billing/nightly"
SECOND = timedelta(seconds=1)
FAILED = Reply(status=503, latency_ms=1.0)
GOOD = Reply(status=200, body=b"fine", latency_ms=2.5)


class House:
    """A runner among fakes."""

    def __init__(self, *jobs, script=(), max_in_flight=100, owner="me", store=None, clock=None):
        self.clock = clock or FakeClock()
        self.store = store or MemoryStore()
        self.caller = ScriptedCaller(*script)
        self.jobs = {job.key: job for job in jobs or (stored_job(),)}
        self.told = []
        self.runner = Runner(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            owner=owner,
            jobs=self._job,
            observer=lambda job, run: self.told.append((job, run)),
            max_in_flight=max_in_flight,
            stopped=self._stop_of,
            successor=lambda key: self.renamed.get(key, key),
        )
        self.stops = Stoppages()
        self.renamed = {}
        self.clock.start(self.runner.on_due)

    def rename(self, old, new, **changes):
        """What a sync does: the store's runs go over, and the job stands under its new name."""
        self.renamed[JobKey.parse(old)] = JobKey.parse(new)
        stored = stored_job(new, derived_from=old, **changes)
        del self.jobs[JobKey.parse(old)]
        self.jobs[stored.key] = stored
        for run in list(self.store.stored_runs.values()):
            if str(run.key) == old:
                self.store.seed(replace(run, key=stored.key))

    def _stop_of(self, key, at):
        return self.stops.stop_of(key, at)

    def _job(self, key):
        return self.jobs.get(key)

    async def due(self, *names, at=None):
        self.clock.due(*(names or (NAME,)), at=at)
        await settle()

    async def record(self):
        """The runs recorded, oldest slot first, once the journal has been written."""
        await self.clock.advance(0.1)
        return sorted(self.store.stored_runs.values(), key=lambda run: (run.slot, run.id))

    async def only(self):
        (run,) = await self.record()
        return run


async def test_a_slot_becomes_one_call_and_one_record():
    house = House(stored_job(revision="abc", file="a.yaml", line=9), script=[GOOD])
    await house.due()
    run = await house.only()
    assert run.id == runs.run_id(KEY, START, Cause.SCHEDULE)
    assert (run.outcome, run.reason, run.excerpt) == (Outcome.SUCCEEDED, "", "fine")
    assert (run.owner, run.claimed_at, run.started_at, run.finished_at) == ("me", START, START, START)
    assert (run.revision, run.file, run.line) == ("abc", "a.yaml", 9)
    (attempt,) = run.attempts
    assert (attempt.number, attempt.status, attempt.error, attempt.latency_ms) == (1, 200, None, 2.5)
    assert house.told == [(house.jobs[KEY].job, run)]


async def test_the_call_is_the_declared_one_with_the_runs_headers():
    request = HttpRequest(method="POST", url="http://a/b", headers={"Accept": "x"}, body="y")
    house = House(stored_job(request=request, timeout=7 * SECOND))
    await house.due()
    (sent,) = house.caller.requests
    (run,) = house.store.stored_runs.values()
    assert sent == replace(request, headers={"Accept": "x"} | runs.call_headers(run, 1))
    assert house.caller.timeouts == [7 * SECOND]


async def test_nothing_is_sent_before_its_claim_is_won():
    house = House()
    seen = []

    class Watching:
        async def call(self, request, timeout):  # noqa: ASYNC109 - the port's own word
            seen.append([run.outcome for run in house.store.stored_runs.values()])
            return GOOD

    house.runner._attempts._caller = Watching()
    house.store.away = True
    await house.due()
    assert seen == []
    house.store.away = False
    await house.clock.advance(1)
    assert seen == [[Outcome.RUNNING]]


async def test_a_slot_that_another_process_claimed_is_not_ours():
    store, clock = MemoryStore(), FakeClock()
    one = House(owner="one", store=store, clock=clock)
    two = House(owner="two", store=store, clock=clock)
    one.runner.on_due(START, [KEY])
    two.runner.on_due(START, [KEY])
    await settle()
    assert len(one.caller.requests) + len(two.caller.requests) == 1
    await clock.advance(0.1)
    assert len(one.told) + len(two.told) == 1
    assert two.runner.in_flight == 0
    assert not two.runner.is_busy(KEY)


async def test_a_slot_that_comes_twice_is_called_once():
    gate = Gate()
    house = House(stored_job(concurrency_policy="Allow"), script=[gate])
    await house.due()
    await house.due()
    gate.open()
    assert (await house.only()).outcome is Outcome.SUCCEEDED
    assert len(house.caller.requests) == 1


async def test_a_claim_whose_answer_was_lost_is_still_ours():
    house = House()
    house.store.lose_answers = 1
    await house.due()
    assert house.caller.requests == []
    await house.clock.advance(0.5)
    assert (await house.only()).outcome is Outcome.SUCCEEDED
    assert len(house.caller.requests) == 1


async def test_a_result_whose_answer_was_lost_is_recorded_once():
    house = House()
    await house.due()
    house.store.lose_answers = 1
    await house.clock.advance(1)
    assert (await house.only()).outcome is Outcome.SUCCEEDED
    assert len(house.told) == 1


@pytest.mark.parametrize("changes", [{"suspend": True}, None])
async def test_a_job_that_is_suspended_or_gone_by_now_has_no_run(changes):
    house = House()
    house.jobs = {KEY: stored_job(**changes)} if changes else {}
    await house.due()
    assert await house.record() == []


class TestLateness:
    async def test_a_slot_beyond_its_starting_deadline_is_recorded_as_missed(self):
        house = House(stored_job(starting_deadline=timedelta(minutes=5)))
        await house.due(at=START - timedelta(minutes=5, seconds=1))
        run = await house.only()
        assert (run.outcome, run.reason) == (Outcome.MISSED, "5m1s late; the starting deadline is 5m")
        assert (run.attempts, run.started_at, house.caller.requests) == ((), None, [])
        assert [told.outcome for _, told in house.told] == [Outcome.MISSED]

    async def test_a_late_slot_within_it_is_called(self):
        house = House(stored_job(starting_deadline=timedelta(minutes=5)))
        await house.due(at=START - timedelta(minutes=5))
        run = await house.only()
        assert (run.outcome, run.lateness_ms) == (Outcome.SUCCEEDED, 300_000)

    async def test_what_waits_for_its_turn_beyond_the_deadline_is_missed(self):
        gate = Gate()
        house = House(
            stored_job("billing/slow"),
            stored_job("billing/quick", starting_deadline=10 * SECOND),
            script=[gate],
            max_in_flight=1,
        )
        await house.due("billing/slow", "billing/quick")
        await house.clock.advance(11)
        gate.open()
        await settle()
        slow, quick = sorted(await house.record(), key=lambda run: run.key, reverse=True)
        assert slow.outcome is Outcome.SUCCEEDED
        assert quick.outcome is Outcome.MISSED
        assert quick.reason == "waited for longer than its starting deadline: all places are taken: 1 call at once"
        assert len(house.caller.requests) == 1


class TestStoreAway:
    async def test_a_claim_waits_for_the_store_within_the_deadline(self):
        house = House()
        house.store.away = True
        await house.due()
        await house.clock.advance(60)
        assert house.caller.requests == []
        house.store.away = False
        await house.clock.advance(2)
        run = await house.only()
        assert run.outcome is Outcome.SUCCEEDED
        assert run.lateness_ms >= 60_000

    async def test_beyond_the_deadline_the_slot_is_accounted_for_as_missed_when_the_store_is_back(self):
        house = House(stored_job(starting_deadline=10 * SECOND))
        house.store.away = True
        await house.due()
        await house.clock.advance(60)
        house.store.away = False
        await house.clock.advance(2)
        run = await house.only()
        assert run.outcome is Outcome.MISSED
        assert run.reason == "the store was away for longer than the starting deadline of 10s"
        assert house.caller.requests == []

    async def test_even_where_a_lost_claim_stands_as_running(self):
        house = House(stored_job(starting_deadline=10 * SECOND))
        house.store.lose_answers = 1
        await house.due()
        house.store.away = True
        await house.clock.advance(60)
        assert house.store.stored_runs[runs.run_id(KEY, START, Cause.SCHEDULE)].outcome is Outcome.RUNNING
        house.store.away = False
        await house.clock.advance(2)
        assert (await house.only()).outcome is Outcome.MISSED
        assert len(house.told) == 1

    async def test_results_wait_for_the_store_and_none_is_lost(self):
        house = House(*(stored_job(f"billing/job{number}") for number in range(1200)))
        await house.due(*(str(key) for key in house.jobs))
        house.store.away = True
        await house.clock.advance(60)
        assert len(house.told) == 1200
        house.store.away = False
        await house.clock.advance(3)
        assert {run.outcome for run in house.store.stored_runs.values()} == {Outcome.SUCCEEDED}
        assert len(house.store.stored_runs) == 1200

    async def test_one_record_that_the_store_refuses_holds_up_no_other(self, caplog):
        house = House(stored_job(), stored_job("billing/other"))
        good = house.store.finish

        async def picky(batch):
            if any(run.key == KEY for run in batch):
                raise StoreError("too large")
            await good(batch)

        house.store.finish = picky
        await house.due(NAME, "billing/other")
        with caplog.at_level(logging.ERROR):
            outcomes = {run.key.api: run.outcome for run in await house.record()}
        assert outcomes == {"nightly": Outcome.RUNNING, "other": Outcome.SUCCEEDED}
        assert "the store refuses a record" in caplog.text

    async def test_a_claim_that_the_store_refuses_is_not_sent_and_holds_up_no_other(self):
        house = House(stored_job(), stored_job("billing/other"))
        good = house.store.claim

        async def picky(batch):
            if any(run.key == KEY for run in batch):
                raise StoreError("too large")
            return await good(batch)

        house.store.claim = picky
        await house.due(NAME, "billing/other")
        assert [run.key.api for run in await house.record()] == ["other"]
        assert len(house.caller.requests) == 1
        assert {(run.key.api, run.outcome) for _, run in house.told} == {
            ("nightly", Outcome.MISSED),
            ("other", Outcome.SUCCEEDED),
        }
        assert not house.runner.is_busy(KEY)


class TestBatches:
    async def test_claims_and_results_of_many_jobs_are_written_in_few_batches(self):
        house = House(*(stored_job(f"billing/job{number}") for number in range(2000)))
        await house.due(*(str(key) for key in house.jobs))
        await house.clock.advance(1)
        claims = [size for verb, size in house.store.batches if verb == "claim"]
        finishes = [size for verb, size in house.store.batches if verb == "finish"]
        assert claims == [64, 1000, 936]
        assert sum(finishes) == 2000
        assert len(finishes) <= 4

    async def test_calls_begin_while_other_claims_are_still_being_written(self):
        house = House(*(stored_job(f"billing/job{number}") for number in range(2000)))
        good, started_with = house.store.claim, []

        async def slow(batch):
            started_with.append(len(house.caller.requests))
            await house.clock.sleep(SECOND)
            return await good(batch)

        house.store.claim = slow
        await house.due(*(str(key) for key in house.jobs))
        await house.clock.advance(5)
        assert started_with[0] == 0
        assert started_with[2] >= 64

    async def test_calls_stop_when_too_many_results_cannot_be_recorded(self):
        house = House(*(stored_job(f"billing/job{number}") for number in range(40)), max_in_flight=4)
        house.runner._journal._batches._bound = 10

        async def away(batch):
            raise StoreUnavailableError("away")

        good, house.store.finish = house.store.finish, away
        await house.due(*(str(key) for key in house.jobs))
        await house.clock.advance(0.5)
        assert 10 <= len(house.caller.requests) <= 10 + 4
        house.store.finish = good
        await house.clock.advance(5)
        assert {run.outcome for run in await house.record()} == {Outcome.SUCCEEDED}
        assert len(house.caller.requests) == 40


class TestOverlap:
    async def test_forbid_records_the_later_slot_as_skipped(self):
        gate = Gate()
        house = House(script=[gate])
        await house.due()
        await house.clock.advance(60)
        await house.due()
        gate.open()
        first, second = await house.record()
        assert (first.outcome, second.outcome) == (Outcome.SUCCEEDED, Outcome.SKIPPED)
        assert second.reason == f"overlap: run {first.id} still runs"
        assert len(house.caller.requests) == 1
        assert sorted(run.outcome for _, run in house.told) == [Outcome.SKIPPED, Outcome.SUCCEEDED]

    async def test_forbid_lets_the_next_slot_run_once_the_predecessor_has_ended(self):
        house = House()
        for _ in range(3):
            await house.due()
            await house.clock.advance(60)
        assert [run.outcome for run in await house.record()] == [Outcome.SUCCEEDED] * 3

    async def test_a_run_between_two_attempts_still_runs(self):
        policy = RetryPolicy(limit=1, initial_delay=timedelta(minutes=2))
        house = House(stored_job(retry=policy), script=[FAILED, GOOD])
        await house.due()
        await house.clock.advance(30)
        await house.due()
        assert [run.outcome for run in await house.record()] == [Outcome.RUNNING, Outcome.SKIPPED]

    async def test_a_run_that_waits_to_start_is_said_to_wait(self):
        gate = Gate()
        house = House(stored_job("billing/slow"), stored_job(), script=[gate], max_in_flight=1)
        await house.due("billing/slow", NAME)
        await house.due(NAME, at=START + SECOND)
        waiting, skipped = [run for run in await house.record() if run.key == KEY]
        assert skipped.reason == f"overlap: run {waiting.id} has not started yet"

    async def test_allow_runs_beside(self):
        gate = Gate()
        house = House(stored_job(concurrency_policy="Allow"), script=[gate])
        await house.due()
        await house.clock.advance(60)
        await house.due()
        assert house.caller.in_flight == 2
        gate.open()
        assert [run.outcome for run in await house.record()] == [Outcome.SUCCEEDED] * 2

    async def test_replace_cancels_the_predecessor_and_records_it_as_failed(self):
        gate = Gate()
        house = House(stored_job(concurrency_policy="Replace"), script=[gate, GOOD])
        await house.due()
        await house.clock.advance(60)
        await house.due()
        first, second = await house.record()
        assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.SUCCEEDED)
        assert first.reason == f"replaced by run {second.id}"
        assert first.attempts[0].error == first.reason
        assert first.attempts[0].latency_ms == 60_000
        assert house.caller.cancelled == 1

    async def test_replace_ends_a_predecessor_that_has_not_started(self):
        gate = Gate()
        house = House(
            stored_job("billing/slow"), stored_job(concurrency_policy="Replace"), script=[gate, GOOD], max_in_flight=1
        )
        await house.due("billing/slow", NAME)
        await house.due(NAME, at=START + SECOND)
        gate.open()
        first, second = [run for run in await house.record() if run.key == KEY]
        assert (first.outcome, first.attempts, second.outcome) == (Outcome.FAILED, (), Outcome.SUCCEEDED)

    async def test_a_slot_that_is_lost_to_another_process_replaces_nothing(self):
        house = House(stored_job(concurrency_policy="Replace"), script=[Gate()])
        await house.due()
        taken = runs.claim_of(stored_job(), START + SECOND, Cause.SCHEDULE, "another", START)
        house.store.seed(taken)
        await house.due(at=START + SECOND)
        assert house.caller.in_flight == 1
        assert house.caller.cancelled == 0


class TestAttempts:
    POLICY = RetryPolicy(limit=2, initial_delay=10 * SECOND, factor=2)

    async def test_a_failure_that_may_pass_is_tried_again_under_the_same_key(self):
        house = House(stored_job(retry=self.POLICY), script=[FAILED, Reply(error="connection reset"), GOOD])
        await house.due()
        await house.clock.advance(60)
        run = await house.only()
        assert run.outcome is Outcome.SUCCEEDED
        assert [(a.number, a.status, a.error) for a in run.attempts] == [
            (1, 503, "status 503, expected 2xx"),
            (2, None, "connection reset"),
            (3, 200, None),
        ]
        keys = [(r.headers["Idempotency-Key"], r.headers["X-Reconciler-Attempt"]) for r in house.caller.requests]
        assert keys == [(run.id, "1"), (run.id, "2"), (run.id, "3")]
        assert run.started_at == START

    async def test_the_pauses_are_those_of_the_policy(self):
        house = House(stored_job(retry=self.POLICY), script=[FAILED, FAILED, GOOD])
        await house.due()
        await house.clock.advance(60)
        run = await house.only()
        times = [attempt.started_at for attempt in run.attempts]
        for number in (1, 2):
            delay = runs.retry_delay(self.POLICY, number, run.id, None, START)
            assert abs(times[number] - times[number - 1] - delay) < timedelta(milliseconds=1)

    async def test_retry_after_is_honoured(self):
        house = House(stored_job(retry=self.POLICY), script=[replace(FAILED, retry_after="40"), GOOD])
        await house.due()
        await house.clock.advance(39)
        assert len(house.caller.requests) == 1
        await house.clock.advance(2)
        assert len(house.caller.requests) == 2

    async def test_the_limit_ends_it_with_the_last_reason(self):
        house = House(stored_job(retry=self.POLICY), script=[FAILED, FAILED, Reply(status=500, body=b"oops")])
        await house.due()
        await house.clock.advance(100)
        run = await house.only()
        assert (run.outcome, run.reason, run.excerpt) == (Outcome.FAILED, "status 500, expected 2xx", "oops")
        assert len(run.attempts) == 3

    async def test_a_failure_that_would_stay_is_not_tried_again(self):
        house = House(stored_job(retry=self.POLICY), script=[Reply(status=404)])
        await house.due()
        await house.clock.advance(100)
        assert len((await house.only()).attempts) == 1

    @pytest.mark.parametrize(("sent", "calls"), [(True, 1), (False, 3)])
    async def test_at_most_once_is_tried_again_only_while_it_never_left(self, sent, calls):
        reply = Reply(error="connection refused", sent=sent)
        house = House(stored_job(retry=self.POLICY, delivery="atMostOnce"), script=[reply])
        await house.due()
        await house.clock.advance(100)
        assert len(house.caller.requests) == calls
        assert [attempt.sent for attempt in (await house.only()).attempts] == [sent] * calls

    async def test_a_run_that_pauses_lets_others_call(self):
        house = House(
            stored_job("billing/first", retry=self.POLICY), stored_job(), script=[FAILED, GOOD], max_in_flight=1
        )
        await house.due("billing/first", NAME)
        assert len(house.caller.requests) == 2
        await house.clock.advance(60)
        assert [run.outcome for run in await house.record()] == [Outcome.SUCCEEDED] * 2

    async def test_a_bug_in_one_run_is_its_own_affair(self, caplog):
        house = House(stored_job(), stored_job("billing/other"), script=[RuntimeError("bug"), GOOD])
        with caplog.at_level(logging.ERROR):
            await house.due(NAME, "billing/other")
        outcomes = {run.key.api: (run.outcome, run.reason) for run in await house.record()}
        assert outcomes == {
            "nightly": (Outcome.UNKNOWN, "internal error"),
            "other": (Outcome.SUCCEEDED, ""),
        }
        assert "a bug ended run" in caplog.text
        (broken,) = [run for run in house.store.stored_runs.values() if run.key == KEY]
        assert [attempt.error for attempt in broken.attempts] == ["internal error"]
        assert house.runner.in_flight == 0

    async def test_an_observer_that_fails_loses_no_record(self, caplog):
        house = House()
        house.runner._journal._observer = lambda _job, _run: 1 / 0
        with caplog.at_level(logging.ERROR):
            await house.due()
        assert (await house.only()).outcome is Outcome.SUCCEEDED


class TestJitter:
    JITTER = timedelta(minutes=10)

    async def test_the_claim_and_the_call_wait_for_the_jobs_own_instant(self):
        house = House(stored_job(jitter=self.JITTER))
        delay = spread(self.JITTER, NAME)
        await house.due()
        await house.clock.advance(delay - timedelta(milliseconds=1))
        assert house.store.stored_runs == {}
        await house.clock.advance(timedelta(milliseconds=1))
        run = await house.only()
        assert (run.slot, run.started_at) == (START, START + delay)

    async def test_the_starting_deadline_counts_from_there(self):
        house = House(stored_job(jitter=self.JITTER, starting_deadline=SECOND))
        await house.due()
        await house.clock.advance(self.JITTER)
        assert (await house.only()).outcome is Outcome.SUCCEEDED

    async def test_many_jobs_are_each_called_at_their_own_instant(self):
        house = House(*(stored_job(f"billing/job{number}", jitter=self.JITTER) for number in range(20)))
        await house.due(*(str(key) for key in house.jobs))
        await house.clock.advance(self.JITTER)
        starts = {str(run.key): run.started_at - START for run in await house.record()}
        assert starts == {str(key): spread(self.JITTER, str(key)) for key in house.jobs}

    async def test_a_job_that_is_suspended_meanwhile_is_not_called(self):
        house = House(stored_job(jitter=self.JITTER))
        await house.due()
        house.jobs = {KEY: stored_job(jitter=self.JITTER, suspend=True)}
        await house.clock.advance(self.JITTER)
        assert await house.record() == []

    async def test_at_a_shutdown_the_slots_still_to_come_are_recorded_as_missed(self):
        house = House(*(stored_job(f"billing/job{number}", jitter=self.JITTER) for number in range(5)))
        await house.due(*(str(key) for key in house.jobs))
        await finished(house.clock, house.runner.drain(SECOND))
        assert [(r.outcome, r.reason) for r in await house.record()] == [
            (Outcome.MISSED, "the reconciler stopped before it could start")
        ] * 5

    async def test_also_where_the_shutdown_comes_in_the_same_moment(self):
        house = House(stored_job(jitter=self.JITTER))
        house.clock.due(NAME)
        await finished(house.clock, house.runner.drain(SECOND))
        assert (await house.only()).outcome is Outcome.MISSED


def pause(since=START, until=START + timedelta(hours=1)):
    return Pause(id="1", application="billing", reason="database migration", by="ops@host", since=since, until=until)


class TestStops:
    REASON = "paused by ops@host until 2026-03-02 10:00:00Z: database migration"

    async def test_a_slot_of_a_stopped_job_is_skipped_for_the_reason_of_the_stop(self):
        house = House()
        house.stops = Stoppages([pause()])
        await house.due()
        run = await house.only()
        assert (run.outcome, run.reason, run.finished_at) == (Outcome.SKIPPED, self.REASON, START)
        assert house.caller.requests == []
        assert house.told == [(house.jobs[KEY].job, run)]
        assert not house.runner.is_busy(KEY)

    async def test_other_jobs_go_on(self):
        house = House(stored_job(), stored_job("shop/hourly"))
        house.stops = Stoppages([pause()])
        await house.due(NAME, "shop/hourly")
        outcomes = {str(run.key): run.outcome for run in await house.record()}
        assert outcomes == {NAME: Outcome.SKIPPED, "shop/hourly": Outcome.SUCCEEDED}

    async def test_a_slot_before_the_pause_runs_and_one_at_its_end_too(self):
        house = House()
        house.stops = Stoppages([pause(START, START + SECOND)])
        await house.clock.advance(1)
        for slot in (START - SECOND, START, START + SECOND):
            await house.due(at=slot)
        outcomes = [run.outcome for run in await house.record()]
        assert outcomes == [Outcome.SUCCEEDED, Outcome.SKIPPED, Outcome.SUCCEEDED]

    async def test_a_slot_that_comes_too_late_was_paused_all_the_same(self):
        house = House(stored_job(starting_deadline=SECOND))
        house.stops = Stoppages([pause()])
        await house.clock.advance(60)
        await house.due(at=START)
        assert (await house.only()).reason == self.REASON

    async def test_a_job_with_jitter_is_judged_by_its_slot(self):
        jobs = [stored_job(f"billing/job{number}", jitter=timedelta(hours=2)) for number in range(5)]
        house = House(*jobs)
        house.stops = Stoppages([pause(START + SECOND)])
        names = [str(key) for key in house.jobs]
        await house.due(*names)
        await house.clock.advance(1)
        await house.due(*names, at=START + SECOND)
        skipped = [run for run in await house.record() if run.slot == START + SECOND]
        assert [(run.outcome, run.finished_at) for run in skipped] == [(Outcome.SKIPPED, START + SECOND)] * 5
        await house.clock.advance(timedelta(hours=2))
        ran = [run for run in await house.record() if run.slot == START]
        assert [run.outcome for run in ran] == [Outcome.SUCCEEDED] * 5

    async def test_a_manual_trigger_runs_all_the_same(self):
        house = House()
        house.stops = Stoppages([pause()])
        await house.runner.trigger(KEY, Overrides())
        assert (await house.only()).outcome is Outcome.SUCCEEDED

    async def test_a_store_that_is_away_gets_the_skipped_slot_later(self):
        house = House(stored_job(starting_deadline=SECOND))
        house.stops = Stoppages([pause()])
        house.store.away = True
        await house.due()
        await house.clock.advance(timedelta(minutes=5))
        house.store.away = False
        await house.clock.advance(60)
        assert (await house.only()).reason == self.REASON

    async def test_what_stops_a_job_now_can_be_asked(self):
        house = House()
        assert house.runner.stop_of(KEY) is None
        house.stops = Stoppages([pause()])
        assert house.runner.stop_of(KEY).reason == "database migration"


class TestCatchingUp:
    async def test_is_one_run_whose_cause_says_so(self):
        house = House()
        house.runner.catch_up(START, [KEY])
        run = await house.only()
        assert (run.id, run.cause) == (runs.run_id(KEY, START, Cause.CATCH_UP), Cause.CATCH_UP)
        assert (run.slot, run.outcome) == (START, Outcome.SUCCEEDED)

    async def test_asked_for_again_and_by_another_process_it_is_the_same_run(self):
        store, clock = MemoryStore(), FakeClock()
        one, two = (House(owner=owner, store=store, clock=clock) for owner in ("one", "two"))
        for house in (one, two, one):
            house.runner.catch_up(START, [KEY])
        await settle()
        await clock.advance(1)
        one.runner.catch_up(START, [KEY])
        await clock.advance(1)
        assert len(store.stored_runs) == 1
        assert len(one.caller.requests) + len(two.caller.requests) == 1

    async def test_is_skipped_where_a_run_goes_on_and_overlaps_are_forbidden(self):
        gate = Gate()
        house = House(script=[gate])
        await house.due(at=START - SECOND)
        house.runner.catch_up(START, [KEY])
        gate.open()
        assert [run.outcome for run in await house.record()] == [Outcome.SUCCEEDED, Outcome.SKIPPED]

    async def test_comes_with_the_jobs_jitter(self):
        house = House(stored_job(jitter=timedelta(minutes=5)))
        house.runner.catch_up(START, [KEY])
        await house.clock.advance(timedelta(minutes=5))
        run = await house.only()
        assert (run.cause, run.started_at) == (Cause.CATCH_UP, START + spread(timedelta(minutes=5), NAME))


class TestRenamedJobs:
    NEW = JobKey("billing", "monthly")

    async def test_a_run_under_way_is_recorded_under_the_new_name(self):
        gate = Gate(GOOD)
        house = House(script=[gate])
        await house.due()
        house.rename(NAME, "billing/monthly")
        gate.open()
        run = await house.only()
        assert (run.key, run.outcome) == (self.NEW, Outcome.SUCCEEDED)
        assert [told.key for _, told in house.told] == [self.NEW]

    async def test_so_it_is_after_two_renames_and_while_the_store_is_away(self):
        gate = Gate(GOOD)
        house = House(script=[gate])
        await house.due()
        house.store.away = True
        gate.open()
        await house.clock.advance(1)
        house.rename(NAME, "billing/weekly")
        house.rename("billing/weekly", "billing/monthly")
        house.store.away = False
        await house.clock.advance(10)
        assert (await house.only()).key == self.NEW

    async def test_a_claim_that_waits_for_the_store_goes_under_the_new_name(self):
        house = House(script=[Gate()])
        house.store.away = True
        await house.due()
        house.rename(NAME, "billing/monthly")
        house.store.away = False
        await house.clock.advance(10)
        assert (await house.only()).key == self.NEW

    async def test_what_is_asked_for_again_by_the_new_name_while_that_claim_waits_is_one_run(self):
        house = House(stored_job(concurrency_policy="Allow"), script=[GOOD, GOOD])
        house.store.away = True
        house.runner.catch_up(START, [KEY])
        house.rename(NAME, "billing/monthly", concurrency_policy="Allow")
        house.runner.catch_up(START, [self.NEW])
        house.store.away = False
        await house.clock.advance(10)
        assert (await house.only()).key == self.NEW

    async def test_a_run_of_the_old_name_counts_as_an_overlap(self):
        gate = Gate(GOOD)
        house = House(script=[gate])
        await house.due()
        house.rename(NAME, "billing/monthly")
        await house.clock.advance(1)
        assert house.runner.is_busy(self.NEW)
        await house.due("billing/monthly")
        gate.open()
        assert [run.outcome for run in await house.record()] == [Outcome.SUCCEEDED, Outcome.SKIPPED]
        assert not house.runner.is_busy(self.NEW)

    async def test_a_delayed_slot_runs_under_the_new_name(self):
        jitter = timedelta(minutes=5)
        house = House(stored_job(jitter=jitter))
        await house.due()
        house.rename(NAME, "billing/monthly", jitter=jitter)
        await house.clock.advance(jitter)
        run = await house.only()
        assert (run.key, run.started_at) == (self.NEW, START + spread(jitter, NAME))

    async def test_the_new_name_keeps_the_jitter_of_the_old(self):
        jitter = timedelta(minutes=5)
        house = House(stored_job(jitter=jitter))
        house.rename(NAME, "billing/monthly", jitter=jitter)
        await house.due("billing/monthly")
        await house.clock.advance(jitter)
        assert (await house.only()).started_at == START + spread(jitter, NAME)

    async def test_another_job_that_takes_the_old_name_has_runs_of_its_own(self):
        house = House()
        house.rename(NAME, "billing/monthly")
        house.jobs[KEY] = stored_job()
        await house.due()
        assert (await house.only()).key == KEY


class TestTrigger:
    async def test_runs_a_job_now_and_returns_its_claimed_run(self):
        gate = Gate(GOOD)
        house = House(script=[gate])
        run = await house.runner.trigger(KEY, Overrides())
        assert (run.cause, run.slot, run.outcome) == (Cause.MANUAL, START, Outcome.RUNNING)
        assert house.store.stored_runs == {run.id: run}
        gate.open()
        assert (await house.only()).outcome is Outcome.SUCCEEDED

    async def test_runs_a_suspended_job(self):
        house = House(stored_job(suspend=True))
        await house.runner.trigger(KEY, Overrides())
        assert (await house.only()).outcome is Outcome.SUCCEEDED

    async def test_overrides_hold_for_this_run_and_only_their_names_are_recorded(self):
        house = House(stored_job(request=HttpRequest(method="POST", url="http://a/?x=1")))
        overrides = Overrides(query={"x": "2"}, headers={"X-Token": "secret"}, json={"n": 1}, has_json=True)
        run = await house.runner.trigger(KEY, overrides)
        assert run.overrides == ("query", "headers", "json")
        assert "secret" not in repr(await house.only())
        (sent,) = house.caller.requests
        assert (sent.url, sent.headers["X-Token"], sent.body) == ("http://a/?x=2", "secret", '{"n": 1}')
        assert house.jobs[KEY].job.request.url == "http://a/?x=1"

    async def test_two_triggers_in_one_millisecond_are_two_runs(self):
        house = House(stored_job(concurrency_policy="Allow"))
        one, two = [await house.runner.trigger(KEY, Overrides()) for _ in range(2)]
        assert one.id != two.id
        assert len(await house.record()) == 2

    async def test_an_overlap_under_forbid_is_recorded_as_skipped(self):
        house = House(script=[Gate()])
        await house.due()
        run = await house.runner.trigger(KEY, Overrides())
        assert run.outcome is Outcome.SKIPPED
        assert house.store.stored_runs[run.id] == run
        assert len(house.caller.requests) == 1
        assert [told.id for _, told in house.told] == [run.id]

    async def test_replace_replaces_the_run_under_way(self):
        house = House(stored_job(concurrency_policy="Replace"), script=[Gate(), GOOD])
        await house.due()
        await house.clock.advance(1)
        run = await house.runner.trigger(KEY, Overrides())
        first, second = await house.record()
        assert (first.outcome, second.outcome, second.id) == (Outcome.FAILED, Outcome.SUCCEEDED, run.id)

    async def test_a_job_that_does_not_exist_is_not_found(self):
        with pytest.raises(NotFoundError, match="billing/other"):
            await House().runner.trigger(JobKey("billing", "other"), Overrides())

    async def test_overrides_that_cannot_be_sent_leave_no_trace(self):
        house = House()
        with pytest.raises(OverridesError):
            await house.runner.trigger(KEY, Overrides(headers={"Host": "x"}), "key")
        assert (house.store.stored_runs, house.store.tokens) == ({}, {})

    async def test_a_store_that_is_away_means_nothing_was_sent(self):
        house = House()
        house.store.away = True
        with pytest.raises(StoreUnavailableError):
            await finished(house.clock, house.runner.trigger(KEY, Overrides()))
        house.store.away = False
        await house.clock.advance(5)
        assert (house.caller.requests, await house.record()) == ([], [])
        assert not house.runner.is_busy(KEY)

    async def test_a_claim_whose_answer_was_lost_is_asked_for_again(self):
        house = House()
        house.store.lose_answers = 1
        run = await finished(house.clock, house.runner.trigger(KEY, Overrides()))
        assert (await house.only()).id == run.id
        assert len(house.caller.requests) == 1

    async def test_a_claim_that_was_written_but_never_answered_does_not_stand_as_running(self):
        house = House()
        house.store.lose_answers = 3
        with pytest.raises(StoreUnavailableError):
            await finished(house.clock, house.runner.trigger(KEY, Overrides()))
        run = await house.only()
        assert (run.outcome, run.reason) == (Outcome.MISSED, "the store did not answer its claim")
        assert house.caller.requests == []

    async def test_a_client_that_goes_away_leaves_nothing_half_done(self):
        house = House()
        task = asyncio.create_task(house.runner.trigger(KEY, Overrides()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await house.clock.advance(1)
        assert all(run.outcome is not Outcome.RUNNING for run in await house.record())
        assert not house.runner.is_busy(KEY)


class TestIdempotency:
    async def test_the_same_key_gives_the_same_run_and_one_call(self):
        house = House()
        first = await house.runner.trigger(KEY, Overrides(), "k")
        await house.clock.advance(5)
        again = await house.runner.trigger(KEY, Overrides(), "k")
        assert again.id == first.id
        assert again.outcome is Outcome.SUCCEEDED
        assert len(house.caller.requests) == 1

    async def test_at_the_same_time_too(self):
        house = House()
        found = await asyncio.gather(*(house.runner.trigger(KEY, Overrides(), "k") for _ in range(5)))
        assert len({run.id for run in found}) == 1
        assert len(await house.record()) == 1
        assert len(house.caller.requests) == 1

    async def test_in_another_process_too(self):
        store, clock = MemoryStore(), FakeClock()
        one = House(owner="one", store=store, clock=clock)
        two = House(owner="two", store=store, clock=clock)
        first = await one.runner.trigger(KEY, Overrides(), "k")
        await clock.advance(1)
        assert (await two.runner.trigger(KEY, Overrides(), "k")).id == first.id
        assert len(one.caller.requests) + len(two.caller.requests) == 1

    async def test_another_request_under_the_same_key_is_refused(self):
        house = House()
        await house.runner.trigger(KEY, Overrides(query={"a": "1"}), "k")
        with pytest.raises(IdempotencyConflictError):
            await house.runner.trigger(KEY, Overrides(query={"a": "2"}), "k")

    async def test_json_null_is_another_request_than_none(self):
        house = House(stored_job(request=HttpRequest(method="POST", url="http://a/")))
        await house.runner.trigger(KEY, Overrides(json=None, has_json=True), "k")
        with pytest.raises(IdempotencyConflictError):
            await house.runner.trigger(KEY, Overrides(), "k")

    async def test_another_job_has_its_own_keys(self):
        house = House(stored_job(), stored_job("billing/other"))
        one = await house.runner.trigger(KEY, Overrides(), "k")
        two = await house.runner.trigger(JobKey("billing", "other"), Overrides(), "k")
        assert one.id != two.id

    async def test_a_key_that_was_remembered_but_not_claimed_gets_its_run_now(self):
        house = House()
        with pytest.MonkeyPatch.context() as patch:

            async def crash(_batch):
                raise asyncio.CancelledError

            patch.setattr(house.store, "claim", crash)
            with pytest.raises(asyncio.CancelledError):
                await house.runner.trigger(KEY, Overrides(), "k")
        await house.clock.advance(5)
        (_, remembered, _) = next(iter(house.store.tokens.values()))
        run = await house.runner.trigger(KEY, Overrides(), "k")
        assert run.id == remembered
        assert (await house.only()).outcome is Outcome.SUCCEEDED


class TestWaiting:
    async def test_gives_the_run_once_it_is_recorded(self):
        gate = Gate(GOOD)
        house = House(script=[gate])
        run = await house.runner.trigger(KEY, Overrides())
        waiting = asyncio.create_task(house.runner.wait(run.id))
        await house.clock.advance(10)
        assert not waiting.done()
        gate.open()
        ended = await finished(house.clock, waiting)
        assert ended.outcome is Outcome.SUCCEEDED
        assert house.store.stored_runs[run.id] == ended

    async def test_gives_a_run_that_has_ended_already(self):
        house = House()
        await house.due()
        run = await house.only()
        assert await house.runner.wait(run.id) == run

    async def test_follows_a_run_of_another_process(self):
        house = House()
        run = runs.claim_of(stored_job(), START, Cause.MANUAL, "another", START)
        house.store.seed(run)
        waiting = asyncio.create_task(house.runner.wait(run.id))
        await house.clock.advance(3)
        house.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
        assert (await finished(house.clock, waiting)).outcome is Outcome.SUCCEEDED

    async def test_a_run_that_does_not_exist_is_not_found(self):
        with pytest.raises(NotFoundError):
            await House().runner.wait("no-such-run")


class TestDrain:
    async def test_calls_in_flight_may_end_within_the_grace(self):
        gate = Gate(GOOD)
        house = House(script=[gate])
        await house.due()
        draining = asyncio.create_task(house.runner.drain(30 * SECOND))
        await house.clock.advance(10)
        assert not draining.done()
        gate.open()
        await finished(house.clock, draining)
        assert house.clock.now() < START + 12 * SECOND
        assert [run.outcome for run in house.store.stored_runs.values()] == [Outcome.SUCCEEDED]

    async def test_after_the_grace_they_are_cut_off_and_unknown(self):
        house = House(script=[Gate()])
        await house.due()
        await finished(house.clock, house.runner.drain(30 * SECOND))
        (run,) = house.store.stored_runs.values()
        assert (run.outcome, run.reason) == (Outcome.UNKNOWN, "interrupted by shutdown")
        (attempt,) = run.attempts
        assert (attempt.error, attempt.sent, attempt.latency_ms) == ("interrupted by shutdown", True, 30_000)
        assert house.caller.cancelled == 1

    async def test_nothing_new_starts(self):
        house = House(script=[GOOD])
        await finished(house.clock, house.runner.drain(SECOND))
        await house.due()
        with pytest.raises(StoreUnavailableError, match="stopping"):
            await house.runner.trigger(KEY, Overrides())
        assert (house.caller.requests, house.store.stored_runs) == ([], {})

    async def test_what_waits_for_its_turn_is_missed_and_not_sent(self):
        gate = Gate()
        house = House(stored_job("billing/slow"), stored_job(), script=[gate], max_in_flight=1)
        await house.due("billing/slow", NAME)
        draining = asyncio.create_task(house.runner.drain(30 * SECOND))
        await settle()
        gate.open()
        await finished(house.clock, draining)
        outcomes = {run.key.api: (run.outcome, run.reason) for run in house.store.stored_runs.values()}
        assert outcomes == {
            "slow": (Outcome.SUCCEEDED, ""),
            "nightly": (Outcome.MISSED, "the reconciler stopped before it could start"),
        }
        assert len(house.caller.requests) == 1

    async def test_what_is_being_claimed_is_missed_and_not_sent(self):
        house = House()
        house.clock.due(NAME)
        await finished(house.clock, house.runner.drain(SECOND))
        (run,) = house.store.stored_runs.values()
        assert (run.outcome, house.caller.requests) == (Outcome.MISSED, [])

    async def test_a_run_between_two_attempts_is_failed_with_its_last_reason(self):
        house = House(stored_job(retry=RetryPolicy(limit=3, initial_delay=60 * SECOND)), script=[FAILED])
        await house.due()
        await house.clock.advance(1)
        await finished(house.clock, house.runner.drain(30 * SECOND))
        assert house.clock.now() < START + 3 * SECOND
        (run,) = house.store.stored_runs.values()
        assert run.outcome is Outcome.FAILED
        assert run.reason == "status 503, expected 2xx; not tried again: interrupted by shutdown"
        assert len(house.caller.requests) == 1

    async def test_a_call_that_fails_during_the_grace_is_not_tried_again(self):
        gate = Gate(FAILED)
        house = House(stored_job(retry=RetryPolicy(limit=3, initial_delay=60 * SECOND)), script=[gate])
        await house.due()
        draining = asyncio.create_task(house.runner.drain(30 * SECOND))
        await settle()
        gate.open()
        await finished(house.clock, draining)
        (run,) = house.store.stored_runs.values()
        assert (run.outcome, len(house.caller.requests)) == (Outcome.FAILED, 1)

    async def test_a_second_call_hurries_the_first(self):
        house = House(script=[Gate()])
        await house.due()
        draining = asyncio.create_task(house.runner.drain(timedelta(hours=1)))
        await house.clock.advance(1)
        await finished(house.clock, house.runner.drain(timedelta(0)))
        await finished(house.clock, draining)
        assert house.clock.now() < START + 10 * SECOND
        (run,) = house.store.stored_runs.values()
        assert run.outcome is Outcome.UNKNOWN

    async def test_a_store_that_stays_away_does_not_hold_it_up_for_ever(self, caplog):
        house = House()
        await house.due()
        house.store.away = True
        with caplog.at_level(logging.ERROR):
            await finished(house.clock, house.runner.drain(SECOND))
        assert "1 records could not be written" in caplog.text

    async def test_leaves_no_task_behind(self):
        before = asyncio.all_tasks()
        house = House(stored_job(), stored_job("a/jittered", jitter=timedelta(hours=1)), script=[Gate()])
        await house.due(NAME, "a/jittered")
        await finished(house.clock, house.runner.drain(SECOND))
        await settle()
        assert asyncio.all_tasks() == before


class TestBounds:
    async def test_no_more_calls_at_once_than_allowed(self):
        house = House(*(stored_job(f"app{number % 7}/job{number}") for number in range(200)), max_in_flight=10)
        await house.due(*(str(key) for key in house.jobs))
        assert house.caller.most_in_flight == 10
        assert {run.outcome for run in await house.record()} == {Outcome.SUCCEEDED}

    async def test_no_more_calls_at_once_than_an_application_allows(self):
        gate = Gate()
        jobs = [stored_job(f"small/job{number}", max_concurrency=3) for number in range(9)]
        house = House(*jobs, stored_job("other/job", max_concurrency=1), script=[gate])
        await house.due(*(str(key) for key in house.jobs))
        await house.clock.advance(5)
        assert house.caller.in_flight == 4
        assert house.runner.in_flight == 4
        gate.open()
        assert len([run for run in await house.record() if run.outcome is Outcome.SUCCEEDED]) == 10
        assert house.runner.in_flight == 0

    async def test_a_target_that_hangs_delays_other_applications_by_no_more_than_a_second(self):
        gate = Gate()

        def answer(request):
            return GOOD if "quick" in request.url else gate(request)

        hung = HttpRequest(method="GET", url="http://hung/")
        quick = HttpRequest(method="GET", url="http://quick/")
        jobs = [stored_job(f"hung/job{number}", request=hung) for number in range(500)]
        jobs += [stored_job(f"good/job{number}", request=quick) for number in range(50)]
        house = House(*jobs, script=[answer], max_in_flight=20)
        await house.due(*(str(job.key) for job in jobs))
        await house.clock.advance(1)
        good = [run for run in await house.record() if run.key.application == "good"]
        assert {run.outcome for run in good} == {Outcome.SUCCEEDED}
        assert max(run.lateness_ms for run in good) <= 1000
        assert house.runner.in_flight == 20
        await finished(house.clock, house.runner.drain(timedelta(0)))

    async def test_applications_take_turns_whoever_has_more_waiting(self):
        order = []

        async def answer(request):
            order.append(request.headers["X-Reconciler-Job"].partition("/")[0])
            await asyncio.sleep(0)
            return GOOD

        jobs = [stored_job(f"big/job{number}") for number in range(50)]
        jobs += [stored_job(f"small/job{number}") for number in range(5)]
        house = House(*jobs, script=[answer], max_in_flight=1)
        await house.due(*(str(job.key) for job in jobs))
        await house.clock.advance(1)
        assert order.count("small") == 5
        assert max(place for place, name in enumerate(order) if name == "small") < 12


async def test_every_slot_of_a_day_ends_in_exactly_one_outcome():
    """The store is away for three hours, the target for two, and one call takes an hour."""
    day = datetime(2026, 3, 2, tzinfo=UTC)
    clock = FakeClock(day - SECOND)
    slow = Gate(GOOD)

    def answer(request):
        hour = clock.now().hour
        return slow(request) if hour == 20 else FAILED if 16 <= hour < 18 else GOOD

    house = House(script=[answer], clock=clock)
    for quarter in range(96):
        slot = day + timedelta(minutes=15 * quarter)
        await clock.advance(slot - clock.now())
        house.store.away = 4 <= slot.hour < 7
        if slot.hour == 21:
            slow.open()
        await house.due(at=slot)
    found = await house.record()
    assert [run.slot for run in found] == [day + timedelta(minutes=15 * quarter) for quarter in range(96)]
    counts = Counter(run.outcome for run in found)
    assert Outcome.RUNNING not in counts
    assert (counts[Outcome.FAILED], counts[Outcome.MISSED]) == (8, 1)
    assert counts[Outcome.SUCCEEDED] == len(house.caller.requests) - 8
    assert len(house.told) == 96
