"""Claiming and finishing runs: what keeps two processes from calling twice."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Cause, Outcome
from tests.contract.samples import claim_of, ended
from tests.fakes import START

LATER = START + timedelta(seconds=1)


def _claims(owner: str, count: int) -> list:
    return [claim_of(f"app/job-{i:03}", owner=owner) for i in range(count)]


async def test_claiming_returns_the_ids_and_stores_the_runs(store):
    runs = _claims("here", 3)
    assert await store.claim(runs) == {run.id for run in runs}
    assert [await store.run(run.id) for run in runs] == runs


async def test_claiming_nothing_is_allowed(store):
    assert await store.claim([]) == frozenset()
    await store.finish([])


async def test_a_slot_that_another_process_has_claimed_is_not_ours(store):
    theirs = claim_of(owner="there")
    await store.claim([theirs])
    assert await store.claim([claim_of(owner="here")]) == frozenset()
    assert await store.run(theirs.id) == theirs


async def test_in_a_mixed_batch_exactly_the_free_slots_are_ours(store):
    await store.claim(_claims("there", 10)[::3])
    mine = _claims("here", 10)
    won = await store.claim(mine)
    assert won == {run.id for place, run in enumerate(mine) if place % 3}
    assert {run.id for run in await store.unfinished() if run.owner == "here"} == won


async def test_our_own_claim_repeated_after_a_lost_answer_is_ours(store):
    runs = _claims("here", 3)
    await store.claim(runs[:2])
    assert await store.claim(runs) == {run.id for run in runs}
    assert len(await store.unfinished()) == 3


@pytest.mark.parametrize("change", [{"claimed_at": LATER}, {"owner": "there"}])
async def test_a_claim_of_another_moment_or_owner_is_not_our_own(store, change):
    run = claim_of()
    await store.claim([run])
    assert await store.claim([replace(run, **change)]) == frozenset()
    assert await store.run(run.id) == run


async def test_one_slot_twice_in_a_batch_is_claimed_once(store):
    run = claim_of()
    assert await store.claim([run, run]) == {run.id}
    assert list(await store.unfinished()) == [run]


async def test_runs_that_have_ended_already_are_recorded_by_the_same_verb(store):
    skipped = ended(claim_of("a/skipped"), Outcome.SKIPPED, latency_ms=None)
    missed = ended(claim_of("a/missed"), Outcome.MISSED, latency_ms=None)
    assert await store.claim([skipped, missed]) == {skipped.id, missed.id}
    assert await store.run(skipped.id) == skipped
    assert await store.run(missed.id) == missed
    assert list(await store.unfinished()) == []


async def test_a_finished_run_comes_back_as_it_was_with_every_attempt_and_odd_characters(store):
    runs = _claims("here", 2)
    await store.claim(runs)
    done = [ended(runs[0]), ended(runs[1], Outcome.FAILED, latency_ms=30_000.125)]
    await store.finish(done)
    assert [await store.run(run.id) for run in runs] == done
    assert list(await store.unfinished()) == []


async def test_a_run_that_has_ended_is_never_overwritten(store):
    run = claim_of()
    await store.claim([run])
    unknown = ended(run, Outcome.UNKNOWN, latency_ms=None)
    await store.finish([unknown])
    await store.finish([ended(run)])
    assert await store.run(run.id) == unknown


async def test_finishing_twice_is_finishing_once(store):
    run = claim_of()
    await store.claim([run])
    await store.finish([ended(run)])
    await store.finish([ended(run)])
    assert await store.run(run.id) == ended(run)


async def test_one_that_has_ended_does_not_hold_up_the_others_of_its_batch(store):
    first, second = _claims("here", 2)
    await store.claim([first, second])
    await store.finish([ended(first, Outcome.UNKNOWN)])
    await store.finish([ended(first), ended(second)])
    assert await store.run(first.id) == ended(first, Outcome.UNKNOWN)
    assert await store.run(second.id) == ended(second)


async def test_a_run_that_was_never_claimed_is_not_made_by_finishing(store):
    await store.finish([ended(claim_of())])
    assert await store.run(claim_of().id) is None


async def test_a_claim_after_the_end_does_not_bring_the_run_back(store):
    run = claim_of(owner="there")
    await store.claim([run])
    await store.finish([ended(run)])
    assert await store.claim([claim_of(owner="here")]) == frozenset()
    assert await store.run(run.id) == ended(run)


async def test_unfinished_runs_come_oldest_first_and_only_they(store):
    late, early = claim_of(slot=LATER), claim_of()
    done = claim_of("a/done")
    await store.claim([late, done, early])
    await store.finish([ended(done)])
    assert list(await store.unfinished()) == [early, late]


async def test_one_owners_unfinished_runs_can_be_left_out(store):
    mine, theirs = claim_of("a/mine", owner="here"), claim_of("a/theirs", owner="there")
    await store.claim([mine, theirs])
    assert list(await store.unfinished(but_not_of="here")) == [theirs]


async def test_a_manual_run_of_a_slot_is_another_run(store):
    manual = claim_of(cause=Cause.MANUAL, nonce="once")
    assert await store.claim([claim_of(), manual]) == {claim_of().id, manual.id}
    assert await store.run(manual.id) == manual


async def test_a_run_that_nobody_made_is_not_found(store):
    assert await store.run("00000000-0000-8000-8000-000000000000") is None


async def test_ten_thousand_runs_are_claimed_claimed_again_and_finished_in_seconds(store):
    runs = [claim_of(f"app-{i % 50}/job-{i}") for i in range(10_000)]
    began = time.perf_counter()
    assert len(await store.claim(runs)) == 10_000
    assert len(await store.claim(runs)) == 10_000
    await store.finish([ended(run) for run in runs])
    assert time.perf_counter() - began < 60  # by far less, but on a machine that does much else
    assert list(await store.unfinished()) == []


async def test_of_two_processes_that_claim_the_same_runs_at_once_each_run_goes_to_exactly_one(another):
    here, there = await another(), await another()
    mine, theirs = _claims("here", 200), _claims("there", 200)
    batches = [slice(start, start + 20) for start in range(0, 200, 20)]
    answers = await asyncio.gather(
        *(here.claim(mine[batch]) for batch in batches), *(there.claim(theirs[batch]) for batch in reversed(batches))
    )
    won_here, won_there = (frozenset().union(*half) for half in (answers[:10], answers[10:]))
    assert won_here.isdisjoint(won_there)
    assert won_here | won_there == {run.id for run in mine}
    owners = {run.id: run.owner for run in await here.unfinished()}
    assert owners == dict.fromkeys(won_here, "here") | dict.fromkeys(won_there, "there")


async def test_of_two_processes_that_finish_a_run_at_once_one_is_recorded(another):
    here, there = await another(), await another()
    runs = _claims("here", 50)
    await here.claim(runs)
    mine, theirs = [ended(run) for run in runs], [ended(run, Outcome.UNKNOWN) for run in runs]
    await asyncio.gather(here.finish(mine), there.finish(theirs))
    for run in runs:
        assert await here.run(run.id) in (ended(run), ended(run, Outcome.UNKNOWN))
    assert list(await there.unfinished()) == []


async def test_a_claim_that_is_released_can_be_made_anew(store):
    first, second = claim_of("billing/nightly"), claim_of("billing/other")
    await store.claim([first, second])
    await store.release([first])
    assert await store.run(first.id) is None
    assert await store.run(second.id) == second
    again = replace(first, owner="somebody else")
    assert await store.claim([again]) == {first.id}


async def test_only_ones_own_open_claim_is_released(store):
    mine, over = claim_of("billing/nightly"), claim_of("billing/other")
    await store.claim([mine, over])
    await store.finish([ended(over)])
    await store.release(
        [replace(mine, owner="somebody else"), replace(mine, claimed_at=mine.claimed_at + timedelta(seconds=1)), over]
    )
    assert await store.run(mine.id) == mine
    assert await store.run(over.id) == ended(over)
    await store.release([])
