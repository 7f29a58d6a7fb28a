"""Chains: the end of a run starts the runs of the jobs that follow it.

A chained run's id follows from the run before it, so that asking twice, or in two processes, makes one run. Whoever
leads asks when it is told of an end, and looks again at what is stored: for ends that others made, such as a command or
a leader before it, and for runs that it has asked for and that are not there, because the store was away.
Forbidden here: which ends start what (``core.chains``), and what becomes of a slot, which is the runner's affair.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from reconciler.core.chains import ENDINGS, followers, is_started_by, longest_run
from reconciler.core.model import Cause, JobKey, Outcome, Run, RunQuery, StoredJob
from reconciler.core.runs import run_id
from reconciler.errors import StoreError
from reconciler.ports import Clock, Store
from reconciler.services.pages import every_run
from reconciler.services.run import ABANDONED

BEAT = timedelta(seconds=2)

# What is asked for is in the store within this, or was lost on its way there.
_PATIENCE = timedelta(seconds=10)
# Clocks of other hosts may differ, and a claim takes a moment to be written.
_OVERLAP = timedelta(seconds=30)
_LONGEST_LOOK_BACK = timedelta(days=31)
_LONGEST_RUN = timedelta(days=7)
_MOST_QUERIES = 50  # for one job each; for more jobs than that all runs are read
_MOST_AWAITED = 100  # runs that are asked for one by one in one look

_LOOKED_AT = tuple(sorted({Outcome.RUNNING, *ENDINGS["completion"]}))

log = logging.getLogger(__name__)


class Starter(Protocol):
    """What makes the runs; see ``services.run.Runner``."""

    def chained(self, stored: StoredJob, upstream: Run) -> None:
        """Run a job for the end of another one's run; nothing, where that run is under way."""

    def knows(self, run_id: str) -> bool:
        """Whether a run is under way here, or its end is still to be recorded."""


@dataclass(slots=True)
class _Owed:
    """A run that is to be made, until it is seen in the store; ``asked_at`` is ``None`` before it was asked for."""

    key: JobKey
    upstream: Run
    slot: datetime
    asked_at: datetime | None = None


class Chains:
    """Sees to it that each end of a run starts what it should.

    Args:
        store: tells of ends that this process has not seen itself, and of what has been started.
        clock: the time, and the waiting.
        runner: makes the runs.
        jobs: every job as it stands now.
        term: under which this process leads at this very moment; ``None`` where it does not: then nothing is started.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        runner: Starter,
        jobs: Callable[[], Collection[StoredJob]],
        term: Callable[[], int | None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._runner = runner
        self._jobs = jobs
        self._term = term
        self._led: int | None = None
        self._followers: dict[JobKey, list[StoredJob]] | None = None
        self._looked_for: dict[JobKey, datetime] = {}  # follower -> its ``since`` when its past was looked at
        self._looked_at: datetime | None = None
        self._owed: dict[str, _Owed] = {}
        self._awaited: set[str] = set()  # ids of others' runs without an end
        self._seen: dict[str, datetime] = {}  # ids of runs that are in the store, for as long as they come up again
        self._mark: datetime | None = None
        self._is_away = False

    def oldest(self) -> datetime | None:
        """The oldest slot of a run that is owed and has not been seen in the store: the mark must not pass it."""
        return min((one.slot for one in self._owed.values()), default=None)

    def jobs_changed(self) -> None:
        """Jobs are others now; without this it is noticed at the next look."""
        self._followers = None

    def ended(self, run: Run) -> None:
        """Start what follows this end; quick, for every run that ends is told."""
        if not self._leads():
            return
        self._awaited.discard(run.id)
        for stored in self._following().get(run.key, ()):
            if is_started_by(stored, run):
                owed = self._owe(stored, run)
                # One that was sent again may have ended before, at another instant: it is looked at what that started.
                if owed is not None and not any(attempt.error == ABANDONED for attempt in run.attempts):
                    self._ask(stored, owed)

    async def keep(self) -> None:
        """Look again and again for as long as the process lives; never ends by itself."""
        while True:
            try:
                await self.look()
                self._is_away = False
            except StoreError as error:
                if not self._is_away:
                    log.warning("chains wait for the store: %s", error)
                self._is_away = True
            except Exception:
                log.exception("a bug in chains")
            await self._clock.sleep(BEAT)

    async def look(self, since: datetime | None = None) -> None:
        """Find the ends that started nothing yet, and start what follows them.

        Args:
            since: where the leader before has left off; read from the store where it is not given.

        Raises:
            StoreError: the store is away; the next look begins where this one did.
        """
        if not self._leads():
            return
        self._followers = None
        if not self._following() and not self._owed:
            self._looked_for.clear()
            return
        now = self._clock.now()
        await self._find_awaited()
        await self._find_past(now, since)
        await self._find_recent(now)
        await self._settle(now)

    def _leads(self) -> bool:
        """Whether this process leads; with each term everything is found anew."""
        term = self._term()
        if term != self._led:
            self._led, self._looked_at, self._mark = term, None, None
            self._owed.clear()
            self._awaited.clear()
            self._seen.clear()
            self._looked_for.clear()
        return term is not None

    def _following(self) -> dict[JobKey, list[StoredJob]]:
        if self._followers is None:
            self._followers = followers(self._jobs())
        return self._followers

    # What is to be started

    def _owe(self, stored: StoredJob, upstream: Run) -> _Owed | None:
        """Note what follows an end; ``None`` where that is known already."""
        slot = upstream.finished_at
        if slot is None or not is_started_by(stored, upstream):
            return None
        name = run_id(stored.key, slot, Cause.AFTER, upstream.id)
        if name in self._owed or name in self._seen:
            return None
        owed = self._owed[name] = _Owed(stored.key, upstream, slot)
        return owed

    def _ask(self, stored: StoredJob, owed: _Owed) -> None:
        owed.asked_at = self._clock.now()
        self._runner.chained(stored, owed.upstream)

    def _take(self, run: Run) -> None:
        """A run that another process has made, or this one before: it has ended, or will."""
        following = self._following().get(run.key, ())
        if run.outcome is not Outcome.RUNNING:
            self._awaited.discard(run.id)
            for stored in following:
                self._owe(stored, run)
        elif following and not self._runner.knows(run.id):
            self._awaited.add(run.id)

    async def _settle(self, now: datetime) -> None:
        """Ask for what is owed and not there; what waits for its jitter is not looked at before."""
        current = {stored.key: stored for same in self._following().values() for stored in same}
        looked_at: dict[str, StoredJob] = {}
        for name, owed in list(self._owed.items()):
            stored = current.get(owed.key)
            if stored is None or not is_started_by(stored, owed.upstream):
                del self._owed[name]  # it has been edited meanwhile, and owes nothing from before
            elif owed.asked_at is None or now - owed.asked_at >= stored.job.jitter:
                looked_at[name] = stored
        if not looked_at:
            return
        there, pairs = await self._started(min(self._owed[name].slot for name in looked_at))
        for name, stored in looked_at.items():
            owed = self._owed[name]
            if name in there or (owed.key, owed.upstream.id) in pairs:
                del self._owed[name]
                self._seen[name] = now
            elif owed.asked_at is None or now - owed.asked_at >= _PATIENCE + stored.job.jitter:
                self._ask(stored, owed)

    async def _started(self, since: datetime) -> tuple[Collection[str], Collection[tuple[JobKey, str]]]:
        """The chained runs that are in the store: their ids, and their jobs with the runs that started them.

        A job that was renamed has the runs that its old name was given, under ids that its new name would not give.
        """
        keys = [stored.key for same in self._following().values() for stored in same]
        query = replace(_query_of(keys), cause=Cause.AFTER, since=since)
        names: set[str] = set()
        pairs: set[tuple[JobKey, str]] = set()
        async for run in every_run(self._store, query):
            names.add(run.id)
            pairs.add((run.key, run.upstream))
        return names, pairs

    # Where ends are found that nobody has told

    async def _find_past(self, now: datetime, since: datetime | None) -> None:
        """Look at the past of each job that has begun to follow, or that this process has begun to lead."""
        news = [
            stored
            for same in self._following().values()
            for stored in same
            if self._looked_for.get(stored.key) != stored.since
        ]
        if not news:
            return
        begin = await self._beginning(news, now, since)
        current = {stored.key: stored for stored in self._jobs()}
        for query in _queries(news):
            upstream = [current[key] for key in _followed(news) if key in current]
            reach = max((longest_run(one.job) for one in upstream), default=timedelta(0))
            earliest = max(begin, min(one.since for one in news))
            async for run in every_run(
                self._store, replace(query, since=earliest - min(reach, _LONGEST_RUN), outcomes=_LOOKED_AT)
            ):
                if run.finished_at is None or run.finished_at > begin:
                    self._take(run)
        self._looked_for |= {stored.key: stored.since for stored in news}

    async def _beginning(self, news: Iterable[StoredJob], now: datetime, since: datetime | None) -> datetime:
        """From where on ends may have started nothing: what was left off, or what may still be started in time."""
        if since is None and self._mark is None:
            lease = await self._store.lease()
            self._mark = now if lease is None else max(lease.accounted_from, min(lease.accounted_until, now))
        mark = since or self._mark or now
        deadline = max((stored.job.starting_deadline for stored in news), default=timedelta(0))
        return max(min(mark, now - deadline), now - _LONGEST_LOOK_BACK)

    async def _find_recent(self, now: datetime) -> None:
        """Look at what other processes have triggered: while this one leads, they make no other runs."""
        since = (self._looked_at or now) - _OVERLAP
        query = replace(_query_of(sorted(self._following())), cause=Cause.MANUAL, since=since)
        async for run in every_run(self._store, query):
            self._take(run)
        self._looked_at = now
        self._seen = {name: at for name, at in self._seen.items() if now - at < 2 * _OVERLAP}

    async def _find_awaited(self) -> None:
        for name in sorted(self._awaited)[:_MOST_AWAITED]:
            run = await self._store.run(name)
            if run is None:
                self._awaited.discard(name)
            elif run.outcome is not Outcome.RUNNING:
                self._take(run)


def _followed(jobs: Iterable[StoredJob]) -> Sequence[JobKey]:
    return sorted({stored.job.schedule.after.key for stored in jobs if stored.job.schedule.after is not None})


def _queries(jobs: Sequence[StoredJob]) -> Sequence[RunQuery]:
    """For the runs of the jobs that these follow: one query for each of a few, or one for all."""
    keys = _followed(jobs)
    if len(keys) > _MOST_QUERIES:
        return [_query_of(keys)]
    return [RunQuery(application=key.application, api=key.api) for key in keys]


def _query_of(keys: Sequence[JobKey]) -> RunQuery:
    """One query for the runs of all of these, as narrow as it can be."""
    applications, apis = {key.application for key in keys}, set(keys)
    return RunQuery(
        application=next(iter(applications)) if len(applications) == 1 else None,
        api=next(iter(apis)).api if len(apis) == 1 else None,
    )
