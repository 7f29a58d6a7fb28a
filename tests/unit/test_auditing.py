from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.app.auditing import audit
from reconciler.core.audit import Kind
from reconciler.core.eras import Span
from reconciler.core.model import (
    After,
    ApplicationState,
    Cause,
    Era,
    JobKey,
    Lease,
    Outcome,
    Retention,
    Schedule,
)
from reconciler.core.runs import claim_of, ended
from reconciler.errors import NotFoundError
from tests.fakes import START, MemoryStore, stored_job

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
BEGAN = START - 10 * DAY
NIGHTLY, EXTRACT, LOAD = (JobKey.parse(f"billing/{name}") for name in ("nightly", "extract", "load"))
HOURLY = Schedule(declared="0 * * * *", cron="0 * * * *")


class House:
    """A store in which somebody has led for ten days, up to now."""

    def __init__(self, *jobs, led_since=BEGAN):
        self.store = MemoryStore()
        self.retention = Retention()
        self.store.stored_lease = Lease(
            holder="me",
            term=1,
            since=led_since,
            expires_at=START + SECOND,
            accounted_from=led_since,
            accounted_until=START,
        )
        for stored in jobs or (stored_job(since=BEGAN, schedule=HOURLY),):
            self.declare(stored)

    def declare(self, stored):
        self.store.stored_jobs[stored.key] = stored
        self.era(Era(key=stored.key, begin=stored.since, schedule=stored.job.schedule))

    def era(self, era):
        self.store.stored_eras[era.id] = era

    def record(self, name, slot, outcome=Outcome.SUCCEEDED, cause=Cause.SCHEDULE, upstream=None):
        run = claim_of(stored_job(name), slot, cause, "me", slot, upstream=upstream)
        if outcome is not Outcome.RUNNING:
            run = ended(run, outcome, "", slot + SECOND)
        self.store.seed(run)
        return run

    def hourly(self, name="billing/nightly", hours=range(24)):
        for number in hours:
            self.record(name, START - number * HOUR)

    async def audit(self, after=START - DAY, until=START, **options):
        return await audit(self.store, Span(after, until), retention=self.retention, now=START, **options)


async def test_every_slot_of_a_day_has_its_record():
    house = House()
    house.hourly()
    found = await house.audit()
    assert (found.slots, found.outcomes, found.differences) == (24, {"succeeded": 24}, ())
    assert (found.jobs, found.notes, found.unreadable) == (1, (), ())


async def test_a_record_that_is_gone_is_named():
    house = House()
    house.hourly(hours=[number for number in range(24) if number != 5])
    (one,) = (await house.audit()).differences
    assert (one.kind, one.key, one.slot) == (Kind.MISSING, NIGHTLY, START - 5 * HOUR)


async def test_days_are_read_one_after_the_other_and_pages_too():
    house = House(stored_job(since=BEGAN, schedule=Schedule(declared="every 1m", every=MINUTE)))
    for number in range(3 * 1440):
        house.record("billing/nightly", START - number * MINUTE)
    house.retention = Retention(keep_per_job=10_000)
    found = await house.audit(START - 3 * DAY)
    assert (found.slots, found.differences) == (4320, ())


async def test_slots_after_the_mark_are_not_looked_at():
    house = House()
    house.hourly(hours=range(1, 24))
    house.store.stored_lease = replace(house.store.stored_lease, accounted_until=START - MINUTE)
    assert (await house.audit()).differences == ()


async def test_a_store_on_which_nobody_led_has_nothing_to_account_for():
    house = House()
    house.store.stored_lease = None
    found = await house.audit()
    assert (found.slots, found.differences, len(found.notes)) == (0, (), 1)


async def test_a_job_that_is_gone_is_looked_at_too():
    house = House()
    house.hourly()
    del house.store.stored_jobs[NIGHTLY]
    house.era(Era(key=NIGHTLY, begin=START - 90 * MINUTE, schedule=None))
    strays = (await house.audit()).differences
    assert [(one.kind, one.slot) for one in strays] == [(Kind.SURPLUS, START - HOUR), (Kind.SURPLUS, START)]


async def test_runs_of_a_job_of_which_nothing_is_known_are_surplus():
    house = House()
    house.hourly()
    house.record("shop/ghost", START - HOUR)
    (one,) = (await house.audit()).differences
    assert (one.kind, str(one.key), one.said) == (
        Kind.SURPLUS,
        "shop/ghost",
        "nothing was due: the job did not exist yet",
    )


async def test_a_job_without_a_history_is_judged_by_what_it_says_now():
    house = House()
    house.store.stored_eras.clear()
    house.hourly(hours=range(23))
    assert [one.slot for one in (await house.audit()).differences] == [START - 23 * HOUR]


async def test_one_application_or_one_job_can_be_asked_for():
    house = House(*(stored_job(name, since=BEGAN, schedule=HOURLY) for name in ("billing/a", "billing/b", "shop/a")))
    assert {str(one.key) for one in (await house.audit(target="billing")).differences} == {"billing/a", "billing/b"}
    assert {str(one.key) for one in (await house.audit(target="shop/a")).differences} == {"shop/a"}


@pytest.mark.parametrize(
    ("target", "said"),
    [("biling", r"no Application biling \(did you mean `billing`\?\)"), ("billing/nigthly", "no job billing/nigthly")],
)
async def test_what_never_was_cannot_be_asked_for(target, said):
    with pytest.raises(NotFoundError, match=said):
        await House().audit(target=target)


async def test_progress_is_told_job_by_job():
    told = []
    await House(stored_job("a/a"), stored_job("a/b")).audit(step=lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]


class TestRetention:
    async def test_what_is_older_than_runs_are_kept_is_held_against_nobody(self):
        house = House()
        house.hourly(hours=range(48))
        house.retention = Retention(keep_for=2 * DAY)
        found = await house.audit(START - 5 * DAY)
        assert (found.slots, found.differences) == (48, ())
        assert found.notes == (
            "records older than 2d may have been removed; slots from before are held against nobody",
        )

    async def test_an_application_may_keep_its_own_otherwise(self):
        house = House()
        house.hourly(hours=range(48))
        state = ApplicationState(name="billing", since=BEGAN, history=Retention(keep_for=2 * DAY))
        house.store.stored_applications["billing"] = state
        assert (await house.audit(START - 5 * DAY)).differences == ()

    async def test_what_went_because_a_job_has_too_many_runs_is_held_against_nobody(self):
        house = House()
        house.hourly(hours=range(10))
        house.retention = Retention(keep_per_job=10)
        found = await house.audit()
        assert (found.slots, found.differences) == (9, ())  # the oldest one kept may be the last of its time
        assert found.notes == (
            "1 job has more slots than runs are kept of one job: only those are looked at whose records are kept",
        )

    async def test_what_is_lost_among_those_that_are_kept_is_named(self):
        house = House()
        house.hourly(hours=[*range(3), *range(4, 11)])
        house.retention = Retention(keep_per_job=10)
        assert [one.slot for one in (await house.audit()).differences] == [START - 3 * HOUR]


class TestCountedRecords:
    async def test_one_that_begins_before_the_span_counts_in_it(self):
        house = House()
        run = house.record("billing/nightly", START - 30 * HOUR, Outcome.MISSED)
        house.store.seed(replace(run, slots=11, through=START - 20 * HOUR))
        house.hourly(hours=range(20))
        found = await house.audit()
        assert (found.outcomes, found.differences) == ({"succeeded": 20, "missed": 4}, ())

    async def test_an_ordinary_record_from_before_counts_for_nothing(self):
        house = House()
        house.record("billing/nightly", START - 30 * HOUR, Outcome.MISSED)
        house.hourly(hours=range(20))
        assert sum(one.slots for one in (await house.audit()).differences) == 4


class TestRunsWithoutAnEnd:
    async def test_a_run_whose_process_is_gone_is_unfinished(self):
        house = House()
        house.hourly(hours=range(1, 24))
        house.hourly(hours=[])
        stuck = house.record("billing/nightly", START - HOUR, Outcome.RUNNING)
        house.record("billing/nightly", START)
        found = await house.audit()
        assert [(one.kind, one.run) for one in found.differences] == [(Kind.UNFINISHED, stuck.id)]
        assert found.outcomes == {"succeeded": 23, "unfinished": 1}


class TestChains:
    @staticmethod
    def house():
        after = Schedule(declared="after billing/extract", after=After(key=EXTRACT))
        return House(
            stored_job("billing/extract", since=BEGAN, schedule=HOURLY),
            stored_job("billing/load", since=BEGAN, schedule=after),
        )

    async def test_each_end_has_started_its_run(self):
        house = self.house()
        for number in range(1, 25):
            upstream = house.record("billing/extract", START - number * HOUR)
            if number < 24:
                house.record("billing/load", upstream.finished_at, cause=Cause.AFTER, upstream=upstream)
        found = await house.audit(START - 25 * HOUR, START - MINUTE)
        assert found.outcomes == {"succeeded": 47, "missing": 1}
        (one,) = found.differences
        assert (one.key, one.slot) == (LOAD, START - DAY + SECOND)

    async def test_an_end_that_came_long_after_its_slot_counts_by_its_instant(self):
        house = self.house()
        upstream = replace(house.record("billing/extract", START - DAY), finished_at=START - DAY + 20 * MINUTE)
        house.store.seed(upstream)
        (one,) = (await house.audit(START - DAY + MINUTE, START - 23 * HOUR - MINUTE)).differences
        assert (one.key, one.slot) == (LOAD, upstream.finished_at)

    async def test_ends_of_the_last_seconds_may_still_be_followed(self):
        house = self.house()
        house.record("billing/extract", START - DAY)
        assert (await house.audit(START - DAY - SECOND, START - DAY + 8 * SECOND)).differences == ()

    async def test_a_run_that_no_end_has_started_is_surplus(self):
        house = self.house()
        upstream = house.record("billing/extract", START - HOUR, Outcome.FAILED)
        house.record("billing/load", upstream.finished_at, cause=Cause.AFTER, upstream=upstream)
        (one,) = (await house.audit(START - 90 * MINUTE, START - MINUTE)).differences
        assert (one.kind, one.key) == (Kind.SURPLUS, LOAD)


class TestChainsAndRetention:
    """The upstream's runs go sooner than those that they have started."""

    SHOP = JobKey.parse("shop/load")

    def house(self, up):
        after = Schedule(declared="after billing/extract", after=After(key=EXTRACT))
        house = House(
            stored_job("billing/extract", since=BEGAN, schedule=HOURLY),
            stored_job("shop/load", since=BEGAN, schedule=after),
        )
        house.store.stored_applications["billing"] = ApplicationState(name="billing", since=BEGAN, history=up)
        runs = [house.record("billing/extract", START - number * HOUR) for number in range(1, 24)]
        for run in runs:
            house.record("shop/load", run.finished_at, cause=Cause.AFTER, upstream=run)
        return house, runs

    async def found(self, house):
        return await house.audit(START - DAY, START - MINUTE, target="shop/load")

    async def test_runs_whose_upstream_went_because_there_are_too_many_are_held_against_nobody(self):
        house, runs = self.house(Retention(keep_per_job=3))
        for run in runs[3:]:
            del house.store.stored_runs[run.id]
        found = await self.found(house)
        assert (found.outcomes, found.differences) == ({"succeeded": 23}, ())
        assert found.notes == (
            "20 runs name a run of another job that may have been removed since; that is held against nobody",
        )

    async def test_and_so_are_those_whose_upstream_went_for_its_age(self):
        house, runs = self.house(Retention(keep_for=2 * HOUR))
        for run in runs[2:]:
            del house.store.stored_runs[run.id]
        assert (await self.found(house)).differences == ()

    async def test_one_whose_upstream_is_lost_among_those_that_are_kept_is_named(self):
        house, runs = self.house(Retention(keep_per_job=3))
        for run in (runs[1], *runs[4:]):
            del house.store.stored_runs[run.id]
        found = await self.found(house)
        assert [(one.kind, one.slot) for one in found.differences] == [(Kind.SURPLUS, runs[1].finished_at)]
        assert len(found.notes) == 1

    async def test_where_nothing_has_gone_nothing_is_forgiven(self):
        house, runs = self.house(None)
        del house.store.stored_runs[runs[0].id]
        found = await self.found(house)
        assert [one.slot for one in found.differences] == [runs[0].finished_at]
        assert found.notes == ()


async def test_a_schedule_that_nobody_can_read_here_is_told_and_holds_up_nothing():
    house = House()
    house.hourly()
    house.declare(stored_job("billing/odd", since=BEGAN, schedule=replace(HOURLY, zone="Atlantis/Poseidonis")))
    house.store.damaged_jobs["billing/broken"] = "schedule is missing"
    house.store.stored_applications["odd"] = ApplicationState(name="odd", since=BEGAN)
    house.store.damaged["applications"] = {"odd": "since is missing"}
    found = await house.audit()
    assert found.outcomes == {"succeeded": 24}
    assert [one.partition(":")[0] for one in found.unreadable] == ["billing/broken", "odd", "billing/odd"]
