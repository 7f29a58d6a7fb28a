"""Looking for slots that came while nobody could take them on, and seeing to it that each gets its outcome.

Looked at when this process becomes the leader, when the store answers again, and when slots come too late to be on
time. A look may be repeated: what has its record by then is left alone. While it is not over, the mark stays before it.
Forbidden here: deciding what becomes of an owed slot (``core.arrears``).
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.core.arrears import MOST_RECORDS, Older, Stopped, decide
from reconciler.core.model import Cause, JobKey, Outcome, RunQuery, StopKind, StoredJob
from reconciler.core.runs import run_id
from reconciler.core.timetable import Timetable
from reconciler.errors import ReconcilerError, StoreError, StoreUnavailableError
from reconciler.ports import Clock, Store
from reconciler.services.run import Runner

# So many further slots of a job are asked whether something stopped them, where only their number is recorded.
_MOST_ASKED = 200
_LISTED = MOST_RECORDS + _MOST_ASKED
_AT_ONCE = 500  # slots or jobs looked at before others get their turn on the event loop
_IDS_AT_ONCE = 10_000
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=250), timedelta(seconds=2)
_MOST_COUNTED = 100  # records of slots that are looked through for one that counts many
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP = 15  # characters of an id that tell its slot and of which version it is

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
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        runner: Runner,
        jobs: Callable[[], Collection[StoredJob]],
        term: Callable[[], int | None] = lambda: 0,
        stopped: Stopped = lambda _key, _slot: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runner = runner
        self._jobs = jobs
        self._term = term
        self._stopped = stopped
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
        self._behind = mark + _MILLISECOND
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
            await self.look(self._behind - _MILLISECOND)
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
            self._looking, self._behind = since + _MILLISECOND, None
            self._hold()
            try:
                now = self._clock.now()
                if since < now:
                    await _Look(self._store, self._runner, self._stopped, since, now).through(self._jobs())
            except BaseException:
                self.behind(since + _MILLISECOND)
                raise
            finally:
                self._looking = None
                self._hold()


@dataclass(slots=True, kw_only=True)
class _Owing:
    """What a job owes: the slots to be decided one by one, and the older ones that are only counted.

    Attributes:
        rest: the newest of the older ones.
        slots: how many older ones there are.
        first, last: of all older ones.
    """

    newest: Sequence[datetime]
    rest: Sequence[datetime]
    slots: int
    first: datetime = _EPOCH
    last: datetime = _EPOCH
    stops: dict[StopKind, int] = field(default_factory=dict)

    @property
    def older(self) -> Older | None:
        if not self.slots:
            return None
        return Older(slots=self.slots, first=self.first, last=self.last, asked=len(self.rest), stops=self.stops)


class _Look:
    """One look at the slots in (since, now]."""

    def __init__(self, store: Store, runner: Runner, stopped: Stopped, since: datetime, now: datetime) -> None:
        self._store = store
        self._runner = runner
        self._stopped = stopped
        self._since = since
        self._now = now
        self._recorded: Mapping[str, Sequence[int]] = {}
        self._done = 0

    async def through(self, jobs: Collection[StoredJob]) -> None:
        """Look at these jobs, those of one timetable together, and let others have their turn in between."""
        self._recorded = await _by_job(await self._store.run_ids(self._since))
        groups: dict[Timetable, list[StoredJob]] = {}
        for stored in jobs:
            if not stored.job.suspend and stored.job.schedule.after is None:
                groups.setdefault(Timetable.of(stored.job.schedule), []).append(stored)
                await self._breathe(1)
        for timetable, group in groups.items():
            try:
                listed = timetable.newest(self._since, self._now, _LISTED)
            except ReconcilerError as error:
                log.error("it is not known what is owed by %s: %s", timetable, error)  # noqa: TRY400 - a foreseen state
                continue
            await self._breathe(len(listed) + 1)
            for stored in group if listed else ():
                await self._settle(stored, timetable, listed)

    async def _breathe(self, done: int) -> None:
        self._done += done
        if self._done >= _AT_ONCE:
            self._done = 0
            await asyncio.sleep(0)

    async def _settle(self, stored: StoredJob, timetable: Timetable, listed: Sequence[datetime]) -> None:
        owing = await self._owing(stored, timetable, listed)
        if owing.newest or owing.slots:
            self._ask(stored.key, owing)
            await self._breathe(len(owing.rest))
            self._must_be_able()
            self._runner.settle(stored, decide(stored, owing.newest, owing.older, self._now, self._stopped))
            await self._runner.room()
        await self._breathe(len(owing.newest) + 1)

    def _must_be_able(self) -> None:
        if not self._runner.is_taking_on:
            raise StoreUnavailableError("the store is away, or this process leads no more")

    async def _owing(self, stored: StoredJob, timetable: Timetable, listed: Sequence[datetime]) -> _Owing:
        after = max(self._since, stored.since)
        recorded = await self._recorded_of(stored, after)
        owing = _measured(timetable, listed, after, recorded)
        if owing.slots and (counted := await self._counted_until(stored.key, owing.first)) is not None:
            owing = _measured(timetable, listed, max(after, counted), recorded)
        return owing

    async def _recorded_of(self, stored: StoredJob, after: datetime) -> Collection[int]:
        """The slots of a job that have a record, as numbers."""
        recorded = frozenset(self._recorded.get(_alike(stored.key), ()))
        if not stored.job.derived_from or stored.applied_at is None or stored.applied_at <= after:
            return recorded
        # It may have had another name until then, of which its runs' ids were made.
        application, api = stored.key
        query = RunQuery(application=application, api=api, cause=Cause.SCHEDULE, since=after, limit=_LISTED)
        return recorded.union(_number(run.slot) for run in await self._store.runs(query))

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

    def _ask(self, key: JobKey, owing: _Owing) -> None:
        """Find out what stopped slots that are only counted."""
        for slot in owing.rest if owing.slots else ():
            if (stop := self._stopped(key, slot)) is not None:
                owing.stops[stop.kind] = owing.stops.get(stop.kind, 0) + 1


def _measured(timetable: Timetable, listed: Sequence[datetime], after: datetime, recorded: Collection[int]) -> _Owing:
    """What a job owes after an instant.

    Args:
        timetable: the job's.
        listed: its newest slots; where these are as many as are listed, there may be older ones.
        after: slots at or before it are not owed.
        recorded: numbers of slots that have their record.
    """
    slots = listed[bisect_right(listed, after) :]
    owed = [slot for slot in slots if _number(slot) not in recorded] if recorded else slots
    owing = _Owing(newest=owed[-MOST_RECORDS:], rest=owed[:-MOST_RECORDS], slots=max(len(owed) - MOST_RECORDS, 0))
    if owing.rest:
        owing.first, owing.last = owing.rest[0], owing.rest[-1]
    if len(slots) == _LISTED:
        _add_unlisted(owing, timetable, after, listed[0] - _MILLISECOND, recorded)
    return owing


def _add_unlisted(
    owing: _Owing, timetable: Timetable, after: datetime, until: datetime, recorded: Collection[int]
) -> None:
    """Count what is owed of the slots in (after, until], which are too many to be listed."""
    low, high = _number(after), _number(until)
    slots = timetable.count(after, until) - sum(low < number <= high for number in recorded)
    if slots <= 0:
        return
    owing.slots += slots
    owing.first = next(_owed(timetable, after, recorded))
    if not owing.rest:
        owing.last = _last_owed(timetable, after, until, recorded)


def _owed(timetable: Timetable, after: datetime, recorded: Collection[int]) -> Iterator[datetime]:
    slot = timetable.next_after(after)
    while slot is not None:
        if _number(slot) not in recorded:
            yield slot
        slot = timetable.next_after(slot)


def _last_owed(timetable: Timetable, after: datetime, until: datetime, recorded: Collection[int]) -> datetime:
    """The newest owed slot in (after, until]; there is one."""
    while slots := timetable.newest(after, until, MOST_RECORDS):
        for slot in reversed(slots):
            if _number(slot) not in recorded:
                return slot
        until = slots[0] - _MILLISECOND
    return until


async def _by_job(ids: Collection[str]) -> Mapping[str, Sequence[int]]:
    """The slots that have records, as numbers, by what is alike in the ids of one job's runs."""
    found: dict[str, list[int]] = {}
    for place, one in enumerate(ids):
        found.setdefault(one[_STAMP:], []).append(int(one[:8] + one[9:13], 16))
        if place % _IDS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


def _alike(key: JobKey) -> str:
    """What is alike in the ids of all runs that a job's slots have."""
    return run_id(key, _EPOCH, Cause.SCHEDULE)[_STAMP:]


def _number(slot: datetime) -> int:
    """A slot as its run's id says it: in milliseconds since 1970."""
    return (slot - _EPOCH) // _MILLISECOND
