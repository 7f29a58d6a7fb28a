"""The drill: the leader is killed, or told to end, again and again, and nothing else goes wrong.

A campaign has too much going on at once for each of its takeovers to be judged; here each is.
Forbidden here: judging.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.faults.campaign import Options, Told, begin, end, settings
from tests.faults.inject import Injector
from tests.faults.jobs import mixed
from tests.faults.watch import Watch
from tests.faults.world import World

_PER_SECOND = 20.0  # slots: enough to see the first call of each leader
_PATIENCE = 60.0  # seconds for somebody to lead, and for every replica to be there


async def run(options: Options) -> Told:
    """KILLS kills (200) and HANDOVERS signals (50), one after the other, on REPLICAS replicas."""
    kills, handovers = (int(os.environ.get(name, usual)) for name, usual in (("KILLS", 200), ("HANDOVERS", 50)))
    order = [True] * kills + [False] * handovers
    Random(options.seed).shuffle(order)  # noqa: S311 - as in the plan
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        world = World(Path(folder), mixed(_PER_SECOND), replicas=options.replicas, settings=settings(options))
        async with world, Watch(world) as watch:
            await begin(world, watch)
            injector = Injector(world, watch, span=options.lease)
            evidence = await _drill(world, watch, injector, options, order)
    began = min((fault.began for fault in evidence.faults), default=evidence.until)
    return Told(options=replace(options, faults=len(order)), evidence=evidence, began=began, idle=0)


async def _drill(world: World, watch: Watch, injector: Injector, options: Options, order: list[bool]):
    random = Random(options.seed)  # noqa: S311 - as in the plan
    for is_kill in order:
        await _ready(world, watch)
        await asyncio.sleep(random.random())  # at any moment between two renewals
        leader, terms = watch.leader(), len(watch.tenures)
        if leader is None:
            continue
        async with leader.busy:
            await (injector.kill(leader, down=0.1) if is_kill else injector.terminate(leader, down=0.1))
        await watch.until(lambda before=terms: len(watch.tenures) > before, _PATIENCE)
    await _ready(world, watch)
    return await end(world, watch, injector, options)


async def _ready(world: World, watch: Watch) -> None:
    """Wait until somebody leads and every replica shows life."""

    def is_ready() -> bool:
        named = all(watch.is_named(replica) for replica in world.replicas)
        return named and watch.leader() is not None

    if not await watch.until(is_ready, _PATIENCE):
        raise RuntimeError("nobody leads, or a replica shows no life")
