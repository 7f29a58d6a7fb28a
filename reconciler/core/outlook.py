"""Which runs of the coming 24 hours a change makes appear and vanish.

Counted slot by slot, within bounds: of a job that is due every second, only the first runs are compared. It is about
what is declared, calendars included; freeze windows, pauses and what is late are left out. Forbidden here: the present
time, words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from reconciler.core.calendars import Agenda
from reconciler.core.changes import Change
from reconciler.core.model import Job

HORIZON = timedelta(hours=24)
MOST_SLOTS = 1_500  # of one job and side: a day of minutes is counted whole
SHOWN = 5

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instants:
    """How many runs there are, and the first of them.

    Attributes:
        count: at least so many; exactly so many where it is ``exact``.
        exact: whether all were looked at.
        first: at most the first five, oldest first.
    """

    count: int = 0
    exact: bool = True
    first: tuple[datetime, ...] = ()

    @property
    def more(self) -> int:
        """How many of the count are not among the first."""
        return self.count - len(self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What becomes of the runs of the coming 24 hours."""

    appear: Instants = Instants()
    vanish: Instants = Instants()


def outlook(change: Change, now: datetime) -> Outlook:
    """The runs in (now, now + 24 h] that there are only after a change, and only before it."""
    before, after = _agenda(change.before), _agenda(change.after)
    if before == after:
        return Outlook()
    return Outlook(appear=_only_in(after, before, now), vanish=_only_in(before, after, now))


def total(outlooks: Iterable[Outlook]) -> Outlook:
    """All of them together; the first instants are those of none in particular, so there are none."""
    every = tuple(outlooks)
    return Outlook(
        appear=_sum(each.appear for each in every),
        vanish=_sum(each.vanish for each in every),
    )


def next_slot(job: Job | None, now: datetime) -> datetime | None:
    """When a job is next due; ``None`` if never, suspended or absent."""
    agenda = _agenda(job)
    return None if agenda is None else _next(agenda, now)


def _agenda(job: Job | None) -> Agenda | None:
    return None if job is None or job.suspend else Agenda.of(job.schedule)


def _only_in(one: Agenda | None, other: Agenda | None, now: datetime) -> Instants:
    """The slots of one agenda that are not the other's."""
    if one is None:
        return Instants()
    slots = _slots(one, now)
    exact = len(slots) <= MOST_SLOTS
    slots = slots[:MOST_SLOTS]
    if other is not None:
        others = _slots(other, now)
        there = frozenset(others)
        # Beyond what was counted of the other, each slot is asked for by itself.
        seen = others[-1] if len(others) > MOST_SLOTS else now + HORIZON
        slots = tuple(slot for slot in slots if slot not in there and (slot <= seen or not _names(other, slot)))
    return Instants(count=len(slots), exact=exact, first=slots[:SHOWN])


def _sum(each: Iterable[Instants]) -> Instants:
    every = tuple(each)
    return Instants(count=sum(one.count for one in every), exact=all(one.exact for one in every))


def _names(agenda: Agenda, slot: datetime) -> bool:
    return next(agenda.slots(slot - _TICK, slot), None) == slot


# Thousands of jobs share a schedule.


@lru_cache(maxsize=256)
def _slots(agenda: Agenda, now: datetime) -> tuple[datetime, ...]:
    """Up to one more than are counted."""
    return agenda.between(now, now + HORIZON, MOST_SLOTS + 1)


@lru_cache(maxsize=16_384)
def _next(agenda: Agenda, now: datetime) -> datetime | None:
    return agenda.next_after(now)
