"""A rate outlives the process that kept it: who begins to lead counts the calls that others have begun."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import runs
from reconciler.core.model import Attempt, Cause, JobKey, Outcome, Overrides, Rate
from tests.fakes import START, FakeClock, Gate, MemoryStore, settle, stored_job
from tests.unit.services.leaders import Leader

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
LIMITED = "app/limited"


def limited(calls=1, per=MINUTE, **changes):
    return stored_job(LIMITED, max_rate=Rate(calls, per), since=START - DAY, **changes)


def called(at, *, outcome=Outcome.SUCCEEDED, owner="before", attempts=1):
    """A run of another process, whose attempts began at this instant and every second after."""
    claim = runs.claim_of(limited(), at, Cause.SCHEDULE, owner, at)
    if outcome is Outcome.RUNNING:
        return claim
    made = [
        Attempt(number=number + 1, started_at=at + number * SECOND, latency_ms=1.0, status=200)
        for number in range(attempts)
    ]
    return runs.ended(claim, outcome, "", at + attempts * SECOND, attempts=made)


async def leader(*earlier, job=None, owner="me", store=None, looks=True, script=()):
    """A process that begins to lead, after these runs."""
    clock = FakeClock() if store is None else store.clock
    store = store or MemoryStore(clock)
    store.seed(*earlier)
    house = Leader(job or limited(), owner=owner, store=store, clock=clock, term=None, script=script)
    await house.take_the_lead()
    if looks:
        await house.arrears.step()
    return house


async def calls_after(house, span):
    """How many calls have begun once a slot has come and this time has passed."""
    await house.due(LIMITED)
    await house.clock.advance(span)
    return len(house.caller.requests)


class TestWhoBeginsToLead:
    async def test_counts_the_calls_of_the_leader_before(self):
        house = await leader(called(START - 20 * SECOND))
        assert await calls_after(house, 39 * SECOND) == 0
        await house.clock.advance(1)
        assert len(house.caller.requests) == 1

    async def test_what_is_older_than_the_span_counts_no_more(self):
        house = await leader(called(START - MINUTE))
        assert await calls_after(house, 0) == 1

    async def test_as_many_as_are_left_may_be_made(self):
        house = await leader(called(START - 20 * SECOND), job=limited(2))
        assert await calls_after(house, 0) == 1
        await house.clock.advance(5)
        assert await calls_after(house, 30 * SECOND) == 1

    async def test_every_attempt_counts(self):
        house = await leader(called(START - 20 * SECOND, attempts=2), job=limited(2))
        assert await calls_after(house, 39 * SECOND) == 0

    async def test_a_call_that_nobody_has_told_the_end_of_may_have_begun_a_moment_ago(self):
        house = await leader(called(START - 50 * SECOND, outcome=Outcome.RUNNING))
        assert await calls_after(house, 59 * SECOND) == 0

    @pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.MISSED])
    async def test_what_was_not_called_does_not_count(self, outcome):
        house = await leader(called(START - 20 * SECOND, outcome=outcome, attempts=0))
        assert await calls_after(house, 0) == 1

    async def test_nor_does_what_others_call(self):
        other = replace(called(START - 20 * SECOND), key=JobKey("other", "job"))
        house = await leader(other)
        assert await calls_after(house, 0) == 1

    async def test_a_clock_that_was_ahead_holds_up_for_one_span_at_most(self):
        house = await leader(called(START + DAY))
        assert await calls_after(house, 60 * SECOND) == 1

    async def test_a_lead_that_comes_back_counts_nothing_twice(self):
        house = await leader(called(START - 20 * SECOND), job=limited(3))
        assert await calls_after(house, SECOND) == 1
        house.runner.lead_from(house.clock.now())
        await house.look(house.clock.now())
        assert await calls_after(house, SECOND) == 2, "the one before, and two of its own"

    async def test_one_query_for_each_limited_application_and_none_for_the_others(self):
        house = await leader(called(START - 20 * SECOND), looks=False)
        house.jobs |= {job.key: job for job in (stored_job("app/b", max_rate=Rate(1, MINUTE)), stored_job("free/c"))}
        await house.runner.learn_pace(house.jobs.values())
        assert house.store.calls["runs"] == 1


class TestUntilItIsKnown:
    async def test_no_rate_allows_a_call(self):
        house = await leader(looks=False)
        assert await calls_after(house, 5 * SECOND) == 0
        await house.arrears.step()
        await house.clock.advance(1)
        assert len(house.caller.requests) == 1

    async def test_whoever_has_no_rate_goes_on(self):
        house = await leader(looks=False, job=stored_job(LIMITED, max_concurrency=1))
        assert await calls_after(house, 0) == 1

    async def test_a_store_that_is_away_is_asked_again_with_the_next_look(self):
        house = await leader(called(START - 20 * SECOND), looks=False)
        house.store.away = True
        assert not await house.arrears.step()
        house.store.away = False
        assert await house.arrears.step()
        assert await calls_after(house, 39 * SECOND) == 0
        await house.clock.advance(2)
        assert len(house.caller.requests) == 1

    async def test_who_leads_no_more_counts_what_is_triggered_there_alone(self):
        house = await leader(called(START - 20 * SECOND), looks=False)
        house.term = None
        await house.runner.trigger(JobKey.parse(LIMITED), Overrides())
        await settle()
        assert len(house.caller.requests) == 1


async def test_a_takeover_keeps_the_rate_from_end_to_end():
    first = await leader(job=limited(1, MINUTE, concurrency_policy="Allow"))
    assert await calls_after(first, SECOND) == 1
    first.term = None
    await first.store.resign(first.owner, first.clock.now())
    second = await leader(job=limited(1, MINUTE, concurrency_policy="Allow"), owner="another", store=first.store)
    looking = second.keep()
    assert await calls_after(second, 58 * SECOND) == 0
    await second.clock.advance(2)
    assert len(second.caller.requests) == 1
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_what_has_begun_here_is_counted_here_alone():
    house = await leader(job=limited(2, concurrency_policy="Allow"), looks=False, script=[Gate()])
    await house.arrears.step()
    assert await calls_after(house, SECOND) == 1
    house.runner.lead_from(house.clock.now())
    await house.look(house.clock.now())
    assert await calls_after(house, SECOND) == 2, "the call in flight has not been counted a second time"
