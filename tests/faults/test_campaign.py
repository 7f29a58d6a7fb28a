"""The short form of the campaign, and proof that it would notice: each protection is taken away once.

Nothing here judges how long something takes, so that a slow machine changes nothing.
"""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.faults import calls, campaign
from tests.faults.campaign import Options
from tests.faults.disk import NoDiskError, small_disk
from tests.faults.faults import Kind, Planned, plan
from tests.faults.inject import Injector
from tests.faults.jobs import CROWDED, Declared, mixed
from tests.faults.oracle import Verdict, judge
from tests.faults.watch import Watch
from tests.faults.world import World

LEASE = 1.0
KINDS = (Kind.KILL, Kind.TRAP, Kind.STOP, Kind.TERMINATE, Kind.NETWORK, Kind.DATABASE)
PATIENCE = 30.0

on_mongodb = pytest.mark.usefixtures("mongodb_server")  # skips where there is none; the campaign starts its own


def judged(evidence) -> Verdict:
    return judge(replace(evidence, takeover=None, handover=None))


@on_mongodb
async def test_every_slot_has_one_outcome_whatever_fails(tmp_path):
    options = Options(seconds=9, faults=7, replicas=2, lease=LEASE, renames=3)
    world = World(tmp_path, mixed(20), replicas=2, settings=campaign.settings(options))
    told = await campaign.take_place(world, plan(options.seed, options.faults, options.seconds, KINDS), options)
    verdict = judged(told.evidence)
    assert verdict.breaches == []
    assert verdict.slots >= 150
    assert told.renames >= 5
    assert {fault.kind for fault in told.evidence.faults} >= {"kill", "stop", "terminate", "network", "database"}


async def lived_through(folder: Path, jobs, without: str, what) -> Verdict:
    """Two replicas that lack these protections, to which something happens."""
    options = Options(replicas=2, lease=LEASE)
    settings = {**campaign.settings(options), "FAULTS_WITHOUT": without, "RECONCILER_DRAIN": "1s"}
    world = World(folder, jobs, replicas=2, settings=settings)
    async with world, Watch(world) as watch:
        await campaign.begin(world, watch)
        injector = Injector(world, watch, span=LEASE)
        await what(world, watch, injector)
        return judged(await campaign.end(world, watch, injector, options, patience=0))


PLAIN = [Declared(application="app", api=f"job{number}", every=1, method="POST") for number in range(5)]


async def in_turns(world: World, watch: Watch, _: Injector) -> None:
    """Each is ahead of the other once, until it has called something; otherwise one could win every race."""
    for ahead in world.replicas:
        ahead.tell("clock +0.4")
        before = len(calls.read(world.calls))
        assert await watch.until(partial(has_called, world, before, watch.process_of(ahead)), PATIENCE)
        ahead.tell("clock 0")


def has_called(world: World, before: int, process: str) -> bool:
    return any(call.sender == process for call in calls.read(world.calls)[before:])


@on_mongodb
async def test_without_a_term_it_is_seen_that_two_lead(tmp_path):
    verdict = await lived_through(tmp_path, PLAIN, "term", in_turns)
    assert verdict.count("usurped")
    assert not verdict.count("duplicated")  # the claim still stands between them


async def until_twice(world: World, watch: Watch, _: Injector) -> None:
    """Until a run has been called by both; which of them skips a slot, since the other still runs, is up to chance."""

    def is_called_twice() -> bool:
        return max(Counter(call.run for call in calls.read(world.calls)).values(), default=0) > 1

    assert await watch.until(is_called_twice, PATIENCE)


@on_mongodb
async def test_without_a_claim_either_it_is_seen_that_calls_are_made_twice(tmp_path):
    verdict = await lived_through(tmp_path, PLAIN, "term,claim", until_twice)
    assert verdict.count("duplicated")


WAITING = [
    Declared(application=CROWDED, api=f"job{number}", every=2, method="POST", path="/slow/500", policy="Allow")
    for number in range(40)
]


async def cut_off(_: World, watch: Watch, injector: Injector) -> None:
    """The leader, behind whose calls others wait, hears nothing of the database until another one leads."""
    assert await watch.until(watch.leader, PATIENCE)
    terms = len(watch.tenures)
    await injector.disturb(watch.leader(), "stalled", 4 * LEASE)
    assert await watch.until(lambda: len(watch.tenures) > terms, PATIENCE)


@on_mongodb
@pytest.mark.parametrize("without", ["", "deadline"], ids=["with its deadline", "without its deadline"])
async def test_without_a_deadline_it_is_seen_that_a_deposed_leader_goes_on(tmp_path, without):
    verdict = await lived_through(tmp_path, WAITING, without, cut_off)
    assert bool(verdict.count("usurped")) is (without == "deadline")


async def test_a_full_disk_loses_no_slot(tmp_path):
    try:
        with small_disk(tmp_path / "disk") as disk:
            options = Options(seconds=6, replicas=1, lease=LEASE, renames=2)
            file = disk.folder / "state.db"
            world = World(tmp_path, PLAIN, replicas=1, settings=campaign.settings(options), sqlite=file)
            full = [Planned(at=1.0, kind=Kind.DISK, label="", leader=False, part=0.5)]
            told = await campaign.take_place(world, full, options, disk)
    except NoDiskError as error:
        pytest.skip(str(error))
    verdict = judged(told.evidence)
    assert verdict.breaches == []
    assert verdict.slots >= 30
