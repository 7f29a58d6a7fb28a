"""What is kept and what goes: old runs, tokens, processes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from reconciler.core.model import JobKey, Outcome, RunQuery
from tests.contract.samples import claim_of, ended, process_of
from tests.fakes import START

LONG_AGO = START - timedelta(days=3650)
DAY = timedelta(days=1)


async def _kept(store) -> set[str]:
    return {run.id for run in await store.runs(RunQuery(limit=10_000))}


async def test_ended_runs_older_than_the_bound_go(store):
    runs = [ended(claim_of(slot=START + day * DAY)) for day in range(5)]
    await store.claim(runs)
    assert await store.expire(before=START + 2 * DAY, keep_per_job=1000) == 2
    assert await _kept(store) == {run.id for run in runs[2:]}


async def test_ended_runs_beyond_the_newest_of_their_job_go(store):
    crowded = [ended(claim_of("a/crowded", START + minute * DAY)) for minute in range(6)]
    calm = [ended(claim_of("a/calm", START + minute * DAY)) for minute in range(3)]
    await store.claim(crowded + calm)
    assert await store.expire(before=LONG_AGO, keep_per_job=4) == 2
    assert await _kept(store) == {run.id for run in crowded[2:] + calm}


async def test_age_and_number_count_each_run_once(store):
    runs = [ended(claim_of(slot=START + day * DAY)) for day in range(10)]
    await store.claim(runs)
    assert await store.expire(before=START + 3 * DAY, keep_per_job=4) == 6
    assert await _kept(store) == {run.id for run in runs[6:]}
    assert await store.expire(before=START + 3 * DAY, keep_per_job=4) == 0


async def test_the_newest_run_of_each_job_stays_however_old(store):
    runs = [ended(claim_of(name, START + day * DAY)) for name in ("a/x", "b/y") for day in range(3)]
    await store.claim(runs)
    assert await store.expire(before=START + 100 * DAY, keep_per_job=1) == 4
    assert await _kept(store) == {runs[2].id, runs[5].id}
    assert set(await store.last_runs()) == {JobKey("a", "x"), JobKey("b", "y")}


async def test_runs_that_have_not_ended_stay(store):
    runs = [claim_of(slot=START + day * DAY) for day in range(5)]
    await store.claim(runs)
    assert await store.expire(before=START + 100 * DAY, keep_per_job=1) == 0
    assert list(await store.unfinished()) == runs


async def test_a_great_many_runs_go_at_once(store):
    runs = [
        ended(claim_of(f"a/{name}", START + minute * timedelta(minutes=1)), latency_ms=None)
        for minute in range(300)
        for name in range(10)
    ]
    await store.claim(runs)
    assert await store.expire(before=START + timedelta(minutes=250), keep_per_job=1000) == 2500
    assert len(await _kept(store)) == 500


async def test_expiring_an_empty_store_is_allowed(store):
    assert await store.expire(before=START, keep_per_job=1) == 0


async def test_old_tokens_go_and_their_words_are_free_again(store):
    await store.remember("old", "f1", "r1", START)
    await store.remember("new", "f1", "r1", START + DAY)
    await store.expire(before=START + DAY, keep_per_job=1)
    assert await store.remember("old", "f2", "r2", START + DAY) == ("f2", "r2")
    assert await store.remember("new", "f2", "r2", START + DAY) == ("f1", "r1")


async def test_processes_that_have_shown_no_life_since_go(store):
    await store.beat(process_of("old", START))
    await store.beat(process_of("new", START + DAY))
    await store.expire(before=START + DAY, keep_per_job=1)
    assert list(await store.processes()) == [process_of("new", START + DAY)]


async def test_the_first_to_remember_a_token_decides_what_stands(store):
    assert await store.remember("$a.b ☃", "f1", "r1", START) == ("f1", "r1")
    assert await store.remember("$a.b ☃", "f2", "r2", START) == ("f1", "r1")
    assert await store.remember("other", "f2", "r2", START) == ("f2", "r2")


async def test_of_many_that_remember_one_token_at_once_all_hear_the_same(another):
    here, there = await another(), await another()
    answers = await asyncio.gather(
        *(store.remember("once", f"f{i}", f"r{i}", START) for i in range(20) for store in (here, there))
    )
    assert len(set(answers)) == 1
    assert answers[0] == await here.remember("once", "late", "late", START)


async def test_a_process_is_known_until_it_says_farewell(store):
    await store.beat(process_of("one"))
    assert list(await store.processes()) == [process_of("one")]
    await store.farewell("one")
    await store.farewell("one")
    assert list(await store.processes()) == []


async def test_a_beat_replaces_the_one_before(store):
    await store.beat(process_of("one", START))
    await store.beat(process_of("one", START + DAY))
    assert list(await store.processes()) == [process_of("one", START + DAY)]


async def test_processes_come_with_the_latest_sign_of_life_first(store):
    for name, minute in (("b", 2), ("a", 3), ("c", 1)):
        await store.beat(process_of(name, START + timedelta(minutes=minute)))
    assert [process.id for process in await store.processes()] == ["a", "b", "c"]


async def test_expiring_never_takes_a_run_from_another_that_claims_meanwhile(another):
    here, there = await another(), await another()
    old = [ended(claim_of(f"a/{i}", START + day * DAY)) for i in range(100) for day in range(3)]
    await here.claim(old)
    fresh = [claim_of(f"a/{i}", START + 9 * DAY) for i in range(100)]
    gone, won = await asyncio.gather(here.expire(before=START + 2 * DAY, keep_per_job=5), there.claim(fresh))
    assert won == {run.id for run in fresh}
    assert {run.id for run in await here.unfinished()} == won
    assert gone >= 200
    assert all(run.outcome is not Outcome.RUNNING or run.id in won for run in await here.runs(RunQuery(limit=1000)))
