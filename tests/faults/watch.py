"""Looking on from outside, without any proxy: who leads, and which process lives in which replica.

Forbidden here: writing to the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from reconciler.app import wiring
from reconciler.core.model import Lease
from reconciler.errors import StoreError
from reconciler.ports import Store
from tests.faults.evidence import Tenure
from tests.faults.world import Replica, World

_LOOK = 0.05  # seconds between two looks at the lease
_UNNAMED = "pid "
_NAMES = 10  # looks for one at the processes


class Watch:
    """Notes every change of the lead."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None
        self.store: Store | None = None
        self.lease: Lease | None = None
        self.tenures: list[Tenure] = []

    async def __aenter__(self) -> Self:
        self.store = wiring.store_at(self._world.store)
        await self.store.open()
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.store.close()

    async def _keep(self) -> None:
        looks = 0
        while True:
            try:
                await self._look(names=looks % _NAMES == 0)
            except StoreError:  # it is the campaign that lets it be away
                self.lease = None
            looks += 1
            await asyncio.sleep(_LOOK)

    async def _look(self, *, names: bool) -> None:
        self.lease = await self.store.lease()
        if self.lease is not None and self.lease.holder:
            self._note(self.lease)
        if names:
            self._ids.update({process.pid: process.id for process in reversed(await self.store.processes())})

    def _note(self, lease: Lease) -> None:
        if not self.tenures or self.tenures[-1].term != lease.term:
            self.tenures.append(Tenure(term=lease.term, holder=lease.holder, began=lease.since.timestamp()))

    def leader(self) -> Replica | None:
        """The replica whose present process holds the lease, if that is known."""
        holder = self.lease.holder if self.lease else ""
        return next((one for one in self._world.replicas if holder and self.process_of(one) == holder), None)

    def process_of(self, replica: Replica) -> str:
        """The id of the process that lives in a replica now; its number where it has shown no life yet."""
        return self.named(f"{_UNNAMED}{replica.pid}")

    def is_named(self, replica: Replica) -> bool:
        """Whether the process in a replica has shown life."""
        return not self.process_of(replica).startswith(_UNNAMED)

    def named(self, process: str) -> str:
        """The id of a process that was known by its number alone, if it is known by now."""
        number = process.removeprefix(_UNNAMED)
        return self._ids.get(int(number), process) if number != process else process

    async def until(self, question: Callable[[], object], within: float) -> bool:
        """Wait until something is true; whether it has become so."""
        for _ in range(int(within / _LOOK)):
            if question():
                return True
            await asyncio.sleep(_LOOK)
        return bool(question())
