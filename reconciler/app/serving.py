"""The long-lived process: wires the parts, follows the source, and ends in good order.

Forbidden here: decisions about jobs and runs; what a part does is the part's own affair.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog

from reconciler.adapters.caller import HttpCaller
from reconciler.adapters.clock import ApsClock
from reconciler.app import wiring
from reconciler.core.instants import relative
from reconciler.core.model import ApplicationState, Job, JobKey, Outcome, Run, StoredJob, SyncReport
from reconciler.errors import SourceError, StoreUnavailableError
from reconciler.ports import Clock, Source, Store
from reconciler.services.reconcile import Reconciliation, SyncOptions
from reconciler.services.run import Runner
from reconciler.services.upkeep import Upkeep
from reconciler.settings import Settings
from reconciler.version import VERSION
from reconciler.web.app import create
from reconciler.web.metrics import Metrics
from reconciler.web.server import HttpServer, bind, format_listen, parse_listen
from reconciler.web.state import WebState

_SHOWN_PROBLEMS = 20
_SHOWN_RUNS = 5
_GC_THRESHOLDS = (25_000, 20, 20)
_LONGEST_RETRY = 30.0  # seconds between attempts to reach a store or source that is away

log = structlog.get_logger()


class Signals:
    """SIGTERM and SIGINT as an event; a second one says to hurry."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.interrupted = False

    def _on(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.interrupted = self.interrupted or number is signal.SIGINT
        self.stop.set()

    @contextmanager
    def installed(self) -> Iterator[Signals]:
        """Listen for the signals."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on, number)
        try:
            yield self
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def serve(settings: Settings, *, wait: bool = False, allow_prune: bool = False) -> None:
    """Run until a signal comes.

    Args:
        settings: everything that can be set.
        wait: wait for a store or source that is away at the start, instead of raising.
        allow_prune: removals are meant, however many.

    Raises:
        ReconcilerError: something is not usable at the start.
        KeyboardInterrupt: it was ended by SIGINT, in good order.
    """
    with Signals().installed() as signals:
        async with _running(settings, signals, wait=wait, allow_prune=allow_prune) as following:
            stopping = asyncio.create_task(signals.stop.wait())
            await asyncio.wait([stopping, following], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if following.done() and not following.cancelled():
                following.result()  # it ends only by an error that nobody foresaw
            log.info("draining", grace_seconds=settings.drain.total_seconds())
        log.info("stopped")
        if signals.interrupted:
            raise KeyboardInterrupt


@asynccontextmanager
async def _running(
    settings: Settings, signals: Signals, *, wait: bool, allow_prune: bool
) -> AsyncIterator[asyncio.Task[None]]:
    """Everything started in order, and ended in the reverse order, whatever happens."""
    async with AsyncExitStack() as stack:
        listening = bind(*parse_listen(settings.listen))
        stack.callback(listening.close)
        store = wiring.store_at(settings.store)
        stack.push_async_callback(store.close)
        await _open(store, signals, wait=wait)
        engine = Engine(settings, store, listening, SyncOptions(allow_prune=allow_prune, max_prune=settings.max_prune))
        await engine.start(stack, signals, wait=wait)
        following = asyncio.create_task(engine.follow(), name="follow")
        stack.push_async_callback(_cancelled, following)
        yield following


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _open(store: Store, signals: Signals, *, wait: bool) -> None:
    for delay in _delays():
        try:
            await store.open()
        except StoreUnavailableError as error:
            if not wait or signals.stop.is_set():
                raise
            log.warning("waiting for the store", reason=str(error), retry_in_seconds=delay)
            await _pause(signals, delay)
        else:
            return


def _delays() -> Iterator[float]:
    delay = 0.5
    while True:
        yield delay
        delay = min(delay * 2, _LONGEST_RETRY)


async def _pause(signals: Signals, seconds: float) -> None:
    try:
        await asyncio.wait_for(signals.stop.wait(), seconds)
    except TimeoutError:
        return


class Engine:
    """The parts of one process."""

    def __init__(self, settings: Settings, store: Store, listening: socket.socket, options: SyncOptions) -> None:
        self._settings = settings
        self._store = store
        self._source: Source = wiring.open_source(settings.source, interval=settings.interval)
        self._clock: Clock = ApsClock()
        self._metrics = Metrics(version=VERSION, now=self._clock.now)
        self._caller = HttpCaller()
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
        )
        self._wake = asyncio.Event()  # set by the hook
        self._metrics.watch_calls(lambda: self._runner.in_flight)
        self._server = HttpServer(create(self._web_state()), listening)
        self._reported = ""
        self._prepared = ""
        self._preparing: asyncio.Task[None] | None = None
        self._log = structlog.get_logger().bind()  # bound once: a lazy logger is made anew for every line

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
        upkeep = self._upkeep()
        keeping = asyncio.create_task(upkeep.keep(), name="upkeep")
        stack.push_async_callback(upkeep.farewell)
        stack.push_async_callback(_cancelled, keeping)
        stack.push_async_callback(self._drain, signals)
        stack.callback(self._clock.stop)
        await self._first_sync(signals, wait=wait)
        self._clock.start(self._runner.on_due)
        self._prepare()
        log.info("ready", **await self._summary())

    def _upkeep(self) -> Upkeep:
        return Upkeep(
            store=self._store,
            clock=self._clock,
            runner=self._runner,
            process=self._process,
            alive=wiring.is_alive,
            keep_for=self._settings.keep_runs,
            keep_per_job=self._settings.keep_runs_per_job,
        )

    async def _drain(self, signals: Signals) -> None:
        draining = asyncio.create_task(self._runner.drain(self._settings.drain))
        hurrying = asyncio.create_task(signals.hurry.wait())
        await asyncio.wait([draining, hurrying], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await self._runner.drain(timedelta(0))
        await draining
        await _cancelled(hurrying)

    async def _first_sync(self, signals: Signals, *, wait: bool) -> None:
        for delay in _delays():
            report = await self._reconciliation.sync()
            self._observe_sync(report)
            if report.result != "failed":
                return
            if not wait or signals.stop.is_set():
                raise SourceError(report.error)
            log.warning("waiting for the source", reason=report.error, retry_in_seconds=delay)
            await _pause(signals, delay)

    async def follow(self) -> None:
        """Sync whenever the source says that it may have changed; never ends by itself."""
        async for _ in self._source.changes():
            for delay in _delays():
                try:
                    self._observe_sync(await self._reconciliation.sync())
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
        latest = self._reconciliation.latest
        if self._reconciliation.checked_at is None:
            return ["the first sync has not ended"]
        reasons = [f"the source cannot be read: {latest.error}"] if latest and latest.result == "failed" else []
        try:
            await self._store.check()
            self._metrics.observe_store(up=True)
        except StoreUnavailableError as error:
            self._metrics.observe_store(up=False)
            reasons.append(f"the store is away: {error}")
        return reasons

    def _observe_run(self, _: Job | None, run: Run) -> None:
        self._metrics.observe_run(run)
        bad = run.outcome in (Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN)
        status = next((attempt.status for attempt in reversed(run.attempts) if attempt.status), None)
        (self._log.warning if bad else self._log.info)(
            "run",
            job=str(run.key),
            outcome=run.outcome.value,
            reason=run.reason,
            status=status,
            latency_ms=run.latency_ms and round(run.latency_ms, 1),
            lateness_ms=run.lateness_ms and round(run.lateness_ms, 1),
            attempts=len(run.attempts),
            cause=run.cause.value,
            slot=run.slot.isoformat(),
            run=run.id,
        )

    def _observe_sync(self, report: SyncReport) -> None:
        self._metrics.observe_sync(report)
        self._metrics.observe_jobs(self._reconciliation.jobs, self._reconciliation.applications)
        said = f"{report.revision} {report.error} {report.problems} {report.kept}"
        if said == self._reported and report.result in ("unchanged", "failed", "refused"):
            return
        self._reported = said
        worrying = report.result in ("failed", "refused") or bool(report.problems)
        (log.warning if worrying else log.info)(
            "sync",
            result=report.result,
            revision=report.revision[:12],
            jobs=report.jobs,
            added=report.added,
            changed=report.changed,
            removed=report.removed,
            kept=len(report.kept),
            parsed=report.parsed,
            held=", ".join(report.held),
            duration_ms=round(report.duration_ms, 1),
            error=report.error,
        )
        for problem in report.problems[:_SHOWN_PROBLEMS]:
            log.warning("problem", text=problem)
        if len(report.problems) > _SHOWN_PROBLEMS:
            log.warning("more problems", count=len(report.problems) - _SHOWN_PROBLEMS)
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
