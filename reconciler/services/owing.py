"""Measuring which slots of a timetable have no record: the newest of them one by one, all older ones by their number.

Forbidden here: the store, and deciding what becomes of them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.core.arrears import MOST_RECORDS, Older, Stopped
from reconciler.core.model import Cause, JobKey, StopKind
from reconciler.core.runs import run_id
from reconciler.core.timetable import Timetable

# So many further slots of a job are asked whether something stopped them, where only their number is recorded.
_MOST_ASKED = 200
LISTED = MOST_RECORDS + _MOST_ASKED
MILLISECOND = timedelta(milliseconds=1)
_IDS_AT_ONCE = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STAMP = 15  # characters of an id that tell its slot and of which version it is


@dataclass(slots=True, kw_only=True)
class Owing:
    """What a job owes: the slots to be decided one by one, and the older ones that are only counted.

    Attributes:
        rest: the newest of the older ones.
        slots: how many older ones there are.
        first, last: of all older ones.
        oldest: of all that is owed; ``None`` where nothing is.
        may_be_counted: whether an earlier look may have counted the oldest in a record of several slots.
    """

    newest: Sequence[datetime]
    rest: Sequence[datetime]
    slots: int
    first: datetime = _EPOCH
    last: datetime = _EPOCH
    oldest: datetime | None = None
    may_be_counted: bool = False
    stops: dict[StopKind, int] = field(default_factory=dict)

    @property
    def older(self) -> Older | None:
        """The older ones, as they are decided on; ``None`` where there is none."""
        if not self.slots:
            return None
        return Older(slots=self.slots, first=self.first, last=self.last, asked=len(self.rest), stops=self.stops)

    def ask(self, key: JobKey, stopped: Stopped) -> None:
        """Find out what stopped slots that are only counted."""
        for slot in self.rest if self.slots else ():
            if (stop := stopped(key, slot)) is not None:
                self.stops[stop.kind] = self.stops.get(stop.kind, 0) + 1


def measured(
    timetable: Timetable,
    listed: Sequence[datetime],
    after: datetime,
    recorded: Collection[int],
    most: int = MOST_RECORDS,
    under_way: Collection[int] = frozenset(),
) -> Owing:
    """What a job owes after an instant.

    Args:
        timetable: the job's.
        listed: its newest slots; where these are as many as are listed, there may be older ones.
        after: slots at or before it are not owed.
        recorded: numbers of slots that have their record.
        most: so many, the newest, are decided one by one.
        under_way: numbers of slots that will have a record of their own, so that no other one may count them.
    """
    slots = listed[bisect_right(listed, after) :]
    owed = [slot for slot in slots if number_of(slot) not in recorded] if recorded else slots
    split = max(len(owed) - most, 0)
    rest = [slot for slot in owed[:split] if number_of(slot) not in under_way] if under_way else owed[:split]
    owing = Owing(newest=owed[split:], rest=rest, slots=len(rest))
    if owing.rest:
        owing.first, owing.last = owing.rest[0], owing.rest[-1]
    if len(slots) == LISTED:
        uncounted = frozenset(recorded).union(under_way) if under_way else recorded
        _add_unlisted(owing, timetable, after, listed[0] - MILLISECOND, uncounted)
    if owing.slots or owed:
        owing.oldest = owing.first if owing.slots else owed[0]
        # Beside a record that counts slots, the newest have records of their own, or will have.
        owing.may_be_counted = len(slots) > most and (most == 0 or owing.oldest < slots[-most])
    return owing


def _add_unlisted(
    owing: Owing, timetable: Timetable, after: datetime, until: datetime, recorded: Collection[int]
) -> None:
    """Count what is owed of the slots in (after, until], which are too many to be listed."""
    low, high = number_of(after), number_of(until)
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
        if number_of(slot) not in recorded:
            yield slot
        slot = timetable.next_after(slot)


def _last_owed(timetable: Timetable, after: datetime, until: datetime, recorded: Collection[int]) -> datetime:
    """The newest owed slot in (after, until]; there is one."""
    while slots := timetable.newest(after, until, MOST_RECORDS):
        for slot in reversed(slots):
            if number_of(slot) not in recorded:
                return slot
        until = slots[0] - MILLISECOND
    return until


async def by_job(ids: Collection[str]) -> Mapping[str, Sequence[int]]:
    """The slots that have records, as numbers, by what is alike in the ids of one job's runs."""
    found: dict[str, list[int]] = {}
    for place, one in enumerate(ids):
        found.setdefault(one[_STAMP:], []).append(int(one[:8] + one[9:13], 16))
        if place % _IDS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


def alike(key: JobKey) -> str:
    """What is alike in the ids of all runs that a job's slots have."""
    return run_id(key, _EPOCH, Cause.SCHEDULE)[_STAMP:]


def number_of(slot: datetime) -> int:
    """A slot as its run's id says it: in milliseconds since 1970."""
    return (slot - _EPOCH) // MILLISECOND
