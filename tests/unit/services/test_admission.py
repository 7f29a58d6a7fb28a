from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.core import runs
from reconciler.core.model import Cause, JobKey, Outcome, Overrides, Reply, RetryPolicy, Schedule
from reconciler.core.timetable import spread
from reconciler.errors import StoreUnavailableError
from tests.fakes import START, FakeClock, Gate, MemoryStore, finished, settle, stored_job
from tests.unit.services.leaders import KEY, NAME, SPAN, Leader

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MS = timedelta(milliseconds=1)
FAILED = Reply(status=503, latency_ms=1.0)
LOST = "this process lost the lead before it was sent"


class TestTerms:
    async def test_a_claim_carries_the_term(self):
        house = Leader()
        await house.take_the_lead()
        await house.due()
        (run,) = await house.record()
        assert (run.term, run.outcome) == (1, Outcome.SUCCEEDED)

    async def test_who_does_not_lead_takes_no_slot_on(self):
        house = Leader(term=None)
        await house.due()
        house.runner.catch_up(START, [KEY])
        assert await house.record() == []
        assert house.caller.requests == []

    async def test_but_makes_the_runs_that_people_ask_for(self):
        house = Leader(term=None)
        await house.runner.trigger(KEY, Overrides())
        (run,) = await house.record()
        assert (run.term, run.outcome) == (0, Outcome.SUCCEEDED)

    async def test_a_claim_that_was_won_while_the_lead_was_lost_does_not_stay_open(self):
        clock = FakeClock()
        store = MemoryStore(clock)
        old = Leader(store=store, clock=clock, owner="old")
        await old.take_the_lead()
        claim = store.claim

        async def slow(runs, *, term=None):
            won = await claim(runs, term=term)
            old.term = None  # frozen here; when it goes on, another one leads
            await store.resign("old", clock.now())
            await store.lead("new", SPAN, clock.now())
            return won

        store.claim = slow
        await old.due()
        store.claim = claim
        (run,) = await old.record(advance=5)
        assert (run.outcome, run.reason) == (Outcome.MISSED, LOST)
        assert old.caller.requests == []

    async def test_claims_of_a_deposed_leader_are_refused_and_nothing_is_sent(self):
        clock = FakeClock()
        store = MemoryStore(clock)
        old = Leader(store=store, clock=clock, owner="old")
        await old.take_the_lead()
        await clock.advance(SPAN)
        new = Leader(store=store, clock=clock, owner="new")
        await new.take_the_lead()
        old.runner.on_due(clock.now(), [KEY])
        await settle()
        assert (old.caller.requests, old.told, store.stored_runs) == ([], [], {})
        assert not old.runner.is_busy(KEY)

    async def test_what_was_claimed_and_not_sent_when_the_lead_was_lost_is_missed(self):
        gate = Gate()
        house = Leader(stored_job("billing/slow"), stored_job(), script=[gate], max_in_flight=1)
        await house.due("billing/slow", NAME)
        house.term = None
        gate.open()
        found = {run.key.api: run for run in await house.record()}
        assert found["slow"].outcome is Outcome.SUCCEEDED
        assert (found["nightly"].outcome, found["nightly"].reason) == (Outcome.MISSED, LOST)
        assert len(house.caller.requests) == 1

    async def test_even_before_its_turn_has_come(self):
        house = Leader(stored_job("billing/slow"), stored_job(), script=[Gate()], max_in_flight=1)
        await house.due("billing/slow", NAME)
        house.term = None
        house.runner.elsewhere({})
        found = {run.key.api: run for run in await house.record()}
        assert found["slow"].outcome is Outcome.RUNNING
        assert (found["nightly"].outcome, found["nightly"].reason) == (Outcome.MISSED, LOST)

    async def test_and_a_pause_before_another_attempt_is_broken_off(self):
        policy = RetryPolicy(limit=3, initial_delay=timedelta(minutes=5))
        house = Leader(stored_job(retry=policy), script=[FAILED])
        await house.due()
        house.term = None
        house.runner.elsewhere({})
        (run,) = await house.record()
        assert (run.outcome, len(run.attempts)) == (Outcome.FAILED, 1)
        assert run.reason == "status 503, expected 2xx; not tried again: this process lost the lead"

    async def test_a_leader_that_leads_on_goes_on(self):
        gate = Gate()
        house = Leader(stored_job("billing/slow"), stored_job(), script=[gate], max_in_flight=1)
        await house.due("billing/slow", NAME)
        house.runner.elsewhere({})
        gate.open()
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"] * 2

    async def test_a_term_that_has_come_since_is_another(self):
        gate = Gate()
        house = Leader(stored_job("billing/slow"), stored_job(), script=[gate], max_in_flight=1)
        await house.due("billing/slow", NAME)
        house.term = 2
        gate.open()
        assert {run.key.api: run.outcome for run in await house.record()}["nightly"] is Outcome.MISSED

    async def test_no_further_attempt_is_made(self):
        policy = RetryPolicy(limit=3, initial_delay=SECOND)
        house = Leader(stored_job(retry=policy), script=[FAILED])
        await house.due()
        house.term = None
        (run,) = await house.record(advance=10)
        assert run.outcome is Outcome.FAILED
        assert run.reason == "status 503, expected 2xx; not tried again: this process lost the lead"
        assert len(house.caller.requests) == 1

    async def test_a_manual_run_goes_on(self):
        policy = RetryPolicy(limit=1, initial_delay=SECOND)
        house = Leader(stored_job(retry=policy), script=[FAILED, Reply(status=200)])
        await house.runner.trigger(KEY, Overrides())
        house.term = None
        (run,) = await house.record(advance=10)
        assert run.outcome is Outcome.SUCCEEDED

    async def test_a_lead_that_is_lost_before_the_claim_leaves_the_slot_to_be_found(self):
        house = Leader()
        house.clock.due(NAME)
        house.term = None
        assert await house.record() == []
        assert house.mark == START - MS

    async def test_a_lead_that_is_lost_while_the_claim_is_under_way_sends_nothing_until_it_is_known_again(self):
        house = Leader(stored_job(catch_up="all"))
        good = house.store.claim

        async def claim(batch, **term):
            found = await good(batch, **term)
            house.term = None
            return found

        house.store.claim = claim
        await house.due()
        house.store.claim = good
        await house.clock.advance(5)
        assert house.caller.requests == []
        house.term = 1
        await house.clock.advance(5)
        assert len(house.caller.requests) == 1

    async def test_and_is_missed_where_another_process_leads_by_then(self):
        clock = FakeClock()
        store = MemoryStore(clock)
        old = Leader(store=store, clock=clock, owner="old")
        await old.take_the_lead()
        await clock.advance(SPAN)
        store.lose_answers = 1
        old.clock.due(NAME)
        await settle()
        old.term = None
        new = Leader(store=store, clock=clock, owner="new")
        await new.take_the_lead()
        (run,) = await old.record(advance=5)
        assert (run.owner, run.outcome, run.reason) == ("old", Outcome.MISSED, LOST)
        assert (old.caller.requests, old.told) == ([], [])

    async def test_a_run_that_is_adopted_or_settled_is_written_with_the_new_term(self):
        house = Leader(term=7)
        old = runs.claim_of(stored_job(), START, Cause.SCHEDULE, "gone", START, term=3)
        other = runs.claim_of(stored_job(), START - MINUTE, Cause.SCHEDULE, "gone", START, term=3)
        house.store.seed(old, other)
        house.runner.resume(stored_job(), old)
        house.runner.conclude(other, Outcome.UNKNOWN, "gone")
        found = await house.record()
        assert [(run.outcome, run.term) for run in found] == [(Outcome.UNKNOWN, 7), (Outcome.SUCCEEDED, 7)]
        assert [run.owner for run in found] == ["gone", "me"]

    async def test_a_run_whose_end_came_meanwhile_is_not_sent_again(self):
        house = Leader(term=7)
        old = runs.claim_of(stored_job(), START, Cause.SCHEDULE, "slow", START, term=3)
        house.store.seed(runs.ended(old, Outcome.SUCCEEDED, "", START))
        house.runner.resume(stored_job(), old)
        ((_, outcome),) = await house.outcomes()
        assert (outcome, house.caller.requests, house.runner.is_busy(KEY)) == ("succeeded", [], False)

    async def test_a_store_that_is_away_means_that_it_is_adopted_later(self):
        house = Leader(term=7)
        old = runs.claim_of(stored_job(), START, Cause.SCHEDULE, "gone", START, term=3)
        house.store.seed(old)
        house.store.away = True
        house.runner.resume(stored_job(), old)
        await settle()
        house.store.away = False
        assert (house.caller.requests, house.runner.knows(old.id)) == ([], False)


class TestMark:
    async def test_is_now_where_nothing_is_owed(self):
        house = Leader()
        await house.due()
        await house.record(advance=5)
        assert house.mark == START + 5 * SECOND

    async def test_stays_before_a_claim_that_is_not_decided(self):
        house = Leader()
        house.clock.due(NAME)
        assert house.mark == START - MS
        await settle()
        assert house.mark == START

    async def test_stays_before_a_slot_whose_jitter_is_to_come(self):
        jitter = timedelta(minutes=10)
        house = Leader(stored_job(jitter=jitter, since=START - MINUTE))
        await house.due()
        await house.clock.advance(spread(jitter, NAME) - SECOND)
        assert house.mark == START - MS
        await house.clock.advance(2)
        assert house.mark == house.clock.now()

    async def test_stays_before_what_waits_to_be_caught_up(self):
        gate = Gate()
        house = Leader(stored_job(catch_up="all"), script=[gate], clock=FakeClock(START + 3 * MINUTE + 20 * SECOND))
        await house.look(START)
        assert house.mark == START + 2 * MINUTE - MS
        gate.open()
        await settle()
        assert house.mark == house.clock.now()

    async def test_stays_before_a_slot_that_the_clock_has_not_handed_in_yet(self):
        house = Leader()
        house.clock.handed_until = lambda: START - MINUTE
        assert house.mark == START - MINUTE

    async def test_stays_before_slots_that_are_dropped_while_the_store_is_away(self):
        house = Leader()
        house.store.away = True
        await house.due()
        await house.clock.advance(MINUTE)
        await house.due()
        assert house.mark == START - MS

    async def test_is_held_where_a_slot_cannot_be_taken_over(self):
        house = Leader()
        house.jobs = None
        house.runner._admission._names._jobs = lambda _key: 1 / 0
        with pytest.raises(ZeroDivisionError):
            house.runner.on_due(START, [KEY])
        assert house.mark == START - MS


class TestStoreAway:
    async def test_only_the_batch_under_way_waits_and_the_rest_is_found_again(self):
        jobs = [stored_job(f"billing/job{number}", since=START - MINUTE) for number in range(500)]
        house = Leader(*jobs)
        keeping = house.keep()
        house.store.away = True
        names = [str(job.key) for job in jobs]
        for number in range(30):
            await house.due(*names, at=START + number * MINUTE)
            await house.clock.advance(MINUTE)
        assert len(list(house.runner._admission.claims)) == 64
        assert len(house.runner._roster.all()) == 64
        house.store.away = False
        found = await house.record(advance=20)
        assert len(found) == 500 * 31
        newest = [run for run in found if run.slot == START + 30 * MINUTE]
        assert {run.outcome for run in newest} == {Outcome.SUCCEEDED}
        assert {run.outcome for run in found if run.slot < START + 30 * MINUTE} == {Outcome.MISSED}
        assert len(house.caller.requests) == 500
        keeping.cancel()

    async def test_a_short_absence_loses_nothing(self):
        house = Leader(*(stored_job(f"billing/job{number}", since=START - MINUTE) for number in range(200)))
        keeping = house.keep()
        house.store.away = True
        await house.due(*(str(key) for key in house.jobs))
        await house.clock.advance(4)
        house.store.away = False
        assert [outcome for _, outcome in await house.outcomes(advance=5)] == ["succeeded"] * 200
        keeping.cancel()

    @pytest.mark.parametrize(
        ("catch_up", "reason"),
        [
            ("none", "not caught up: catchUp is none"),
            ("latest", "superseded by the catch-up of 2026-03-02T09:01:00Z or later"),
        ],
    )
    async def test_a_claim_that_was_held_up_is_judged_by_the_policy_too(self, catch_up, reason):
        house = Leader(stored_job(catch_up=catch_up))
        house.store.away = True
        await house.due()
        await house.clock.advance(5 * MINUTE)
        house.store.away = False
        (run,) = await house.record(advance=3)
        assert run.outcome is Outcome.MISSED
        assert run.reason.startswith(reason)

    async def test_a_frozen_jobs_catch_up_is_not_dropped(self):
        house = Leader(*(stored_job(f"billing/job{number}") for number in range(100)))
        house.store.away = True
        house.runner.catch_up(START, list(house.jobs))
        await house.clock.advance(5)
        house.store.away = False
        assert len(await house.record(advance=5)) == 100


class TestElsewhere:
    async def test_a_run_of_another_process_is_an_overlap(self):
        house = Leader()
        house.runner.elsewhere({KEY: "x"})
        await house.due()
        (run,) = await house.record()
        assert (run.outcome, run.reason) == (Outcome.SKIPPED, "overlap: run x still runs in another process")

    async def test_not_where_overlaps_are_allowed(self):
        house = Leader(stored_job(concurrency_policy="Allow"))
        house.runner.elsewhere({KEY: "x"})
        await house.due()
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]

    async def test_what_is_caught_up_waits_for_it(self):
        house = Leader(stored_job(catch_up="all"), clock=FakeClock(START + MINUTE + 20 * SECOND))
        house.runner.elsewhere({KEY: "x"})
        await house.look(START)
        assert house.caller.requests == []
        house.runner.elsewhere({})
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]

    async def test_a_trigger_asks_the_store(self):
        house = Leader(term=None)
        other = runs.claim_of(stored_job(), START, Cause.SCHEDULE, "another", START)
        house.store.seed(other)
        run = await house.runner.trigger(KEY, Overrides())
        assert (run.outcome, run.reason) == (
            Outcome.SKIPPED,
            f"overlap: run {other.id} still runs in another process",
        )
        assert not house.runner.is_busy(KEY)

    async def test_but_not_where_overlaps_are_allowed(self):
        house = Leader(stored_job(concurrency_policy="Allow"), term=None)
        house.store.seed(runs.claim_of(stored_job(), START, Cause.SCHEDULE, "another", START))
        assert (await house.runner.trigger(KEY, Overrides())).outcome is Outcome.RUNNING


class TestReplaceAcrossProcesses:
    """What another process runs cannot be cancelled from here, and two calls at once are never made."""

    REASON = "overlap: run x still runs in another process, which cannot be replaced from here"

    async def test_a_slot_is_skipped_and_the_reason_says_why(self):
        house = Leader(stored_job(concurrency_policy="Replace"))
        house.runner.elsewhere({KEY: "x"})
        await house.due()
        (run,) = await house.record()
        assert (run.outcome, run.reason) == (Outcome.SKIPPED, self.REASON)
        assert house.caller.requests == []

    async def test_once_the_other_run_has_ended_the_next_slot_runs(self):
        house = Leader(stored_job(concurrency_policy="Replace"))
        house.runner.elsewhere({KEY: "x"})
        house.runner.elsewhere({})
        await house.due()
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]

    async def test_a_trigger_asks_the_store(self):
        house = Leader(stored_job(concurrency_policy="Replace"), term=None)
        other = runs.claim_of(stored_job(), START, Cause.SCHEDULE, "another", START)
        house.store.seed(other)
        run = await house.runner.trigger(KEY, Overrides())
        assert (run.outcome, run.reason) == (Outcome.SKIPPED, self.REASON.replace("run x", f"run {other.id}"))
        assert house.caller.requests == []

    async def test_a_trigger_of_this_process_is_replaced_as_ever(self):
        house = Leader(stored_job(concurrency_policy="Replace"), script=[Gate(), Reply(status=200)], term=None)
        first = await house.runner.trigger(KEY, Overrides())
        await settle()
        await house.clock.advance(1)
        second = await house.runner.trigger(KEY, Overrides())
        found = await house.record()
        assert [run.outcome for run in found] == [Outcome.FAILED, Outcome.SUCCEEDED]
        assert (found[0].id, found[0].reason) == (first.id, f"replaced by run {second.id}")

    async def test_what_is_caught_up_waits_for_it(self):
        job = stored_job(catch_up="all", concurrency_policy="Replace")
        house = Leader(job, clock=FakeClock(START + MINUTE + 20 * SECOND))
        house.runner.elsewhere({KEY: "x"})
        await house.look(START)
        assert house.caller.requests == []
        house.runner.elsewhere({})
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]

    async def test_an_abandoned_run_is_not_sent_again_beside_it(self):
        house = Leader(stored_job(concurrency_policy="Replace"))
        house.runner.elsewhere({KEY: "x"})
        assert house.runner.is_busy(KEY)
        house.runner.elsewhere({})
        assert not house.runner.is_busy(KEY)


class TestCatchingUpBesideSlots:
    async def test_a_slot_that_comes_meanwhile_overlaps(self):
        gate = Gate()
        house = Leader(stored_job(catch_up="all"), script=[gate], clock=FakeClock(START + 2 * MINUTE + 50 * SECOND))
        await house.look(START)
        await house.clock.advance(10)
        await house.due()
        gate.open()
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded", "succeeded", "skipped"]

    async def test_replace_replaces_what_is_caught_up_and_the_next_goes_on(self):
        house = Leader(
            stored_job(catch_up="all", concurrency_policy="Replace"),
            script=[Gate(), Reply(status=200)],
            clock=FakeClock(START + 2 * MINUTE + 50 * SECOND),
        )
        await house.look(START)
        await house.clock.advance(10)
        await house.due()
        found = await house.record()
        assert [run.outcome.value for run in found] == ["failed", "succeeded", "succeeded"]
        assert found[0].reason == f"replaced by run {found[2].id}"

    async def test_a_job_that_is_gone_meanwhile_is_called_no_more(self):
        gate = Gate()
        house = Leader(stored_job(catch_up="all"), script=[gate], clock=FakeClock(START + 3 * MINUTE + 20 * SECOND))
        await house.look(START)
        house.jobs.clear()
        gate.open()
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]
        assert house.mark < START + 2 * MINUTE  # what became of the others is still to be recorded
        await house.arrears.step()
        assert house.mark == house.clock.now()


class TestHandingOver:
    async def test_leaves_what_is_not_claimed_to_the_successor(self):
        jitter = timedelta(hours=1)
        house = Leader(stored_job(), stored_job("a/jittered", jitter=jitter))
        await house.due("a/jittered")
        house.clock.due(NAME)
        house.runner._close()
        await finished(house.clock, house.runner.hand_over())
        assert house.store.stored_runs == {}
        assert house.mark == START - MS
        await finished(house.clock, house.runner.drain(SECOND))
        assert await house.record() == []

    async def test_calls_in_flight_go_on(self):
        gate = Gate()
        house = Leader(script=[gate])
        await house.due()
        await finished(house.clock, house.runner.hand_over())
        assert house.clock.now() < START + SECOND
        house.term = None
        gate.open()
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]

    async def test_what_was_claimed_and_not_begun_is_given_back(self):
        gate = Gate()
        house = Leader(stored_job(), stored_job("billing/other"), script=[gate], max_in_flight=1)
        await house.due(NAME, "billing/other")
        assert len(house.store.stored_runs) == 2
        await finished(house.clock, house.runner.hand_over())
        assert [str(run.key) for run in house.store.stored_runs.values()] == [NAME]
        assert house.mark == START - MS
        gate.open()
        await finished(house.clock, house.runner.drain(SECOND))
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]
        assert len(house.caller.requests) == 1

    async def test_what_cannot_be_given_back_has_a_record_all_the_same(self):
        gate = Gate()
        house = Leader(stored_job(), stored_job("billing/other"), script=[gate], max_in_flight=1)
        await house.due(NAME, "billing/other")
        house.store.away = True
        await finished(house.clock, house.runner.hand_over(), within=2)
        house.store.away = False
        gate.open()
        await finished(house.clock, house.runner.drain(SECOND))
        assert sorted(outcome for _, outcome in await house.outcomes()) == ["missed", "succeeded"]

    async def test_what_a_person_asked_for_is_not_given_back_for_nobody_would_find_it(self):
        gate = Gate()
        house = Leader(stored_job(), stored_job("billing/other"), script=[gate], max_in_flight=1)
        await house.due()
        run = await house.runner.trigger(JobKey.parse("billing/other"), Overrides())
        await finished(house.clock, house.runner.hand_over())
        gate.open()
        await finished(house.clock, house.runner.drain(SECOND))
        await house.record()
        assert house.store.stored_runs[run.id].outcome is Outcome.MISSED

    async def test_a_slot_that_comes_afterwards_is_the_successors(self):
        house = Leader()
        await finished(house.clock, house.runner.hand_over())
        await house.clock.advance(MINUTE)
        await house.due()
        assert (await house.record(), house.mark) == ([], START + MINUTE - MS)

    async def test_the_successor_makes_up_for_it(self):
        clock = FakeClock()
        store = MemoryStore(clock)
        every = stored_job(schedule=Schedule(declared="", cron="* * * * *"))
        old, new = (Leader(every, store=store, clock=clock, owner=owner, term=None) for owner in ("old", "new"))
        keeping = new.keep()
        await old.take_the_lead()
        await clock.advance(MINUTE)
        await finished(clock, old.runner.hand_over())
        old.runner.on_due(START + MINUTE, [KEY])
        await store.resign("old", old.mark)
        old.term = None
        await new.take_the_lead()
        assert await new.outcomes() == [(START + MINUTE, "succeeded")]
        assert (len(old.caller.requests), len(new.caller.requests)) == (0, 1)
        keeping.cancel()

    async def test_a_store_that_is_away_does_not_hold_it_up(self):
        house = Leader()
        house.store.away = True
        await house.due()
        await finished(house.clock, house.runner.hand_over(), within=2)
        assert house.mark == START - MS
        with pytest.raises(StoreUnavailableError):
            await house.runner.trigger(KEY, Overrides())


class TestChained:
    async def test_a_run_follows_another(self):
        after = stored_job("billing/after")
        house = Leader(after)
        first = runs.ended(
            runs.claim_of(stored_job(), START, Cause.SCHEDULE, "me", START), Outcome.SUCCEEDED, "", START + SECOND
        )
        await house.clock.advance(1)
        house.runner.chained(after, first)
        house.runner.chained(after, first)
        (run,) = await house.record()
        assert (run.cause, run.slot, run.upstream, run.correlation) == (
            Cause.AFTER,
            START + SECOND,
            first.id,
            first.id,
        )
        assert (run.outcome, len(house.caller.requests)) == (Outcome.SUCCEEDED, 1)

    async def test_with_its_own_jitter(self):
        jitter = timedelta(minutes=5)
        after = stored_job("billing/after", jitter=jitter)
        house = Leader(after)
        first = runs.ended(
            runs.claim_of(stored_job(), START, Cause.SCHEDULE, "me", START), Outcome.SUCCEEDED, "", START
        )
        house.runner.chained(after, first)
        (run,) = await house.record(advance=jitter + SECOND)
        assert run.started_at == START + spread(jitter, "billing/after")
        assert run.upstream == first.id

    @pytest.mark.parametrize("changes", [{"suspend": True}, {}])
    async def test_nothing_follows_for_who_is_suspended_or_does_not_lead(self, changes):
        after = stored_job("billing/after", **changes)
        house = Leader(after, term=1 if changes else None)
        first = runs.claim_of(stored_job(), START, Cause.SCHEDULE, "me", START)
        house.runner.chained(after, runs.ended(first, Outcome.SUCCEEDED, "", START))
        house.runner.chained(after, first)
        assert await house.record() == []


async def test_claims_and_results_of_ten_thousand_runs_take_forty_round_trips_at_most():
    """A fenced batch of claims is two round trips, a batch of results is one."""
    house = Leader(*(stored_job(f"app{number % 10}/job{number}") for number in range(10_000)))
    await house.due(*(str(key) for key in house.jobs))
    for _ in range(100):
        await asyncio.sleep(0)
    await house.clock.advance(5)
    assert {run.outcome for run in house.store.stored_runs.values()} == {Outcome.SUCCEEDED}
    assert len(house.store.stored_runs) == 10_000
    calls = house.store.calls
    assert 2 * calls["claim"] + calls["finish"] <= 40
    assert set(calls) == {"claim", "finish"}


async def test_a_day_without_the_database_fills_no_memory():
    house = Leader(*(stored_job(f"app/job{number}") for number in range(300)))
    keeping = house.keep()
    house.store.away = True
    names = [str(key) for key in house.jobs]
    sizes = set()
    for number in range(1440):
        house.clock._now = START + number * MINUTE
        house.runner.on_due(house.clock.now(), [JobKey.parse(name) for name in names])
        await asyncio.sleep(0)
        sizes.add(len(list(house.runner._admission.claims)) + len(house.runner._roster.all()))
    assert max(sizes) <= 2 * 300
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
