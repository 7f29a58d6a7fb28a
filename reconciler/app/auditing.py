"""The audit: a store's history of schedules beside its runs, job by job, stretch by stretch, so that memory is bounded.

Works beside a running reconciler: it looks at what is accounted for. Forbidden here: writing, and words for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler.core import audit_bounds
from reconciler.core.audit import Difference, JobAudit, JobResult
from reconciler.core.chains import ENDINGS, longest_run
from reconciler.core.eras import History, Span, first_era
from reconciler.core.model import Cause, Era, JobKey, Outcome, Retention, Run, RunQuery, StoredJob
from reconciler.core.pauses import target_of
from reconciler.core.records import first_id
from reconciler.core.suggest import did_you_mean
from reconciler.errors import NotFoundError, ScheduleError
from reconciler.ports import Store
from reconciler.services.pages import every_run

_STRETCH = timedelta(days=1)
_LONGEST_CHAIN = timedelta(days=7)  # from the slot of a run to its end, at most
_TICK = timedelta(milliseconds=1)  # instants are whole milliseconds

Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit has found.

    Attributes:
        span: what was looked at.
        jobs: how many jobs were.
        outcomes: how many slots ended so; besides outcomes ``missing`` and ``unfinished``.
        beside: how many runs are for no slot: manual ones, and those that were owed after a freeze.
        differences: by job, then by time.
        notes: what was not looked at, and why.
        unreadable: jobs that could not be judged, and why.
    """

    span: Span
    jobs: int
    outcomes: Mapping[str, int]
    beside: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def slots(self) -> int:
        """How many slots there were."""
        return sum(self.outcomes.values())


async def audit(
    store: Store,
    asked: Span,
    *,
    target: str | None = None,
    retention: Retention,
    now: datetime,
    step: Step = lambda _done, _total: None,
) -> Audit:
    """Compare what was due with what is recorded.

    Args:
        store: open.
        asked: which slots.
        target: ``application`` or ``application/api``; ``None`` for everything.
        retention: how long runs are kept, where an Application does not say so itself.
        now: aware.
        step: told how many jobs of how many have been looked at.

    Raises:
        NotFoundError: there is, and was, nothing of this name.
        StoreError: the store is away or refuses.
    """
    bounds = audit_bounds.bounds(asked, await store.lease(), now)
    world = await _world(store, bounds.span, target, retention, now)
    auditing = _Auditing(store, world, bounds.span, now)
    for done, key in enumerate(world.keys, start=1):
        await auditing.job(key)
        step(done, len(world.keys))
    return Audit(
        span=bounds.span,
        jobs=len(world.keys),
        outcomes=dict(auditing.outcomes),
        beside=auditing.beside,
        differences=tuple(auditing.differences),
        notes=(*bounds.notes, *auditing.notes()),
        unreadable=(*world.damaged, *auditing.unreadable),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What is read once, for all jobs."""

    keys: Sequence[JobKey]
    jobs: Mapping[JobKey, StoredJob]
    eras: Mapping[JobKey, Sequence[Era]]
    unexplained: Mapping[str, str]
    retention: Retention
    retentions: Mapping[str, Retention]
    damaged: Sequence[str] = field(default=())


async def _world(store: Store, span: Span, target: str | None, retention: Retention, now: datetime) -> _World:
    application, api = (None, None) if target is None else target_of(target)
    damaged: list[str] = []
    jobs = {one.key: one for one in await store.jobs(lambda name, why: damaged.append(f"{name}: {why}"))}
    eras: dict[JobKey, list[Era]] = {}
    keys = None if application is None or api is None else [JobKey(application, api)]
    for era in await store.eras(since=span.after, until=span.until, keys=keys):
        eras.setdefault(era.key, []).append(era)
    recorded = await store.last_runs(keys)
    everything = {*jobs, *eras, *recorded}
    found = sorted(key for key in everything if application in (None, key.application) and api in (None, key.api))
    if target is not None and not found:
        kind = "Application" if api is None else "job"
        names = {key.application for key in everything} if api is None else {str(key) for key in everything}
        raise NotFoundError(f"there is no {kind} {target}{did_you_mean(target, names)}")
    states = await store.applications(lambda name, why: damaged.append(f"{name}: {why}"))
    running = await store.unfinished()
    plain = {key: stored.job for key, stored in jobs.items()}
    return _World(
        keys=found,
        jobs=jobs,
        eras=eras,
        unexplained=audit_bounds.unexplained(running, plain, await store.processes(), now),
        retention=retention,
        retentions={state.name: state.history for state in states if state.history is not None},
        damaged=damaged,
    )


class _Auditing:
    """Goes through the jobs, and adds up."""

    def __init__(self, store: Store, world: _World, span: Span, now: datetime) -> None:
        self._store = store
        self._world = world
        self._span = span
        self._now = now
        self._aged: set[Retention] = set()
        self._crowded = 0
        self._forgiven = 0
        self.outcomes: Counter[str] = Counter()
        self.beside = 0
        self.differences: list[Difference] = []
        self.unreadable: list[str] = []

    async def job(self, key: JobKey) -> None:
        """Audit one job. What misses a record may have lost it to retention: that is looked at only then."""
        retention, before = self._retention(key), None
        span = Span(max(self._span.after, audit_bounds.kept_after(retention, self._now)), self._span.until)
        if span.after > self._span.after:
            self._aged.add(retention)
        try:
            result = await self._result(key, span)
            if result.has_missing:
                before = await self._counted_before(key, span)
                kept = await self._kept_by_count(key, retention)
                if kept is not None and kept > span.after:
                    self._crowded += 1
                    span, before = Span(kept, span.until), None
                result = await self._result(key, span, before)
            if result.orphans:
                result = await self._result(key, span, before, await self._forgotten(key))
        except (ScheduleError, NotFoundError) as error:
            self.unreadable.append(f"{key}: {error}")
            return
        self.outcomes.update(result.outcomes)
        self.beside += result.beside
        self._forgiven += result.forgiven
        self.differences += result.differences

    def notes(self) -> Iterator[str]:
        """What was left out for what retention removes."""
        yield from sorted(audit_bounds.age_note(retention) for retention in self._aged)
        if self._crowded:
            number = "1 job has" if self._crowded == 1 else f"{self._crowded:,} jobs have"
            yield f"{number} more slots than runs are kept of one job: only those are looked at whose records are kept"
        if self._forgiven:
            number = "1 run names" if self._forgiven == 1 else f"{self._forgiven:,} runs name"
            yield f"{number} a run of another job that may have been removed since; that is held against nobody"

    def _retention(self, key: JobKey) -> Retention:
        return self._world.retentions.get(key.application, self._world.retention)

    async def _result(self, key: JobKey, span: Span, before: Run | None = None, forgotten: str = "") -> JobResult:
        history = self._history(key)
        found = JobAudit(history, span, self._world.unexplained, before, forgotten)
        for stretch in _stretches(span):
            named: set[str] = set()
            async for run in self._runs(RunQuery(application=key.application, api=key.api), stretch):
                found.note(run)
                if run.upstream:
                    named.add(run.upstream)
            ends = await self._ends(history, stretch)
            left = named.difference(run.id for run in ends)
            known = [one for name in left if (one := await self._store.run(name)) is not None]
            found.settle(stretch, ends, known)
        return found.end()

    def _history(self, key: JobKey) -> History:
        stored, eras = self._world.jobs.get(key), self._world.eras.get(key, ())
        if stored is None:
            return History(key, eras)
        return History(key, eras or [first_era(stored)], stored.job.jitter)

    def _runs(self, query: RunQuery, stretch: Span) -> AsyncIterator[Run]:
        return every_run(self._store, replace(query, since=stretch.after + _TICK, until=stretch.until + _TICK))

    async def _ends(self, history: History, stretch: Span) -> Sequence[Run]:
        """The ends of runs that may have started one of this job in a stretch."""
        found: dict[str, Run] = {}
        for era, part in history.parts(stretch):
            after = None if era.schedule is None else era.schedule.after
            if after is None:
                continue
            upstream = self._world.jobs.get(after.key)
            reach = _LONGEST_CHAIN if upstream is None else min(longest_run(upstream.job), _LONGEST_CHAIN)
            outcomes = tuple(sorted(ENDINGS[after.on]))
            query = RunQuery(application=after.key.application, api=after.key.api, outcomes=outcomes)
            looked_at = part.within(Span(part.after, self._span.until - audit_bounds.CHAINED))
            async for run in self._runs(query, Span(looked_at.after - reach, looked_at.until)):
                if run.finished_at is not None and looked_at.holds(run.finished_at):
                    found[run.id] = run
        return list(found.values())

    async def _counted_before(self, key: JobKey, span: Span) -> Run | None:
        """The record from before the span that counts slots in it, too."""
        query = RunQuery(
            application=key.application,
            api=key.api,
            outcomes=(Outcome.MISSED, Outcome.SKIPPED),
            cause=Cause.SCHEDULE,
            until=span.after + _TICK,
            limit=1,
        )
        found = next(iter(await self._store.runs(query)), None)
        return found if found is not None and found.through is not None and found.through > span.after else None

    async def _forgotten(self, key: JobKey) -> str:
        """Below which id runs of the jobs that this one follows, or has followed, may have been removed."""
        kept = []
        for upstream in self._history(key).followed():
            retention = self._retention(upstream)
            by_count = await self._kept_by_count(upstream, retention)
            kept += [audit_bounds.kept_after(retention, self._now), *([] if by_count is None else [by_count])]
        return first_id(max(kept) + _TICK) if kept else ""

    async def _kept_by_count(self, key: JobKey, retention: Retention) -> datetime | None:
        query = RunQuery(application=key.application, api=key.api, limit=retention.keep_per_job)
        return audit_bounds.kept_by_count(await self._store.runs(query), retention)


def _stretches(span: Span) -> Iterator[Span]:
    after = span.after
    while after < span.until:
        until = min(after + _STRETCH, span.until)
        yield Span(after, until)
        after = until
