"""Jobs under another name: their runs and their pauses go with them, in one way on every store."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import JobKey, Outcome, RunQuery, Tally, Writing
from tests.contract.samples import claim_of, ended, full_application, full_job, pause_of
from tests.fakes import START, stored_job

HOUR = timedelta(hours=1)
OLD, NEW, OTHER = JobKey("billing", "old"), JobKey("accounts", "new"), JobKey("billing", "other")


def _history(key: JobKey, count: int = 3) -> list:
    return [ended(claim_of(str(key), START + hour * HOUR)) for hour in range(count)]


async def _of(store, key: JobKey) -> set[str]:
    """Ids of a key's runs, by every way of asking for them."""
    found = await store.runs(RunQuery(application=key.application, api=key.api, limit=10_000))
    assert all(run.key == key for run in found)
    assert list(found) == [
        run for run in await store.runs(RunQuery(application=key.application, limit=10_000)) if run.key.api == key.api
    ]
    last = await store.last_runs([key])
    assert set(last) == ({key} if found else set())
    return {run.id for run in found}


async def test_every_run_of_the_old_key_becomes_the_new_keys_and_nothing_else_of_it_changes(store):
    mine, others = _history(OLD), _history(OTHER)
    await store.claim(mine + others)
    await store.apply(Writing(renamed={OLD: NEW}))
    assert {run.id: run for run in await store.runs(RunQuery(limit=100))} == {
        run.id: run for run in [*(replace(run, key=NEW) for run in mine), *others]
    }
    assert await _of(store, NEW) == {run.id for run in mine}
    assert await _of(store, OTHER) == {run.id for run in others}
    assert await _of(store, OLD) == set()
    assert await store.run(mine[0].id) == replace(mine[0], key=NEW)
    assert set(await store.last_runs()) == {NEW, OTHER}


async def test_runs_that_the_new_key_has_already_stay_beside_those_carried_over(store):
    before, carried = _history(NEW), _history(OLD)
    await store.claim(before + carried)
    await store.apply(Writing(renamed={OLD: NEW}))
    assert await _of(store, NEW) == {run.id for run in before + carried}


async def test_the_tally_counts_carried_runs_under_their_new_name(store):
    await store.claim(_history(OLD, 1))
    await store.apply(Writing(renamed={OLD: NEW}))
    assert list(await store.tally(RunQuery(application="accounts"))) == [Tally(START, Outcome.SUCCEEDED, 12, 1)]
    assert list(await store.tally(RunQuery(application="billing"))) == []


async def test_a_run_that_has_not_ended_is_carried_over_too_and_ends_under_the_key_it_is_given(store):
    run = claim_of(str(OLD))
    await store.claim([run])
    await store.apply(Writing(renamed={OLD: NEW}))
    assert list(await store.unfinished()) == [replace(run, key=NEW)]
    done = replace(ended(run), key=NEW)
    await store.finish([done])
    assert await store.run(run.id) == done
    assert await _of(store, NEW) == {run.id}


async def test_a_run_that_ends_under_the_old_key_keeps_the_name_that_it_was_given(store):
    run, other = claim_of(str(OLD)), claim_of(str(OTHER))
    await store.claim([run, other])
    await store.apply(Writing(renamed={OLD: NEW}))
    await store.finish([ended(run), ended(other)])
    assert await store.run(run.id) == replace(ended(run), key=NEW)
    assert await _of(store, NEW) == {run.id}
    assert await _of(store, OLD) == set()
    assert await _of(store, OTHER) == {other.id}


async def test_a_run_that_ends_between_two_tries_of_an_exchange_is_not_carried_back(store):
    here, there = claim_of(str(OLD)), claim_of(str(NEW))
    await store.claim([here, there])
    exchange = {OLD: NEW, NEW: OLD}
    jobs = [stored_job(str(key), revision="r2") for key in exchange]
    await store.apply(Writing(jobs=jobs, renamed=exchange))
    await store.finish([ended(here), replace(ended(there), key=OLD)])  # by the old name, and by the new one
    await store.apply(Writing(jobs=jobs, renamed=exchange))
    assert await store.run(here.id) == replace(ended(here), key=NEW)
    assert await store.run(there.id) == replace(ended(there), key=OLD)


async def test_a_rename_comes_with_the_rest_of_what_is_applied_and_may_be_repeated(store):
    runs = _history(OLD)
    await store.apply(Writing(jobs=[full_job(str(OLD))], applications=[full_application("billing")]))
    await store.claim(runs)
    for _ in range(2):
        await store.apply(
            Writing(
                jobs=[full_job(str(NEW))],
                removed_jobs=[OLD],
                applications=[full_application("accounts")],
                removed_applications=["billing"],
                renamed={OLD: NEW},
            )
        )
        assert [stored.key for stored in await store.jobs()] == [NEW]
        assert [state.name for state in await store.applications()] == ["accounts"]
        assert await _of(store, NEW) == {run.id for run in runs}


async def test_a_job_without_runs_may_be_renamed(store):
    await store.apply(Writing(jobs=[full_job(str(NEW))], renamed={OLD: NEW}))
    assert await _of(store, NEW) == set()


@pytest.mark.parametrize(
    "renamed",
    [{OLD: NEW, NEW: OLD}, {OLD: NEW, NEW: OTHER}, {OLD: NEW, NEW: OTHER, OTHER: OLD}, {OLD: OLD, NEW: OTHER}],
    ids=["exchanged", "moved up", "in a ring", "one to itself"],
)
async def test_names_that_are_given_up_and_taken_at_once_keep_histories_apart_also_when_repeated(store, renamed):
    histories = {key: _history(key) for key in (OLD, NEW, OTHER)}
    await store.claim([run for runs in histories.values() for run in runs])
    for key in histories:
        await store.pause(pause_of(f"{key}"))
    expected: dict[JobKey, set[str]] = {key: set() for key in histories}
    for key, runs in histories.items():
        expected[renamed.get(key, key)] |= {run.id for run in runs}
    jobs = [stored_job(str(key), revision="r2") for key in renamed.values()]
    for _ in range(3):
        await store.apply(Writing(jobs=jobs, renamed=renamed))
        assert {key: await _of(store, key) for key in histories} == expected
        assert {pause.id: pause.target for pause in await store.pauses()} == {
            f"{key}": f"{renamed.get(key, key)}" for key in histories
        }


async def test_names_may_be_exchanged_again_at_a_later_revision(store):
    here, there = _history(OLD), _history(NEW)
    await store.claim(here + there)
    exchange = {OLD: NEW, NEW: OLD}
    for revision in ("r1", "r2"):
        await store.apply(Writing(jobs=[stored_job(str(key), revision=revision) for key in exchange], renamed=exchange))
    assert await _of(store, OLD) == {run.id for run in here}
    assert await _of(store, NEW) == {run.id for run in there}


async def test_a_name_may_go_there_and_back(store):
    runs = _history(OLD)
    await store.claim(runs)
    for there in ({OLD: NEW}, {NEW: OLD}, {OLD: NEW}):
        await store.apply(Writing(jobs=[full_job(str(key)) for key in there.values()], renamed=there))
    assert await _of(store, NEW) == {run.id for run in runs}


async def test_a_pause_goes_with_its_job_and_one_of_the_application_stays(store):
    mine, whole = pause_of("1", str(OLD)), replace(pause_of("2", str(OLD)), api=None)
    await store.pause(mine)
    await store.pause(whole)
    await store.apply(Writing(renamed={OLD: NEW}))
    assert list(await store.pauses()) == [whole, replace(mine, application="accounts", api="new")]
    assert list(await store.pauses(ending_after=START)) == [
        whole,
        replace(mine, application="accounts", api="new"),
    ]


async def test_thousands_of_runs_and_of_jobs_are_carried_over_in_seconds(store):
    old = [JobKey("old", f"job-{number:04}") for number in range(2500)]
    renamed = {key: JobKey("new", key.api) for key in old}
    await store.claim([run for key in old for run in _history(key, 2)])
    await store.claim([ended(claim_of("old/crowded", START + minute * HOUR)) for minute in range(3000)])
    began = time.perf_counter()
    await store.apply(Writing(renamed=renamed | {JobKey("old", "crowded"): JobKey("new", "crowded")}))
    assert time.perf_counter() - began < 60  # by far less, but on a machine that does much else
    assert list(await store.runs(RunQuery(application="old"))) == []
    assert len(await store.runs(RunQuery(application="new", limit=10_000))) == 8000


async def test_claims_go_on_while_runs_are_carried_over(another):
    here, there = await another(), await another()
    await here.claim(_history(OLD, 500))
    fresh = [claim_of(f"app/{number}") for number in range(50)]
    _, won = await asyncio.gather(here.apply(Writing(renamed={OLD: NEW})), there.claim(fresh))
    assert won == {run.id for run in fresh}
    assert len(await _of(there, NEW)) == 500
