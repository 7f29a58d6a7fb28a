"""The parts of one long-lived process, wired together: following the source, waking at slots, serving HTTP.

Forbidden here: decisions about jobs and runs; what a part does is the part's own affair.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import structlog

from reconciler.app import wiring
from reconciler.app.following import Occasion, Occasions
from reconciler.app.parts import Parts
from reconciler.app.signals import Signals, cancelled, delays, pause
from reconciler.app.telling import Telling
from reconciler.core.instants import relative
from reconciler.core.model import ApplicationState, Job, JobKey, Retention, Run, StoredJob, SyncReport
from reconciler.errors import SourceError, StoreUnavailableError
from reconciler.ports import Clock, Source, Store
from reconciler.services.reconcile import Reconciliation, SyncOptions
from reconciler.services.run import Runner
from reconciler.services.stops import Stops
from reconciler.services.upkeep import Upkeep
from reconciler.settings import Settings
from reconciler.version import VERSION
from reconciler.web.app import create
from reconciler.web.metrics import Metrics
from reconciler.web.server import HttpServer, format_listen
from reconciler.web.state import WebState

_SHOWN_RUNS = 5
_GC_THRESHOLDS = (25_000, 20, 20)

log = structlog.get_logger()


class Engine:
    """The parts of one process."""

    def __init__(
        self, settings: Settings, store: Store, listening: socket.socket, options: SyncOptions, parts: Parts
    ) -> None:
        self._settings = settings
        self._store = store
        self._source: Source = wiring.open_source(settings)
        self._clock: Clock = parts.clock()
        self._telling = Telling()
        self._metrics = Metrics(version=VERSION, now=self._clock.now)
        self._caller = parts.caller(wiring.egress(settings))
        self._reconciliation = Reconciliation(self._source, store, self._clock, options)
        listen = format_listen(*listening.getsockname()[:2])
        self._process = wiring.process_of("run", self._clock.now(), source=self._source.name, listen=listen)
        self._runner = Runner(
            store=store,
            clock=self._clock,
            caller=self._caller,
            owner=self._process.id,
            jobs=self._reconciliation.job,
            observer=self._observe_run,
            max_in_flight=settings.max_in_flight,
            stopped=lambda key, slot: self._stops.stopped(key, slot),  # noqa: PLW0108 - they know each other
            successor=self._reconciliation.successor,
        )
        self._stops = Stops(
            store,
            self._clock,
            self._runner,
            jobs=lambda: self._reconciliation.jobs,
            on_change=self._telling.pause,
        )
        self._wake = asyncio.Event()  # set by the hook
        self._metrics.watch_calls(lambda: self._runner.in_flight)
        self._server = HttpServer(create(self._web_state()), listening)
        self._prepared = ""
        self._preparing: asyncio.Task[None] | None = None

    def _web_state(self) -> WebState:
        return WebState(
            store=self._store,
            declared=Remembered(self._reconciliation),
            now=self._clock.now,
            trigger=self._runner.trigger,
            readiness=self.readiness,
            metrics=self._metrics,
            trigger_token=self._settings.trigger_token,
            hook_secret=self._settings.hook_secret,
            wake=self._wake.set,
            concerns=self._source.concerns,
            version=VERSION,
            source=self._source.name,
            next_due=self._clock.next_due,
        )

    async def start(self, stack: AsyncExitStack, signals: Signals, *, wait: bool) -> None:
        """Begin to serve, sync once, then begin to wake at slots."""
        await self._server.start()
        stack.push_async_callback(self._server.stop)
        stack.push_async_callback(self._caller.close)
        await self._stops.load()  # before anything is sent again that another process left
        upkeep = self._upkeep()
        keeping = asyncio.create_task(upkeep.keep(), name="upkeep")
        stack.push_async_callback(upkeep.farewell)
        stack.push_async_callback(cancelled, keeping)
        stack.push_async_callback(self._drain, signals)
        stack.callback(self._clock.stop)
        await self._first_sync(signals, wait=wait)
        self._clock.start(self._runner.on_due)
        stopping = asyncio.create_task(self._stops.keep(), name="stops")
        stack.push_async_callback(cancelled, stopping)
        self._prepare()
        log.info("ready", **await self._summary())

    def _upkeep(self) -> Upkeep:
        return Upkeep(
            store=self._store,
            clock=self._clock,
            runner=self._runner,
            process=self._process,
            alive=wiring.is_alive,
            retention=Retention(
                keep_for=self._settings.keep_runs,
                keep_failures_for=self._settings.keep_failures,
                keep_per_job=self._settings.keep_runs_per_job,
            ),
            applications=lambda: {
                state.name: state.history for state in self._reconciliation.applications if state.history is not None
            },
        )

    async def _drain(self, signals: Signals) -> None:
        draining = asyncio.create_task(self._runner.drain(self._settings.drain))
        hurrying = asyncio.create_task(signals.hurry.wait())
        await asyncio.wait([draining, hurrying], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await self._runner.drain(timedelta(0))
        await draining
        await cancelled(hurrying)

    async def _first_sync(self, signals: Signals, *, wait: bool) -> None:
        """Sync once. A source that is away stops nothing where what it last declared is stored."""
        for delay in delays():
            report = await self._reconciliation.sync()
            self._observe_sync(report)
            if report.result != "failed" or self._reconciliation.has_last_good:
                return
            if not wait or signals.stop.is_set():
                raise SourceError(report.error)
            log.warning("waiting for the source", reason=report.error, retry_in_seconds=delay)
            await pause(signals, delay)

    async def follow(self) -> None:
        """Sync whenever it is worth its while; never ends by itself."""
        occasions = Occasions(
            self._source, self._clock, self._wake, self._reconciliation.is_behind, self._settings.drift_interval
        )
        async for found in occasions:
            for delay in delays():
                try:
                    self._observe_sync(await self._reconciliation.sync(thorough=Occasion.DRIFT in found))
                    self._prepare()
                    self._metrics.observe_store(up=True)
                    break
                except StoreUnavailableError as error:
                    self._metrics.observe_store(up=False)
                    log.warning("the store is away", reason=str(error), retry_in_seconds=delay)
                    await asyncio.sleep(delay)

    def _prepare(self) -> None:
        """In the time that is left until the next slot: what a call needs can be made ready."""
        if self._reconciliation.latest is not None and self._reconciliation.latest.id != self._prepared:
            self._prepared = self._reconciliation.latest.id
            urls = [stored.job.request.url for stored in self._reconciliation.jobs]
            self._preparing = asyncio.create_task(self._caller.prepare(urls), name="prepare")

    async def readiness(self) -> Sequence[str]:
        """Why this process is not ready."""
        if self._reconciliation.checked_at is None:
            return ["the first sync has not ended"]
        try:
            await self._store.check()
        except StoreUnavailableError as error:
            self._metrics.observe_store(up=False)
            return [f"the store is away: {error}"]
        self._metrics.observe_store(up=True)
        return []

    def _observe_run(self, _: Job | None, run: Run) -> None:
        self._metrics.observe_run(run)
        self._telling.run(run)

    def _observe_sync(self, report: SyncReport) -> None:
        self._metrics.observe_sync(report)
        self._metrics.observe_jobs(self._reconciliation.jobs, self._reconciliation.applications)
        self._stops.windows(self._reconciliation.windows)
        self._telling.sync(report)
        if report.result == "applied":
            _settle_memory()

    async def _summary(self) -> dict[str, object]:
        latest, now = self._reconciliation.latest, self._clock.now()
        jobs = self._reconciliation.jobs
        return {
            "version": VERSION,
            "source": self._source.name,
            "revision": latest.revision[:12] if latest else "",
            "files": latest.files if latest else 0,
            "jobs": len(jobs),
            "suspended": sum(stored.job.suspend for stored in jobs),
            "store": await self._store.check(),
            "next": [f"{key} {relative(slot, now)}" for slot, key in self._soonest()],
            "address": self._server.url,
        }

    def _soonest(self) -> list[tuple[datetime, JobKey]]:
        due = ((self._clock.next_due(stored.key), stored.key) for stored in self._reconciliation.jobs)
        return heapq.nsmallest(_SHOWN_RUNS, ((slot, key) for slot, key in due if slot is not None))


class Remembered:
    """What is declared, from the memory of the process that has synced it; see ``web.state.Declared``."""

    def __init__(self, reconciliation: Reconciliation) -> None:
        self._reconciliation = reconciliation

    async def jobs(self) -> Sequence[StoredJob]:
        """Every job, ordered by key."""
        return sorted(self._reconciliation.jobs, key=lambda stored: stored.key)

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""
        return self._reconciliation.job(key)

    async def applications(self) -> Sequence[ApplicationState]:
        """Every Application, ordered by name."""
        return sorted(self._reconciliation.applications, key=lambda state: state.name)


def _settle_memory() -> None:
    """What a sync has built stays for long: take it out of the collector's rounds, and make these rarer.

    With little left to count, the default thresholds would have a burst of runs walked through again and again.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.collect()
    gc.freeze()
