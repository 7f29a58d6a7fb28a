"""The ends of runs on their way to the store: written in batches, told, waited for.

While calls wait for a place they go before: an end is then written and told up to a second later.

Forbidden here: deciding how a run ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from reconciler.core.model import Job, Run
from reconciler.ports import Clock, Store
from reconciler.services.batches import Batches

Observer = Callable[[Job | None, Run], None]

_GATHER = timedelta(milliseconds=50)
log = logging.getLogger(__name__)


class Journal:
    """Records the ends of runs.

    Args:
        store: where they go.
        clock: for the pauses.
        observer: told once of each run that has ended, with its job where that is known.
        pressed: whether calls wait that could be made.
        named: a run under the name that its job has now.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        observer: Observer,
        pressed: Callable[[], bool],
        named: Callable[[Run], Run] = lambda run: run,
    ) -> None:
        self._store = store
        self._named = named
        self._observer = observer
        self._batches = Batches[Run](
            clock, self._write, lambda run, _: self._done(run), gather=_GATHER, pressed=pressed
        )
        self._unwritten: dict[str, Run] = {}
        self._untold: list[tuple[Job | None, Run]] = []
        self._pressed = pressed
        self._waiting: dict[str, asyncio.Future[Run]] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._unwritten

    @property
    def full(self) -> bool:
        """Whether so many ends wait that no more calls should be made."""
        return self._batches.full

    def correct(self, run: Run) -> None:
        """Write the end of a run whose claim may stand in the store or not; nobody is told."""
        self._unwritten[run.id] = run
        self._batches.add(run)

    def record(self, job: Job | None, run: Run) -> None:
        """Take an end in; it is told at once, unless calls wait, and written soon."""
        self._unwritten[run.id] = run
        self._untold.append((job, run))
        self._batches.add(run)
        if not self._pressed():
            self._tell_all()

    def _tell_all(self) -> None:
        untold, self._untold = self._untold, []
        for job, run in untold:
            self.tell(job, run)

    def tell(self, job: Job | None, run: Run) -> None:
        """Only tell: for a run that was written with its claim."""
        try:
            self._observer(job, self._named(run))
        except Exception:
            log.exception("the observer of runs failed")

    async def written(self, run_id: str) -> Run:
        """Wait until the end of a run, which may still be to come, has been written."""
        future = self._waiting.setdefault(run_id, asyncio.get_running_loop().create_future())
        return await asyncio.shield(future)

    async def room(self) -> None:
        """Wait until it is no longer full."""
        await self._batches.room()

    async def settled(self) -> None:
        """Wait until everything is written."""
        await self._batches.settled()

    def stop(self) -> int:
        """Write no more; returns how many ends were not written."""
        return self._batches.stop()

    async def _write(self, batch: Sequence[Run]) -> None:
        self._tell_all()  # before writing: a store that is away must not keep people in the dark
        await self._store.finish([self._named(run) for run in batch])
        for run in batch:
            self._done(run)

    def _done(self, run: Run) -> None:
        self._unwritten.pop(run.id, None)
        future = self._waiting.pop(run.id, None)
        if future is not None and not future.done():
            future.set_result(self._named(run))
