"""What jobs are owed when a freeze ends: one run each, where a window that froze their slots says ``catchUp: latest``.

Windows that freeze an Application without a break between them are one freeze: what one of them froze is caught up once
the last of them has ended. Forbidden here: the present time, and making runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core.calendars import Agenda
from reconciler.core.model import JobKey, Pause, StoredJob
from reconciler.core.stops import Stoppages, covers_until, is_for
from reconciler.core.windows import TICK, concerns

# A freeze longer than this is looked at from here on; a job's slots before it are long superseded.
_LONGEST = timedelta(days=400)
_MOST_PARTS = 1_000

Part = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thaw:
    """The end of a freeze.

    Attributes:
        at: the first instant at which the Application is frozen no more; also the slot of what is caught up.
        begin: since when it had been frozen without a break.
        parts: the stretches, ``begin <= instant < end``, in which a window that catches up froze it.
    """

    application: str
    begin: datetime
    at: datetime
    parts: tuple[Part, ...] = field(default=())


def thaw_of(stoppages: Stoppages, application: str, after: datetime, until: datetime) -> Thaw | None:
    """The newest thaw in (after, until] that leaves something to catch up; ``None`` also where it is frozen again."""
    if not any(one.catch_up == "latest" and concerns(one, application) for one in stoppages.windows):
        return None
    at = _thawed_at(stoppages, application, until)
    if at is None or at <= after:
        return None
    begin = _frozen_since(stoppages, application, at)
    parts = _joined(_parts(stoppages, application, begin, at))
    return Thaw(application=application, begin=begin, at=at, parts=parts) if parts else None


def _thawed_at(stoppages: Stoppages, application: str, until: datetime) -> datetime | None:
    """Since when it has not been frozen; ``None`` where it is, or was not within sight."""
    if stoppages.freezes(application, until):
        return None
    return stoppages.free_since(application, until)


def _frozen_since(stoppages: Stoppages, application: str, thawed: datetime) -> datetime:
    """Walk back over windows that follow each other without a break."""
    begin, earliest = thawed, thawed - _LONGEST
    for _ in range(_MOST_PARTS):
        freezes = stoppages.freezes(application, begin - TICK)
        if not freezes:
            break
        if begin <= earliest or any(freeze.begin is None for freeze in freezes):
            return earliest
        begin = min(freeze.begin for freeze in freezes if freeze.begin is not None)
    return max(begin, earliest)


def _parts(stoppages: Stoppages, application: str, begin: datetime, end: datetime) -> Iterable[Part]:
    """Where within a freeze at least one window catches up."""
    instant, steps = begin, 0
    while instant < end:
        freezes = stoppages.freezes(application, instant)
        steps += 1
        change = min((freeze.end for freeze in freezes if freeze.end is not None), default=end)
        is_rest = steps >= _MOST_PARTS  # counts as a whole
        following = end if is_rest else min(change, stoppages.next_change(instant) or end, end)
        if is_rest or any(freeze.window.catch_up == "latest" for freeze in freezes):
            yield instant, following
        instant = following


def _joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    joined: list[Part] = []
    for begin, end in parts:
        if joined and joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return tuple(joined)


def owed(jobs: Iterable[StoredJob], stoppages: Stoppages, thaw: Thaw) -> Sequence[JobKey]:
    """The jobs of the Application that had a slot frozen and are due one run now.

    Not those that are suspended or paused by then, nor those with a slot at that very instant, which runs by itself.
    Slots that a pause covers were not frozen: whoever paused them wanted them left out.
    """
    pauses = [pause for pause in stoppages.pauses if pause.application == thaw.application]
    return [stored.key for stored in jobs if _is_owed(stored, stoppages, thaw, pauses)]


def _is_owed(stored: StoredJob, stoppages: Stoppages, thaw: Thaw, pauses: Sequence[Pause]) -> bool:
    job, key = stored.job, stored.key
    if key.application != thaw.application or job.suspend or stoppages.stop_of(key, thaw.at) is not None:
        return False
    agenda = Agenda.of(job.schedule)  # what its calendars leave out was not frozen
    if thaw.at > stored.since and next(agenda.slots(thaw.at - TICK, thaw.at), None) == thaw.at:
        return False
    parts = _without(thaw.parts, [pause for pause in pauses if is_for(pause, key)])
    return any(_has_slot(agenda, max(begin - TICK, stored.since), end) for begin, end in parts)


def _has_slot(agenda: Agenda, after: datetime, before: datetime) -> bool:
    if after >= before:
        return False
    return any(slot < before for slot in agenda.slots(after, before))


def _without(parts: Sequence[Part], pauses: Sequence[Pause]) -> Sequence[Part]:
    """Parts of time, less those in which a job was paused."""
    for pause in pauses:
        left: list[Part] = []
        since, until = pause.since, covers_until(pause)
        for begin, end in parts:
            left += [(a, b) for a, b in ((begin, min(end, since)), (max(begin, until), end)) if a < b]
        parts = left
    return parts
