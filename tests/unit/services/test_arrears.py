from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import runs
from reconciler.core.model import Cause, JobKey, Outcome, Pause, Rate, Schedule
from reconciler.core.stops import Stoppages
from reconciler.core.timetable import spread
from reconciler.errors import StoreUnavailableError
from tests.fakes import START, FakeClock, Gate, MemoryStore, settle, stored_job
from tests.unit.services.leaders import KEY, NAME, Leader

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
LONG_AGO = START - 400 * DAY
MS = timedelta(milliseconds=1)


def job(name=NAME, **changes):
    return stored_job(name, since=LONG_AGO, **changes)


def minutes(*numbers):
    return [START + number * MINUTE for number in numbers]


class TestRenames:
    """A look that began under the old names would take for owed what has its record under the new ones."""

    async def test_a_look_during_which_jobs_are_renamed_records_nothing_and_is_made_again(self):
        class Renamed(MemoryStore):
            async def run_ids(self, since):
                found = await super().run_ids(since)
                async with house.renaming.renaming():
                    return found

        clock = FakeClock(START + 2 * MINUTE + 20 * SECOND)
        house = Leader(job(), clock=clock, store=Renamed(clock))
        with pytest.raises(StoreUnavailableError, match="renamed meanwhile"):
            await house.look(START)
        assert await house.record() == []
        assert house.mark == START
        del Renamed.run_ids
        await house.arrears.step()
        await settle()
        assert [slot for slot, _ in await house.outcomes()] == minutes(1, 2)

    async def test_nor_does_one_before_which_the_calls_of_earlier_leaders_are_counted(self):
        class RenamedOnce(MemoryStore):
            async def runs(self, query):
                found = await super().runs(query)
                del RenamedOnce.runs
                async with house.renaming.renaming():
                    return found

        clock = FakeClock(START + 2 * MINUTE + 20 * SECOND)
        house = Leader(job(max_rate=Rate(5, MINUTE)), clock=clock, store=RenamedOnce(clock))
        house.arrears.lead_from(START)
        assert not await house.arrears.step()
        assert await house.record() == []

    async def test_nor_does_one_that_begins_while_they_are_renamed(self):
        house = Leader(job(), clock=FakeClock(START + 2 * MINUTE + 20 * SECOND))
        async with house.renaming.renaming():
            with pytest.raises(StoreUnavailableError, match="renamed meanwhile"):
                await house.look(START)
        assert await house.record() == []


class TestPolicies:
    async def test_latest_runs_the_newest_slot_under_its_own_id(self):
        house = Leader(job(), clock=FakeClock(START + 3 * MINUTE + 20 * SECOND))
        await house.look(START)
        assert await house.outcomes() == list(zip(minutes(1, 2, 3), ["missed", "missed", "succeeded"], strict=True))
        assert runs.run_id(KEY, START + 3 * MINUTE, Cause.SCHEDULE) in house.store.stored_runs
        assert [run.term for run in house.store.stored_runs.values()] == [1] * 3

    async def test_none_runs_nothing(self):
        house = Leader(job(catch_up="none"), clock=FakeClock(START + 2 * MINUTE + 20 * SECOND))
        await house.look(START)
        assert {run.reason for run in await house.record()} == {
            "not caught up: catchUp is none; 1m20s late",
            "not caught up: catchUp is none; 20s late",
        }
        assert house.caller.requests == []

    async def test_all_runs_every_slot_one_after_the_other(self):
        gates = [Gate() for _ in range(3)]
        house = Leader(job(catch_up="all"), script=gates, clock=FakeClock(START + 3 * MINUTE + 20 * SECOND))
        await house.look(START)
        for number, gate in enumerate(gates, 1):
            assert (len(house.caller.requests), house.caller.in_flight) == (number, 1)
            gate.open()
            await settle()
        assert await house.outcomes() == [(slot, "succeeded") for slot in minutes(1, 2, 3)]

    async def test_the_starting_deadline_counts_from_the_slot_also_for_what_waits_for_its_predecessors(self):
        gates = [Gate(), Gate(), Gate()]
        house = Leader(
            job(catch_up="all", starting_deadline=5 * MINUTE),
            script=gates,
            clock=FakeClock(START + 3 * MINUTE + 20 * SECOND),
        )
        await house.look(START)
        await house.clock.advance(3 * MINUTE + 40 * SECOND)
        gates[0].open()
        await settle()
        assert len(house.caller.requests) == 2, "the second is five minutes late, to the second"
        await house.clock.advance(2 * MINUTE)
        gates[1].open()
        assert await house.outcomes() == list(zip(minutes(1, 2, 3), ["succeeded", "succeeded", "missed"], strict=True))
        assert house.told[-1].reason == "6m late; the starting deadline is 5m"
        assert len(house.caller.requests) == 2

    async def test_also_for_what_waits_for_a_place(self):
        target = Gate()
        house = Leader(
            job(catch_up="all", starting_deadline=5 * MINUTE, max_concurrency=1),
            job("billing/slow", schedule=Schedule(declared="0 0 * * *", cron="0 0 * * *"), max_concurrency=1),
            script=[target],
            clock=FakeClock(START + MINUTE + 20 * SECOND),
        )
        await house.due("billing/slow")
        await house.look(START)
        found = [run for run in await house.record(advance=4 * MINUTE) if run.key == KEY and run.slot > START]
        assert [run.outcome for run in found] == [Outcome.RUNNING]
        (run,) = [run for run in await house.record(advance=2 * MINUTE) if run.slot == START + MINUTE]
        assert (run.outcome, run.reason) == (
            Outcome.MISSED,
            "5m1s late; the starting deadline is 5m; it waited for its turn: limits.concurrency is 1",
        )

    @pytest.mark.parametrize("catch_up", ["latest", "all"])
    async def test_what_is_within_its_deadline_when_it_is_looked_for_runs(self, catch_up):
        late = 4 * MINUTE + 59 * SECOND
        house = Leader(
            job(
                catch_up=catch_up,
                starting_deadline=5 * MINUTE,
                schedule=Schedule(declared="1 * * * *", cron="1 * * * *"),
            ),
            clock=FakeClock(START + MINUTE + late),
        )
        await house.look(START)
        assert await house.outcomes() == [(START + MINUTE, "succeeded")]

    async def test_a_jobs_jitter_comes_on_top(self):
        jitter = 10 * MINUTE
        delay = spread(jitter, NAME)
        schedule = Schedule(declared="1 * * * *", cron="1 * * * *")
        stored = job(catch_up="all", starting_deadline=MINUTE, schedule=schedule, jitter=jitter)
        house = Leader(stored, clock=FakeClock(START + MINUTE + delay + 59 * SECOND))
        house.runner.elsewhere({KEY: "x"})
        await house.look(START)
        house.runner.elsewhere({})
        assert await house.outcomes() == [(START + MINUTE, "succeeded")]

    async def test_a_slot_of_the_last_seconds_runs_as_always(self):
        house = Leader(job(catch_up="none"), clock=FakeClock(START + MINUTE + 5 * SECOND))
        await house.look(START)
        assert await house.outcomes() == [(START + MINUTE, "succeeded")]

    async def test_a_paused_slot_is_skipped_and_a_pause_that_goes_on_lets_nothing_be_caught_up(self):
        house = Leader(job(catch_up="all"), clock=FakeClock(START + 3 * MINUTE + 20 * SECOND))
        pause = Pause(
            id="1", application="billing", reason="move", by="ops", since=START + 2 * MINUTE, until=START + HOUR
        )
        house.stops = Stoppages([pause])
        await house.look(START)
        assert await house.outcomes() == [(slot, "skipped") for slot in minutes(1, 2, 3)]
        assert house.caller.requests == []


class TestWhatIsOwed:
    async def test_what_has_a_record_is_not_owed(self):
        house = Leader(job(catch_up="all"), clock=FakeClock(START + 3 * MINUTE + 20 * SECOND))
        done = runs.claim_of(job(), START + 2 * MINUTE, Cause.SCHEDULE, "another", START)
        house.store.seed(runs.ended(done, Outcome.FAILED, "no", START))
        await house.look(START)
        assert await house.outcomes() == list(zip(minutes(1, 2, 3), ["succeeded", "failed", "succeeded"], strict=True))

    async def test_a_manual_run_at_the_instant_of_a_slot_is_another_matter(self):
        house = Leader(job(), clock=FakeClock(START + MINUTE + 20 * SECOND))
        house.store.seed(runs.claim_of(job(), START + MINUTE, Cause.MANUAL, "another", START, nonce="x"))
        house.store.stored_runs = {
            key: runs.ended(run, Outcome.SUCCEEDED, "", START) for key, run in house.store.stored_runs.items()
        }
        await house.look(START)
        assert len(house.caller.requests) == 1

    async def test_nothing_is_owed_from_before_the_schedule_was_applied(self):
        stored = replace(job(), since=START + 2 * MINUTE)
        house = Leader(stored, clock=FakeClock(START + 3 * MINUTE + 20 * SECOND))
        await house.look(START)
        assert await house.outcomes() == [(START + 3 * MINUTE, "succeeded")]

    @pytest.mark.parametrize("since", [START + 5 * MINUTE, START + HOUR])
    async def test_nothing_from_a_mark_that_lies_ahead(self, since):
        house = Leader(job(), clock=FakeClock(START + 5 * MINUTE))
        await house.look(since)
        assert await house.outcomes() == []

    async def test_a_suspended_job_owes_nothing(self):
        house = Leader(job(suspend=True), clock=FakeClock(START + 5 * MINUTE))
        await house.look(START)
        assert await house.outcomes() == []

    async def test_slots_that_ran_under_an_old_name_are_not_owed(self):
        new = replace(job("billing/new", derived_from=NAME, catch_up="all"), applied_at=START + 10 * MINUTE)
        house = Leader(new, clock=FakeClock(START + 2 * MINUTE + 20 * SECOND))
        old = runs.claim_of(job(), START + MINUTE, Cause.SCHEDULE, "another", START)
        house.store.seed(replace(runs.ended(old, Outcome.SUCCEEDED, "", START), key=new.key))
        await house.look(START)
        assert [slot for slot, _ in await house.outcomes()] == minutes(1, 2)
        assert len(house.caller.requests) == 1

    async def test_a_slot_whose_jitter_is_still_to_come_runs_then(self):
        house = Leader(job(jitter=HOUR, catch_up="none"), clock=FakeClock(START + MINUTE + 20 * SECOND))
        await house.look(START)
        assert (house.mark, house.caller.requests) == (START + MINUTE - MS, [])
        ((slot, outcome),) = await house.outcomes(advance=HOUR)
        assert (slot, outcome) == (START + MINUTE, "succeeded")

    async def test_a_schedule_that_cannot_be_read_holds_up_no_other(self, caplog):
        strange = job("billing/strange", schedule=Schedule(declared="", cron="* * * * *", zone="Nowhere/Land"))
        house = Leader(strange, job(), clock=FakeClock(START + MINUTE + 20 * SECOND))
        await house.look(START)
        assert [run.key for run in await house.record()] == [KEY]
        assert "Nowhere/Land" in caplog.text


class TestManySlots:
    """A slot each minute, and a day without anybody."""

    NOW = START + DAY + 20 * SECOND
    SLOTS = 1440

    def house(self, **changes):
        return Leader(job(**changes), clock=FakeClock(self.NOW))

    async def test_the_newest_hundred_have_records_and_the_others_share_one(self):
        house = self.house()
        await house.look(START)
        counted, *others = await house.record()
        assert (counted.slots, counted.slot) == (self.SLOTS - 100, START + MINUTE)
        assert counted.through == START + (self.SLOTS - 100) * MINUTE
        assert counted.id == runs.run_id(KEY, START + MINUTE, Cause.SCHEDULE)
        assert counted.outcome is Outcome.MISSED
        assert [run.slot for run in others] == [counted.through + number * MINUTE for number in range(1, 101)]

    async def test_looking_again_makes_no_second_one(self):
        house = self.house()
        for since in (START, START, START + HOUR):
            await house.look(since)
            await house.clock.advance(1)
        assert len(await house.record()) == 101

    async def test_nor_where_few_are_counted(self):
        house = Leader(job(catch_up="all"), clock=FakeClock(START + 150 * MINUTE + 20 * SECOND))
        for since in (START, START, START + 20 * MINUTE):
            await house.look(since)
            await house.clock.advance(1)
        counted, *others = await house.record()
        assert (counted.slots, counted.through) == (50, START + 50 * MINUTE)
        assert [run.slot for run in others] == minutes(*range(51, 151))

    async def test_nor_after_another_day_of_downtime(self):
        house = self.house()
        await house.look(START)
        await house.clock.advance(DAY)
        await house.look(START)
        found = await house.record()
        assert sum(run.slots for run in found) == 2 * self.SLOTS
        assert [run.slots for run in found if run.slots > 1] == [self.SLOTS - 100, self.SLOTS - 100]

    async def test_nor_where_several_looks_before_were_cut_short_by_the_end_of_their_process(self):
        house = self.house()
        for _ in range(3):
            await house.look(START)
            await house.clock.advance(DAY)
        found = await house.record()
        assert sum(run.slots for run in found) == 3 * self.SLOTS
        await house.look(START)
        assert sum(run.slots for run in await house.record()) == 4 * self.SLOTS

    async def test_slots_that_still_wait_to_be_caught_up_are_not_counted_and_do_not_stand_in_for_those_that_are(self):
        gate = Gate()
        house = Leader(job(catch_up="all"), script=[gate], clock=FakeClock(START + 50 * MINUTE + 20 * SECOND))
        await house.look(START)
        house.clock.jump(150 * MINUTE)
        await house.look(START)
        gate.open()
        found = await house.record(advance=60)
        (counted,) = [run for run in found if run.slots > 1]
        assert (counted.slot, counted.through, counted.slots) == (START + 51 * MINUTE, START + 100 * MINUTE, 50)
        assert sorted(run.slot for run in found if run is not counted) == minutes(*range(1, 51), *range(101, 201))

    async def test_those_that_wait_for_their_jitter_by_a_clock_that_was_wrong_are_counted(self):
        house = Leader(job(jitter=HOUR), clock=FakeClock(START + 20 * SECOND))
        keeping = house.keep()
        await house.look(START)
        for number in (1, 2):
            await house.clock.advance(START + number * MINUTE - house.clock.now())
            await house.due(at=START + number * MINUTE)
        house.clock.jump(DAY)
        await house.look(START)
        found = await house.record(advance=HOUR)
        assert sum(run.slots for run in found if run.slot <= START + DAY + 2 * MINUTE) == self.SLOTS + 2
        assert found[0].slot == START + MINUTE
        keeping.cancel()

    async def test_records_among_them_are_not_counted(self):
        house = self.house()
        for number in (1, 2, 700):
            run = runs.claim_of(job(), START + number * MINUTE, Cause.SCHEDULE, "another", START)
            house.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
        await house.look(START)
        (counted,) = [run for run in await house.record() if run.slots > 1]
        assert (counted.slot, counted.slots) == (START + 3 * MINUTE, self.SLOTS - 100 - 3)

    async def test_what_stopped_the_newest_of_them_is_told(self):
        house = self.house()
        pause = Pause(id="1", application="billing", reason="x", by="ops", since=START, until=START + 22 * HOUR)
        house.stops = Stoppages([pause])
        await house.look(START)
        counted = (await house.record())[0]
        assert counted.reason.endswith("; of the newest 200 of these 179 paused were not to run")

    async def test_the_last_of_them_is_found_where_all_that_are_listed_have_records(self):
        house = Leader(job(), clock=FakeClock(START + 500 * MINUTE + 20 * SECOND))
        for number in range(100, 451):
            run = runs.claim_of(job(), START + number * MINUTE, Cause.SCHEDULE, "another", START)
            house.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
        await house.look(START)
        found = await house.record()
        (counted,) = [run for run in found if run.slots > 1]
        assert (counted.slot, counted.through, counted.slots) == (START + MINUTE, START + 99 * MINUTE, 99)
        assert sum(run.slots for run in found) == 500


class TestManyJobs:
    async def test_ten_thousand_jobs_never_hold_the_loop_for_long(self):
        jobs = [job(f"app{number % 50}/job{number}", catch_up="none") for number in range(10_000)]
        house = Leader(*jobs, clock=FakeClock(START + 30 * SECOND))
        gaps, before = [], time.thread_time()  # of this thread's own work, however busy the machine is
        looking = asyncio.create_task(house.arrears.look(START - MINUTE))
        while not looking.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            gaps.append(now - before)
            before = now
        await looking
        await house.clock.advance(1)
        assert len(house.store.stored_runs) == 10_000
        gaps.sort()
        assert gaps[len(gaps) * 9 // 10] < 0.05
        assert gaps[-1] < 1

    async def test_jobs_that_owe_nothing_are_passed_quickly(self):
        hourly = Schedule(declared="", cron="30 * * * *")
        jobs = [job(f"app{number % 50}/job{number}", schedule=hourly) for number in range(10_000)]
        house = Leader(*jobs, clock=FakeClock(START + MINUTE))
        begin = time.thread_time()
        await house.arrears.look(START - MINUTE)
        assert time.thread_time() - begin < 1
        assert house.store.calls["runs"] == 0


class TestReasonsToLook:
    async def test_a_slot_that_comes_late_is_left_to_the_look(self):
        house = Leader(job(catch_up="none"), clock=FakeClock(START + 30 * SECOND))
        keeping = house.keep()
        house.clock.due(NAME, at=START)
        assert house.mark == START - MS
        ((slot, outcome),) = await house.outcomes()
        assert (slot, outcome) == (START, "missed")
        assert house.mark == house.clock.now()
        keeping.cancel()

    async def test_older_slots_that_the_clock_did_not_hand_in_are_found_from_the_mark(self):
        house = Leader(job(catch_up="none"))
        assert house.mark == START
        keeping = house.keep()
        await house.clock.advance(3 * MINUTE + 20 * SECOND)
        await house.due(at=START + 3 * MINUTE)
        assert await house.outcomes() == [(slot, "missed") for slot in minutes(1, 2, 3)]
        keeping.cancel()

    async def test_a_new_leader_looks_from_the_mark_of_the_last(self):
        house = Leader(job(), clock=FakeClock(START), term=None)
        keeping = house.keep()
        await house.store.lead("gone", SECOND, START)
        for number in range(1, 4):
            await house.clock.advance(MINUTE)
            await house.due(at=START + number * MINUTE)
        assert await house.outcomes() == []
        await house.clock.advance(20 * SECOND)
        await house.take_the_lead()
        assert house.mark == START
        await settle()
        assert [outcome for _, outcome in await house.outcomes(advance=1)] == ["missed", "missed", "succeeded"]
        assert house.mark == house.clock.now()
        keeping.cancel()

    async def test_a_store_that_is_away_is_asked_again(self):
        house = Leader(job(), clock=FakeClock(START + MINUTE + 20 * SECOND))
        keeping = house.keep()
        house.store.away = True
        house.arrears.behind(START + MINUTE)
        await house.clock.advance(10)
        assert house.mark == START + MINUTE - MS
        house.store.away = False
        assert [outcome for _, outcome in await house.outcomes(advance=3)] == ["succeeded"]
        keeping.cancel()

    async def test_a_look_that_breaks_off_keeps_the_mark(self):
        house = Leader(job(), clock=FakeClock(START + MINUTE + 20 * SECOND))
        house.store.away = True
        with pytest.raises(StoreUnavailableError):
            await house.look(START)
        assert house.mark == START

    async def test_a_bug_is_logged_and_tried_again(self, caplog):
        house = Leader(job(), clock=FakeClock(START + MINUTE + 20 * SECOND))
        good, house.arrears._jobs = house.arrears._jobs, lambda: 1 / 0
        house.arrears.behind(START + MINUTE)
        assert not await house.arrears.step()
        assert "a bug in looking" in caplog.text
        house.arrears._jobs = good
        assert await house.arrears.step()
        assert [outcome for _, outcome in await house.outcomes()] == ["succeeded"]

    async def test_the_lead_that_is_lost_meanwhile_ends_the_look(self):
        house = Leader(job(), clock=FakeClock(START + MINUTE + 20 * SECOND))
        good = house.store.run_ids

        async def slow(since):
            house.term = None
            return await good(since)

        house.store.run_ids = slow
        house.arrears.behind(START + MINUTE)
        assert not await house.arrears.step()
        assert (await house.outcomes(), house.mark) == ([], START + MINUTE - MS)


@pytest.mark.parametrize("seed", range(6))
async def test_every_slot_has_one_outcome_whatever_is_away_and_however_often_it_is_looked(seed):
    """Minutes with the store away, slots that come late or not at all, looks at any time: a plain count at the end."""
    rng = random.Random(seed)  # noqa: S311 - faults, no secrets
    jobs = [
        job(f"app/{policy.lower()}-{catch_up}", concurrency_policy=policy, catch_up=catch_up)
        for policy in ("Forbid", "Allow", "Replace")
        for catch_up in ("none", "latest", "all")
    ]
    house = Leader(*jobs)
    keeping = house.keep()
    house.mark  # noqa: B018 - as a renewal does
    names = [str(one.key) for one in jobs]
    for number in range(1, 121):
        await house.clock.advance(START + number * MINUTE - house.clock.now())
        if rng.random() < 0.8:
            await house.due(*names, at=START + number * MINUTE)
        else:
            house.runner._admission.fall_behind(START + number * MINUTE)
        if rng.random() < 0.2:
            house.store.away = not house.store.away
        if rng.random() < 0.2:
            house.store.lose_answers = 1
        if rng.random() < 0.1 and not house.store.away:
            with suppress(StoreUnavailableError):
                await house.look(START)
        mark = house.mark
        recorded = Counter((run.key, run.slot) for run in house.store.stored_runs.values())
        for minute in range(1, number + 1):
            if START + minute * MINUTE <= mark:
                assert all(recorded[one.key, START + minute * MINUTE] == 1 for one in jobs), mark
    house.store.away, house.store.lose_answers = False, 0
    await house.clock.advance(30 * SECOND)
    await house.look(START)
    found = await house.record(advance=5)
    assert Counter((run.key, run.slot) for run in found) == Counter(
        (one.key, START + number * MINUTE) for one in jobs for number in range(1, 121)
    )
    assert Outcome.RUNNING not in {run.outcome for run in found}
    keys = [request.headers["Idempotency-Key"] for request in house.caller.requests]
    assert len(keys) == len(set(keys))
    keeping.cancel()


async def test_a_slot_that_is_handed_in_twice_is_called_once():
    house = Leader(job(), clock=FakeClock(START + MINUTE))
    await house.due(at=START + MINUTE)
    await house.record()
    await house.due(at=START + MINUTE)
    await house.look(START)
    assert len(await house.record()) == 1
    assert len(house.caller.requests) == 1


async def test_other_names_of_jobs_do_not_mix_up_records():
    one, two = job("a/b"), job("a/c")
    house = Leader(one, two, clock=FakeClock(START + MINUTE + 20 * SECOND))
    run = runs.claim_of(one, START + MINUTE, Cause.SCHEDULE, "another", START)
    house.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
    await house.look(START)
    assert [request.headers["X-Reconciler-Job"] for request in house.caller.requests] == ["a/c"]
    assert {run.key for run in await house.record()} == {JobKey("a", "b"), JobKey("a", "c")}
