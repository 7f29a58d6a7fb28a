"""When a sync is worth its while: the source says so, a hook, another process on the same store, the lead, or time.

Forbidden here: syncing, and knowing what a sync is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from enum import StrEnum

from reconciler.app.signals import cancelled
from reconciler.errors import StoreError
from reconciler.ports import Clock, Source

LOOK = timedelta(seconds=2)  # how soon it is seen that another process has synced
HOOK_PAUSE = timedelta(seconds=1)  # so that a storm of pushes is no storm of fetches


class Occasion(StrEnum):
    """Why it is worth a sync."""

    SOURCE = "source"
    HOOK = "hook"
    STORE = "store"
    DRIFT = "drift"
    LEAD = "lead"


class Occasions:
    """Tells when to sync; the next is looked for only when the last was dealt with.

    Args:
        source: its own changes.
        clock: for the pauses.
        events: set from outside: by the hook, and when this process takes the lead.
        is_behind: whether another process has synced.
        drift_interval: how often what is stored is compared with what is declared.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        events: Mapping[Occasion, asyncio.Event],
        is_behind: Callable[[], Awaitable[bool]],
        drift_interval: timedelta,
    ) -> None:
        self._clock = clock
        self._events = events
        self._is_behind = is_behind
        self._drift_interval = drift_interval
        self._changes = source.changes()

    async def __aiter__(self) -> AsyncIterator[frozenset[Occasion]]:
        """Yield what there is; never ends by itself."""
        waiting = {asyncio.create_task(self._wait(kind), name=f"occasion {kind}"): kind for kind in Occasion}
        try:
            while True:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # whatever went wrong there is ours to hear
                occasions = frozenset(waiting.pop(task) for task in done)
                yield occasions
                for kind in occasions:
                    waiting[asyncio.create_task(self._wait(kind), name=f"occasion {kind}")] = kind
        finally:
            await cancelled(*waiting)

    async def _wait(self, kind: Occasion) -> None:
        if kind is Occasion.SOURCE:
            await anext(self._changes)
        elif kind in self._events:
            await self._events[kind].wait()
            self._events[kind].clear()
            if kind is Occasion.HOOK:
                await self._clock.sleep(HOOK_PAUSE)
        elif kind is Occasion.DRIFT:
            await self._clock.sleep(self._drift_interval)
        else:
            await self._clock.sleep(LOOK)
            while not await self._behind():
                await self._clock.sleep(LOOK)

    async def _behind(self) -> bool:
        try:
            return await self._is_behind()
        except StoreError:  # while it is away nobody syncs
            return False
