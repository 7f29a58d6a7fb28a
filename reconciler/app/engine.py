"""The parts of one long-lived process, wired together: leading or standing by, following the source, serving HTTP.

Only the process that leads wakes at slots, syncs and recovers; the others stand by warm, answer every question and make
the runs that are triggered there. Forbidden here: decisions about jobs and runs; what a part does is its own affair.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import socket
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import structlog

from reconciler.app.answering import Answering
from reconciler.app.calling import calling_of, readability
from reconciler.app.context import context_of
from reconciler.app.deciding import Deciding
from reconciler.app.leading import Leading
from reconciler.app.masking import REDACTOR
from reconciler.app.parts import Parts
from reconciler.app.signals import Signals, cancelled
from reconciler.app.waiting import patiently
from reconciler.core.instants import relative
from reconciler.core.model import JobKey, SyncReport
from reconciler.ports import Store
from reconciler.services.reconcile import Reconciliation, SyncOptions
from reconciler.settings import Settings
from reconciler.version import VERSION
from reconciler.web.server import format_listen

_SHOWN_RUNS = 5
_GC_THRESHOLDS = (25_000, 20, 20)

log = structlog.get_logger()


class Engine:
    """The parts of one process."""

    def __init__(
        self, settings: Settings, store: Store, listening: socket.socket, options: SyncOptions, parts: Parts
    ) -> None:
        listen = format_listen(*listening.getsockname()[:2])
        self._context = context_of(settings, store, parts, listen=listen)
        self._calling = calling_of(self._context, parts)
        self._reconciliation = self._reconciling(options)
        self._deciding = Deciding(self._context, self._calling, self._reconciliation, term=self._term)
        self._leading = Leading(
            self._context,
            self._deciding,
            self._reconciliation,
            synced=self._observe_sync,
            known=self._observe_jobs,
        )
        self._readability = readability(self._context, self._calling, self._reconciliation)
        self._answering = Answering(
            self._context, self._calling, self._reconciliation, self._deciding, self._leading, listening
        )
        self._prepared = ""
        self._preparing: asyncio.Task[None] | None = None

    def _reconciling(self, options: SyncOptions) -> Reconciliation:
        return Reconciliation(
            self._context.source,
            self._context.store,
            self._context.clock,
            options,
            term=self._writing_term,
            on_act=self._context.acts.note,
            redactor=REDACTOR,
        )

    # What leads is made last, and asked by those that are made before it

    def _term(self) -> int | None:
        return self._leading.attending.term

    def _writing_term(self) -> int:
        return self._leading.writing_term()

    # From the start to the end

    async def start(self, stack: AsyncExitStack, signals: Signals, *, wait: bool) -> None:
        """Begin to serve; lead or stand by; begin to wake at slots."""
        await self._begin_to_serve(stack)
        await self._begin_to_lead(stack, signals, wait=wait)
        self._begin_to_wake(stack)
        self._prepare()
        log.info("ready", **await patiently(self._summary, wait=wait))

    async def _begin_to_serve(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self._context.acts.end)
        self._keep(stack, "acts", self._context.acts.keep())
        await self._answering.server.start()
        stack.push_async_callback(self._answering.server.stop)
        stack.push_async_callback(self._calling.caller.close)
        stack.push_async_callback(self._calling.credentials.close)

    async def _begin_to_lead(self, stack: AsyncExitStack, signals: Signals, *, wait: bool) -> None:
        """Lead or stand by, and know what is declared."""
        upkeep = self._deciding.upkeep(unreadable=lambda: self._readability.unreadable)
        leadership, attending = self._leading.leadership, self._leading.attending
        stack.push_async_callback(upkeep.farewell)
        await patiently(self._deciding.stops.load, wait=wait)  # before anything is sent again that another process left
        stack.push_async_callback(leadership.resign)  # also where it cannot begin: the next one need not wait
        await leadership.step()
        self._keep(stack, "lease", leadership.keep())
        self._keep(stack, "upkeep", upkeep.keep())
        stack.push_async_callback(self._drain, signals)
        stack.push_async_callback(attending.end)
        await attending.begin(wait=wait)
        if self._reconciliation.latest is not None:  # else a standby waits for whoever syncs first
            self._answering.must_be_closed()

    def _begin_to_wake(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self._hand_over)
        self._context.clock.start(self._deciding.runner.on_due)
        self._keep(stack, "leading", self._leading.attending.keep_leading())
        self._keep(stack, "stops", self._deciding.stops.keep())
        self._keep(stack, "arrears", self._deciding.arrears.keep())
        self._keep(stack, "chains", self._deciding.chains.keep())
        self._keep(stack, "strikes", self._deciding.strikes.keep())
        self._keep(stack, "secrets", self._readability.keep())

    def _keep(self, stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Let a part do its work until the end."""
        stack.push_async_callback(cancelled, asyncio.create_task(work, name=name))

    async def _hand_over(self) -> None:
        """Wake no more, and let another process lead at once; calls in flight go on meanwhile."""
        self._context.clock.stop()
        await self._deciding.runner.hand_over()
        await self._leading.leadership.resign()

    async def _drain(self, signals: Signals) -> None:
        runner = self._deciding.runner
        draining = asyncio.create_task(runner.drain(self._context.settings.drain))
        hurrying = asyncio.create_task(signals.hurry.wait())
        await asyncio.wait([draining, hurrying], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await runner.drain(timedelta(0))
        await draining
        await cancelled(hurrying)

    async def follow(self) -> None:
        """Attend to what comes; never ends by itself."""
        await self._leading.attending.keep()

    # What follows from a sync

    def _observe_sync(self, report: SyncReport) -> None:
        self._context.metrics.observe_sync(report)
        self._observe_jobs()
        self._context.telling.sync(report)
        if report.result == "applied":
            _settle_memory()

    def _observe_jobs(self) -> None:
        self._prepare()
        self._context.metrics.observe_jobs(self._reconciliation.jobs, self._reconciliation.applications)
        self._deciding.jobs_changed()

    def _prepare(self) -> None:
        """In the time that is left until the next slot: what a call needs can be made ready."""
        latest = self._reconciliation.latest
        if latest is not None and latest.id != self._prepared:
            self._prepared = latest.id
            urls = [stored.job.request.url for stored in self._reconciliation.jobs]
            self._preparing = asyncio.create_task(self._calling.caller.prepare(urls), name="prepare")

    async def _summary(self) -> dict[str, object]:
        latest, now = self._reconciliation.latest, self._context.clock.now()
        jobs = self._reconciliation.jobs
        return {
            "version": VERSION,
            "source": self._context.source.name,
            "revision": latest.revision[:12] if latest else "",
            "files": latest.files if latest else 0,
            "jobs": len(jobs),
            "suspended": sum(stored.job.suspend for stored in jobs),
            "store": await self._context.store.check(),
            "next": [f"{key} {relative(slot, now)}" for slot, key in self._soonest()],
            "address": self._answering.server.url,
        }

    def _soonest(self) -> list[tuple[datetime, JobKey]]:
        next_due = self._context.clock.next_due
        due = ((next_due(stored.key), stored.key) for stored in self._reconciliation.jobs)
        return heapq.nsmallest(_SHOWN_RUNS, ((slot, key) for slot, key in due if slot is not None))


def _settle_memory() -> None:
    """What a sync has built stays for long: take it out of the collector's rounds, and make these rarer.

    With little left to count, the default thresholds would have a burst of runs walked through again and again.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.collect()
    gc.freeze()
