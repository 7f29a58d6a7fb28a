"""What becomes of slots of a schedule that no longer holds, which nobody took on while it did.

A job that was edited, suspended or removed owes none of them: nothing is called, and each still has its outcome.
Forbidden here: the present time, finding out which slots have no record, and making runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from reconciler.core.arrears import Fate, Older, Stopped, stops_in_words
from reconciler.core.eras import Span
from reconciler.core.model import Era, HttpRequest, Job, JobKey, Outcome, StoredJob
from reconciler.core.stops import said

EDITED, SUSPENDED, REMOVED = "edited", "suspended", "removed"
_EITHER = f"{SUSPENDED} or {REMOVED}"

_NO_REQUEST = HttpRequest(method="GET", url="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bygone:
    """An era that is over.

    Attributes:
        span: the stretch in which it held, as far as it is looked at.
        end: what became of the job then: it was edited, suspended or removed.
    """

    era: Era
    span: Span
    end: str


def bygone(eras: Iterable[Era], jobs: Mapping[JobKey, StoredJob], span: Span) -> Iterator[Bygone]:
    """The eras that are over and in which slots were due, by job, newest first.

    What a job's present schedule covers is left out, whatever the history says: it is owed in the usual way.

    Args:
        eras: by key and begin, with the one that has followed each.
        jobs: every job as it stands now.
        span: what is looked at.
    """
    for key, group in groupby(eras, key=lambda era: era.key):
        own, stored = list(group), jobs.get(key)
        limit = span.until if stored is None else min(span.until, stored.since)
        for place in range(len(own) - 2, -1, -1):
            era, following = own[place], own[place + 1]
            if era.schedule is None or era.schedule.after is not None:
                continue
            part = Span(max(era.begin, span.after), min(following.begin, limit))
            if part.after < part.until:
                is_last = place + 2 == len(own)
                yield Bygone(era=era, span=part, end=_end(following, is_last=is_last, is_there=stored is not None))


def _end(following: Era, *, is_last: bool, is_there: bool) -> str:
    """What ended an era, by the one that followed: of one without slots only what came of the job tells which it is."""
    if following.schedule is not None:
        return EDITED
    if not is_last:
        return _EITHER
    return SUSPENDED if is_there else REMOVED


def stored_of(era: Era) -> StoredJob:
    """A job as the history knows it, which may be gone: enough for the record of a slot, never for a call.

    Raises:
        ValueError: the era has no slots.
    """
    if era.schedule is None:
        raise ValueError("an era without a schedule has no slots")
    job = Job(key=era.key, schedule=era.schedule, request=_NO_REQUEST, file=era.file, line=era.line)
    return StoredJob(job=job, revision=era.revision, since=era.begin)


def lapse(past: Bygone, owed: Sequence[datetime], older: Older | None, stopped: Stopped) -> list[Fate]:
    """Say what becomes of the slots of an era that is over and that have no record, oldest first; none is run.

    Args:
        past: the era.
        owed: its newest such slots, oldest first.
        older: what there is beside them.
        stopped: what stopped a slot of the job then; ``None`` if nothing did.
    """
    fates = [] if older is None else [_counted(past, older)]
    for slot in owed:
        stop = stopped(past.era.key, slot)
        if stop is not None:
            fates.append(Fate(slot, Outcome.SKIPPED, said(stop)))
        else:
            fates.append(Fate(slot, Outcome.MISSED, _reason(past, "this slot")))
    return fates


def _reason(past: Bygone, what: str) -> str:
    return f"not caught up: the job was {past.end} before {what} could be taken on"


def _counted(past: Bygone, older: Older) -> Fate:
    what = "this slot" if older.slots == 1 else f"these {older.slots} slots"
    through = older.last if older.slots > 1 else None
    reason = _reason(past, what) + stops_in_words(older)
    return Fate(older.first, Outcome.MISSED, reason, slots=older.slots, through=through)
