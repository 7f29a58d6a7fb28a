"""Attending to what comes: a change of the source, a hook, another process's sync, the lead.

The leader syncs; a standby takes over what the leader has stored, and reads what the leader reads, so that it can lead
at once. Forbidden here: wiring, and decisions about jobs and runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial

import structlog

from reconciler.app.following import Occasion
from reconciler.app.waiting import delays, patiently
from reconciler.core.model import Lease, SyncReport
from reconciler.errors import DeposedError, SourceError, StoreUnavailableError
from reconciler.ports import Clock
from reconciler.services.leading import Leadership
from reconciler.services.reconcile import Reconciliation
from reconciler.services.stops import Stops
from reconciler.web.metrics import Metrics

FIRST_FETCH = 10.0  # seconds that what is stored waits, at the start, for what is declared now

log = structlog.get_logger()


class Attending:
    """Keeps what this process knows in step with the source, or with the leader.

    Args:
        reconciliation: syncs, or follows.
        leadership: whether we lead.
        clock: the waiting for a store that is away.
        stops: are told of windows, and where to look from for what freezes left.
        occasions: when to attend.
        led: set when we lead and know what is declared: worth a sync.
        nudge: hands a hook on to the leader.
        synced: told of each sync.
        known: called whenever what is declared may have become another.
        metrics: told whether the store answers.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        *,
        reconciliation: Reconciliation,
        leadership: Leadership,
        clock: Clock,
        stops: Stops,
        occasions: AsyncIterable[Collection[Occasion]],
        led: asyncio.Event,
        nudge: Callable[[], Awaitable[None]],
        synced: Callable[[SyncReport], None],
        known: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        self._reconciliation = reconciliation
        self._leadership = leadership
        self._clock = clock
        self._stops = stops
        self._occasions = occasions
        self._led = led
        self._nudge = nudge
        self._synced = synced
        self._known = known
        self._metrics = metrics
        self._first: asyncio.Task[None] | None = None
        self._is_ready = False
        self._came = asyncio.Event()

    @property
    def term(self) -> int | None:
        """The term under which slots may be taken on: only where it is known what is declared."""
        return self._leadership.term if self._is_ready else None

    def leads(self, _lease: Lease) -> None:
        """We lead from now on: slots wait until it is known again what is declared."""
        self._is_ready = False
        self._came.set()

    async def begin(self, *, wait: bool) -> None:
        """Know what is declared: where we lead, sync; a standby takes over what is stored.

        Raises:
            ReconcilerError: we lead, and neither the source nor what is stored can be used; or the store has gone away,
                and nobody wants to wait for it.
        """
        await patiently(self._take_over, wait=wait)
        if self._leadership.term is not None:
            self._first = asyncio.create_task(self._first_sync(wait=wait), name="first sync")
            await asyncio.wait([self._first], timeout=FIRST_FETCH if self._reconciliation.has_last_good else None)
            if self._first.done():
                self._first.result()
            else:
                log.warning("what is stored runs meanwhile", reason=f"no answer of the source for {FIRST_FETCH:g} s")
        self._is_ready = True
        self._came.clear()

    async def end(self) -> None:
        """Leave a first sync that has not ended."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)

    async def _first_sync(self, *, wait: bool) -> None:
        """Sync once. A source that is away stops nothing where what it last declared is stored."""
        for delay in delays():
            report = await patiently(self._reconciliation.sync, wait=wait)
            self._synced(report)
            if report.result != "failed" or self._reconciliation.has_last_good:
                return
            if not wait:
                raise SourceError(report.error)
            log.warning("waiting for the source", reason=report.error, retry_in_seconds=delay)
            await asyncio.sleep(delay)

    async def keep(self) -> None:
        """Attend to whatever comes; never ends by itself."""
        if self._first is not None:
            await self._first
        async for found in self._occasions:
            await self._until_done(partial(self._attend, found))

    async def keep_leading(self) -> None:
        """Get ready whenever the lead comes, whatever is being fetched meanwhile; never ends by itself."""
        while True:
            await self._came.wait()
            self._came.clear()
            await self._until_done(self._begin_to_lead)
            self._led.set()

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        for delay in delays():
            try:
                await work()
            except StoreUnavailableError as error:
                self._metrics.observe_store(up=False)
                log.warning("the store is away", reason=str(error), retry_in_seconds=delay)
                await self._clock.sleep(timedelta(seconds=delay))
            else:
                self._metrics.observe_store(up=True)
                return

    async def _attend(self, found: Collection[Occasion]) -> None:
        if self._leadership.term is None:
            await self._stand_by(found)
        else:
            await self._sync(thorough=Occasion.DRIFT in found)

    async def _sync(self, *, thorough: bool) -> None:
        try:
            self._synced(await self._reconciliation.sync(thorough=thorough))
        except DeposedError as error:
            log.warning("not synced", reason=str(error))

    async def _begin_to_lead(self) -> None:
        """What the last leader did last is read once more before a slot is taken on."""
        await self._take_over()
        await self._stops.load()
        if self._leadership.lease is not None:
            self._stops.look_from(self._leadership.lease.accounted_until)
        self._is_ready = True

    async def _stand_by(self, found: Collection[Occasion]) -> None:
        if Occasion.STORE in found or Occasion.DRIFT in found:
            await self._take_over()
        if Occasion.HOOK in found:
            await self._nudge()
        if Occasion.SOURCE in found or Occasion.HOOK in found:
            with suppress(SourceError):  # the leader says so
                await self._reconciliation.rehearse()

    async def _take_over(self) -> None:
        if await self._reconciliation.follow():
            self._known()
