from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core.model import Cause, FreezeWindow, JobKey, Outcome, Pause, Schedule
from reconciler.services.run import Runner
from reconciler.services.stops import BEAT, Stops
from tests.fakes import START, FakeClock, MemoryStore, ScriptedCaller, settle, stored_job

KEY = JobKey("billing", "nightly")
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


def pause(number=1, since=START, until=START + HOUR, **changes):
    fields = {"application": "billing", "reason": "migration", "by": "ops@host"} | changes
    return Pause(id=f"{number:03}", since=since, until=until, **fields)


def window(name="lunch", start="10 9 * * *", duration=10 * MINUTE, **changes):
    """Open from 09:10 to 09:20 unless told; the tests begin at 09:00."""
    schedule = Schedule(declared=start, cron=start)
    fields = {"mode": "deny", "catch_up": "latest", "start": schedule, "duration": duration} | changes
    return FreezeWindow(name=name, **fields)


class House:
    """Stops and a runner among fakes, as one process has them."""

    def __init__(self, *jobs, store=None, clock=None, owner="me", windows=()):
        self.clock = clock or FakeClock()
        self.store = store or MemoryStore()
        self.store.stored_windows |= {one.name: one for one in windows}
        jobs = jobs or (stored_job(since=START - DAY),)
        self.jobs = {job.key: job for job in jobs}
        self.caller = ScriptedCaller()
        self.events = []
        self.runner = Runner(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            owner=owner,
            jobs=self.jobs.get,
            observer=lambda _job, _run: None,
            stopped=self._stopped,
        )
        self.stops = Stops(
            self.store, self.clock, self.runner, jobs=self._all, on_change=lambda *event: self.events.append(event)
        )
        self.clock.start(self.runner.on_due)
        self.keeping = None

    def _stopped(self, key, at):
        return self.stops.stopped(key, at)

    def _all(self):
        return self.jobs.values()

    async def start(self):
        await self.stops.load()
        self.keeping = asyncio.create_task(self.stops.keep())
        await settle()

    async def stop(self):
        self.keeping.cancel()
        await asyncio.gather(self.keeping, return_exceptions=True)

    def reason(self, key=KEY):
        stop = self.stops.stopped(key, self.clock.now())
        return None if stop is None else stop.reason or stop.by

    def told(self):
        events, self.events = [(event, one.id) for event, one in self.events], []
        return events

    async def due_each_minute(self, minutes):
        for _ in range(minutes):
            await self.clock.advance(60)
            self.clock.due(*(str(key) for key in self.jobs))
            await settle()

    def caught_up(self):
        runs = [run for run in self.store.stored_runs.values() if run.cause is Cause.CATCH_UP]
        return sorted((run.key.api, (run.slot - START) // MINUTE) for run in runs)


class TestPauses:
    async def test_what_is_paused_at_the_start_is_known_before_the_first_slot(self):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.stops.load()
        assert house.reason() == "migration"
        assert house.told() == [("paused", "001")]

    async def test_a_pause_is_taken_up_within_two_seconds_and_told(self):
        house = House()
        await house.start()
        await house.store.pause(pause())
        assert house.reason() is None
        await house.clock.advance(BEAT)
        assert (house.reason(), house.told()) == ("migration", [("paused", "001")])

    async def test_a_pause_that_somebody_ends_is_told_with_who_did(self):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.start()
        await house.clock.advance(60)
        await house.store.pause(pause(ended_at=house.clock.now(), ended_by="dev@host"))
        await house.clock.advance(BEAT)
        assert house.reason() is None
        assert [(event, one.ended_by) for event, one in house.events] == [("paused", ""), ("resumed", "dev@host")]

    async def test_a_pause_ends_by_itself_without_a_write(self):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.start()
        await house.clock.advance(HOUR - SECOND)
        assert house.reason() == "migration"
        await house.clock.advance(SECOND)
        assert house.reason() is None
        await house.clock.advance(BEAT)
        assert house.told() == [("paused", "001"), ("pause ended", "001")]
        assert house.store.calls["pause"] == 0

    async def test_a_pause_that_vanished_from_the_store_is_over(self):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.start()
        house.store.stored_pauses = {}
        await house.clock.advance(BEAT)
        assert house.reason() is None
        assert house.told() == [("paused", "001"), ("resumed", "001")]

    async def test_a_pause_whose_record_is_damaged_goes_on_until_its_end_and_is_told_once(self, caplog):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.start()
        house.store.damaged = {"pauses": {"001": "until is missing"}}
        await house.clock.advance(HOUR - SECOND)
        assert (house.reason(), house.told()) == ("migration", [("paused", "001")])
        (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
        assert "pause 001 cannot be read: until is missing; billing stays paused until" in line
        await house.clock.advance(BEAT)
        assert house.reason() is None

    async def test_a_damaged_pause_of_which_nothing_is_known_is_told_at_the_start_and_stops_no_process(self, caplog):
        house = House()
        house.store.stored_pauses = {"001": pause(), "002": pause(2, api="nightly")}
        house.store.damaged = {"pauses": {"001": "until is missing"}}
        await house.start()
        assert house.told() == [("paused", "002")]
        assert "what it paused is not known and is not paused: pause it again" in caplog.text

    async def test_a_damaged_window_stops_no_process(self):
        house = House(windows=[window()])
        house.store.damaged = {"windows": {"lunch": "mode is missing"}}
        await house.start()
        assert house.reason() is None

    async def test_slots_of_a_pause_that_has_ended_were_paused_all_the_same(self):
        house = House()
        house.store.stored_pauses = {"001": pause(until=START + MINUTE)}
        await house.start()
        await house.clock.advance(5 * MINUTE)
        assert house.stops.stopped(KEY, START + SECOND).reason == "migration"
        again = House(store=house.store, clock=house.clock)
        await again.stops.load()
        assert again.stops.stopped(KEY, START + SECOND).reason == "migration"
        assert again.told() == []

    async def test_after_a_day_they_are_not_remembered(self):
        house = House()
        house.store.stored_pauses = {"001": pause(until=START + MINUTE)}
        await house.start()
        await house.clock.advance(MINUTE)
        await house.stop()
        await house.clock.advance(DAY)
        await house.store.pause(pause(2, house.clock.now(), house.clock.now() + HOUR))
        await house.stops.step()
        assert [one.id for one in house.stops.stoppages.pauses] == ["002"]

    async def test_a_store_that_is_away_leaves_what_was_known_and_is_told_once(self, caplog):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.start()
        house.store.away = True
        with caplog.at_level(logging.WARNING):
            await house.clock.advance(MINUTE)
        assert house.reason() == "migration"
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        house.store.away = False
        await house.store.pause(pause(ended_at=START + MINUTE, ended_by="ops@host"))
        await house.clock.advance(BEAT)
        assert house.reason() is None

    async def test_a_pause_ends_by_itself_also_while_the_store_is_away(self):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.start()
        house.store.away = True
        await house.clock.advance(HOUR)
        assert house.reason() is None

    async def test_a_bug_is_survived(self, caplog):
        house = House()
        good, house.store.pauses = house.store.pauses, None
        with caplog.at_level(logging.ERROR):
            await house.stops.step()
        assert "a bug in stops" in caplog.text
        house.store.pauses = good
        await house.stops.step()


class TestWindows:
    async def test_stored_ones_hold_from_the_start(self):
        house = House(windows=[window(start="0 9 * * *")])
        await house.stops.load()
        assert house.reason() == "lunch"

    async def test_those_of_the_last_sync_hold_at_once(self):
        house = House()
        await house.start()
        house.stops.windows([window(start="0 9 * * *")])
        assert house.reason() == "lunch"
        house.stops.windows([])
        assert house.reason() is None

    async def test_the_same_again_changes_nothing(self):
        house = House()
        windows = [window("a"), window("b")]
        house.stops.windows(windows)
        before = house.stops.stoppages
        house.stops.windows(windows[::-1])
        assert house.stops.stoppages is before

    async def test_one_that_this_machine_cannot_read_stops_nothing_and_is_told(self, caplog):
        odd = window("odd", "0 9 * * *")
        odd = replace(odd, start=replace(odd.start, zone="Mars/Olympus"))
        house = House()
        with caplog.at_level(logging.ERROR):
            house.stops.windows([odd, window(start="0 9 * * *")])
        assert house.reason() == "lunch"
        assert "the freeze window odd freezes nothing" in caplog.text

    async def test_pauses_stay_when_windows_change(self):
        house = House()
        house.store.stored_pauses = {"001": pause()}
        await house.start()
        house.stops.windows([window(start="0 9 * * *")])
        assert house.reason() == "migration"


def _quarterly():
    """A job with one slot in the window."""
    return stored_job(since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))


class TestCatchingUp:
    async def test_a_job_whose_slots_were_frozen_runs_once_when_the_window_ends(self):
        hourly = stored_job("billing/hourly", since=START - DAY, schedule=Schedule(declared="", cron="30 * * * *"))
        quarterly = stored_job("billing/fifteen", since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))
        house = House(hourly, quarterly, windows=[window()])
        await house.start()
        await house.clock.advance(20 * MINUTE - SECOND)
        assert house.caught_up() == []
        await house.clock.advance(SECOND)
        assert house.caught_up() == [("fifteen", 20)]
        await house.clock.advance(HOUR)
        assert house.caught_up() == [("fifteen", 20)]
        assert len(house.caller.requests) == 1

    async def test_it_comes_at_the_instant_at_which_the_window_ends(self):
        odd = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))
        house = House(odd, windows=[window(duration=10 * MINUTE + 777 * timedelta(milliseconds=1))])
        await house.start()
        await house.clock.advance(25 * MINUTE)
        (run,) = house.store.stored_runs.values()
        assert run.slot == run.started_at == START + 20 * MINUTE + timedelta(milliseconds=777)
        assert run.outcome is Outcome.SUCCEEDED

    async def test_a_job_with_a_slot_at_the_end_runs_only_for_that(self):
        house = House(windows=[window()])
        await house.start()
        await house.due_each_minute(25)
        assert house.caught_up() == []
        skipped = [run for run in house.store.stored_runs.values() if run.outcome is Outcome.SKIPPED]
        assert len(skipped) == 10

    async def test_an_allow_window_catches_up_when_it_opens(self):
        early = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="5 9 * * *"))
        house = House(early, windows=[window(mode="allow")])
        await house.start()
        await house.clock.advance(30 * MINUTE)
        assert house.caught_up() == [("nightly", 10)]

    async def test_two_processes_make_one_run(self):
        job = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))
        one = House(job, windows=[window()], owner="one")
        two = House(job, store=one.store, clock=one.clock, owner="two")
        await one.start()
        await two.start()
        await one.clock.advance(30 * MINUTE)
        assert one.caught_up() == [("nightly", 20)]
        assert len(one.caller.requests) + len(two.caller.requests) == 1

    @pytest.mark.parametrize(("late", "expected"), [(59, [("nightly", 20)]), (61, [])], ids=["within", "past"])
    async def test_a_window_that_ended_while_nobody_lived_is_honoured_within_the_starting_deadline(
        self, late, expected
    ):
        job = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))
        house = House(job, clock=FakeClock(START + (20 + late) * MINUTE), windows=[window()])
        await house.start()
        await house.clock.advance(MINUTE / 2)
        assert house.caught_up() == expected

    async def test_a_restart_makes_no_second_run(self):
        job = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))
        house = House(job, windows=[window()])
        await house.start()
        await house.clock.advance(21 * MINUTE)
        await house.stop()
        again = House(job, store=house.store, clock=house.clock, owner="again")
        await again.start()
        await house.clock.advance(MINUTE)
        assert house.caught_up() == [("nightly", 20)]
        assert again.caller.requests == []

    async def test_a_restart_during_the_freeze_knows_what_was_frozen_before(self):
        job = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="11 * * * *"))
        house = House(job, windows=[window()])
        await house.start()
        await house.clock.advance(11 * MINUTE)
        house.clock.due("billing/nightly")
        await house.clock.advance(1)
        await house.stop()
        again = House(job, store=house.store, clock=house.clock, owner="again")
        await again.start()
        await house.clock.advance(10 * MINUTE)
        assert house.caught_up() == [("nightly", 20)]

    async def test_slots_that_ran_before_the_window_was_declared_are_not_caught_up(self):
        job = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="11 * * * *"))
        house = House(job)
        await house.start()
        await house.clock.advance(11 * MINUTE)
        house.clock.due("billing/nightly")
        await house.clock.advance(MINUTE)
        house.stops.windows([window()])
        await house.clock.advance(20 * MINUTE)
        assert house.caught_up() == []

    async def test_slots_that_a_pause_left_out_are_not_caught_up_though_it_has_ended(self):
        job = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))
        house = House(job, windows=[window()])
        await house.start()
        await house.clock.advance(14 * MINUTE)
        await house.store.pause(pause(since=house.clock.now(), ended_at=START + 16 * MINUTE, ended_by="ops@host"))
        await house.clock.advance(10 * MINUTE)
        assert house.caught_up() == []

    async def test_a_store_that_is_away_delays_it(self):
        job = stored_job(since=START - DAY, schedule=Schedule(declared="", cron="15 * * * *"))
        house = House(job, windows=[window()])
        await house.start()
        await house.clock.advance(19 * MINUTE)
        house.store.away = True
        await house.clock.advance(10 * MINUTE)
        house.store.away = False
        await house.clock.advance(BEAT)
        assert house.caught_up() == [("nightly", 20)]

    async def test_a_process_that_slept_over_the_end_catches_up_on_waking(self):
        house = House(_quarterly(), windows=[window()])
        await house.start()
        house.clock._now = START + 40 * MINUTE  # no timer went off meanwhile
        await house.clock.advance(BEAT)
        assert house.caught_up() == [("nightly", 20)]

    async def test_whoever_leads_next_looks_again_from_where_the_leader_before_had_come(self):
        house = House(_quarterly(), windows=[window()])
        await house.start()
        await house.clock.advance(19 * MINUTE)
        catch_up, house.runner.catch_up = house.runner.catch_up, lambda *_: None  # as of one that stands by
        await house.clock.advance(MINUTE * 3)
        assert house.caught_up() == []
        house.runner.catch_up = catch_up
        house.stops.look_from(START + 20 * MINUTE)
        await house.clock.advance(MINUTE)
        assert house.caught_up() == [("nightly", 20)]

    async def test_but_not_from_before_where_it_had_come(self):
        house = House(_quarterly(), windows=[window()])
        await house.start()
        await house.clock.advance(19 * MINUTE)
        house.runner.catch_up = lambda *_: None
        await house.clock.advance(MINUTE * 5)
        house.runner.catch_up = None
        house.stops.look_from(START + 22 * MINUTE)
        await house.clock.advance(MINUTE)
        assert house.caught_up() == []

    async def test_nothing_is_asked_of_the_store_for_windows_that_do_not_catch_up(self):
        house = House(windows=[window(catch_up="none")])
        await house.start()
        await house.clock.advance(30 * MINUTE)
        assert house.caught_up() == []
        assert house.store.calls["runs"] == 0


async def test_a_pause_that_has_just_ended_is_told_though_another_is_asked_for_at_once():
    """Who pauses a job by itself has the pauses read; one that ended in the same moment is not passed over."""
    house = House()
    house.store.stored_pauses = {"001": pause()}
    await house.stops.load()
    house.told()
    await house.store.pause(pause(ended_at=START + SECOND, ended_by="dev@host"))
    await house.store.pause(pause(2))
    await house.clock.advance(SECOND)
    await house.stops.read()
    assert sorted(house.told()) == [("paused", "002"), ("resumed", "001")]
    assert house.reason() == "migration"


async def test_a_pause_that_ended_before_everything_is_read_anew_is_told():
    house = House()
    house.store.stored_pauses = {"001": pause(), "002": pause(2, until=START + MINUTE)}
    await house.stops.load()
    house.told()
    await house.store.pause(pause(ended_at=START + SECOND, ended_by="dev@host"))
    await house.clock.advance(2 * MINUTE)
    await house.stops.load()
    assert sorted(house.told()) == [("pause ended", "002"), ("resumed", "001")]
