"""Looking for slots that came while nobody could take them on, and seeing to it that each gets its outcome.

Looked at when this process becomes the leader, when the store answers again, and when slots come too late to be on
time. A look may be repeated: what has its record by then is left alone. While it is not over, the mark stays before it.
Forbidden here: deciding what becomes of an owed slot (``core.arrears``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from reconciler.core.arrears import MOST_RECORDS, Fate, Stopped, decide
from reconciler.core.bygone import Bygone, bygone, lapse, stored_of
from reconciler.core.calendars import stop_of
from reconciler.core.eras import Span
from reconciler.core.model import Cause, JobKey, Outcome, RunQuery, Schedule, Stop, StoredJob
from reconciler.core.pauses import FOREVER
from reconciler.core.timetable import Timetable
from reconciler.errors import ReconcilerError, StoreError, StoreUnavailableError
from reconciler.ports import Clock, Store
from reconciler.services.names import Renaming
from reconciler.services.owing import LISTED, MILLISECOND, Owing, alike, by_job, measured, number_of
from reconciler.services.run import Runner

_AT_ONCE = 500  # slots or jobs looked at before others get their turn on the event loop
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=250), timedelta(seconds=2)
_MOST_COUNTED = 100  # records of slots that are looked through for one that counts many
_TIMETABLES = 16  # those whose slots are remembered: many jobs share one

log = logging.getLogger(__name__)


class Arrears:
    """Finds owed slots.

    Args:
        store: tells what has its record.
        clock: the time, and the waiting.
        runner: gives owed slots their outcomes.
        jobs: every job as it stands now.
        term: under which this process leads at this very moment, ``None`` where it does not: nothing is looked at then.
        stopped: what stops a slot of a job; ``None`` if nothing does.
        halted: the same but for the job's present schedule, which may not be the one of the slot; else ``stopped``.
        renaming: tells when names change: records that are looked for under a name that is given up are not found.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        store: Store,
        clock: Clock,
        runner: Runner,
        jobs: Callable[[], Collection[StoredJob]],
        *,
        term: Callable[[], int | None] = lambda: 0,
        stopped: Stopped = lambda _key, _slot: None,
        halted: Stopped | None = None,
        renaming: Renaming | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runner = runner
        self._jobs = jobs
        self._term = term
        self._stopped = stopped
        self._halted = halted or stopped
        self._renaming = renaming or Renaming()
        self._behind: datetime | None = None
        self._looking: datetime | None = None
        self._is_away = False
        self._woken = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def behind(self, slot: datetime) -> None:
        """Slots from this one on may be without a record; they are looked for soon. Quick."""
        self._behind = slot if self._behind is None else min(slot, self._behind)
        self._hold()
        self._woken.set()

    def lead_from(self, mark: datetime) -> None:
        """This process leads from now on, and every slot up to ``mark`` has its record; the others are looked for."""
        self._runner.lead_from(mark)
        self._behind = mark + MILLISECOND
        self._looking = None
        self._hold()
        self._woken.set()

    def _hold(self) -> None:
        self._runner.hold(min((one for one in (self._behind, self._looking) if one is not None), default=None))

    async def keep(self) -> None:
        """Look whenever there is reason to, for as long as the process lives; never ends by itself."""
        pause = _FIRST_PAUSE
        while True:
            if self._behind is None:
                self._woken.clear()
                await self._woken.wait()
            if await self.step():
                pause = _FIRST_PAUSE
                continue
            await self._clock.sleep(pause)
            pause = _FIRST_PAUSE if self._term() is None else min(pause * 2, _LONGEST_PAUSE)

    async def step(self) -> bool:
        """Look once if there is reason to; whether that could be done."""
        if self._behind is None:
            return True
        if self._term() is None:
            return False
        try:
            await self.look(self._behind - MILLISECOND)
        except StoreError as error:
            if not self._is_away:
                log.warning("owed slots cannot be looked for yet: %s", error)
            self._is_away = True
        except Exception:
            log.exception("a bug in looking for owed slots")
        else:
            self._is_away = False
            return True
        return False

    async def look(self, since: datetime) -> None:
        """Give every slot after ``since`` that has come and has no record its outcome, or set out to.

        Slots that come while it looks are the clock's affair.

        Raises:
            StoreError: the store is away; the mark stays where it was.
        """
        async with self._one_at_a_time:
            self._looking, self._behind = since + MILLISECOND, None
            self._hold()
            try:
                now = self._clock.now()
                look = _Look(self._store, self._runner, Span(since, now), self._renaming)
                jobs = list(self._jobs())  # under the names that the look has taken note of
                await self._runner.learn_pace(jobs)
                if since < now:
                    await look.through(jobs, self._stopped)
                    await look.back(jobs, self._halted)
            except BaseException:
                self.behind(since + MILLISECOND)
                raise
            finally:
                self._looking = None
                self._hold()


class _Look:
    """One look at the slots of a span."""

    def __init__(self, store: Store, runner: Runner, span: Span, renaming: Renaming) -> None:
        self._store = store
        self._runner = runner
        self._span = span
        self._renaming = renaming
        self._names = renaming.names
        self._recorded: Mapping[str, Sequence[int]] = {}
        self._under_way: Mapping[JobKey, Sequence[datetime]] = {}
        self._done = 0

    async def through(self, jobs: Collection[StoredJob], stopped: Stopped) -> None:
        """Look at these jobs, those of one timetable together, and let others have their turn in between."""
        self._under_way = self._runner.under_way()  # first: what ends after this is in the store
        self._recorded = await by_job(await self._store.run_ids(self._span.after))
        groups: dict[Timetable, list[StoredJob]] = {}
        for stored in jobs:
            if not stored.job.suspend and stored.job.schedule.after is None:
                groups.setdefault(Timetable.of(stored.job.schedule), []).append(stored)
                await self._breathe(1)
        for timetable, group in groups.items():
            try:
                listed = timetable.newest(*self._span, LISTED)
            except ReconcilerError as error:
                log.error("it is not known what is owed by %s: %s", timetable, error)  # noqa: TRY400 - a foreseen state
                continue
            await self._breathe(len(listed) + 1)
            for stored in group if listed else ():
                await self._settle(stored, timetable, listed, stopped)

    async def _breathe(self, done: int) -> None:
        self._done += done
        if self._done >= _AT_ONCE:
            self._done = 0
            await asyncio.sleep(0)

    async def _settle(
        self, stored: StoredJob, timetable: Timetable, listed: Sequence[datetime], stopped: Stopped
    ) -> None:
        after = max(self._span.after, stored.since)
        recorded = await self._recorded_of(stored, after)
        owing = await self._uncounted(stored.key, timetable, listed, after, recorded)
        if owing.oldest is not None:
            owing.ask(stored.key, stopped)
            await self._breathe(len(owing.rest))
            await self._give(stored, decide(stored, owing.newest, owing.older, self._span.until, stopped))
        await self._breathe(len(owing.newest) + 1)

    async def _give(self, stored: StoredJob, fates: Sequence[Fate]) -> None:
        if not self._runner.is_taking_on:
            raise StoreUnavailableError("the store is away, or this process leads no more")
        if self._names is None or self._renaming.names != self._names:
            raise StoreUnavailableError("jobs were renamed meanwhile, under whose old names nothing is found any more")
        self._runner.settle(stored, fates)
        await self._runner.room()

    async def back(self, jobs: Collection[StoredJob], halted: Stopped) -> None:
        """Look at eras that are over, too: their slots are not run any more, and each gets its record."""
        eras = await self._store.eras(since=self._span.after, until=FOREVER, changed=True)
        if not eras:
            return
        by_key = {stored.key: stored for stored in jobs}
        known = {*by_key, *(era.key for era in eras)}
        has_strangers = not self._recorded.keys() <= {alike(key) for key in known}
        key, left = None, 0
        for past in bygone(eras, by_key, self._span):
            if past.era.key != key:
                key, left = past.era.key, MOST_RECORDS
            try:
                left -= await self._lapse(past, left, halted, has_strangers=has_strangers)
            except StoreError:
                raise
            except ReconcilerError as error:
                log.error(  # noqa: TRY400 - as above
                    "it is not known what %s owed before it was %s: %s", key, past.end, error
                )

    async def _lapse(self, past: Bygone, most: int, halted: Stopped, *, has_strangers: bool) -> int:
        """Record what nobody took on in an era that is over, ``most`` slots one by one; how many of these it has."""
        stored, span = stored_of(past.era), past.span
        timetable, stopped = Timetable.of(stored.job.schedule), _stopped_by(stored.job.schedule, halted)
        listed = _listed(timetable, span)
        await self._breathe(len(listed) + 1)
        recorded = frozenset(self._recorded.get(alike(stored.key), ()))
        owing = measured(timetable, listed, span.after, recorded, most)
        if owing.oldest is not None and has_strangers:  # records of this job may have ids of a name that it had
            recorded = recorded.union(await self._recorded_by_name(stored.key, span))
        owing = await self._uncounted(stored.key, timetable, listed, span.after, recorded, most)
        if owing.oldest is not None:
            owing.ask(stored.key, stopped)
            await self._give(stored, lapse(past, owing.newest, owing.older, stopped))
        return min(most, len(listed))

    async def _recorded_of(self, stored: StoredJob, after: datetime) -> Collection[int]:
        """The slots of a job that have a record, as numbers."""
        recorded = frozenset(self._recorded.get(alike(stored.key), ()))
        if not stored.job.derived_from or stored.applied_at is None or stored.applied_at <= after:
            return recorded
        # It may have had another name until then, of which its runs' ids were made.
        return recorded.union(await self._recorded_by_name(stored.key, Span(after, self._span.until)))

    async def _recorded_by_name(self, key: JobKey, span: Span) -> Collection[int]:
        """The newest slots in a span that have a record by the name that their job has now."""
        since, until = (instant + MILLISECOND for instant in span)
        query = RunQuery(
            application=key.application, api=key.api, cause=Cause.SCHEDULE, since=since, until=until, limit=LISTED
        )
        return [number_of(run.slot) for run in await self._store.runs(query)]

    async def _uncounted(
        self,
        key: JobKey,
        timetable: Timetable,
        listed: Sequence[datetime],
        after: datetime,
        recorded: Collection[int],
        most: int = MOST_RECORDS,
    ) -> Owing:
        """What a job owes, without what earlier looks have counted, in one record each."""
        under_way = frozenset(map(number_of, self._under_way.get(key, ())))
        owing = measured(timetable, listed, after, recorded, most, under_way)
        while owing.oldest is not None and owing.may_be_counted:  # there may be several, of looks that were cut short
            counted = await self._counted_until(key, owing.oldest)
            if counted is None:
                break
            after = max(after, counted)
            owing = measured(timetable, listed, after, recorded, most, under_way)
        return owing

    async def _counted_until(self, key: JobKey, first: datetime) -> datetime | None:
        """Until when an earlier look has counted slots from before ``first`` on in one record; ``None`` for none."""
        application, api = key
        query = RunQuery(
            application=application,
            api=api,
            outcomes=(Outcome.MISSED,),
            cause=Cause.SCHEDULE,
            until=first,
            limit=_MOST_COUNTED,
        )
        ends = [run.through for run in await self._store.runs(query) if run.through is not None]
        return max((end for end in ends if end >= first), default=None)


def _stopped_by(schedule: Schedule, halted: Stopped) -> Stopped:
    """What stopped a slot of a job while it had this schedule."""

    def stopped(key: JobKey, slot: datetime) -> Stop | None:
        return stop_of(schedule, slot) or halted(key, slot)

    return stopped


@lru_cache(maxsize=_TIMETABLES)
def _listed(timetable: Timetable, span: Span) -> Sequence[datetime]:
    return timetable.newest(*span, LISTED)
