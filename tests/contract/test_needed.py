"""What stays for whoever leads next, however old and however many: without it slots would be called again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Cause, Outcome, Retention, Run, RunQuery, Writing
from tests.contract.samples import claim_of, ended, era_of, pause_of
from tests.fakes import START

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
NOW = START + 10 * HOUR
SHORT = timedelta(minutes=1)
FEW = Retention(keep_for=1000 * HOUR, keep_failures_for=1000 * HOUR, keep_per_job=1)
YOUNG = Retention(keep_for=SHORT, keep_failures_for=SHORT, keep_per_job=1000)


async def _kept(store) -> set[str]:
    return {run.id for run in await store.runs(RunQuery(limit=10_000))}


async def _expire(store, retention=FEW, applications=None, **changes) -> int:
    return await store.expire(now=NOW, retention=retention, applications=applications or {}, **changes)


def _runs(count: int, cause: Cause = Cause.SCHEDULE) -> list[Run]:
    outcomes = [Outcome.SUCCEEDED, Outcome.FAILED]
    return [
        ended(claim_of("p/all", START + number * SECOND, cause=cause), outcomes[number % 2]) for number in range(count)
    ]


async def _led(store, mark) -> None:
    await store.lead("leader", HOUR, mark)


@pytest.mark.parametrize("retention", [FEW, YOUNG], ids=["too many", "too old"])
@pytest.mark.parametrize("declared", [False, True], ids=["by default", "as an Application declares"])
async def test_no_run_after_the_mark_goes(store, retention, declared):
    runs = _runs(20)
    await store.claim(runs)
    await _led(store, runs[6].slot)
    keeps = {"p": retention} if declared else {}
    assert await _expire(store, replace(FEW, keep_per_job=1000) if declared else retention, keeps) == 6
    assert await _kept(store) == {run.id for run in runs[6:]}


async def test_they_go_once_the_mark_has_passed_them(store):
    runs = _runs(20)
    await store.claim(runs)
    await _led(store, runs[6].slot)
    await _expire(store)
    await _led(store, runs[19].slot)
    assert await _expire(store) == 13
    assert await _kept(store) == {runs[19].id}


async def test_the_mark_of_a_lease_that_was_given_up_counts(store):
    runs = _runs(20)
    await store.claim(runs)
    await _led(store, START)
    await store.resign("leader", runs[6].slot)
    assert await _expire(store) == 6


async def test_where_nobody_has_led_every_run_may_go(store):
    runs = _runs(20)
    await store.claim(runs)
    assert await _expire(store) == 19
    assert await _kept(store) == {runs[19].id}


@pytest.mark.parametrize("led", [False, True], ids=["nobody has led", "somebody leads"])
@pytest.mark.parametrize("retention", [FEW, YOUNG], ids=["too many", "too old"])
@pytest.mark.parametrize("cause", [Cause.AFTER, Cause.CATCH_UP])
async def test_what_follows_an_end_stays_for_as_long_as_it_is_looked_for(store, cause, retention, led):
    runs, planned = _runs(20, cause), _runs(2)
    await store.claim([*runs, *planned])
    if led:
        await _led(store, NOW)
    await _expire(store, retention, look_back=NOW - runs[6].slot)
    assert await _kept(store) == {run.id for run in runs[6:]}
    await _expire(store, retention, look_back=HOUR)
    assert await _kept(store) == {runs[19].id}


async def test_what_follows_an_end_stays_also_after_an_old_mark(store):
    runs = _runs(20, Cause.AFTER)
    await store.claim(runs)
    await _led(store, runs[6].slot)
    await _expire(store, look_back=HOUR)
    assert await _kept(store) == {run.id for run in runs[6:]}


async def test_a_pause_that_covers_slots_after_the_mark_stays(store):
    over = replace(pause_of("over"), until=START)
    needed = replace(pause_of("needed"), until=START + HOUR)
    resumed = replace(pause_of("resumed"), until=NOW, ended_at=START + HOUR)
    for pause in (over, needed, resumed):
        await store.pause(pause)
    await _led(store, START + SECOND)
    await _expire(store, YOUNG)
    assert {pause.id for pause in await store.pauses()} == {"needed", "resumed"}
    await _led(store, NOW)
    await _expire(store, YOUNG)
    assert await store.pauses() == []


async def test_the_era_that_held_at_the_mark_stays(store):
    eras = [era_of(begin=START + number * HOUR) for number in range(5)]
    await store.apply(Writing(eras=eras))
    await _led(store, START + 2.5 * HOUR)
    await _expire(store, YOUNG)
    assert list(await store.eras(since=START - HOUR, until=NOW)) == eras[2:]
