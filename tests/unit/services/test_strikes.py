from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Cause, JobKey, Outcome, Pause
from reconciler.core.pauses import FOREVER
from reconciler.core.runs import claim_of, ended
from reconciler.services.strikes import RETRY, Strikes
from tests.fakes import START, FakeClock, MemoryStore, settle, stored_job

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEY = JobKey("billing", "nightly")


class House:
    """Strikes among fakes; each end is told first, and then written."""

    def __init__(self, limit=3):
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.jobs = {KEY: stored_job(stop_after_failures=limit)}
        self.counted = 0
        self.acts = []
        jobs = lambda key: self.jobs.get(key)  # noqa: E731, PLW0108 - the mapping may be replaced
        self.term = 1
        self.strikes = Strikes(
            self.store,
            self.clock,
            jobs,
            lambda: list(self.jobs.values()),
            self._paused,
            self.acts.append,
            term=lambda: self.term,
        )

    async def _paused(self):
        self.counted += 1

    async def ends(self, *outcomes, write=True, count=True):
        """Ends of runs a minute apart; the failures are counted after each."""
        for outcome in outcomes:
            await self.clock.advance(MINUTE)
            now = self.clock.now()
            run = ended(claim_of(self.jobs[KEY], now, Cause.SCHEDULE, "me", now), outcome, "status 500", now)
            self.strikes.ended(run)
            if write:
                self.store.seed(run)
            if count:
                await self.strikes.step()
        return self.pauses

    @property
    def pauses(self):
        return sorted(self.store.stored_pauses.values(), key=lambda pause: pause.since)


FAILED, UNKNOWN, SUCCEEDED = Outcome.FAILED, Outcome.UNKNOWN, Outcome.SUCCEEDED


async def test_a_job_that_fails_too_often_is_paused_until_it_is_resumed():
    house = House()
    assert await house.ends(FAILED, FAILED) == []
    (pause,) = await house.ends(UNKNOWN)
    assert (pause.target, pause.until, pause.by, pause.since) == (
        "billing/nightly",
        FOREVER,
        "reconciler",
        house.clock.now(),
    )
    assert pause.reason == "3 failures in a row; the last: status 500"
    assert house.counted == 1


async def test_it_is_paused_once():
    house = House()
    await house.ends(FAILED, FAILED, FAILED, FAILED)
    assert len(house.pauses) == house.counted == 1


async def test_a_success_begins_the_count_anew_and_what_was_not_called_says_nothing():
    house = House()
    others = (Outcome.SKIPPED, Outcome.MISSED)
    assert await house.ends(FAILED, FAILED, SUCCEEDED, FAILED, *others, FAILED) == []
    assert len(await house.ends(FAILED)) == 1


async def test_once_resumed_failures_are_counted_anew():
    house = House()
    (pause,) = await house.ends(FAILED, FAILED, FAILED)
    await house.clock.advance(MINUTE)
    await house.store.pause(replace(pause, ended_at=house.clock.now(), ended_by="ops@host"))
    assert len(await house.ends(FAILED, FAILED)) == 1
    assert len(await house.ends(FAILED)) == 2


async def test_a_pause_that_was_resumed_is_not_written_again():
    house = House()
    (pause,) = await house.ends(FAILED, FAILED, FAILED)
    await house.store.pause(replace(pause, ended_at=START - MINUTE, ended_by="ops@host"))  # a clock that is wrong
    await house.strikes.step()
    house.strikes.ended(next(iter(house.store.stored_runs.values())))
    await house.strikes.step()
    assert house.pauses[0].ended_by == "ops@host"


async def test_an_end_counts_from_when_it_is_told_though_it_is_not_written_yet():
    assert len(await House().ends(FAILED, FAILED, FAILED, write=False)) == 1
    house = House()
    await house.ends(FAILED, FAILED)
    await house.ends(SUCCEEDED, write=False)
    assert await house.ends(FAILED, FAILED) == []


async def test_runs_of_other_processes_count():
    house = House()
    await house.ends(FAILED, FAILED)
    other = Strikes(house.store, house.clock, house.jobs.get, house.jobs.values)
    await house.clock.advance(MINUTE)
    now = house.clock.now()
    other.ended(ended(claim_of(house.jobs[KEY], now, Cause.MANUAL, "you", now), FAILED, "", now))
    await other.step()
    assert len(house.pauses) == 1


async def test_only_failures_of_jobs_that_say_so_are_looked_up():
    house = House()
    await house.ends(SUCCEEDED, Outcome.MISSED, Outcome.SKIPPED)
    house.jobs[KEY] = stored_job()
    await house.ends(FAILED, FAILED, FAILED)
    house.jobs[KEY] = stored_job(stop_after_failures=1)
    await house.ends(SUCCEEDED)
    assert not house.store.calls


async def test_a_job_that_is_gone_or_says_so_no_more_is_not_paused():
    house = House()
    await house.ends(FAILED, FAILED, FAILED, count=False)
    job = house.jobs.pop(KEY)
    await house.strikes.step()
    assert house.pauses == []
    house.jobs[KEY] = job
    assert len(await house.ends(FAILED)) == 1  # what is in the store counts


async def test_what_was_paused_so_is_an_act_of_the_reconciler_once():
    house = House()
    await house.ends(FAILED, FAILED, FAILED, FAILED)
    (act,), (pause,) = house.acts, house.pauses
    assert (act.kind, act.who, act.source, act.target) == ("pause", pause.by, "stopAfterFailures", str(KEY))
    assert act.detail == f"until resumed: {pause.reason}"


async def test_many_ends_keep_no_more_in_memory_than_are_counted():
    house = House()
    await house.ends(*[SUCCEEDED] * 200, FAILED, FAILED, write=False, count=False)
    assert len(house.strikes._told[KEY]) == 53
    assert len(await house.ends(FAILED, write=False)) == 1


async def test_while_the_store_is_away_failures_wait(caplog):
    house = House()
    await house.ends(FAILED, FAILED, FAILED, count=False)
    house.store.away = True
    with caplog.at_level(logging.WARNING):
        keeping = asyncio.create_task(house.strikes.keep())
        await settle()
        await house.clock.advance(3 * RETRY)
        assert len(caplog.records) == 1
        house.store.away = False
        await house.clock.advance(RETRY)
    assert len(house.pauses) == 1
    assert house.clock.sleeping == 0
    keeping.cancel()


async def test_a_failure_is_counted_when_it_comes():
    house = House(limit=1)
    keeping = asyncio.create_task(house.strikes.keep())
    await settle()
    await house.ends(FAILED, count=False)
    await settle()
    assert len(house.pauses) == 1
    keeping.cancel()


async def test_a_pause_that_cannot_be_read_holds_up_nothing():
    house = House(limit=1)
    odd = Pause(id="odd", application="shop", reason="x", by="y", since=START - HOUR, until=START - MINUTE)
    await house.store.pause(odd)
    house.store.damaged["pauses"] = {"odd": "until is missing"}
    assert "billing/nightly" in {pause.target for pause in await house.ends(FAILED)}


async def test_a_bug_is_logged_and_ends_nothing(caplog):
    house = House(limit=1)
    house.store.pauses = None
    await house.ends(FAILED)
    assert "a bug in strikes" in caplog.text
    await house.strikes.step()


async def test_who_begins_to_lead_pauses_what_the_leader_before_had_no_time_to_pause():
    house = House()
    await house.ends(FAILED, FAILED, FAILED, count=False)
    heir = House()
    heir.store = house.store
    heir.strikes = Strikes(house.store, heir.clock, heir.jobs.get, heir.jobs.values, term=lambda: heir.term)
    await heir.strikes.step()
    assert heir.pauses == []
    heir.strikes.lead()
    await heir.strikes.step()
    assert [pause.target for pause in heir.pauses] == ["billing/nightly"]


async def test_it_waits_until_it_knows_the_jobs_and_looks_once():
    house = House()
    await house.ends(FAILED, FAILED, FAILED, count=False)
    house.strikes._failed.clear()
    house.term = None
    house.strikes.lead()
    keeping = asyncio.create_task(house.strikes.keep())
    await house.clock.advance(RETRY * 3)
    assert house.pauses == []
    house.term = 2
    await house.clock.advance(RETRY)
    assert len(house.pauses) == 1
    await house.clock.advance(RETRY * 5)
    assert house.store.calls["last_runs"] == 1
    keeping.cancel()


@pytest.mark.parametrize("last", [Outcome.SKIPPED, Outcome.MISSED])
async def test_it_looks_behind_what_says_nothing(last):
    house = House()
    await house.ends(FAILED, FAILED, FAILED, last, count=False)
    house.strikes._failed.clear()
    house.strikes.lead()
    await house.strikes.step()
    assert len(house.pauses) == 1


async def test_it_asks_nothing_of_jobs_that_are_well_or_have_no_limit():
    house = House()
    await house.ends(FAILED, FAILED, FAILED, SUCCEEDED, count=False)
    house.strikes._failed.clear()
    house.strikes.lead()
    await house.strikes.step()
    assert (house.pauses, house.store.calls["runs"]) == ([], 0)
    house.jobs = {KEY: stored_job(stop_after_failures=None)}
    house.strikes.lead()
    await house.strikes.step()
    assert house.store.calls["last_runs"] == 1


async def test_a_store_that_is_away_when_the_lead_begins_is_asked_again():
    house = House()
    await house.ends(FAILED, FAILED, FAILED, count=False)
    house.strikes._failed.clear()
    house.store.away = True
    house.strikes.lead()
    await house.strikes.step()
    house.store.away = False
    await house.strikes.step()
    assert len(house.pauses) == 1
