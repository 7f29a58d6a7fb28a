"""Which slots a job's history of schedules implies, compared with the runs that are recorded: every difference.

Nothing is asked of how runs came about: whatever a reconciler did, each slot has one record, and each record a slot.
Forbidden here: the present time, the store, and mending anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from reconciler.core.chains import starts
from reconciler.core.eras import History, Span, slots
from reconciler.core.model import Cause, Era, JobKey, Outcome, Run, Schedule
from reconciler.core.timetable import Timetable

MISSING, UNFINISHED = "missing", "unfinished"


class Kind(StrEnum):
    """How a record and the slots differ."""

    MISSING = MISSING
    SURPLUS = "surplus"
    UNFINISHED = UNFINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it should be.

    Attributes:
        slot: the first slot that it is about.
        through: the last one.
        slots: how many it is about.
        run: whose record it is about; empty where there is none.
        said: what is the matter, for people.
    """

    kind: Kind
    key: JobKey
    slot: datetime
    through: datetime
    slots: int = 1
    run: str = ""
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of a job's slots.

    Attributes:
        outcomes: how many slots ended so, by outcome; besides outcomes ``missing`` and ``unfinished``.
        beside: how many runs are for no slot: manual ones, and those that were owed after a freeze.
        differences: oldest first.
        orphans: how many runs name one before them that is not there.
        forgiven: how many of these are no difference, because that one may have been removed.
    """

    outcomes: Mapping[str, int]
    beside: int
    differences: tuple[Difference, ...]
    orphans: int = 0
    forgiven: int = 0

    @property
    def has_missing(self) -> bool:
        """Whether a slot has no record."""
        return any(one.kind is Kind.MISSING for one in self.differences)


@dataclass(slots=True)
class _Counted:
    """A record that stands for several slots; ``found`` are those of them that have been come by."""

    run: Run
    last: datetime
    found: int = 0


@dataclass(slots=True)
class _Recorded:
    """The scheduled runs of a stretch, by slot, and the slots that more than one of them is for."""

    by_slot: dict[datetime, tuple[str, str]] = field(default_factory=dict)
    twice: list[tuple[datetime, str]] = field(default_factory=list)


class JobAudit:
    """Compares one job's slots with its records, stretch by stretch, oldest first.

    Args:
        history: what its slots were.
        span: all that is to be looked at.
        unexplained: by run id, why a run should not be running any more.
        before: a record that counts several slots from before the span on.
        forgotten: runs with ids below it, of the jobs that this one follows, may have been removed.
    """

    def __init__(
        self,
        history: History,
        span: Span,
        unexplained: Mapping[str, str] | None = None,
        before: Run | None = None,
        forgotten: str = "",
    ) -> None:
        self._history = history
        self._span = span
        self._unexplained = unexplained or {}
        self._forgotten = forgotten
        self._outcomes: Counter[str] = Counter()
        self._beside = 0
        self._differences: list[Difference] = []
        self._counted: list[_Counted] = []
        self._recorded = _Recorded()
        self._chained: dict[str, Run] = {}
        self._orphans = 0
        self._forgiven = 0
        if before is not None:
            self._count(before)

    def note(self, run: Run) -> None:
        """Take a record of the stretch in, in any order."""
        if run.outcome is Outcome.RUNNING and run.id in self._unexplained:
            self._differ(Kind.UNFINISHED, run.slot, self._unexplained[run.id], run.id)
        if run.cause is Cause.AFTER:
            self._chained[run.id] = run
        elif run.cause is not Cause.SCHEDULE:
            self._beside += 1
        elif run.slots > 1:
            self._count(run)
        elif run.slot in self._recorded.by_slot:
            self._recorded.twice.append((run.slot, run.id))
        else:
            self._recorded.by_slot[run.slot] = run.id, self._outcome(run)

    def settle(self, stretch: Span, ends: Sequence[Run] = (), known: Iterable[Run] = ()) -> None:
        """Compare a stretch whose records have all been noted.

        Args:
            stretch: follows the one before it.
            ends: runs that may have started one of this job in the stretch.
            known: further runs that runs of this job name as those that started them.
        """
        stretch = stretch.within(self._span)
        recorded, self._recorded = self._recorded, _Recorded()
        for era, part in self._history.parts(stretch):
            if era.schedule is not None:
                self._compare(era, slots(Timetable.of(era.schedule), part), recorded.by_slot)
                self._compare_chained(era, era.schedule, part, ends)
        for slot, (run_id, outcome) in recorded.by_slot.items():  # those that no slot has taken
            if self._history.is_disputed(slot):
                self._outcomes[outcome] += 1
            else:
                self._differ(Kind.SURPLUS, slot, self._not_due(slot), run_id)
        for slot, run_id in recorded.twice:
            self._differ(Kind.SURPLUS, slot, "a second run of this slot", run_id)
        self._leave_over({run.id: run for run in known})
        self._close(stretch.until)

    def end(self) -> JobResult:
        """What was found."""
        for counted in self._counted:
            self._check_count(counted)
        differences = tuple(sorted(self._differences, key=lambda one: (one.slot, one.kind, one.run)))
        return JobResult(
            outcomes=dict(self._outcomes),
            beside=self._beside,
            differences=differences,
            orphans=self._orphans,
            forgiven=self._forgiven,
        )

    def _outcome(self, run: Run) -> str:
        return UNFINISHED if run.id in self._unexplained and run.outcome is Outcome.RUNNING else run.outcome.value

    def _count(self, run: Run) -> None:
        self._counted.append(_Counted(run, run.through or run.slot))

    def _differ(self, kind: Kind, slot: datetime, said: str, run: str = "", slots: Sequence[datetime] = ()) -> None:
        through, number = (slots[-1], len(slots)) if slots else (slot, 1)
        self._differences.append(
            Difference(kind=kind, key=self._history.key, slot=slot, through=through, slots=number, run=run, said=said)
        )

    def _compare(self, era: Era, due: Sequence[datetime], recorded: dict[datetime, tuple[str, str]]) -> None:
        """Take from the records those that slots are due; slots in a row without one are one difference."""
        missing: list[datetime] = []
        for slot in due:
            found = recorded.pop(slot, None)
            if found is not None:
                self._outcomes[found[1]] += 1
            elif self._is_counted(slot) or self._history.is_disputed(slot):
                pass
            else:
                missing.append(slot)
                continue
            if missing:
                self._miss(era, missing)
                missing = []
        if missing:
            self._miss(era, missing)

    def _is_counted(self, slot: datetime) -> bool:
        for counted in self._counted:
            if counted.run.slot <= slot <= counted.last:
                counted.found += 1
                self._outcomes[counted.run.outcome.value] += 1
                return True
        return False

    def _miss(self, era: Era, missing: Sequence[datetime]) -> None:
        declared = era.schedule.declared if era.schedule else ""
        self._outcomes[MISSING] += len(missing)
        self._differ(Kind.MISSING, missing[0], f"no record; due by `{declared}`{_place(era)}", slots=missing)

    def _not_due(self, slot: datetime) -> str:
        era = self._history.at(slot)
        if era is None:
            return "nothing was due: the job did not exist yet"
        if era.schedule is None:
            return f"nothing was due: the job was suspended or removed{_place(era)}"
        return f"nothing was due by `{era.schedule.declared}`{_place(era)}"

    def _close(self, until: datetime) -> None:
        """Let go of the counted records that lie behind."""
        for counted in [one for one in self._counted if one.last <= until]:
            self._counted.remove(counted)
            self._check_count(counted)

    def _check_count(self, counted: _Counted) -> None:
        """Say where a record that lies wholly in the span counts more or fewer slots than there were."""
        run, whole = counted.run, Span(counted.run.slot, counted.last)
        inside = self._span.holds(whole.after) and self._span.holds(whole.until)
        if not inside or counted.found == run.slots or any(map(self._history.is_disputed, whole)):
            return
        kind = Kind.SURPLUS if counted.found < run.slots else Kind.MISSING
        said = f"the record counts {run.slots} slots, and {counted.found} were due that have no other"
        self._differences.append(
            Difference(
                kind=kind,
                key=self._history.key,
                slot=run.slot,
                through=counted.last,
                slots=abs(counted.found - run.slots),
                run=run.id,
                said=said,
            )
        )

    # Chains: what is due is the end of another job's run

    def _compare_chained(self, era: Era, schedule: Schedule, part: Span, ends: Sequence[Run]) -> None:
        after = schedule.after
        if after is None:
            return
        by_upstream = {run.upstream: run for run in self._chained.values()}
        for upstream in ends:
            at = upstream.finished_at
            if at is None or not part.holds(at) or not starts(schedule, upstream):
                continue
            run = by_upstream.get(upstream.id)
            if run is not None:
                self._outcomes[self._outcome(run)] += 1
                del self._chained[run.id]
            elif not self._history.is_disputed(at):
                self._outcomes[MISSING] += 1
                said = f"no record; due after run {upstream.id} of {upstream.key} {_ended(upstream)}{_place(era)}"
                self._differ(Kind.MISSING, at, said)

    def _leave_over(self, known: Mapping[str, Run]) -> None:
        """Judge the chained runs that none of the ends has taken, by the run that each of them names."""
        chained, self._chained = self._chained, {}
        for run in chained.values():
            said = "" if self._history.is_disputed(run.slot) else self._not_started(run, known.get(run.upstream))
            if said:
                self._differ(Kind.SURPLUS, run.slot, said, run.id)
            else:
                self._outcomes[self._outcome(run)] += 1

    def _not_started(self, run: Run, upstream: Run | None) -> str:
        """Why nothing can have started a chained run; empty where something has."""
        era = self._history.at(run.slot)
        schedule = None if era is None else era.schedule
        if schedule is None or schedule.after is None:
            return self._not_due(run.slot)
        if upstream is None:
            self._orphans += 1
            if run.upstream < self._forgotten:
                self._forgiven += 1
                return ""
            return f"the run that it names as the one before it, {run.upstream}, is not there"
        # The job before it may have another name by now, and its runs with it.
        if not starts(replace(schedule, after=replace(schedule.after, key=upstream.key)), upstream):
            return f"run {upstream.id} of {upstream.key} {_ended(upstream)}, which starts nothing here"
        return ""


def _place(era: Era) -> str:
    at = f" at {era.revision[:12]}" if era.revision else ""
    return f" ({era.file}:{era.line}{at})" if era.file else ""


def _ended(run: Run) -> str:
    return "still runs" if run.outcome is Outcome.RUNNING else f"ended as {run.outcome.value}"
