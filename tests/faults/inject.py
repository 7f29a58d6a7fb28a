"""Doing what was planned to the processes, networks and the database, and noting when it struck and ended.

Forbidden here: deciding what is done, and judging what follows.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tests.faults.disk import Disk
from tests.faults.evidence import Fault
from tests.faults.faults import CUT, Kind, Planned
from tests.faults.proxy import Mode
from tests.faults.watch import Watch
from tests.faults.world import Replica, World

_TRAPPED = 10.0  # seconds in which a process comes to the step at which it is to die; a standby may never


class Injector:
    """Strikes one world.

    Args:
        span: how long a lease lasts, in seconds; a stop takes three.
        disk: where the store is, if it can be full.
        seed: which of the replicas that do not lead is struck.
    """

    def __init__(self, world: World, watch: Watch, *, span: float, seed: int = 0, disk: Disk | None = None) -> None:
        self._world = world
        self._watch = watch
        self._span = span
        self._disk = disk
        self._random = Random(seed)  # noqa: S311 - as in the plan
        self._database = asyncio.Lock()
        self.done: list[Fault] = []
        self.idle = 0  # traps into which nobody went

    async def strike(self, planned: Planned) -> None:
        """Do one thing from its beginning to its end."""
        if planned.kind is Kind.DATABASE:
            await self.lose_database(0.2 + 4 * planned.part)
        elif planned.kind is Kind.DISK:
            await self.fill_disk(1 + 4 * planned.part)
        elif planned.kind is Kind.BLACKOUT:
            await self.blackout(6 + 8 * planned.part)
        else:
            replica = await self._choose(leader=planned.leader or planned.kind is Kind.TRAP)
            async with replica.busy:
                await self._strike_one(replica, planned)

    async def _strike_one(self, replica: Replica, planned: Planned) -> None:
        if planned.kind is Kind.KILL:
            await self.kill(replica, down=0.2 + 3 * planned.part)
        elif planned.kind is Kind.TRAP:
            await self.trap(replica, planned.label, down=0.2 + 2 * planned.part)
        elif planned.kind is Kind.STOP:
            await self.stop(replica, 3 * self._span)
        elif planned.kind is Kind.TERMINATE:
            await self.terminate(replica, down=0.2 + 2 * planned.part)
        else:
            await self.disturb(replica, planned.label, 0.5 + 1.8 * self._span * planned.part)

    async def _choose(self, *, leader: bool) -> Replica:
        """The leader if it is to be one, otherwise any that nothing happens to at the moment."""
        leading = self._watch.leader()
        if leader and leading is not None:
            return leading
        free = [one for one in self._world.replicas if not one.busy.locked() and one is not leading]
        alive = [one for one in free if self._watch.is_named(one)]
        return self._random.choice(alive or free or self._world.replicas)

    def faults(self) -> Sequence[Fault]:
        """What has been done, in order; processes that showed life only later have their names."""
        named = (
            replace(fault, victims=frozenset(self._watch.named(one) for one in fault.victims)) for fault in self.done
        )
        return sorted(named, key=lambda fault: fault.began)

    async def kill(self, replica: Replica, *, down: float, label: str = "") -> None:
        """``kill -9``, and start it again a while after."""
        victims, began = self._victims(replica), time.time()
        replica.send(signal.SIGKILL)
        await replica.ended()
        await self._again(replica, down)
        self._note(Kind.KILL, began, victims, label)

    async def trap(self, replica: Replica, step: str, *, down: float) -> None:
        """Let it kill itself at a step of its own."""
        victims = self._victims(replica)
        replica.tell(f"arm {step}")
        began = await replica.ended(_TRAPPED)
        if began is None:
            replica.tell("arm")
            self.idle += 1
            return
        await self._again(replica, down)
        self._note(Kind.TRAP, began, victims, step)

    async def stop(self, replica: Replica, seconds: float) -> None:
        """Let it stand still, as a machine that is suspended or swaps."""
        victims, began = self._victims(replica), time.time()
        replica.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        replica.send(signal.SIGCONT)
        self._note(Kind.STOP, began, victims)

    async def terminate(self, replica: Replica, *, down: float) -> None:
        """Let it end in good order."""
        victims, began = self._victims(replica), time.time()
        replica.send(signal.SIGTERM)
        if await replica.ended() is None:
            replica.send(signal.SIGKILL)
            await replica.ended()
        await self._again(replica, down)
        self._note(Kind.TERMINATE, began, victims)

    async def disturb(self, replica: Replica, how: str, seconds: float) -> None:
        """Let its network to the database fail."""
        proxy = self._world.proxies[replica.number]
        victims, began = self._victims(replica), time.time()
        if how == CUT:
            proxy.cut()
        else:
            await proxy.turn(Mode(how))
            await asyncio.sleep(seconds)
            await proxy.turn(Mode.PASSING)
        self._note(Kind.NETWORK, began, victims, how)

    async def lose_database(self, seconds: float) -> None:
        """Kill the database, and start it again on what it has written."""
        async with self._database:
            began = time.time()
            await self._world.database.kill()
            await asyncio.sleep(seconds)
            await self._world.database.start()
            self._note(Kind.DATABASE, began, frozenset())

    async def fill_disk(self, seconds: float) -> None:
        """Let nothing more be written anywhere on the store's disk."""
        async with self._database:
            began = time.time()
            self._disk.fill()
            await asyncio.sleep(seconds)
            self._disk.free()
            self._note(Kind.DISK, began, frozenset())

    async def blackout(self, seconds: float) -> None:
        """Kill every replica at once, and let all be gone for longer than a failover takes."""

        async def one(replica: Replica) -> None:
            async with replica.busy:
                await self.kill(replica, down=seconds, label=Kind.BLACKOUT)

        await asyncio.gather(*(one(replica) for replica in self._world.replicas))

    async def _again(self, replica: Replica, down: float) -> None:
        await asyncio.sleep(down)
        await replica.start()

    def _victims(self, replica: Replica) -> frozenset[str]:
        return frozenset({self._watch.process_of(replica)})

    def _note(self, kind: Kind, began: float, victims: frozenset[str], label: str = "") -> None:
        self.done.append(Fault(kind=kind.value, began=began, ended=time.time(), victims=victims, label=label))
