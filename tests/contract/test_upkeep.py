"""What is kept and what goes: old runs, tokens, processes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import JobKey, Outcome, Retention, Run, RunQuery
from tests.contract.samples import claim_of, ended, process_of
from tests.fakes import START

DAY = timedelta(days=1)


async def _kept(store) -> set[str]:
    return {run.id for run in await store.runs(RunQuery(limit=10_000))}


def _keep(**changes) -> Retention:
    """For ever and all of them, but for what is said."""
    return replace(
        Retention(keep_for=100 * 365 * DAY, keep_failures_for=100 * 365 * DAY, keep_per_job=10_000), **changes
    )


async def _expire(store, now=START, applications=None, **changes) -> int:
    return await store.expire(now=now, retention=_keep(**changes), applications=applications or {})


def _days(count: int, job: str = "billing/nightly", outcome: Outcome = Outcome.SUCCEEDED, first: int = 0) -> list[Run]:
    """One ended run each day from START on."""
    return [ended(claim_of(job, START + day * DAY), outcome) for day in range(first, first + count)]


async def test_ended_runs_older_than_they_are_kept_go(store):
    runs = _days(5)
    await store.claim(runs)
    assert await _expire(store, START + 9 * DAY, keep_for=7 * DAY) == 2
    assert await _kept(store) == {run.id for run in runs[2:]}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN])
async def test_what_failed_is_kept_longer(store, outcome):
    failed, skipped = _days(4, outcome=outcome), _days(4, "a/skipped", Outcome.SKIPPED)
    await store.claim(failed + skipped)
    assert await _expire(store, START + 9 * DAY, keep_for=1 * DAY, keep_failures_for=7 * DAY) == 2 + 3
    assert await _kept(store) == {run.id for run in [*failed[2:], skipped[3]]}


async def test_failures_may_also_be_kept_for_less_long(store):
    failed, good = _days(4, outcome=Outcome.FAILED), _days(4, "a/good")
    await store.claim(failed + good)
    assert await _expire(store, START + 9 * DAY, keep_failures_for=8 * DAY) == 1
    assert await _kept(store) == {run.id for run in failed[1:] + good}


async def test_ended_runs_beyond_the_newest_of_their_job_go(store):
    crowded, calm = _days(6, "a/crowded"), _days(3, "a/calm")
    await store.claim(crowded + calm)
    assert await _expire(store, keep_per_job=4) == 2
    assert await _kept(store) == {run.id for run in crowded[2:] + calm}


async def test_of_too_many_what_did_not_fail_goes_first(store):
    failed, good = _days(3, outcome=Outcome.FAILED), _days(3, first=3)
    await store.claim(failed + good)
    assert await _expire(store, keep_per_job=4) == 2
    assert await _kept(store) == {run.id for run in [*failed, good[2]]}


async def test_of_too_many_failures_the_oldest_go_and_the_newest_run_stays(store):
    failed, good = _days(6, outcome=Outcome.MISSED), _days(3, first=6)
    await store.claim(failed + good)
    assert await _expire(store, keep_per_job=4) == 5
    assert await _kept(store) == {run.id for run in [*failed[3:], good[2]]}


async def test_age_and_number_count_each_run_once(store):
    runs = _days(10)
    await store.claim(runs)
    for expected in (6, 0):
        assert await _expire(store, START + 9 * DAY, keep_for=6 * DAY, keep_per_job=4) == expected
        assert await _kept(store) == {run.id for run in runs[6:]}


async def test_an_application_keeps_its_own_runs_as_it_declares(store):
    theirs, ours, third = (_days(6, f"{name}/x") for name in ("theirs", "ours", "third"))
    failed = _days(6, "theirs/y", Outcome.FAILED)
    await store.claim(theirs + ours + third + failed)
    declared = {
        "theirs": _keep(keep_for=20 * DAY, keep_failures_for=7 * DAY),
        "third": _keep(keep_per_job=5),
        "nobody": _keep(keep_per_job=1),
    }
    gone = await _expire(store, START + 10 * DAY, declared, keep_for=8 * DAY, keep_per_job=3)
    assert gone == 3 + 1 + 3
    assert await _kept(store) == {run.id for run in [*theirs, *ours[3:], *third[1:], *failed[3:]]}


async def test_the_newest_run_of_each_job_stays_however_old_and_whatever_it_is(store):
    runs = _days(3, "a/x") + _days(3, "b/y", Outcome.FAILED)
    await store.claim(runs)
    for span in (DAY, 0 * DAY):
        await _expire(store, START + 100 * DAY, keep_for=span, keep_failures_for=span, keep_per_job=1)
        assert await _kept(store) == {runs[2].id, runs[5].id}
    assert set(await store.last_runs()) == {JobKey("a", "x"), JobKey("b", "y")}


async def test_runs_that_have_not_ended_stay(store):
    runs = [claim_of(slot=START + day * DAY) for day in range(5)]
    await store.claim(runs)
    assert await _expire(store, START + 100 * DAY, keep_for=DAY, keep_per_job=1) == 0
    assert list(await store.unfinished()) == runs


async def test_a_great_many_runs_go_at_once(store):
    runs = [
        ended(claim_of(f"a/{name}", START + minute * timedelta(minutes=1)), latency_ms=None)
        for minute in range(300)
        for name in range(10)
    ]
    await store.claim(runs)
    now = START + timedelta(minutes=250) + DAY
    assert await _expire(store, now, keep_for=DAY) == 2500
    assert await _expire(store, now, keep_per_job=20) == 300
    assert len(await _kept(store)) == 200


async def test_expiring_an_empty_store_is_allowed(store):
    assert await _expire(store) == 0


async def test_old_tokens_go_and_their_words_are_free_again(store):
    await store.remember("old", "f1", "r1", START)
    await store.remember("new", "f1", "r1", START + DAY)
    await _expire(store, START + 8 * DAY, keep_failures_for=7 * DAY)
    assert await store.remember("old", "f2", "r2", START + DAY) == ("f2", "r2")
    assert await store.remember("new", "f2", "r2", START + DAY) == ("f1", "r1")


async def test_processes_that_have_shown_no_life_since_go(store):
    await store.beat(process_of("old", START))
    await store.beat(process_of("new", START + DAY))
    await _expire(store, START + 8 * DAY, keep_failures_for=7 * DAY)
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
    gone, won = await asyncio.gather(_expire(here, START + 3 * DAY, keep_for=DAY, keep_per_job=5), there.claim(fresh))
    assert won == {run.id for run in fresh}
    assert {run.id for run in await here.unfinished()} == won
    assert gone >= 200
    assert all(run.outcome is not Outcome.RUNNING or run.id in won for run in await here.runs(RunQuery(limit=1000)))
