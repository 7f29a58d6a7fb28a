"""One sync: from a snapshot of the source to an aligned scheduler, leaving a sync report.

``Reconciliation.sync`` reads like the list of its steps and is to stay that way. Forbidden here: deciding what a plan
holds (``core.plan``), what is drift (``core.drift``) or how manifests are read (``core.manifests``, ``core.desired``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core import drift as drifting
from reconciler.core import plan as planning
from reconciler.core.acts import Act, pruned
from reconciler.core.brake import UNKNOWN
from reconciler.core.desired import Desired
from reconciler.core.drift_beside import ACCESS, APPLICATION, WINDOW, found_beside
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    Commit,
    Drift,
    FreezeWindow,
    JobKey,
    Snapshot,
    StoredJob,
    SyncReport,
    Writing,
)
from reconciler.core.plan import Action, Plan, held_text
from reconciler.core.plan_text import kept_texts
from reconciler.core.redaction import Redactor
from reconciler.core.token_changes import notes
from reconciler.errors import SourceError, UnsafePlanError
from reconciler.ports import Clock, Source, Store
from reconciler.services.declarations import Declarations
from reconciler.services.names import Renaming
from reconciler.services.state import State

JOB = "job"
_INLINE_FILES = 50  # up to so many new files are parsed on the event loop itself: a few milliseconds
_TOLD = ("problems", "kept_reasons", "error", "notes", "drift", "found", "declared")  # of a report and its drift
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What an operator says about syncing.

    Attributes:
        allow_prune: the revision, or its beginning, whose removals are meant, however many; empty for none.
        max_prune: the part of all jobs, 0 to 1, that may go without being asked.
        self_heal: put back what stands in the store otherwise than declared; else only report it.
        environment: whose patches are applied.
        operator: who says all this, as ``user@host``; noted where it had an effect.
        named: how the source is named on a command line, for what is advised.
        exact: apply nothing at all where the source is at another revision than ``allow_prune`` says.
    """

    allow_prune: str = ""
    max_prune: float = planning.DEFAULT_MAX_PRUNE
    self_heal: bool = True
    environment: str | None = None
    operator: str = ""
    named: str = ""
    exact: bool = False

    def allows(self, revision: str) -> bool:
        """Whether the removals of a revision are meant."""
        return bool(self.allow_prune) and revision.startswith(self.allow_prune)


class Reconciliation:
    """Syncs a source into a store and a clock; remembers what is stored so that a sync costs what has changed."""

    def __init__(  # noqa: PLR0913 - the parts, each named
        self,
        source: Source,
        store: Store,
        clock: Clock,
        options: SyncOptions | None = None,
        *,
        term: Callable[[], int | None] = lambda: None,
        on_act: Callable[[Act], None] = lambda _act: None,
        redactor: Redactor | None = None,
    ) -> None:
        """Name the parts; ``term`` is what every write carries, and raises ``DeposedError`` where nobody may write.

        ``on_act`` hears of removals that were written, and who has allowed them; ``redactor`` masks what is reported.
        """
        self._source = source
        self._clock = clock
        self._term = term
        self._on_act = on_act
        self._options = options or SyncOptions()
        self._redactor = Redactor() if redactor is None else redactor
        self._declarations = Declarations(source.name, self._options.environment, self._redactor)
        self._state = State(store)
        self._reading = asyncio.Lock()  # of the source; held while it is slow, so that what is stored can be followed
        self._lock = asyncio.Lock()  # of what is remembered
        self._renamed: dict[JobKey, JobKey] = {}
        self.renaming = Renaming()  # whoever claims runs asks it, so that none is written under a name that is given up
        self._told: set[str] = set()
        self._settled: SyncReport | None = None
        self.plan: Plan | None = None
        self.checked_at: datetime | None = None

    def job(self, key: JobKey) -> StoredJob | None:
        """A job as it stands in the store, without asking the store."""
        return self._state.jobs.get(key)

    def successor(self, key: JobKey) -> JobKey:
        """What a job is called now that was renamed since this process began."""
        return self._renamed.get(key, key)

    @property
    def jobs(self) -> Collection[StoredJob]:
        """Every stored job, without asking the store."""
        return self._state.jobs.values()

    @property
    def applications(self) -> Collection[ApplicationState]:
        """Every stored Application, without asking the store."""
        return self._state.applications.values()

    @property
    def windows(self) -> Collection[FreezeWindow]:
        """Every stored freeze window, without asking the store."""
        return self._state.windows.values()

    @property
    def access_tokens(self) -> Collection[AccessToken] | None:
        """Every stored access token, without asking the store; ``None`` until it was asked once."""
        tokens = self._state.access_tokens
        return None if tokens is None else tokens.values()

    @property
    def reports(self) -> Sequence[SyncReport]:
        """The newest sync reports, newest first."""
        return self._state.reports

    @property
    def latest(self) -> SyncReport | None:
        """The report of the last sync."""
        return self._state.latest

    @property
    def has_last_good(self) -> bool:
        """Whether what is stored was declared by this very source: then it stays while the source is away."""
        last = self._state.read
        return bool(self._state.jobs) and last is not None and last.source == self._source.name

    async def is_behind(self) -> bool:
        """Whether another process has synced this store since.

        Raises:
            StoreError: the store is away.
        """
        return await self._state.is_behind()

    async def follow(self) -> bool:
        """Take over what another process has synced into the store; whether there was anything.

        Raises:
            StoreError: the store is away or refuses.
        """
        async with self._lock:
            if not await self._state.load():
                return False
            self._settled = None
            self._clock.align(self._state.jobs.values())
            self.checked_at = self._clock.now()
            return True

    async def rehearse(self) -> None:
        """Read the source and parse what is new in it, so that a sync that may come soon costs little.

        Raises:
            SourceError: the source cannot be read.
        """
        async with self._reading:
            snapshot = await self._source.fetch(self._declarations.known)
            async with self._lock:
                await self._parse(snapshot)

    async def sync(self, *, thorough: bool = False) -> SyncReport:
        """Make the store and the clock say what the source declares.

        Args:
            thorough: compare also what is stored and scheduled with what is declared, though nobody has synced since.

        Raises:
            StoreError: the store is away or refuses. Nothing is lost: the next sync begins where this one ended.
            DeposedError: another process leads by now; nothing was written.
            UnsafePlanError: the source is at another revision than the one that must be meant; nothing was written.
        """
        async with self._reading:
            started = self._clock.now()
            try:
                snapshot = await self._source.fetch(self._declarations.known)
            except SourceError as error:
                async with self._lock:
                    await self._state.load(anew=thorough)
                    self._clock.align(self._state.jobs.values())
                    return await self._record(self._failed(started, str(error)))
            async with self._lock:
                return await self._sync_to(snapshot, started, thorough=thorough)

    async def _sync_to(self, snapshot: Snapshot, started: datetime, *, thorough: bool) -> SyncReport:
        loaded = await self._state.load(anew=thorough)
        if self._settled is not None and self._settled.revision == snapshot.revision and not loaded:
            return await self._record(self._unchanged(started, self._settled))
        self._must_be_meant(snapshot.revision)
        self._settled = None
        desired = await self._parse(snapshot)
        self._state.share(desired)
        drift = self._drift(desired, snapshot) if loaded or not self._options.self_heal else ()
        self.plan = self._decide(desired, snapshot, drift)
        if reason := self._takeover(self.plan, snapshot.revision):
            self._clock.align(self._state.jobs.values())
            return await self._record(self._failed(started, reason))
        drift = self._outcome(drift, self.plan)
        changed = await self._apply(self.plan, desired, snapshot, drift)
        self._align(drift)
        self._settled = self._report(started, snapshot, self.plan, drift, changed=changed)
        return await self._record(self._settled)

    async def _parse(self, snapshot: Snapshot) -> Desired:
        if len(snapshot.texts) <= _INLINE_FILES:
            return self._declarations.update(snapshot)
        return await asyncio.to_thread(self._declarations.update, snapshot)

    def _drift(self, desired: Desired, snapshot: Snapshot) -> tuple[Drift, ...]:
        """What stands in the store or the scheduler otherwise than declared."""
        last = self._state.read
        environment = self._options.environment or ""
        same = last is not None and (last.revision, last.environment) == (snapshot.revision, environment)
        stored = {} if last is None else self._state.jobs
        damaged = self._state.damaged
        found = drifting.found(stored, desired, damaged["jobs"], same_revision=same)
        kept = set(last.kept) if last is not None else set()
        found = tuple(one for one in found if one.declared is not None or str(one.key) not in kept)
        beside = found_beside(
            applications=self._state.applications,
            windows=self._state.windows,
            tokens=self._state.access_tokens or {},
            desired=desired,
            damaged_applications=damaged["applications"],
            damaged_windows=damaged["windows"],
            damaged_tokens=damaged["access_tokens"],
            same_revision=same,
            left=[one for one in last.drift if not one.put_back] if last is not None else (),
            kept=kept,
        )
        return (*found, *beside, *self._clock.drift())

    def _outcome(self, drift: Sequence[Drift], plan: Plan) -> tuple[Drift, ...]:
        """Drift as it is told: put back only where the plan does so."""
        stays = {str(item.key) for item in plan.kept} | {f"{WINDOW} {name}" for name in plan.kept_windows}
        stays |= {f"{APPLICATION} {item.key.application}" for item in plan.kept}

        def is_left(one: Drift) -> bool:
            held = one.kind == JOB and one.where == "store" and one.key.application in plan.held
            if one.kind == ACCESS:
                return False  # what somebody has opened by hand is closed whatever else is left
            return not self._options.self_heal or held or (one.declared is None and one.name in stays)

        return tuple(replace(one, put_back=False) if is_left(one) else one for one in drift)

    def _decide(self, desired: Desired, snapshot: Snapshot, drift: Sequence[Drift]) -> Plan:
        edited = {one.key for one in drift if one.where == "store" and one.kind == "job"}
        left = {one.key.application for one in drift if one.kind == WINDOW}
        made = planning.diff(
            planning.without_digest(self._state.jobs, edited),
            desired,
            unread=self._declarations.unread,
            applications=self._state.applications,
            windows=self._state.windows,
            tokens=self._state.access_tokens or {},
        )
        return planning.brake(
            made if self._options.self_heal else planning.leaving(made, edited, self._state.jobs, left),
            declares_nothing=not desired.applications,
            allow_prune=self._options.allows(snapshot.revision),
            max_prune=self._options.max_prune,
            policies=self._policies(desired),
            revision=snapshot.revision,
            source=self._options.named,
        )

    def _policies(self, desired: Desired) -> Mapping[str, str]:
        """What each Application says of removals."""
        return {
            **dict.fromkeys(self._state.damaged["applications"].keys() - desired.applications.keys(), UNKNOWN),
            **planning.prune_policies(desired, self._state.applications),
        }

    def _must_be_meant(self, revision: str) -> None:
        """Apply nothing of a revision that nobody has looked at, where another one was named."""
        options = self._options
        if options.exact and options.allow_prune and not options.allows(revision):
            raise UnsafePlanError(
                f"--allow-prune {options.allow_prune}: {self._source.name} is at {revision[:12]} now; nothing was "
                f"applied. Look at `reconciler plan {options.named or 'SOURCE'}`, then allow that revision"
            )

    def _takeover(self, plan: Plan, revision: str) -> str:
        """Why this source may not take over what another one has declared; empty where it may."""
        last, options = self._state.read, self._options
        if last is None or last.source == self._source.name or options.allows(revision):
            return ""
        lost = planning.taken_over(plan, options.max_prune)
        if not lost:
            return ""
        return planning.takeover_text(plan, lost, before=last.source, source=options.named, revision=revision)

    async def _apply(self, plan: Plan, desired: Desired, snapshot: Snapshot, drift: Sequence[Drift]) -> bool:
        """Write what differs; whether anything did."""
        now, revision = self._clock.now(), snapshot.revision
        commits = await self._commits(plan, desired, snapshot)
        states, gone = planning.application_states(plan, desired, self._state.applications, now=now, revision=revision)
        strays = {(one.kind, one.key) for one in drift if one.put_back and drifting.is_stray(one)}
        left = {one.key.application for one in drift if one.kind == APPLICATION and not one.put_back}
        writing = Writing(
            jobs=planning.stored_jobs(plan, self._state.jobs, revision=revision, now=now, commits=commits),
            removed_jobs=(*plan.removals, *plan.renamed),
            removed_records=[name for name in self._state.damaged["jobs"] if (JOB, drifting.key_of(name)) in strays],
            applications=[state for state in states if state.name not in left],
            removed_applications=[*(name for name in gone if name not in left), *_names(strays, APPLICATION)],
            windows=plan.windows,
            removed_windows=(*plan.removed_windows, *_names(strays, WINDOW)),
            access_tokens=[change.after for change in plan.token_changes if change.after is not None],
            removed_access_tokens=[change.token.name for change in plan.token_changes if change.after is None],
            renamed=plan.renamed,
            eras=planning.eras_of(plan, revision=revision, now=now),
        )
        if not writing:
            return False
        removals = self._prunes(plan, desired, snapshot, now)  # before the write takes along who has allowed them
        async with self.renaming.renaming() if plan.renamed else nullcontext():
            await self._state.write(writing, term=self._term())
            self._renamed |= plan.renamed
        for act in removals:
            self._on_act(act)
        return True

    def _prunes(self, plan: Plan, desired: Desired, snapshot: Snapshot, now: datetime) -> Sequence[Act]:
        return tuple(
            pruned(
                plan.removals,
                at=now,
                source=self._source.name,
                revision=snapshot.revision,
                author=snapshot.commit.author if snapshot.commit else "",
                operator=self._options.operator if self._options.allows(snapshot.revision) else "",
                policies=self._policies(desired),
            )
        )

    async def _commits(self, plan: Plan, desired: Desired, snapshot: Snapshot) -> Mapping[JobKey, Commit]:
        """For each job that changes, the commit that changed it: the newest that touched a file with a say in it."""
        if snapshot.commit is None:
            return {}
        files = {change.key: desired.files_of(change.key) for change in plan.changes if change.after is not None}
        fresh = {key: own & snapshot.texts.keys() or own for key, own in files.items()}
        try:
            origins = await self._source.origins(frozenset().union(*fresh.values()))
        except SourceError as error:  # who it was is worth knowing, but not worth waiting for
            log.warning("the history cannot be read: %s", error)
            return {}
        found = {key: [origins[name] for name in own if name in origins] for key, own in fresh.items()}
        return {key: max(commits, key=lambda one: one.date) for key, commits in found.items() if commits}

    def _align(self, drift: Sequence[Drift]) -> None:
        self._clock.align(self._state.jobs.values())
        if self._options.self_heal and any(one.where == "scheduler" for one in drift):
            self._clock.realign()

    def _failed(self, started: datetime, error: str) -> SyncReport:
        """A pass without a snapshot: the last good state stays."""
        return SyncReport(
            id=_report_id(started),
            source=self._source.name,
            revision="",
            result="failed",
            started_at=started,
            duration_ms=self._elapsed(started),
            jobs=len(self._state.jobs),
            error=error,
            environment=self._options.environment or "",
        )

    def _unchanged(self, started: datetime, settled: SyncReport) -> SyncReport:
        """A pass over a revision that is live already."""
        return replace(
            settled,
            id=_report_id(started),
            result="unchanged" if settled.result == "applied" else settled.result,
            started_at=started,
            duration_ms=self._elapsed(started),
            parsed=0,
            added=0,
            changed=0,
            removed=0,
            renamed=0,
            notes=(),
            drift=tuple(one for one in settled.drift if not one.put_back),
        )

    def _report(
        self, started: datetime, snapshot: Snapshot, plan: Plan, drift: tuple[Drift, ...], *, changed: bool
    ) -> SyncReport:
        healed = any(one.put_back for one in drift)
        return SyncReport(
            id=_report_id(started),
            source=self._source.name,
            revision=snapshot.revision,
            result="refused" if plan.braked else "applied" if changed or healed else "unchanged",
            started_at=started,
            duration_ms=self._elapsed(started),
            files=len(snapshot.files),
            parsed=self._declarations.parsed,
            jobs=len(self._state.jobs),
            added=plan.count(Action.ADD),
            changed=plan.count(Action.CHANGE),
            removed=plan.count(Action.REMOVE),
            renamed=plan.count(Action.RENAME),
            held=tuple(sorted(plan.held)),
            problems=tuple(str(problem) for problem in self._declarations.problems),
            kept=tuple(str(item.key) for item in plan.kept),
            kept_reasons=tuple(kept_texts(item for item in plan.kept if item.reason != held_text(item.key))),
            commit=snapshot.commit,
            notes=(
                *snapshot.notes,
                *self._allowed(snapshot.revision, plan),
                *self._passed_over(),
                *notes(plan.token_changes),
            ),
            drift=drift,
            environment=self._options.environment or "",
        )

    def _allowed(self, revision: str, plan: Plan) -> Sequence[str]:
        if not (self._options.allows(revision) and plan.removals):
            return ()
        return (f"removals allowed by {self._options.operator}: {len(plan.removals)}",)

    def _passed_over(self) -> Sequence[str]:
        """Sync reports that cannot be read, told once by each process."""
        new = {name: why for name, why in self._state.damaged["syncs"].items() if name not in self._told}
        self._told |= new.keys()
        return [f"the record of the sync {name} cannot be read and is passed over: {why}" for name, why in new.items()]

    def _elapsed(self, started: datetime) -> float:
        return round((self._clock.now() - started).total_seconds() * 1000, 3)

    async def _record(self, report: SyncReport) -> SyncReport:
        self.checked_at = report.started_at
        report = self._redactor.masked_fields(report, *_TOLD)
        await self._state.record(report)
        return report


def _names(strays: Iterable[tuple[str, JobKey]], kind: str) -> list[str]:
    return [key.application for one, key in strays if one == kind]


def _report_id(started: datetime) -> str:
    """Sortable by time, and readable in a shell."""
    return started.strftime("%Y%m%dT%H%M%S.%fZ")
