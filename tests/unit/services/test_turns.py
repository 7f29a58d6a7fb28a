from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Cause, Outcome, Rate, Reply, RetryPolicy
from reconciler.core.runs import claim_of
from reconciler.services.turns import Turns
from tests.fakes import START, FakeClock, Gate, settle, stored_job
from tests.unit.services.leaders import Leader

SECOND = timedelta(seconds=1)
FAILED = Reply(status=503, latency_ms=1.0)


class Queue:
    """Turns, and who has got one or was told that it is too late."""

    def __init__(self, max_in_flight=100):
        self.clock = FakeClock()
        self.turns = Turns(self.clock, max_in_flight)
        self.started = []
        self.lapsed = {}

    def ask(self, name, application="app", bound=None, **limits):
        if "expires" in limits:
            limits["expires"] = START + limits["expires"]
        return self.turns.ask(
            application,
            bound,
            lambda: self.started.append((name, self.clock.now() - START)),
            lapse=lambda held: self.lapsed.__setitem__(name, held),
            **limits,
        )

    def times(self):
        return [at // SECOND for _, at in self.started]


class TestRate:
    async def test_so_many_may_start_at_once_and_the_next_when_the_span_is_over(self):
        queue = Queue()
        for number in range(7):
            queue.ask(number, rate=Rate(3, 10 * SECOND))
        await queue.clock.advance(30)
        assert queue.times() == [0, 0, 0, 10, 10, 10, 20]

    async def test_a_turn_that_was_given_back_counts_all_the_same(self):
        queue = Queue()
        queue.turns.leave(queue.ask(1, rate=Rate(1, 10 * SECOND)))
        queue.ask(2, rate=Rate(1, 10 * SECOND))
        await queue.clock.advance(9)
        assert queue.times() == [0]
        await queue.clock.advance(1)
        assert queue.times() == [0, 10]

    async def test_who_gives_up_waiting_takes_nothing(self):
        queue = Queue()
        queue.ask(1, rate=Rate(1, 10 * SECOND))
        queue.turns.leave(queue.ask(2, rate=Rate(1, 10 * SECOND)))
        queue.ask(3, rate=Rate(1, 10 * SECOND))
        await queue.clock.advance(10)
        assert queue.started == [(1, timedelta(0)), (3, 10 * SECOND)]

    async def test_an_application_that_waits_blocks_no_other(self):
        queue = Queue()
        for number in range(5):
            queue.ask(number, rate=Rate(1, 60 * SECOND))
        queue.ask("other", application="other")
        assert [name for name, _ in queue.started] == [0, "other"]
        assert not queue.turns.crowded

    async def test_it_is_crowded_until_the_last_who_waited_for_a_place_has_had_time_to_begin(self):
        queue = Queue(max_in_flight=1)
        first = queue.ask(1)
        assert not queue.turns.crowded
        queue.ask(2)
        assert queue.turns.crowded
        queue.turns.leave(first)
        assert queue.turns.crowded
        await queue.clock.advance(0.1)
        assert not queue.turns.crowded

    async def test_a_rate_that_is_edited_holds_from_then_on(self):
        queue = Queue()
        for number in range(4):
            queue.ask(number, rate=Rate(2, 10 * SECOND))
        await queue.clock.advance(1)
        queue.ask(4, rate=None)
        await queue.clock.advance(0)
        assert queue.times() == [0, 0, 1, 1, 1]

    async def test_a_clock_that_is_set_changes_nothing(self):
        queue = Queue()
        for number in range(2):
            queue.ask(number, rate=Rate(1, 10 * SECOND))
        queue.clock.jump(timedelta(days=-300))
        await queue.clock.advance(10)
        assert len(queue.started) == 2

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(0, 3000), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 9))
    def test_in_no_span_are_there_more_and_none_waits_without_need(self, gaps, calls, seconds):
        async def starts():
            queue = Queue()
            asked = []
            for gap in gaps:
                await queue.clock.advance(timedelta(milliseconds=gap))
                asked.append(queue.clock.now() - START)
                queue.ask(len(asked), rate=Rate(calls, seconds * SECOND))
            await queue.clock.advance(len(gaps) * seconds)
            return asked, [at for _, at in queue.started]

        asked, started = asyncio.run(starts())
        assert len(started) == len(asked)
        for place, at in enumerate(started):
            earliest = max([asked[place], *([started[place - calls] + seconds * SECOND] if place >= calls else [])])
            assert at == earliest


async def test_a_clock_that_is_set_back_lets_no_hung_call_keep_its_place():
    queue = Queue(max_in_flight=1)
    queue.ask("hung", application="hung")
    queue.clock.jump(timedelta(hours=-1))
    queue.ask("good", application="good")
    await queue.clock.advance(1)
    assert [name for name, _ in queue.started] == ["hung", "good"]


class TestWaitingForTooLong:
    @pytest.mark.parametrize(
        ("limits", "held"),
        [
            ({"rate": Rate(1, 60 * SECOND)}, "limits.rate is 1/1m"),
            ({"bound": 1}, "limits.concurrency is 1"),
        ],
    )
    async def test_tells_which_limit_held_it(self, limits, held):
        queue = Queue()
        queue.ask("first", **limits)
        queue.ask("second", **limits, expires=5 * SECOND)
        await queue.clock.advance(5)
        assert queue.lapsed == {}
        await queue.clock.advance(2)
        assert queue.lapsed == {"second": held}
        assert [name for name, _ in queue.started] == ["first"]

    async def test_or_that_it_was_the_bound_over_all(self):
        queue = Queue(max_in_flight=1)
        for number in range(10):
            queue.ask(number, application=f"app{number}")
        queue.ask("late", application="late", expires=SECOND)
        await queue.clock.advance(3)
        assert queue.lapsed == {"late": "all places are taken: 1 call at once"}

    async def test_takes_nothing_from_what_the_rate_allows(self):
        queue = Queue()
        queue.ask(0, rate=Rate(1, 10 * SECOND))
        for number in range(1, 50):
            queue.ask(number, rate=Rate(1, 10 * SECOND), expires=9.5 * SECOND)
        queue.ask("patient", rate=Rate(1, 10 * SECOND))
        await queue.clock.advance(10)
        assert queue.started[1:] == [("patient", 10 * SECOND)]
        assert set(queue.lapsed) == set(range(1, 50))
        assert set(queue.lapsed.values()) == {"limits.rate is 1/10s"}

    async def test_nothing_is_watched_once_nobody_waits(self):
        before = asyncio.all_tasks()
        queue = Queue()
        for number in range(3):
            queue.ask(number, rate=Rate(1, SECOND), expires=60 * SECOND)
        await queue.clock.advance(10)
        assert asyncio.all_tasks() == before

    async def test_nor_once_it_is_stopped(self):
        before = asyncio.all_tasks()
        queue = Queue(max_in_flight=1)
        for number in range(3):
            queue.ask(number, rate=Rate(1, 60 * SECOND), expires=60 * SECOND)
            queue.ask(number, application="other")
        queue.turns.stop()
        await settle()
        assert asyncio.all_tasks() == before


class TestRuns:
    async def test_attempts_count_and_retries_do_too(self):
        policy = RetryPolicy(limit=1, initial_delay=SECOND, factor=1)
        limited = stored_job("app/limited", max_rate=Rate(2, 60 * SECOND), retry=policy)
        house = Leader(limited, stored_job("app/other", max_rate=Rate(2, 60 * SECOND)), script=[FAILED])
        await house.due("app/limited")
        await house.clock.advance(5)
        await house.due("app/other")
        assert len(house.caller.requests) == 2
        await house.clock.advance(60)
        assert len(house.caller.requests) == 3

    async def test_what_waits_beyond_its_deadline_is_missed_for_that_reason(self):
        jobs = [
            stored_job(f"app/job{number}", max_rate=Rate(10, 60 * SECOND), starting_deadline=30 * SECOND)
            for number in range(12)
        ]
        house = Leader(*jobs)
        await house.due(*(str(job.key) for job in jobs))
        found = await house.record(advance=35)
        missed = [run for run in found if run.outcome is Outcome.MISSED]
        assert {run.reason for run in missed} == {"waited for longer than its starting deadline: limits.rate is 10/1m"}
        assert (len(missed), len(house.caller.requests)) == (2, 10)

    async def test_a_hung_application_is_told_from_a_rate(self):
        jobs = [stored_job(f"app/job{number}", max_concurrency=1, starting_deadline=30 * SECOND) for number in range(2)]
        house = Leader(*jobs, script=[Gate()])
        await house.due(*(str(job.key) for job in jobs))
        (missed,) = [run for run in await house.record(advance=35) if run.outcome is Outcome.MISSED]
        assert missed.reason == "waited for longer than its starting deadline: limits.concurrency is 1"

    async def test_a_retry_waits_for_its_turn_no_longer_than_a_slot_may(self):
        policy = RetryPolicy(limit=1, initial_delay=SECOND, factor=1)
        job = stored_job("app/job", max_rate=Rate(1, 86_400 * SECOND), starting_deadline=30 * SECOND, retry=policy)
        house = Leader(job, script=[FAILED])
        await house.due("app/job")
        (run,) = await house.record(advance=29)
        assert run.outcome is Outcome.RUNNING
        (run,) = await house.record(advance=5)
        waited = "it waited for its turn for longer than the starting deadline of 30s: limits.rate is 1/1d"
        assert (run.outcome, run.reason) == (
            Outcome.FAILED,
            f"status 503, expected 2xx; not tried again: {waited}",
        )
        assert (len(run.attempts), len(house.caller.requests)) == (1, 1)
        assert not house.runner.is_busy(job.key)

    async def test_a_retry_whose_turn_comes_in_time_is_made(self):
        policy = RetryPolicy(limit=1, initial_delay=SECOND, factor=1)
        job = stored_job("app/job", max_rate=Rate(1, 20 * SECOND), starting_deadline=30 * SECOND, retry=policy)
        house = Leader(job, script=[FAILED, Reply(status=200, latency_ms=1.0)])
        await house.due("app/job")
        (run,) = await house.record(advance=25)
        assert (run.outcome, len(run.attempts)) == (Outcome.SUCCEEDED, 2)

    async def test_what_another_process_left_waits_no_longer_either_and_stays_unknown(self):
        limits = {"max_rate": Rate(1, 86_400 * SECOND), "starting_deadline": 30 * SECOND, "concurrency_policy": "Allow"}
        job = stored_job("app/job", **limits)
        house = Leader(job)
        await house.due("app/job")
        left = claim_of(job, START + SECOND, Cause.SCHEDULE, "gone", START + SECOND)
        house.store.seed(left)
        house.runner.resume(job, left)
        first, run = await house.record(advance=35)
        assert first.outcome is Outcome.SUCCEEDED
        assert (run.outcome, run.reason) == (
            Outcome.UNKNOWN,
            "the process that claimed it ended; not sent again within its starting deadline: limits.rate is 1/1d",
        )
