"""Catching up after a freeze: each job that is owed a run for it gets one, at the instant at which the freeze ended.

The run's id follows from that instant, so that looking twice, or in two processes, makes one run.
Forbidden here: who is owed what (``core.thaw``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from reconciler.core.damage import unheard
from reconciler.core.model import Cause, JobKey, RunQuery, StopKind, StoredJob
from reconciler.core.retention import look_back
from reconciler.core.stops import Stoppages
from reconciler.core.thaw import Thaw, owed, thaw_of
from reconciler.ports import Clock, Store
from reconciler.services.owing import MILLISECOND
from reconciler.services.pages import every_run
from reconciler.services.run import Runner

# The mark does not wait for a run that is owed after a freeze: who led may have died on the way to it.
_REACH = timedelta(minutes=1)
_AT_ONCE = 200  # jobs looked at before others get their turn on the event loop
_MOST_SLOTS = 100  # of a job, newest first, that are looked at for one that was frozen

log = logging.getLogger(__name__)


class Thaws:
    """Sees to it that what is owed after a freeze is run.

    Args:
        store: tells what became of slots that this process has not seen itself.
        clock: the time.
        runner: makes the runs.
        jobs: every job as it stands now.
    """

    def __init__(self, store: Store, clock: Clock, runner: Runner, jobs: Callable[[], Collection[StoredJob]]) -> None:
        self._store = store
        self._clock = clock
        self._runner = runner
        self._jobs = jobs
        self._looked_until: datetime | None = None
        self._seen_since = clock.now()  # from here on this process knows what was frozen, and by which windows

    def windows_changed(self) -> None:
        """Other windows have frozen jobs until now than will from now on."""
        self._seen_since = self._clock.now()

    def look_from(self, instant: datetime) -> None:
        """Begin the next look a little before this instant, or where it would begin anyhow.

        What it looks at twice makes no second run, for as long as records of such runs are kept: not more than that.
        """
        if self._looked_until is not None:
            reach = min(_REACH, look_back(self._jobs()))
            self._looked_until = min(self._looked_until, instant - reach)

    async def look(self, stoppages: Stoppages) -> None:
        """Make the runs that are owed for the freezes that have ended since the last look.

        Raises:
            StoreError: the store is away; the next look begins where this one did.
        """
        now = self._clock.now()
        after = self._looked_until or now - look_back(self._jobs())
        change = stoppages.next_change(after)
        if change is not None and change <= now:
            await self._catch_up(stoppages, after, now)
        self._looked_until = now

    async def _catch_up(self, stoppages: Stoppages, after: datetime, now: datetime) -> None:
        by_application: dict[str, list[StoredJob]] = {}
        for stored in self._jobs():
            by_application.setdefault(stored.key.application, []).append(stored)
        thaws = [thaw for name in by_application if (thaw := thaw_of(stoppages, name, after, now)) is not None]
        if not thaws:
            return
        pauses = await self._store.pauses(damaged=unheard)  # also those that ended during the freeze
        stoppages = stoppages.with_pauses(pauses)
        for thaw in thaws:
            jobs = by_application[thaw.application]
            if self._looked_until is None:  # one that another process may have seen to long ago
                jobs = [stored for stored in jobs if now - thaw.at <= stored.job.starting_deadline]
            made = await self._made(thaw)
            due = [key for key in await self._owed(jobs, stoppages, thaw) if key not in made]
            keys = [key for key in due if await self._was_frozen(key, thaw)]
            if keys:
                log.info("%s is frozen no more: %d jobs catch up", thaw.application, len(keys))
                self._runner.catch_up(thaw.at, keys)

    async def _owed(self, jobs: Sequence[StoredJob], stoppages: Stoppages, thaw: Thaw) -> Sequence[JobKey]:
        found: list[JobKey] = []
        for place in range(0, len(jobs), _AT_ONCE):
            found += owed(jobs[place : place + _AT_ONCE], stoppages, thaw)
            await asyncio.sleep(0)
        return found

    async def _made(self, thaw: Thaw) -> Collection[JobKey]:
        """The jobs whose run for a freeze is in the store, be it under an id that an older name has given it."""
        query = RunQuery(application=thaw.application, cause=Cause.CATCH_UP, since=thaw.at, until=thaw.at + MILLISECOND)
        return {run.key async for run in every_run(self._store, query)}

    async def _was_frozen(self, key: JobKey, thaw: Thaw) -> bool:
        """Whether a job's slots were frozen in deed, where the freeze is older than what this process knows.

        The windows may have been others then, and slots may have run. Where there is no record at all, nobody was alive
        to make one.
        """
        if thaw.begin >= self._seen_since:
            return True
        query = RunQuery(application=key.application, api=key.api, since=thaw.begin, until=thaw.at, limit=_MOST_SLOTS)
        runs = await self._store.runs(query)
        return not runs or any(run.reason.startswith(StopKind.FROZEN.value) for run in runs)
