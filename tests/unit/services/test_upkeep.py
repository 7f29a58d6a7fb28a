from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import runs
from reconciler.core.model import Cause, JobKey, Outcome, Process, Reply, Retention, Stop, StopKind
from reconciler.services.run import Runner
from reconciler.services.upkeep import BEAT, SILENCE, Upkeep
from tests.fakes import START, FakeClock, Gate, MemoryStore, ScriptedCaller, stored_job

KEY = JobKey("billing", "nightly")
SECOND = timedelta(seconds=1)
ENDED = "the process that claimed it ended"


def process(name, *, role="run", host="here", pid=100, seen_at=START):
    return Process(
        id=name, role=role, host=host, pid=pid, version="1", started_at=START - timedelta(hours=1), seen_at=seen_at
    )


class House:
    def __init__(self, *jobs, me=None, alive=(), script=(), stop=None, **settings):
        self.clock = FakeClock()
        self.store = MemoryStore()
        jobs = jobs or (stored_job(),)
        self.store.stored_jobs = {job.key: job for job in jobs}
        self.caller = ScriptedCaller(*script)
        self.told = []
        me = me or process("me")
        self.runner = Runner(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            owner=me.id,
            jobs=lambda _key: None,  # as before the first sync: recovery asks the store
            observer=lambda _job, run: self.told.append(run),
            stopped=lambda _key, _at: stop,
        )
        self.upkeep = Upkeep(
            store=self.store,
            clock=self.clock,
            runner=self.runner,
            process=me,
            alive=lambda pid: pid in alive,
            **settings,
        )

    def abandoned(self, stored=None, *, owner="gone", slot=START, overrides=(), cause=Cause.SCHEDULE):
        stored = stored or self.store.stored_jobs[KEY]
        run = runs.claim_of(stored, slot, cause, owner, slot, overrides=overrides)
        self.store.seed(run)
        return run

    async def steps(self, count):
        for _ in range(count):
            await self.upkeep.step()
            await self.clock.advance(BEAT)

    def outcome(self, run):
        return self.store.stored_runs[run.id].outcome


class TestSignsOfLife:
    async def test_are_shown_every_two_seconds(self):
        house = House()
        await house.steps(3)
        assert house.store.calls["beat"] == 3
        assert house.store.stored_processes["me"].seen_at == START + 2 * BEAT

    async def test_end_with_a_farewell(self):
        house = House()
        await house.steps(1)
        await house.upkeep.farewell()
        assert house.store.stored_processes == {}

    async def test_a_farewell_to_a_store_that_is_away_is_no_error(self):
        house = House()
        house.store.away = True
        await house.upkeep.farewell()

    async def test_a_store_that_is_away_is_survived(self):
        house = House()
        house.store.away = True
        await house.steps(3)
        house.store.away = False
        await house.steps(1)
        assert house.store.stored_processes["me"].seen_at == START + 3 * BEAT

    async def test_a_bug_is_survived(self, caplog):
        house = House()
        good, house.store.processes = house.store.processes, None
        with caplog.at_level(logging.ERROR):
            await house.steps(1)
        assert "a bug in upkeep" in caplog.text
        house.store.processes = good
        house.store.seed(run := runs.claim_of(stored_job(), START, Cause.SCHEDULE, "gone", START))
        await house.steps(5)
        assert house.outcome(run) is Outcome.SUCCEEDED


class TestWhoIsGone:
    async def test_a_process_of_our_host_whose_number_is_free_is_gone_at_once(self):
        house = House()
        house.store.stored_processes["gone"] = process("gone", pid=77)
        run = house.abandoned()
        await house.upkeep.step()
        assert house.runner.knows(run.id)

    async def test_and_one_whose_number_is_ours_as_in_a_restarted_container(self):
        house = House(me=process("me", pid=1), alive={1})
        house.store.stored_processes["gone"] = process("gone", pid=1)
        run = house.abandoned()
        await house.upkeep.step()
        assert house.runner.knows(run.id)

    @pytest.mark.parametrize(
        "other", [process("gone", pid=77), process("gone", host="there", pid=5), process("gone", host="there", pid=100)]
    )
    async def test_one_that_may_be_alive_is_gone_after_six_silent_seconds(self, other):
        house = House(alive={77})
        house.store.stored_processes["gone"] = other
        run = house.abandoned()
        await house.steps(3)
        assert not house.runner.knows(run.id)
        await house.steps(1)
        assert house.outcome(run) is Outcome.SUCCEEDED

    async def test_one_that_nobody_knows_is_gone_after_six_seconds(self):
        house = House()
        run = house.abandoned()
        await house.steps(3)
        assert not house.runner.knows(run.id)
        await house.steps(1)
        assert house.outcome(run) is Outcome.SUCCEEDED

    @pytest.mark.parametrize("by", [timedelta(days=-365), timedelta(hours=-1), timedelta(days=365)])
    async def test_setting_the_clock_keeps_no_run_open(self, by):
        house = House()
        run = house.abandoned()
        await house.steps(1)
        house.clock.jump(by)
        await house.steps(4)
        assert house.store.stored_runs[run.id].outcome is not Outcome.RUNNING

    async def test_nor_is_anybody_thought_gone_for_it(self):
        house = House()
        run = house.abandoned(owner="other")
        house.store.stored_processes["other"] = process("other", host="there")
        await house.steps(1)
        house.clock.jump(timedelta(hours=1))
        await house.upkeep.step()
        assert house.outcome(run) is Outcome.RUNNING

    @pytest.mark.parametrize("skew", [timedelta(0), -timedelta(hours=3), timedelta(hours=3)])
    async def test_one_that_shows_life_is_not_whatever_its_clock_says(self, skew):
        house = House()
        run = house.abandoned(owner="other")
        for _ in range(10):
            house.store.stored_processes["other"] = process("other", host="there", seen_at=house.clock.now() + skew)
            await house.steps(1)
        assert house.outcome(run) is Outcome.RUNNING
        assert not house.runner.knows(run.id)

    async def test_the_silence_of_a_store_that_was_away_does_not_count(self):
        house = House()
        house.store.stored_processes["other"] = process("other", host="there")
        run = house.abandoned(owner="other")
        await house.steps(1)
        house.store.away = True
        await house.steps(10)
        house.store.away = False
        await house.steps(1)
        assert not house.runner.knows(run.id)

    async def test_nor_the_time_in_which_we_slept_ourselves(self):
        house = House()
        house.store.stored_processes["other"] = process("other", host="there")
        run = house.abandoned(owner="other")
        await house.steps(1)
        await house.clock.advance(SILENCE * 100)
        await house.upkeep.step()
        assert not house.runner.knows(run.id)

    async def test_our_own_runs_are_not_touched(self):
        house = House()
        run = house.abandoned(owner="me")
        await house.steps(10)
        assert house.outcome(run) is Outcome.RUNNING

    async def test_a_process_that_only_triggers_recovers_nothing(self):
        house = House(me=process("me", role="trigger"))
        run = house.abandoned()
        await house.steps(10)
        assert house.outcome(run) is Outcome.RUNNING
        assert house.store.calls["beat"] == 10
        assert house.store.calls["expire"] == 0


class TestWhatBecomesOfIt:
    async def recovered(self, house, run):
        house.store.stored_processes["gone"] = process("gone", pid=77)
        await house.upkeep.step()
        await house.clock.advance(1)
        return house.store.stored_runs[run.id]

    async def test_at_least_once_is_sent_again_under_the_same_key(self):
        house = House(script=[Reply(status=200, body=b"fine")])
        run = house.abandoned()
        ended = await self.recovered(house, run)
        (sent,) = house.caller.requests
        assert sent.headers["Idempotency-Key"] == run.id
        assert sent.headers["X-Reconciler-Attempt"] == "2"
        assert (ended.outcome, ended.excerpt) == (Outcome.SUCCEEDED, "fine")
        assert [(a.number, a.error) for a in ended.attempts] == [(1, ENDED), (2, None)]
        assert house.told == [ended]

    async def test_once_only(self):
        gate = Gate()
        house = House(script=[gate])
        house.abandoned()
        house.store.stored_processes["gone"] = process("gone", pid=77)
        await house.steps(10)
        gate.open()
        await house.steps(3)
        assert len(house.caller.requests) == 1

    async def test_as_it_is_declared_now(self):
        house = House()
        run = house.abandoned(stored_job(revision="old"))
        house.store.stored_jobs[KEY] = stored_job(revision="new", line=99)
        ended = await self.recovered(house, run)
        assert (ended.revision, ended.line) == ("new", 99)

    async def test_at_most_once_is_unknown_and_not_sent(self):
        house = House(stored_job(delivery="atMostOnce"))
        ended = await self.recovered(house, house.abandoned())
        assert (ended.outcome, ended.reason) == (Outcome.UNKNOWN, ENDED)
        assert house.caller.requests == []
        assert house.told == [ended]

    @pytest.mark.parametrize(
        "now",
        [stored_job(delivery="atMostOnce"), stored_job(suspend=True), stored_job(starting_deadline=timedelta(0)), None],
        ids=["at most once by now", "suspended by now", "past its deadline", "removed"],
    )
    async def test_what_should_not_be_sent_any_more_is_unknown(self, now):
        house = House()
        run = house.abandoned(slot=START - SECOND)
        house.store.stored_jobs = {KEY: now} if now else {}
        assert (await self.recovered(house, run)).outcome is Outcome.UNKNOWN
        assert house.caller.requests == []

    async def test_what_is_paused_or_frozen_by_now_is_unknown_for_that_reason(self):
        house = House(stop=Stop(kind=StopKind.FROZEN, by="year-end", reason="Books are closed"))
        ended = await self.recovered(house, house.abandoned())
        assert ended.outcome is Outcome.UNKNOWN
        assert ended.reason == f"{ENDED}; not sent again: frozen by year-end: Books are closed"
        assert house.caller.requests == []

    async def test_what_a_trigger_replaced_is_not_known_any_more(self):
        house = House()
        run = house.abandoned(cause=Cause.MANUAL, overrides=("json",))
        assert (await self.recovered(house, run)).outcome is Outcome.UNKNOWN
        assert house.caller.requests == []

    async def test_a_trigger_without_overrides_is_sent_again(self):
        house = House()
        assert (await self.recovered(house, house.abandoned(cause=Cause.MANUAL))).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize(("policy", "at_once"), [("Forbid", 1), ("Replace", 1), ("Allow", 2)])
    async def test_it_waits_while_another_run_of_its_job_is_under_way(self, policy, at_once):
        gate = Gate()
        house = House(stored_job(concurrency_policy=policy), script=[gate])
        first = house.abandoned()
        second = house.abandoned(slot=START + SECOND)
        await self.recovered(house, first)
        assert house.caller.in_flight == at_once
        gate.open()
        await house.steps(2)
        assert (house.outcome(first), house.outcome(second)) == (Outcome.SUCCEEDED, Outcome.SUCCEEDED)


class TestElsewhere:
    async def test_the_runner_is_told_of_runs_that_other_processes_have_not_ended(self):
        house = House()
        house.store.stored_processes = {"other": process("other", host="there")}
        run = house.abandoned(owner="other", cause=Cause.MANUAL)
        told = []
        house.runner.elsewhere = told.append
        await house.upkeep.step()
        house.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
        await house.upkeep.step()
        assert told == [{KEY: run.id}, {}]

    async def test_what_is_abandoned_is_settled_here_and_runs_nowhere(self):
        house = House(stored_job(delivery="atMostOnce"))
        house.abandoned()
        house.store.stored_processes = {"gone": process("gone", pid=1)}
        told = []
        house.runner.elsewhere = told.append
        await house.upkeep.step()
        assert told == [{}]


class TestRetention:
    def ended(self, house, age):
        run = runs.claim_of(stored_job(), START - age, Cause.SCHEDULE, "me", START - age)
        house.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
        return run.id

    async def test_old_runs_go_by_age(self):
        house = House(retention=Retention(keep_for=timedelta(days=2)))
        old, young = self.ended(house, timedelta(days=3)), self.ended(house, timedelta(days=1))
        await house.upkeep.step()
        assert old not in house.store.stored_runs
        assert young in house.store.stored_runs

    async def test_and_by_count_per_job(self):
        house = House(retention=Retention(keep_per_job=3))
        ids = [self.ended(house, timedelta(hours=hour)) for hour in range(6)]
        await house.upkeep.step()
        assert sorted(house.store.stored_runs) == sorted(ids[:3])

    async def test_but_nothing_after_the_mark(self):
        house = House(retention=Retention(keep_per_job=1))
        ids = [self.ended(house, timedelta(hours=hour)) for hour in range(6)]
        await house.store.lead("me", timedelta(hours=1), START - timedelta(hours=3))
        await house.upkeep.step()
        assert sorted(house.store.stored_runs) == sorted(ids[:4])

    async def test_nor_what_is_looked_for_further_back(self):
        house = House(retention=Retention(keep_per_job=1), look_back=lambda: timedelta(hours=2))
        for hour in range(6):
            slot = START - timedelta(hours=hour)
            run = runs.claim_of(stored_job(), slot, Cause.CATCH_UP, "me", slot)
            house.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
        await house.upkeep.step()
        assert [run.slot for run in house.store.stored_runs.values()] == [
            START - timedelta(hours=hour) for hour in range(3)
        ]

    async def test_an_application_may_keep_its_own_longer_also_from_a_later_sync_on(self):
        declared = {"billing": Retention(keep_for=timedelta(days=9))}
        house = House(retention=Retention(keep_for=timedelta(days=2)), applications=lambda: declared)
        old, _ = self.ended(house, timedelta(days=3)), self.ended(house, timedelta(days=1))
        await house.upkeep.step()
        assert old in house.store.stored_runs
        declared.clear()
        await house.clock.advance(timedelta(hours=1))
        await house.upkeep.step()
        assert old not in house.store.stored_runs

    async def test_once_an_hour(self):
        house = House()
        await house.steps(10)
        assert house.store.calls["expire"] == 1
        await house.clock.advance(timedelta(hours=1))
        await house.steps(10)
        assert house.store.calls["expire"] == 2

    async def test_an_hour_is_not_lost_to_a_store_that_was_away(self):
        house = House()
        good, calls = house.store.expire, []

        async def away_once(**arguments):
            calls.append(arguments)
            house.store.away = len(calls) == 1
            return await good(**arguments)

        house.store.expire = away_once
        await house.steps(1)
        house.store.away = False
        await house.steps(1)
        assert len(calls) == 2


async def test_keep_goes_on_until_it_is_cancelled():
    house = House()
    keeping = asyncio.create_task(house.upkeep.keep())
    await house.clock.advance(BEAT * 4)
    assert house.store.calls["beat"] == 5
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert replace(process("me"), seen_at=START + BEAT * 4) == house.store.stored_processes["me"]
