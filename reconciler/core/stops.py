"""What keeps a job from running at an instant: pauses and freeze windows, and how that is said.

A pause wins over a freeze; among windows a deny that is open wins; where any allow window names an Application, it is
frozen whenever none of these is open. Forbidden here: the present time, suspension (which is part of the job), and
what a job is owed afterwards (``core.thaw``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from reconciler.core.instants import stamp
from reconciler.core.model import FreezeWindow, JobKey, Pause, Stop, StopKind
from reconciler.core.pauses import FOREVER
from reconciler.core.visible import visible_line
from reconciler.core.windows import TICK, Occurrences, Spell, concerns

_LONGEST_REASON = 200
_MOST_MOMENTS = 64
_MOST_SPELLS = 100  # of windows, one after the other, that are looked at to find when a freeze ended


class Freeze(NamedTuple):
    """A window that freezes an Application, and over which stretch it does.

    Of several allow windows it is the one that opens next.
    """

    window: FreezeWindow
    begin: datetime | None
    end: datetime | None


class Stoppages:
    """Every pause and every freeze window, as a value to be asked about any instant.

    What was found out about an instant is remembered: thousands of jobs are due at one.
    """

    def __init__(self, pauses: Collection[Pause] = (), windows: Collection[FreezeWindow] = ()) -> None:
        self.pauses: tuple[Pause, ...] = tuple(pauses)
        self.windows: tuple[FreezeWindow, ...] = tuple(windows)
        self._occurrences = [(window, Occurrences(window)) for window in self.windows]
        self._moments: dict[datetime, _Moment] = {}
        self._latest: tuple[datetime | None, _Moment | None] = (None, None)

    def with_pauses(self, pauses: Collection[Pause]) -> Stoppages:
        """The same windows with other pauses."""
        other = Stoppages(pauses)
        other.windows, other._occurrences = self.windows, self._occurrences
        return other

    def stop_of(self, key: JobKey, at: datetime) -> Stop | None:
        """What stops a slot of a job at this instant; ``None`` if nothing does."""
        instant, moment = self._latest
        if moment is None or instant is not at:  # hashing an instant costs more than all the rest
            moment = self._moment(at)
            self._latest = at, moment
        return moment.stop_of(key)

    def _moment(self, at: datetime) -> _Moment:
        moment = self._moments.get(at)
        if moment is None:
            if len(self._moments) >= _MOST_MOMENTS:
                del self._moments[next(iter(self._moments))]
            moment = self._moments[at] = _Moment(self, at)
        return moment

    def stops_of(self, key: JobKey, at: datetime, *, suspend: bool = False) -> tuple[Stop, ...]:
        """Everything that stops a job at this instant, declared and operational, side by side."""
        suspended = (Stop(kind=StopKind.SUSPENDED),) if suspend else ()
        paused = (_paused(pause) for pause in self.pauses if covers(pause, at) and is_for(pause, key))
        return (*suspended, *paused, *(frozen(freeze) for freeze in self.freezes(key.application, at)))

    def freezes(self, application: str, at: datetime) -> Sequence[Freeze]:
        """The windows that freeze an Application at this instant; those that deny first, the longest of them ahead."""
        denying: list[Freeze] = []
        allowing: list[tuple[FreezeWindow, Spell]] = []
        for window, occurrences in self._occurrences:
            if not concerns(window, application):
                continue
            spell = occurrences.spell(at)
            if window.mode == "allow":
                allowing.append((window, spell))
            elif spell.is_open:
                denying.append(Freeze(window, spell.begin, spell.end))
        denying.sort(key=lambda freeze: (freeze.end is not None, freeze.end and -freeze.end.timestamp()))
        if allowing and not any(spell.is_open for _, spell in allowing):
            denying.append(_outside(allowing))
        return denying

    def free_since(self, application: str, at: datetime) -> datetime | None:
        """Since when an Application that is not frozen now has not been; ``None`` where that is not in sight."""
        since, steps = at, 0
        while not self.freezes(application, since - TICK):
            begins = [begin for begin in self._begins(application, since - TICK) if begin is not None]
            steps += 1
            if not begins or steps > _MOST_SPELLS:
                return None
            since = max(begins)
        return since

    def _begins(self, application: str, at: datetime) -> Iterator[datetime | None]:
        for window, occurrences in self._occurrences:
            if concerns(window, application):
                yield occurrences.spell(at).begin

    def next_change(self, at: datetime) -> datetime | None:
        """When some window next opens or closes; ``None`` where none is known to."""
        return min(self._ends(at), default=None)

    def _ends(self, at: datetime) -> Iterator[datetime]:
        for _, occurrences in self._occurrences:
            if (end := occurrences.spell(at).end) is not None:
                yield end


class _Moment:
    """One instant: what is paused then, and what is frozen, as far as it was asked for."""

    __slots__ = ("_applications", "_at", "_jobs", "_known", "_stoppages")

    def __init__(self, stoppages: Stoppages, at: datetime) -> None:
        self._stoppages = stoppages
        self._at = at
        self._applications: dict[str, Pause] = {}
        self._jobs: dict[JobKey, Pause] = {}
        self._known: dict[str, Stop | None] = {}
        for pause in sorted((one for one in stoppages.pauses if covers(one, at)), key=covers_until):
            if pause.api is None:
                self._applications[pause.application] = pause
            else:
                self._jobs[JobKey(pause.application, pause.api)] = pause

    def stop_of(self, key: JobKey) -> Stop | None:
        application = key[0]
        if self._jobs and (pause := self._jobs.get(key)) is not None:
            whole = self._applications.get(application)
            return _paused(pause if whole is None else max(pause, whole, key=covers_until))
        try:
            return self._known[application]
        except KeyError:
            stop = self._known[application] = self._stop_of(application)
            return stop

    def _stop_of(self, application: str) -> Stop | None:
        if (pause := self._applications.get(application)) is not None:
            return _paused(pause)
        freezes = self._stoppages.freezes(application, self._at)
        return frozen(freezes[0]) if freezes else None


def covers(pause: Pause, at: datetime) -> bool:
    """Whether a slot at this instant falls into a pause."""
    return pause.since <= at < covers_until(pause)


def covers_until(pause: Pause) -> datetime:
    """Its end, by itself or by somebody; slots from there on run."""
    return pause.until if pause.ended_at is None else min(pause.until, pause.ended_at)


def is_for(pause: Pause, key: JobKey) -> bool:
    """Whether a pause is one of this job or of its whole Application."""
    return pause.application == key.application and pause.api in (None, key.api)


def _outside(allowing: Sequence[tuple[FreezeWindow, Spell]]) -> Freeze:
    """The stretch between what several allow windows let through."""
    opening = [(spell.end, window.name, window) for window, spell in allowing if spell.end is not None]
    began = max((spell.begin for _, spell in allowing if spell.begin is not None), default=None)
    if not opening:
        return Freeze(allowing[0][0], began, None)
    end, _, window = min(opening, key=lambda one: one[:2])
    return Freeze(window, began, end)


def _paused(pause: Pause) -> Stop:
    until = covers_until(pause)
    return Stop(
        kind=StopKind.PAUSED,
        reason=pause.reason,
        since=pause.since,
        until=until if until < FOREVER else None,
        by=pause.by,
    )


def frozen(freeze: Freeze) -> Stop:
    """A freeze, as a stop; its reason tells a closed allow window from an open one that denies."""
    window = freeze.window
    reason = window.description
    if window.mode == "allow":
        never = ", which opens no more" if freeze.end is None else ""
        reason = f"outside its hours{never}" + (f": {reason}" if reason else "")
    return Stop(kind=StopKind.FROZEN, reason=reason, since=freeze.begin, until=freeze.end, by=window.name)


def said(stop: Stop) -> str:
    """A stop in one line: ``paused by user@host until 2026-11-21 18:00:00Z: database migration``."""
    if stop.kind is StopKind.EXCLUDED:  # which calendar and which day say it all
        return stop.reason
    by = f" by {visible_line(stop.by)}" if stop.by else ""
    until = "" if stop.until is None else f" until {stamp(stop.until).replace('T', ' ')}"
    if stop.kind is StopKind.PAUSED and stop.until is None:
        until = " until resumed"
    reason = visible_line(" ".join(stop.reason.split()))
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]}…"
    return f"{stop.kind.value}{by}{until}" + (f": {reason}" if reason else "")
