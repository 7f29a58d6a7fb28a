"""What the next leader must make up, step by step: chance finds such a moment too seldom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.model import Cause
from reconciler.errors import StoreUnavailableError
from tests.model.machine import FIXED, manifests
from tests.model.reference import Declared
from tests.model.replica import Replica
from tests.model.world import Window, World

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
BEGIN = datetime(2026, 3, 2, 8, 58, 30, tzinfo=UTC)
CLOSED = datetime(2026, 3, 2, 9, 1, tzinfo=UTC)  # the window is open for the minute before


@pytest.fixture
def world() -> Iterator[World]:
    world = World(BEGIN)
    window = Window(application="shop", start=Declared(cron="0 * * * *"), duration=MINUTE)
    declared = {FIXED: Declared(every=3600), "shop/a": Declared(every=7)}
    world.source.commit(manifests(declared, {"window": (window, "latest")}), declared)
    yield world
    world.close()


def _start(world: World) -> Replica:
    one = Replica(world, len(world.replicas) + 1, knows_neighbours=True, places=100)
    world.replicas.append(one)
    one.context.run(one.start)
    world.run(world.pass_time(SECOND))
    return one


def _until(world: World, instant: datetime) -> None:
    world.run(world.pass_time(instant - world.now()))


def _caught_up(world: World) -> list[datetime]:
    return [run.slot for run in world.store.stored_runs.values() if run.cause is Cause.CATCH_UP]


@pytest.mark.parametrize("before", [0.1, 1.0, 4.0])
def test_what_a_window_left_is_caught_up_though_the_leader_was_killed_before_it_closed(world, before):
    leader, _ = _start(world), _start(world)
    _until(world, CLOSED - timedelta(seconds=before))
    world.run(leader.kill())
    _until(world, CLOSED + 30 * SECOND)
    assert _caught_up(world) == [CLOSED]


def test_and_though_its_mark_had_passed_that_moment(world):
    async def away(**_):
        raise StoreUnavailableError("no answer in time")

    leader, _ = _start(world), _start(world)
    _until(world, CLOSED - SECOND / 2)
    leader.link.pauses = away  # without these nobody knows what is owed
    _until(world, CLOSED + 2 * SECOND)
    assert world.store.stored_lease.accounted_until > CLOSED
    world.run(leader.kill())
    _until(world, CLOSED + 30 * SECOND)
    assert _caught_up(world) == [CLOSED]


def test_it_is_caught_up_once_by_a_leader_that_lives(world):
    leader, _ = _start(world), _start(world)
    _until(world, CLOSED + 10 * SECOND)
    assert _caught_up(world) == [CLOSED]
    world.run(leader.kill())
    _until(world, CLOSED + 40 * SECOND)
    assert _caught_up(world) == [CLOSED]
    assert len([call for call in world.target.calls if call.run is None or call.run.cause is Cause.CATCH_UP]) == 1


def test_nor_again_where_the_job_was_given_another_name_before_the_leader_died(world):
    leader, _ = _start(world), _start(world)
    _until(world, CLOSED + 10 * SECOND)
    window = Window(application="shop", start=Declared(cron="0 * * * *"), duration=MINUTE)
    declared = {FIXED: Declared(every=3600), "shop/b": Declared(every=7)}
    world.source.commit(manifests(declared, {"window": (window, "latest")}, {"shop/b": "shop/a"}), declared)
    _until(world, CLOSED + 20 * SECOND)
    world.run(leader.kill())
    _until(world, CLOSED + 50 * SECOND)
    assert _caught_up(world) == [CLOSED]
    assert "shop/a" not in {str(run.key) for run in world.store.stored_runs.values()}
