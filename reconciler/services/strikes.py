"""Stopping jobs that keep failing: after so many failures in a row a job is paused, until somebody resumes it.

Nothing is read but where a run of a job failed that says ``stopAfterFailures``, and once by whoever begins to lead: the
leader before may have died between a failure and the pause. Forbidden here: what counts
(``core.strikes``), and telling people, which is done for this pause as for any.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta

from reconciler.core.acts import Act, paused
from reconciler.core.model import JobKey, Outcome, Run, RunQuery, StoredJob
from reconciler.core.strikes import STRIKES, TELLING, counts_from, failures_in_a_row, pause_for
from reconciler.errors import StoreError
from reconciler.ports import Clock, Store

RETRY = timedelta(seconds=2)

# Runs beyond the limit that are read, to find where a row began that has grown longer while the store was away.
_MORE = 50

log = logging.getLogger(__name__)


async def _nothing() -> None:
    """Nobody wants to know."""


def _left_alone(_name: str, _why: str) -> None:
    """A pause that cannot be read is told by whoever follows pauses; it must not keep failures from being counted."""


class Strikes:
    """Counts failures.

    Args:
        store: has the runs and the pauses.
        clock: the time, and the waiting.
        job: the job as it stands now, ``None`` where there is none.
        jobs: every job as it stands now.
        paused: awaited when a job has been paused, so that this counts at once.
        on_act: hears of it, too.
        term: under which this process leads and knows the jobs; ``None`` where it does not.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        store: Store,
        clock: Clock,
        job: Callable[[JobKey], StoredJob | None],
        jobs: Callable[[], Collection[StoredJob]],
        paused: Callable[[], Awaitable[None]] = _nothing,
        on_act: Callable[[Act], None] = lambda _act: None,
        *,
        term: Callable[[], int | None] = lambda: 0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._job = job
        self._all = jobs
        self._paused = paused
        self._on_act = on_act
        self._term = term
        self._is_new = False  # whether what failed under the leader before is still to be looked at
        self._failed: set[JobKey] = set()
        self._woken = asyncio.Event()
        # A run is told before its end is written: what was told counts, whatever the store says of it.
        self._told: dict[JobKey, dict[str, Run]] = {}
        self._is_away = False

    def ended(self, run: Run) -> None:
        """Note the end of a run; quick, for every run that ends is told."""
        limit = self._limit(run.key)
        if limit is None or run.outcome not in TELLING:
            return
        told = self._told.setdefault(run.key, {})
        told[run.id] = replace(run, attempts=(), excerpt="")
        for name in sorted(told)[: -(limit + _MORE)]:
            del told[name]
        if run.outcome in STRIKES:
            self._failed.add(run.key)
            self._woken.set()

    def lead(self) -> None:
        """This process leads from now on: every job is looked at, once the jobs are known. Quick."""
        self._is_new = True
        self._woken.set()

    async def keep(self) -> None:
        """Count whenever a run has failed, for as long as the process lives; never ends by itself."""
        while True:
            await self._woken.wait()
            await self.step()
            if self._failed or self._is_new:
                await self._clock.sleep(RETRY)

    async def step(self) -> None:
        """Count the failures of each job that has failed since it was last counted."""
        self._woken.clear()
        try:
            await self._look_at_all()
            for key in sorted(self._failed):
                await self._count_once(key)
            self._is_away = False
        except StoreError as error:
            if not self._is_away:
                log.warning("failures are counted when the store is back: %s", error)
            self._is_away = True
            self._woken.set()

    async def _look_at_all(self) -> None:
        """Count wherever the last run does not say that all is well, if that was not done since this process leads."""
        if not self._is_new:
            return
        if self._term() is None:
            self._woken.set()
            return
        limited = [stored.key for stored in self._all() if stored.job.stop_after_failures is not None]
        last = await self._store.last_runs(limited) if limited else {}
        self._failed.update(key for key, run in last.items() if run.outcome is not Outcome.SUCCEEDED)
        self._is_new = False

    async def _count_once(self, key: JobKey) -> None:
        try:
            await self._count(key)
        except StoreError:
            raise
        except Exception:
            log.exception("a bug in strikes")
        self._failed.discard(key)

    def _limit(self, key: JobKey) -> int | None:
        stored = self._job(key)
        limit = None if stored is None else stored.job.stop_after_failures
        if limit is None:
            self._told.pop(key, None)
        return limit

    async def _count(self, key: JobKey) -> None:
        limit = self._limit(key)
        if limit is None:
            return
        now = self._clock.now()
        pauses = await self._store.pauses(damaged=_left_alone)
        is_free, since = counts_from(pauses, key, now)
        if not is_free:
            return
        told = self._told.get(key, {})
        query = RunQuery(application=key.application, api=key.api, outcomes=TELLING, since=since, limit=limit + _MORE)
        runs = {run.id: run for run in await self._store.runs(query)}
        runs |= {name: run for name, run in told.items() if since is None or run.slot >= since}
        failures = failures_in_a_row(runs.values())
        if len(failures) < limit:
            return
        pause = pause_for(key, failures, limit, now)
        if all(pause.id != one.id for one in pauses):
            await self._store.pause(pause)
            self._on_act(paused(pause, at=now, source="stopAfterFailures"))
            await self._paused()
