"""The machine's clock is set, by an hour and by a year, while a replica runs: nothing twice, no storm, nothing lost."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults import campaign
from tests.faults.calls import read
from tests.faults.jobs import Declared
from tests.faults.watch import Watch
from tests.faults.world import World

HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)
JOBS = [
    Declared(application="app", api=f"{catch_up}-{method.lower()}", every=1, method=method, catch_up=catch_up)
    for catch_up in ("none", "latest", "all")
    for method in ("GET", "POST")
]
CAUGHT_UP = 100  # slots of one job at most
PATIENCE = 20.0
LASTING = {"RECONCILER_KEEP_RUNS": "3650d", "RECONCILER_KEEP_FAILURES": "3650d"}  # a year is no reason to forget


async def calls_after(world: World, watch: Watch, count: int) -> None:
    assert await watch.until(lambda: len(read(world.calls)) >= count, PATIENCE)


@pytest.mark.parametrize("jump", [HOUR, YEAR], ids=["an hour", "a year"])
@pytest.mark.parametrize("direction", [1, -1], ids=["forward", "back"])
async def test_a_clock_that_is_set_makes_nothing_twice_and_no_storm(tmp_path, jump, direction):
    world = World(tmp_path, JOBS, replicas=1, settings=LASTING, sqlite=tmp_path / "state.db")
    async with world, Watch(world) as watch:
        await campaign.begin(world, watch)
        await calls_after(world, watch, 2 * len(JOBS))
        before = time.time()
        world.replicas[0].tell(f"clock {direction * jump.total_seconds()}")
        await asyncio.sleep(3)
        world.replicas[0].tell("clock 0")
        await asyncio.sleep(1)
        assert world.replicas[0].runs
        await world.settle()
        runs = await campaign.records(watch.store)
    calls = read(world.calls)
    made = {job.key: Counter(call.slot for call in calls if call.job == job.key) for job in JOBS}
    assert max(count for counts in made.values() for count in counts.values()) == 1
    assert all(sum(counts.values()) <= CAUGHT_UP + (time.time() - before) + 10 for counts in made.values())
    assert {call.run for call in calls} <= {run.id for run in runs}
    if direction > 0:
        for job in JOBS:
            recorded = sum(run.slots for run in runs if str(run.key) == job.key)
            since = min(run.slot for run in runs if str(run.key) == job.key)
            assert recorded >= (datetime.fromtimestamp(before, UTC) + jump - since).total_seconds()
    assert world.troubles() == []
