"""One sync: from a snapshot of the source to an aligned scheduler, leaving a sync report.

``Reconciliation.sync`` reads like the list of its steps and is to stay that way. Forbidden here: deciding what a
plan holds (``core.plan``) or how manifests are read (``core.manifests``, ``core.desired``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core import plan as planning
from reconciler.core.desired import Desired
from reconciler.core.model import ApplicationState, JobKey, Snapshot, StoredJob, SyncReport
from reconciler.core.plan import Action, Plan
from reconciler.errors import SourceError
from reconciler.ports import Clock, Source, Store
from reconciler.services.declarations import Declarations

_INLINE_FILES = 50  # up to so many new files are parsed on the event loop itself: a few milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What an operator says about syncing.

    Attributes:
        allow_prune: removals are meant, however many.
        max_prune: the part of all jobs, 0 to 1, that may go without being asked.
    """

    allow_prune: bool = False
    max_prune: float = planning.DEFAULT_MAX_PRUNE


class Reconciliation:
    """Syncs a source into a store and a clock; remembers what is stored so that a sync costs what has changed."""

    def __init__(self, source: Source, store: Store, clock: Clock, options: SyncOptions | None = None) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._options = options or SyncOptions()
        self._declarations = Declarations(source.name)
        self._lock = asyncio.Lock()
        self._jobs: dict[JobKey, StoredJob] = {}
        self._applications: dict[str, ApplicationState] = {}
        self._latest: SyncReport | None = None
        self._loaded = False
        self._shared = False
        self.plan: Plan | None = None
        self.checked_at: datetime | None = None

    def job(self, key: JobKey) -> StoredJob | None:
        """A job as it stands in the store, without asking the store."""
        return self._jobs.get(key)

    @property
    def jobs(self) -> Collection[StoredJob]:
        """Every stored job, without asking the store."""
        return self._jobs.values()

    @property
    def applications(self) -> Collection[ApplicationState]:
        """Every stored Application, without asking the store."""
        return self._applications.values()

    @property
    def latest(self) -> SyncReport | None:
        """The report of the last sync."""
        return self._latest

    async def sync(self) -> SyncReport:
        """Make the store and the clock say what the source declares.

        Raises:
            StoreError: the store is away or refuses. Nothing is lost: the next sync begins where this one ended.
        """
        async with self._lock:
            started = self._clock.now()
            await self._load()
            try:
                snapshot = await self._source.fetch(self._declarations.known)
            except SourceError as error:
                return await self._record(self._failed(started, str(error)))
            desired = await self._parse(snapshot)
            self.plan = self._decide(desired)
            changed = await self._apply(self.plan, desired, snapshot.revision)
            self._share(desired)
            self._clock.align(self._jobs.values())
            return await self._record(self._report(started, snapshot, self.plan, changed=changed))

    async def _load(self) -> None:
        """Read what is stored: at first, and whenever somebody else has synced since."""
        newest = next(iter(await self._store.syncs(1)), None)
        if self._loaded and (newest.id if newest else None) == (self._latest.id if self._latest else None):
            return
        self._jobs = {stored.key: stored for stored in await self._store.jobs()}
        self._applications = {state.name: state for state in await self._store.applications()}
        self._latest = newest
        self._loaded, self._shared = True, False

    async def _parse(self, snapshot: Snapshot) -> Desired:
        if len(snapshot.texts) <= _INLINE_FILES:
            return self._declarations.update(snapshot)
        return await asyncio.to_thread(self._declarations.update, snapshot)

    def _decide(self, desired: Desired) -> Plan:
        return planning.brake(
            planning.diff(self._jobs, desired, unread=self._declarations.unread, applications=self._applications),
            declares_nothing=not desired.applications,
            allow_prune=self._options.allow_prune,
            max_prune=self._options.max_prune,
        )

    async def _apply(self, plan: Plan, desired: Desired, revision: str) -> bool:
        """Write what differs; whether anything did."""
        now = self._clock.now()
        written = planning.stored_jobs(plan, self._jobs, revision=revision, now=now)
        states, gone = planning.application_states(plan, desired, self._applications, now=now)
        if not (written or plan.removals or states or gone):
            return False
        await self._store.apply(
            jobs=written, removed_jobs=plan.removals, applications=states, removed_applications=gone
        )
        self._jobs |= {stored.key: stored for stored in written}
        self._applications |= {state.name: state for state in states}
        for key in plan.removals:
            self._jobs.pop(key, None)
        for name in gone:
            self._applications.pop(name, None)
        return True

    def _share(self, desired: Desired) -> None:
        """Let a stored job that equals its declaration be the same object: half the memory, equal at a glance."""
        if self._shared:
            return
        for key, job in desired.jobs.items():
            stored = self._jobs.get(key)
            if stored is not None and stored.job == job:
                self._jobs[key] = replace(stored, job=job)
        self._shared = True

    def _failed(self, started: datetime, error: str) -> SyncReport:
        """A pass without a snapshot: the last good state stays."""
        return SyncReport(
            id=_report_id(started),
            source=self._source.name,
            revision="",
            result="failed",
            started_at=started,
            duration_ms=self._elapsed(started),
            jobs=len(self._jobs),
            error=error,
        )

    def _report(self, started: datetime, snapshot: Snapshot, plan: Plan, *, changed: bool) -> SyncReport:
        return SyncReport(
            id=_report_id(started),
            source=self._source.name,
            revision=snapshot.revision,
            result="refused" if plan.braked else "applied" if changed else "unchanged",
            started_at=started,
            duration_ms=self._elapsed(started),
            files=len(snapshot.files),
            parsed=self._declarations.parsed,
            jobs=len(self._jobs),
            added=plan.count(Action.ADD),
            changed=plan.count(Action.CHANGE),
            removed=plan.count(Action.REMOVE),
            held=tuple(sorted(plan.held)),
            problems=tuple(str(problem) for problem in self._declarations.problems),
            kept=tuple(str(item.key) for item in plan.kept),
        )

    def _elapsed(self, started: datetime) -> float:
        return round((self._clock.now() - started).total_seconds() * 1000, 3)

    async def _record(self, report: SyncReport) -> SyncReport:
        """Keep the report, unless it says what the last one said: the same revision twice writes nothing."""
        self.checked_at = report.started_at
        if _says_the_same(report, self._latest):
            return report
        await self._store.record(report)
        self._latest = report
        return report


def _says_the_same(report: SyncReport, latest: SyncReport | None) -> bool:
    if latest is None or report.result == "applied":
        return False
    same = replace(
        report,
        id=latest.id,
        started_at=latest.started_at,
        duration_ms=latest.duration_ms,
        parsed=latest.parsed,
        added=latest.added,
        changed=latest.changed,
        removed=latest.removed,
        result=latest.result if report.result == "unchanged" and latest.result == "applied" else report.result,
    )
    return same == latest


def _report_id(started: datetime) -> str:
    """Sortable by time, and readable in a shell."""
    return started.strftime("%Y%m%dT%H%M%S.%fZ")
