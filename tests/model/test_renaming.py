"""A job that is given another name while its slots come and its leader dies: moments that chance finds too seldom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.model import Cause
from tests.model.machine import FIXED, manifests
from tests.model.promises import Promises
from tests.model.reference import Declared
from tests.model.replica import Replica
from tests.model.world import World

SECOND = timedelta(seconds=1)
BEGIN = datetime(2026, 3, 2, 8, 0, 30, tzinfo=UTC)
ONCE = Declared(every=1, method="POST", policy="Allow", catch_up="all")


@pytest.fixture
def world() -> Iterator[World]:
    world = World(BEGIN)
    yield world
    world.close()


def _declare(world: World, name: str, old: str = "") -> None:
    declared = {FIXED: Declared(every=3600), name: ONCE}
    world.source.commit(manifests(declared, {}, {name: old} if old else {}), declared)


def _start(world: World) -> Replica:
    one = Replica(world, len(world.replicas) + 1, knows_neighbours=True, places=100)
    world.replicas.append(one)
    one.context.run(one.start)
    world.run(world.pass_time(SECOND))
    return one


def _broken(world: World) -> list[str]:
    for one in world.replicas:
        one.link.latency = timedelta(0)
    world.run(world.pass_time(40 * SECOND))
    return list(Promises(world).broken())


@pytest.mark.parametrize("latency", [0.0, 0.15, 0.4])
def test_each_slot_has_its_record_under_the_new_name(world, latency):
    _declare(world, "shop/a")
    leader = _start(world)
    world.run(world.pass_time(5 * SECOND))
    leader.link.latency = timedelta(seconds=latency)
    world.most_latency = leader.link.latency
    for number in range(5):
        _declare(world, f"shop/a-{number + 1}", f"shop/a-{number}" if number else "shop/a")
        world.run(world.pass_time(4.3 * SECOND))
    assert _broken(world) == []
    names = {str(run.key) for run in world.store.stored_runs.values()}
    assert names <= {"shop/a-5", FIXED}


@pytest.mark.parametrize("after", [number / 10 for number in range(0, 26, 2)])
@pytest.mark.parametrize("latency", [0.0, 0.15])
def test_no_slot_is_called_twice_though_its_leader_dies_after_or_during_it(world, latency, after):
    _declare(world, "shop/a")
    leader, _ = _start(world), _start(world)
    world.run(world.pass_time(5 * SECOND))
    leader.link.latency = timedelta(seconds=latency)
    world.most_latency = leader.link.latency
    _declare(world, "shop/a-1", "shop/a")
    world.run(world.pass_time(timedelta(seconds=after)))
    world.note("kill")
    world.run(leader.kill())
    assert _broken(world) == []
    slots = [run.slot for run in world.store.stored_runs.values() if run.cause is Cause.SCHEDULE and run.slots == 1]
    assert len(slots) == len(set(slots))
    assert max(slots) > BEGIN + 40 * SECOND
