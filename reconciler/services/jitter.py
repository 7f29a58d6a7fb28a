"""Slots whose jobs have jitter: each is handed on at its own instant after the slot.

Forbidden here: deciding what becomes of a slot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.core.model import Cause, JobKey, Run
from reconciler.ports import Clock

Delay = tuple[timedelta, JobKey]


class Delayed(NamedTuple):
    """A job whose slot has come, and the instant at which its run is due; ``upstream`` is the run that it follows."""

    key: JobKey
    slot: datetime
    due: datetime
    cause: Cause
    upstream: Run | None = None


class Jitter:
    """Waits for the instants of delayed slots.

    Args:
        clock: the time, and the waiting.
        take: told of each when its instant has come.
    """

    def __init__(self, clock: Clock, take: Callable[[Delayed], None]) -> None:
        self._clock = clock
        self._take = take
        self._waiting: dict[asyncio.Task[None], deque[Delayed]] = {}

    def spread(self, slot: datetime, cause: Cause, delays: Collection[Delay]) -> None:
        """Hand these jobs on, each after its delay."""
        self._begin(deque(Delayed(key, slot, slot + delay, cause) for delay, key in sorted(delays)))

    def wait(self, delayed: Delayed) -> None:
        """Hand one on at its instant."""
        self._begin(deque([delayed]))

    def _begin(self, rest: deque[Delayed]) -> None:
        task = asyncio.get_running_loop().create_task(self._wait(rest))
        self._waiting[task] = rest
        task.add_done_callback(self._waiting.pop)

    async def _wait(self, rest: deque[Delayed]) -> None:
        while rest:
            await self._clock.sleep(rest[0].due - self._clock.now())
            self._take(rest.popleft())

    def scheduled(self) -> Iterator[Delayed]:
        """The slots of schedules that still wait."""
        return (one for rest in self._waiting.values() for one in rest if one.cause is Cause.SCHEDULE)

    def oldest(self) -> datetime | None:
        """The oldest slot of which a job still waits."""
        return min((one.slot for one in self.scheduled()), default=None)

    def stop(self) -> Iterator[Delayed]:
        """Wait no more; those that were still to come."""
        for task, rest in list(self._waiting.items()):
            task.cancel()
            yield from rest
