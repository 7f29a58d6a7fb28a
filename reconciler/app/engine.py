"""The parts of one long-lived process, wired together: leading or standing by, following the source, serving HTTP.

Only the process that leads wakes at slots, syncs and recovers; the others stand by warm, answer every question and make
the runs that are triggered there. Forbidden here: decisions about jobs and runs; what a part does is its own affair.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import socket
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import structlog

from reconciler.app import admitting, wiring
from reconciler.app.attending import Attending
from reconciler.app.authenticating import authentication, credentials
from reconciler.app.descriptors import most_connections
from reconciler.app.following import Occasion, Occasions
from reconciler.app.masking import REDACTOR
from reconciler.app.parts import Parts
from reconciler.app.remembered import Remembered
from reconciler.app.signals import Signals, cancelled
from reconciler.app.telling import Telling
from reconciler.core.calendars import stop_of
from reconciler.core.instants import absolute, relative
from reconciler.core.model import (
    Job,
    JobKey,
    Lease,
    Retention,
    Run,
    Stop,
    SyncReport,
)
from reconciler.core.retention import look_back
from reconciler.errors import DeposedError, StoreUnavailableError
from reconciler.ports import Clock, Source, Store
from reconciler.services.acts import Acts
from reconciler.services.arrears import Arrears
from reconciler.services.chains import Chains
from reconciler.services.leading import Leadership
from reconciler.services.reconcile import Reconciliation, SyncOptions
from reconciler.services.run import Runner
from reconciler.services.secrets import Readability, SecretValues
from reconciler.services.stops import Stops
from reconciler.services.strikes import Strikes
from reconciler.services.upkeep import Upkeep
from reconciler.settings import Settings
from reconciler.version import VERSION
from reconciler.web.access import Access, AccessRules
from reconciler.web.app import create
from reconciler.web.connections import Bounds
from reconciler.web.metrics import Metrics
from reconciler.web.server import HttpServer, format_listen
from reconciler.web.state import WebState
from reconciler.web.tls import tls_context

_SHOWN_RUNS = 5
_MILLISECOND = timedelta(milliseconds=1)
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
        self._wake = asyncio.Event()  # set by the hook, here or at a standby
        self._metrics = Metrics(version=VERSION, now=self._clock.now)
        self._caller = parts.caller(wiring.egress(settings), settings.max_in_flight)
        self._values = SecretValues(parts.secrets(settings), REDACTOR)
        self._credentials = credentials(
            settings, store=store, clock=self._clock, caller=self._caller, values=self._values
        )
        authenticating = authentication(self._values, self._credentials, self._clock)
        self._acts = Acts(store, self._clock, REDACTOR, tell=self._telling.act)
        self._reconciliation = Reconciliation(
            self._source,
            store,
            self._clock,
            options,
            term=self._writing_term,
            on_act=self._acts.note,
            redactor=REDACTOR,
        )
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
            stopped=self._stopped,
            successor=self._reconciliation.successor,
            renaming=self._reconciliation.renaming,
            term=lambda: self._attending.term,
            late=lambda slot: self._arrears.behind(slot),  # noqa: PLW0108 - they know each other
            prepare=authenticating.prepare,
            answered=authenticating.answered,
            redactor=REDACTOR,
        )
        self._arrears = Arrears(
            store=store,
            clock=self._clock,
            runner=self._runner,
            jobs=lambda: self._reconciliation.jobs,
            term=lambda: self._attending.term,
            stopped=self._stopped,
            halted=lambda key, slot: self._stops.stopped(key, slot),  # noqa: PLW0108 - made below
        )
        self._chains = Chains(
            store, self._clock, self._runner, lambda: self._reconciliation.jobs, lambda: self._attending.term
        )
        self._strikes = Strikes(
            store,
            self._clock,
            self._reconciliation.job,
            lambda: self._reconciliation.jobs,
            paused=lambda: self._stops.read(),  # noqa: PLW0108 - they know each other
            on_act=self._acts.note,
            term=lambda: self._attending.term,
        )
        self._readability = Readability(
            self._values,
            self._clock,
            jobs=lambda: (self._reconciliation.latest and self._reconciliation.latest.id, self._reconciliation.jobs),
        )
        self._leadership = Leadership(
            store=store,
            clock=self._clock,
            process_id=self._process.id,
            span=settings.lease,
            accounted_until=self._accounted_until,
            on_lead=self._lead,
            on_lost=self._telling.leads_no_more,
            on_nudge=self._wake.set,
        )
        self._stops = Stops(
            store,
            self._clock,
            self._runner,
            jobs=lambda: self._reconciliation.jobs,
            on_change=self._telling.pause,
        )
        led = asyncio.Event()
        self._attending = Attending(
            reconciliation=self._reconciliation,
            leadership=self._leadership,
            clock=self._clock,
            stops=self._stops,
            occasions=Occasions(
                self._source,
                self._clock,
                {Occasion.HOOK: self._wake, Occasion.LEAD: led},
                self._reconciliation.is_behind,
                settings.drift_interval,
            ),
            led=led,
            nudge=store.nudge,
            synced=self._observe_sync,
            known=self._observe_jobs,
            metrics=self._metrics,
        )
        self._host = listening.getsockname()[0]
        self._issuer = admitting.issuer(settings, self._caller, self._clock)
        self._metrics.watch_calls(lambda: self._runner.in_flight)
        self._server = HttpServer(
            create(self._web_state()),
            listening,
            tls=tls_context(settings.tls_cert, settings.tls_key),
            bounds=Bounds(most=most_connections(settings.max_in_flight), proxies=admitting.door(settings).proxies),
        )
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
            access=Access(self._rules, self._clock.now, self._acts),
            acts=self._acts,
            door=admitting.door(self._settings),
            settings=self._settings.shown(),
            redactor=REDACTOR,
            hook_secret=self._settings.hook_secret,
            wake=self._wake.set,
            concerns=self._source.concerns,
            version=VERSION,
            source=self._source.name,
            next_due=self._clock.next_due,
        )

    @property
    def _rules(self) -> AccessRules:
        return admitting.access_rules(
            self._settings,
            tokens=lambda: self._reconciliation.access_tokens,
            claims=None if self._issuer is None else self._issuer.claims,
            host=self._host,
        )

    # Who leads

    def _writing_term(self) -> int:
        term = self._leadership.term
        if term is None:
            raise DeposedError("this process does not lead, or cannot know whether it does; nothing was written")
        return term

    def _lead(self, lease: Lease) -> None:
        self._attending.leads(lease)
        self._arrears.lead_from(lease.accounted_until)
        self._strikes.lead()
        self._telling.leads(lease)

    def _accounted_until(self) -> datetime:
        owed = self._chains.oldest()
        mark = self._runner.accounted_until()
        return mark if owed is None else min(mark, owed - _MILLISECOND)

    def _stopped(self, key: JobKey, slot: datetime) -> Stop | None:
        stored = self._reconciliation.job(key)
        excluded = None if stored is None else stop_of(stored.job.schedule, slot)
        return excluded or self._stops.stopped(key, slot)

    # From the start to the end

    async def start(self, stack: AsyncExitStack, signals: Signals, *, wait: bool) -> None:
        """Begin to serve; lead or stand by; begin to wake at slots."""
        stack.push_async_callback(self._acts.end)
        self._keep(stack, "acts", self._acts.keep())
        await self._server.start()
        stack.push_async_callback(self._server.stop)
        stack.push_async_callback(self._caller.close)
        stack.push_async_callback(self._credentials.close)
        upkeep = self._upkeep()
        stack.push_async_callback(upkeep.farewell)
        await self._stops.load()  # before anything is sent again that another process left
        stack.push_async_callback(self._leadership.resign)  # also where it cannot begin: the next one need not wait
        await self._leadership.step()
        self._keep(stack, "lease", self._leadership.keep())
        self._keep(stack, "upkeep", upkeep.keep())
        stack.push_async_callback(self._drain, signals)
        stack.push_async_callback(self._attending.end)
        await self._attending.begin(signals, wait=wait)
        if self._reconciliation.latest is not None:  # else a standby waits for whoever syncs first
            admitting.must_be_closed(self._settings, self._rules)
        stack.push_async_callback(self._hand_over)
        self._clock.start(self._runner.on_due)
        self._keep(stack, "leading", self._attending.keep_leading())
        self._keep(stack, "stops", self._stops.keep())
        self._keep(stack, "arrears", self._arrears.keep())
        self._keep(stack, "chains", self._chains.keep())
        self._keep(stack, "strikes", self._strikes.keep())
        self._keep(stack, "secrets", self._readability.keep())
        self._prepare()
        log.info("ready", **await self._summary())

    def _keep(self, stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Let a part do its work until the end."""
        stack.push_async_callback(cancelled, asyncio.create_task(work, name=name))

    async def _hand_over(self) -> None:
        """Wake no more, and let another process lead at once; calls in flight go on meanwhile."""
        self._clock.stop()
        await self._runner.hand_over()
        await self._leadership.resign()

    def _upkeep(self) -> Upkeep:
        return Upkeep(
            store=self._store,
            clock=self._clock,
            runner=self._runner,
            process=self._process,
            alive=wiring.is_alive,
            leads=lambda: self._attending.term is not None,
            retention=Retention(
                keep_for=self._settings.keep_runs,
                keep_failures_for=self._settings.keep_failures,
                keep_per_job=self._settings.keep_runs_per_job,
            ),
            keep_acts=self._settings.keep_acts,
            applications=lambda: {
                state.name: state.history for state in self._reconciliation.applications if state.history is not None
            },
            look_back=lambda: look_back(self._reconciliation.jobs),
            unreadable=lambda: self._readability.unreadable,
        )

    async def _drain(self, signals: Signals) -> None:
        draining = asyncio.create_task(self._runner.drain(self._settings.drain))
        hurrying = asyncio.create_task(signals.hurry.wait())
        await asyncio.wait([draining, hurrying], return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await self._runner.drain(timedelta(0))
        await draining
        await cancelled(hurrying)

    async def follow(self) -> None:
        """Attend to what comes; never ends by itself."""
        await self._attending.keep()

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
            since = self._leadership.away_since
            return [f"the store is away{'' if since is None else f' since {absolute(since)}'}: {error}"]
        self._metrics.observe_store(up=True)
        return []

    def _observe_run(self, _: Job | None, run: Run) -> None:
        self._metrics.observe_run(run)
        self._telling.run(run)
        self._chains.ended(run)
        self._strikes.ended(run)

    def _observe_sync(self, report: SyncReport) -> None:
        self._metrics.observe_sync(report)
        self._observe_jobs()
        self._telling.sync(report)
        if report.result == "applied":
            _settle_memory()

    def _observe_jobs(self) -> None:
        self._prepare()
        self._chains.jobs_changed()
        self._metrics.observe_jobs(self._reconciliation.jobs, self._reconciliation.applications)
        self._stops.windows(self._reconciliation.windows)

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


def _settle_memory() -> None:
    """What a sync has built stays for long: take it out of the collector's rounds, and make these rarer.

    With little left to count, the default thresholds would have a burst of runs walked through again and again.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.collect()
    gc.freeze()
