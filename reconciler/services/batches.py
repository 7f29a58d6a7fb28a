"""Writing to the store in batches, oldest first, for as long as it takes.

A store that is away is tried again with backoff; nothing is dropped meanwhile. One record that the store refuses does
not hold up the others. Forbidden here: knowing what is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from reconciler.errors import StoreUnavailableError
from reconciler.ports import Clock

FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=2)
PATIENCE = timedelta(seconds=1)

Item = TypeVar("Item")
log = logging.getLogger(__name__)


class Batches(Generic[Item]):
    """A queue in front of one verb of the store.

    Args:
        clock: for the pauses.
        write: writes a batch; it is given the same items again after ``StoreUnavailableError``.
        refused: told of an item that cannot be written, by itself, for any other reason.
        first: size of the first batch of a wave: small where others wait for its result.
        size: of every further batch, at most.
        gather: how long to wait for a batch to fill before it is written.
        pressed: whether there is more urgent work; writing then waits for it, ``PATIENCE`` at the longest.
        bound: from so many waiting items on, ``full`` is true.
    """

    def __init__(  # noqa: PLR0913 - all named where it is made
        self,
        clock: Clock,
        write: Callable[[Sequence[Item]], Awaitable[None]],
        refused: Callable[[Item, Exception], None],
        *,
        first: int = 1000,
        size: int = 1000,
        gather: timedelta = timedelta(0),
        pressed: Callable[[], bool] = lambda: False,
        bound: int = 10_000,
    ) -> None:
        self._clock = clock
        self._write = write
        self._refused = refused
        self._first = first
        self._size = size
        self._gather = gather
        self._pressed = pressed
        self._bound = bound
        self._waiting: deque[Item] = deque()
        self._writing: Sequence[Item] = ()
        self._worker: asyncio.Task[None] | None = None
        self._written = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._writing)

    @property
    def full(self) -> bool:
        """Whether those who add should wait for room first."""
        return len(self) >= self._bound

    def add(self, *items: Item) -> None:
        """Queue items; they are written from the next turn of the event loop on."""
        self.extend(items)

    def extend(self, items: Iterable[Item]) -> None:
        """As ``add``."""
        self._waiting.extend(items)
        if self._waiting and self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    def __iter__(self) -> Iterator[Item]:
        """Every item that is not written yet, those under way first."""
        yield from self._writing
        yield from self._waiting

    def withdraw(self, chosen: Callable[[Item], bool]) -> list[Item]:
        """Take back those chosen of the items that wait; the batch under way is not touched."""
        taken = [item for item in self._waiting if chosen(item)]
        self._waiting = deque(item for item in self._waiting if not chosen(item))
        self._written.set()
        return taken

    async def room(self) -> None:
        """Wait until it is no longer full."""
        while self.full:
            await self._next_batch()

    async def settled(self) -> None:
        """Wait until everything is written."""
        while len(self):
            await self._next_batch()

    async def _next_batch(self) -> None:
        self._written.clear()
        await self._written.wait()

    def stop(self) -> int:
        """Write no more; returns how many items were not written."""
        if self._worker is not None:
            self._worker.cancel()
        return len(self)

    async def _work(self) -> None:
        size = self._first
        try:
            while self._waiting:
                await self._gathered(size)
                self._writing = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
                await self._put(self._writing)
                self._writing = ()
                self._written.set()
                size = self._size
        finally:
            self._worker = None

    async def _gathered(self, size: int) -> None:
        """Wait for a batch to fill, and for more urgent work to be done."""
        if self._gather and len(self._waiting) < size:
            await self._clock.sleep(self._gather)
        latest = self._clock.steady() + PATIENCE
        while self._pressed() and not self.full and self._clock.steady() < latest:
            await self._clock.sleep(self._gather or FIRST_PAUSE)

    async def _put(self, batch: Sequence[Item]) -> None:
        try:
            await self._until_taken(batch)
        except Exception as error:
            if len(batch) == 1:
                log.exception("the store refuses a record")
                self._refused(batch[0], error)
                return
            log.warning("the store refuses a batch of %d; its records are written one by one: %s", len(batch), error)
            for item in batch:
                await self._put([item])

    async def _until_taken(self, batch: Sequence[Item]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._write(batch)
            except StoreUnavailableError as error:
                if pause == FIRST_PAUSE:
                    log.warning("the store is away, %d records wait: %s", len(self), error)
                await self._clock.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return
