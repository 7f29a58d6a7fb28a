"""What becomes of slots that came while nobody could take them on: the process, the database or the leader was down.

Every owed slot gets exactly one outcome. Forbidden here: the present time, finding out which slots are owed, and making
runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.core.instants import stamp
from reconciler.core.model import Job, JobKey, Outcome, Stop, StopKind, StoredJob
from reconciler.core.stops import said
from reconciler.core.timetable import DOWNTIME, Timetable, spread
from schemas.base import format_duration

# So many owed slots of a job, the newest, get a record of their own; all older ones share one.
MOST_RECORDS = 100

_SECOND = timedelta(seconds=1)

Stopped = Callable[[JobKey, datetime], Stop | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    """Owed slots of a job that are too many to be recorded one by one.

    Attributes:
        slots: how many.
        first, last: the oldest and the newest of them.
        asked: for how many of them, the newest, it is known whether something stopped them.
        stops: how many of those were stopped, by what.
    """

    slots: int
    first: datetime
    last: datetime
    asked: int = 0
    stops: Mapping[StopKind, int] = field(default_factory=dict)


class Fate(NamedTuple):
    """What becomes of an owed slot.

    Attributes:
        outcome: ``RUNNING`` where it is to be run, ``SKIPPED`` or ``MISSED`` where only that is recorded.
        is_late: it runs by the job's ``catchUp`` alone, not because it is on time.
        slots: how many this stands for.
        through: the last of them; ``None`` where it is one.
    """

    slot: datetime
    outcome: Outcome
    reason: str = ""
    is_late: bool = False
    slots: int = 1
    through: datetime | None = None


def decide(
    stored: StoredJob, owed: Sequence[datetime], older: Older | None, now: datetime, stopped: Stopped
) -> list[Fate]:
    """Say what becomes of each owed slot of a job, oldest first.

    Beyond its ``startingDeadline`` nothing runs. A slot that is late by ``DOWNTIME`` at most runs as if nothing had
    happened: failing over takes less. Of the others those run that ``catchUp`` says. Lateness counts from the slot and
    the job's jitter.

    Args:
        stored: the job.
        owed: its newest owed slots, oldest first, at most ``MOST_RECORDS``.
        older: what is owed beside them.
        now: the instant at which this is decided.
        stopped: what stops a slot of a job; ``None`` if nothing does.
    """
    job = stored.job
    delay = spread(job.jitter, job.derived_from or str(job.key)) if job.jitter else timedelta(0)
    fates = [] if older is None else [_counted(older)]
    stops = {slot: stop for slot in owed if (stop := stopped(job.key, slot)) is not None}
    newest = _newest(job, [slot for slot in owed if slot not in stops], now - delay)
    for slot in owed:
        if slot in stops:
            fates.append(Fate(slot, Outcome.SKIPPED, said(stops[slot])))
            continue
        lateness = now - delay - slot
        reason = _refusal(job, slot, lateness, newest)
        if reason:
            fates.append(Fate(slot, Outcome.MISSED, reason))
        else:
            fates.append(Fate(slot, Outcome.RUNNING, is_late=lateness > DOWNTIME))
    return fates


def _newest(job: Job, slots: Sequence[datetime], now: datetime) -> datetime | None:
    """The newest slot that may still start."""
    return max((slot for slot in slots if now - slot <= job.starting_deadline), default=None)


def _refusal(job: Job, slot: datetime, lateness: timedelta, newest: datetime | None) -> str:
    """Why a slot that is late is not run; empty where it is."""
    late = f"{_whole(lateness)} late"
    if job.catch_up == "none" and lateness > DOWNTIME:
        return f"not caught up: catchUp is none; {late}"
    if reason := expired(job, lateness):
        return reason
    if job.catch_up == "latest" and lateness > DOWNTIME and newest is not None and slot < newest:
        return f"superseded by the catch-up of {stamp(newest)}"
    return ""


def expired(job: Job, lateness: timedelta) -> str:
    """Why a slot may not start any more that is so late, jitter not counted; empty where it still may."""
    if lateness <= job.starting_deadline:
        return ""
    return f"{_whole(lateness)} late; the starting deadline is {format_duration(job.starting_deadline)}"


def _whole(duration: timedelta) -> str:
    return format_duration(duration // _SECOND * _SECOND)


def _counted(older: Older) -> Fate:
    """The one record for all slots that are too old to be looked at one by one."""
    reason = f"not caught up: {older.slots} slots are older than the newest {MOST_RECORDS}" + stops_in_words(older)
    through = older.last if older.slots > 1 else None
    return Fate(older.first, Outcome.MISSED, reason, slots=older.slots, through=through)


def stops_in_words(older: Older) -> str:
    """How many of the slots that are only counted were not to run, as the end of a reason; empty where none is."""
    if not older.stops:
        return ""
    parts = " and ".join(f"{number} {kind.value}" for kind, number in sorted(older.stops.items()))
    among = "of these" if older.asked >= older.slots else f"of the newest {older.asked} of these"
    were = "was" if sum(older.stops.values()) == 1 else "were"
    return f"; {among} {parts} {were} not to run"


def overtaken(job: Job, slot: datetime, now: datetime) -> str:
    """Why a slot whose claim was held up is not run after all; empty where it still is.

    What is owed for the same time is decided by ``decide``: under ``latest`` the newest slot runs for all of them.

    Args:
        job: whose slot.
        slot: the slot, jitter included.
        now: the present instant.
    """
    lateness = now - slot
    if lateness <= DOWNTIME or job.catch_up == "all":
        return ""
    if job.catch_up == "none":
        return _refusal(job, slot, lateness, None)
    newer = Timetable.of(job.schedule).next_after(slot)
    return "" if newer is None or newer > now else f"superseded by the catch-up of {stamp(newer)} or later"
