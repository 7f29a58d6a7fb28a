"""Slots of a schedule that no longer holds, which nobody took on: each has its record, and none is called."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import runs
from reconciler.core.model import Calendar, Cause, Era, JobKey, Outcome, Pause, Schedule
from reconciler.core.stops import Stoppages
from reconciler.errors import StoreUnavailableError
from reconciler.services.leading import Leadership
from tests.fakes import START, FakeClock, Gate, MemoryStore, settle, stored_job
from tests.unit.services.leaders import KEY, NAME, SPAN, Leader

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
LONG_AGO = START - 400 * DAY
MS = timedelta(milliseconds=1)
MINUTELY = Schedule(declared="* * * * *", cron="* * * * *")
YEARLY = Schedule(declared="@yearly", cron="0 0 1 1 *")
EDITED = "not caught up: the job was edited before this slot could be taken on"


def at(minutes):
    return START + minutes * MINUTE


def edited(minutes, schedule=YEARLY, name=NAME, **changes):
    """The job as it stands since an edit."""
    return replace(stored_job(name, schedule=schedule, **changes), since=at(minutes), applied_at=at(minutes))


def house(*jobs, now=10, eras=(), first=MINUTELY, **settings):
    """A leader at so many minutes, to whom the history of schedules is given: (minute, schedule) of the one job."""
    made = Leader(*jobs, clock=FakeClock(at(now)), **settings)
    if not jobs:
        made.jobs.clear()
    told = [(LONG_AGO, first), *((at(minutes), schedule) for minutes, schedule in eras)]
    made.store.stored_eras = {
        era.id: era
        for era in (Era(key=KEY, begin=begin, schedule=schedule, file="old.yaml") for begin, schedule in told)
    }
    return made


async def told(made):
    """(minute of the slot, outcome) of every record; a record that counts several tells the last one and how many."""
    return [
        ((run.slot - START) // MINUTE, run.outcome.value)
        + (((run.through - START) // MINUTE, run.slots) if run.through else ())
        for run in await made.record()
    ]


class TestEnds:
    async def test_an_edited_job_owes_nothing_and_each_of_its_slots_has_its_record(self):
        made = house(edited(4), eras=[(4, YEARLY)])
        await made.look(START)
        assert await told(made) == [(number, "missed") for number in (1, 2, 3, 4)]
        assert {(run.reason, run.file, run.cause) for run in await made.record()} == {
            (EDITED, "old.yaml", Cause.SCHEDULE)
        }
        assert made.caller.requests == []

    async def test_the_new_schedule_is_owed_from_the_edit_on(self):
        every_two = Schedule(declared="*/2 * * * *", cron="*/2 * * * *")
        made = house(edited(3, every_two), eras=[(3, every_two)])
        made.clock.jump(20 * SECOND)
        await made.look(START)
        expected = [(number, "missed") for number in (1, 2, 3, 4, 6, 8)]
        assert await told(made) == [*expected, (10, "succeeded")]
        assert len(made.caller.requests) == 1

    @pytest.mark.parametrize("end", ["suspended", "removed"])
    async def test_one_that_is_gone_or_suspended(self, end):
        made = house(*([edited(2, MINUTELY, suspend=True)] if end == "suspended" else ()), eras=[(2, None)])
        await made.look(START)
        assert await told(made) == [(1, "missed"), (2, "missed")]
        reason = f"not caught up: the job was {end} before this slot could be taken on"
        assert {run.reason for run in await made.record()} == {reason}

    async def test_one_that_was_resumed_owes_nothing_while_it_was_suspended(self):
        made = house(edited(9, YEARLY), eras=[(2, None), (9, YEARLY)])
        await made.look(START)
        assert await told(made) == [(1, "missed"), (2, "missed")]

    async def test_several_edits_are_told_apart(self):
        hourly = Schedule(declared="5 * * * *", cron="5 * * * *")
        made = house(edited(7), eras=[(2, hourly), (6, MINUTELY), (7, YEARLY)])
        await made.look(START)
        assert await told(made) == [(number, "missed") for number in (1, 2, 5, 7)]

    async def test_an_edit_at_the_very_moment_of_the_look(self):
        made = house(edited(3), now=3, eras=[(3, YEARLY)])
        await made.look(START)
        assert await told(made) == [(number, "missed") for number in (1, 2, 3)]

    async def test_a_clock_that_was_set_back_since_the_edit_loses_none(self):
        made = house(edited(30), now=3, eras=[(30, YEARLY)])
        await made.look(START)
        assert await told(made) == [(number, "missed") for number in (1, 2, 3)]


class TestRecords:
    async def test_what_has_one_keeps_it(self):
        made = house(edited(4), eras=[(4, YEARLY)])
        run = runs.claim_of(stored_job(), at(2), Cause.SCHEDULE, "another", START)
        made.store.seed(runs.ended(run, Outcome.SUCCEEDED, "", START))
        await made.look(START)
        assert await told(made) == [(1, "missed"), (2, "succeeded"), (3, "missed"), (4, "missed")]

    async def test_records_by_a_name_that_the_job_had_count_whether_it_still_says_so_or_not(self):
        made = house(edited(4), eras=[(4, YEARLY)])
        run = runs.claim_of(stored_job("billing/old-name"), at(2), Cause.SCHEDULE, "another", START)
        made.store.seed(replace(runs.ended(run, Outcome.SUCCEEDED, "", START), key=KEY))
        await made.look(START)
        assert await told(made) == [(1, "missed"), (2, "succeeded"), (3, "missed"), (4, "missed")]

    async def test_looking_again_adds_none(self):
        made = house(edited(4), eras=[(4, YEARLY)])
        for since in (START, START, at(2)):
            await made.look(since)
            await made.clock.advance(MINUTE)
        assert len(await made.record()) == 4

    async def test_the_newest_hundred_have_their_own_and_the_others_share_one(self):
        made = house(edited(1000), now=1001, eras=[(1000, YEARLY)])
        for since in (START, START, START + HOUR):
            await made.look(since)
            await made.clock.advance(1)
        counted, *others = await told(made)
        assert counted == (1, "missed", 900, 900)
        assert others == [(number, "missed") for number in range(901, 1001)]
        reason = "not caught up: the job was edited before these 900 slots could be taken on"
        assert (await made.record())[0].reason == reason

    async def test_a_hundred_for_all_eras_of_a_job_together(self):
        hourly = Schedule(declared="0 * * * *", cron="0 * * * *")
        made = house(edited(500), now=501, eras=[(200, hourly), (440, MINUTELY), (500, YEARLY)])
        for _ in range(2):
            await made.look(START)
            await made.clock.advance(1)
        first, *others = await told(made)
        assert first == (1, "missed", 164, 164)
        expected = [*range(165, 201), 240, 300, 360, 420, *range(441, 501)]
        assert others == [(number, "missed") for number in expected]

    async def test_an_era_beyond_the_hundred_has_one_record(self):
        made = house(edited(500), now=501, eras=[(200, None), (300, MINUTELY), (500, YEARLY)])
        for _ in range(2):
            await made.look(START)
            await made.clock.advance(1)
        assert (await told(made))[:2] == [(1, "missed", 200, 200), (301, "missed", 400, 100)]
        assert len(await made.record()) == 102

    async def test_what_was_paused_then_is_skipped(self):
        made = house(edited(4), eras=[(4, YEARLY)])
        pause = Pause(id="1", application="billing", reason="move", by="ops", since=at(2), until=at(3))
        made.stops = Stoppages([pause])
        await made.look(START)
        assert await told(made) == [(1, "missed"), (2, "skipped"), (3, "missed"), (4, "missed")]

    async def test_a_calendar_counts_as_it_was_for_the_slot(self):
        closed = replace(MINUTELY, but_not=(Calendar(name="closed", weekly=("MON",)),))
        made = house(edited(2), eras=[(2, YEARLY)], first=closed)
        await made.look(START)
        assert await told(made) == [(1, "skipped"), (2, "skipped")]
        assert {"closed" in run.reason for run in await made.record()} == {True}

    async def test_a_schedule_that_cannot_be_read_holds_up_no_other(self, caplog):
        made = house(edited(4), eras=[(2, replace(MINUTELY, zone="Nowhere/Land")), (4, YEARLY)])
        await made.look(START)
        assert await told(made) == [(1, "missed"), (2, "missed")]
        assert "Nowhere/Land" in caplog.text


class TestCrashes:
    async def test_a_crash_between_the_edit_and_the_look_loses_none(self):
        """The first leader dies after its sync, having renewed its lease, before it has looked."""
        store = MemoryStore()
        await store.lead("gone", SECOND, START)
        store.clock = clock = FakeClock(at(5))
        first = house(edited(5), eras=[(5, YEARLY)], owner="first", store=store, now=5)
        first.clock = clock
        for owner, made in (("first", first), ("second", Leader(edited(5), owner="second", store=store, clock=clock))):
            made.term = None
            await clock.advance(MINUTE)
            leadership = Leadership(
                store=store,
                clock=clock,
                process_id=owner,
                span=SPAN,
                accounted_until=lambda made=made: made.mark,
                on_lead=lambda lease, made=made: made.arrears.lead_from(lease.accounted_until),
            )
            for _ in range(3):
                await leadership.step()
                await clock.advance(SECOND)
            assert leadership.term is not None
            assert store.stored_lease.accounted_until == START
            made.term = leadership.term
        assert await made.arrears.step()
        assert await told(made) == [(number, "missed") for number in (1, 2, 3, 4, 5)]
        await leadership.step()
        assert store.stored_lease.accounted_until > at(5)

    async def test_a_store_that_goes_away_meanwhile_keeps_the_mark(self):
        made = house(edited(4), eras=[(4, YEARLY)])
        good = made.store.eras

        async def away(**asked):
            made.store.away = True
            return await good(**asked)

        made.store.eras = away
        with pytest.raises(StoreUnavailableError):
            await made.look(START)
        assert made.mark == START
        made.store.away, made.store.eras = False, good
        await made.look(START)
        assert len(await made.record()) == 4
        assert made.mark == made.clock.now()


class TestEditsWhileSlotsWait:
    async def test_one_that_waits_to_be_caught_up_is_called_no_more_once_its_job_was_edited(self):
        gate = Gate()
        made = house(replace(stored_job(catch_up="all"), since=LONG_AGO), now=3, script=[gate])
        made.clock.jump(20 * SECOND)
        keeping = made.keep()
        await made.look(START)
        made.jobs[KEY] = edited(4)
        era = Era(key=KEY, begin=at(4), schedule=YEARLY)
        made.store.stored_eras[era.id] = era
        await made.clock.advance(MINUTE)
        assert made.mark < at(2)
        gate.open()
        await settle()
        assert await told(made) == [(1, "succeeded"), (2, "missed"), (3, "missed"), (4, "missed")]
        assert len(made.caller.requests) == 1
        assert made.mark == made.clock.now()
        keeping.cancel()

    async def test_one_that_waits_for_its_jitter_has_its_record_though_its_job_is_removed(self):
        made = house(replace(stored_job(jitter=HOUR), since=LONG_AGO), now=1)
        made.store.stored_eras = {}
        hourly = Schedule(declared="1 * * * *", cron="1 * * * *")
        eras = [Era(key=KEY, begin=LONG_AGO, schedule=hourly), Era(key=KEY, begin=at(1) + SECOND, schedule=None)]
        keeping = made.keep()
        await made.due(at=at(1))
        made.jobs.clear()
        made.store.stored_eras = {era.id: era for era in eras}
        await made.clock.advance(HOUR)
        assert await told(made) == [(1, "missed")]
        assert (made.caller.requests, made.mark) == ([], made.clock.now())
        keeping.cancel()

    async def test_nor_is_it_called_where_its_job_was_edited_meanwhile(self):
        made = house(replace(stored_job(jitter=HOUR), since=LONG_AGO), now=1)
        keeping = made.keep()
        await made.due(at=at(1))
        made.jobs[KEY] = edited(1.5)
        made.store.stored_eras |= {era.id: era for era in [Era(key=KEY, begin=at(1.5), schedule=YEARLY)]}
        await made.clock.advance(HOUR)
        assert await told(made) == [(1, "missed")]
        assert made.caller.requests == []
        keeping.cancel()


class TestEffort:
    async def test_one_question_where_nothing_was_edited(self):
        made = house(replace(stored_job(), since=LONG_AGO))
        await made.look(START)
        before = made.store.calls.copy()
        await made.look(at(9))
        asked = made.store.calls - before
        assert (asked["eras"], asked["runs"]) == (1, 0)

    async def test_ten_thousand_edited_jobs_never_hold_the_loop_for_long(self):
        keys = [JobKey(f"app{number % 50}", f"job{number}") for number in range(10_000)]
        made = Leader(*(edited(2, name=str(key)) for key in keys), clock=FakeClock(at(3)))
        eras = [
            Era(key=key, begin=begin, schedule=schedule)
            for key in keys
            for begin, schedule in ((LONG_AGO, MINUTELY), (at(2), YEARLY))
        ]
        made.store.stored_eras = {era.id: era for era in eras}
        gaps, before = [], time.thread_time()  # of this thread's own work, however busy the machine is
        looking = asyncio.create_task(made.arrears.look(at(1)))
        while not looking.done():
            await asyncio.sleep(0)
            gaps.append(time.thread_time() - before)
            before = time.thread_time()
        await looking
        await made.clock.advance(1)
        assert Counter(run.slot for run in made.store.stored_runs.values()) == {at(2): 10_000}
        assert made.store.calls["runs"] == 0
        gaps.sort()
        assert gaps[len(gaps) * 9 // 10] < 0.05
        assert gaps[-1] < 1
