"""What must hold of a world, whatever has befallen it; every breach in words.

Forbidden here: asking the product what is right. Its records are looked at, its rules of time are not.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from reconciler.core.model import Cause, JobKey, Outcome, Pause, Run
from tests.model.reference import Declared, slots
from tests.model.world import ZERO, Applied, Call, World

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DOWNTIME = timedelta(seconds=10)  # later than this, catchUp decides
GRACE = timedelta(seconds=2)  # around an edit a slot may follow what was before it or what comes after it
HEARD = timedelta(seconds=3)  # within this a pause or a window is known to whoever leads
MARKED = timedelta(seconds=25)  # the mark waits for jitter
MOST_RECORDS = 100


@dataclass(frozen=True, kw_only=True)
class Era:
    """What a job was over a stretch of one pass of the wall clock: after its begin, up to its end."""

    declared: Declared
    begin: datetime
    end: datetime
    segment: int
    applied: datetime


class Promises:
    """Judges a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs: dict[str, list[Run]] = defaultdict(list)
        for run in world.store.stored_runs.values():
            self.runs[str(run.key)].append(run)
        self.calls: dict[str, list[Call]] = defaultdict(list)
        for call in world.target.calls:
            self.calls[call.run_id].append(call)

    # At any moment

    def broken_now(self) -> Iterator[str]:
        """What may never be, not even while something is wrong."""
        yield from self.world.bugs
        yield from self._calls_without_a_claim()
        yield from self._made_twice()
        yield from self._made_under_two_names()
        yield from self._two_leaders()
        yield from self._storms()

    def _calls_without_a_claim(self) -> Iterator[str]:
        for call in self.world.target.calls:
            if call.run is None:
                yield f"{call.at}: a call of {call.run_id} that was never claimed"
            elif call.run.outcome is not Outcome.RUNNING:
                yield f"{call.at}: a call of {self._named(call.run)}, which had ended"

    def _made_twice(self) -> Iterator[str]:
        for run_id, calls in self.calls.items():
            run = self.world.store.stored_runs.get(run_id)
            arrived = [call for call in calls if call.arrived]
            if run is not None and run.delivery == "atMostOnce" and len(arrived) > 1:
                yield f"{self._named(run)} was called {len(arrived)} times: {[(c.sender, str(c.at)) for c in arrived]}"

    def _made_under_two_names(self) -> Iterator[str]:
        """A slot of a job that may be called once is called once, whatever the job is called."""
        called: dict[tuple[str, datetime], dict[str, Run]] = defaultdict(dict)
        for call in self.world.target.calls:
            run = call.run
            if run is not None and call.arrived and run.cause is Cause.SCHEDULE and run.delivery == "atMostOnce":
                called[self.world.store.name_of(run.key), run.slot][run.id] = run
        for (name, slot), runs in called.items():
            if len(runs) > 1 and self.world.lived.passes(slot) == 1:
                yield f"{name}: the slot {slot} was called by {len(runs)} runs: {sorted(runs)}"

    def _two_leaders(self) -> Iterator[str]:
        owners: dict[int, str] = {}
        for call in self.world.target.calls:
            if call.run is not None and call.run.term and call.term != call.run.term:
                yield f"{call.sender} calls {self._named(call.run)} though term {call.term} has begun"
            if call.run is not None and call.run.term and owners.setdefault(call.term, call.sender) != call.sender:
                yield f"term {call.term}: both {owners[call.term]} and {call.sender} make calls"

    def _storms(self) -> Iterator[str]:
        begun: Counter[tuple[str, int]] = Counter()
        for call in self.world.target.calls:
            if call.run is not None and call.attempt == 1 and call.run.cause is Cause.SCHEDULE:
                begun[self.world.store.name_of(call.run.key), call.elapsed // SECOND] += 1
        for (name, second), number in begun.items():
            catches_all = any(one.declared and one.declared.catch_up == "all" for one in self._applied(name))
            if number > (MOST_RECORDS + 3 if catches_all else 3):
                yield f"{name}: {number} calls were begun in second {second}"

    # Once everything is settled

    def broken(self) -> Iterator[str]:
        """What must not be once everybody is well and time has passed."""
        yield from self.broken_now()
        lease = self.world.store.stored_lease
        if lease is None:
            yield "nobody has ever led"
            return
        if not self.world.now() - MARKED <= lease.accounted_until <= self.world.now():
            yield f"it is {self.world.now()}, and the mark stays at {lease.accounted_until}"
        for name in sorted({*self.world.store.applied, *self.runs}):
            if not self.is_out_of_order(name):
                yield from self._accounted(name, lease.accounted_from, lease.accounted_until)
            for run in self.runs[name]:
                yield from (f"{self._named(run)}: {said}" for said in self._judged(run))

    def _applied(self, name: str) -> Sequence[Applied]:
        return self.world.store.applied.get(name, ())

    def eras(self, name: str) -> list[Era]:
        """What a job was, stretch by stretch of the wall clock as it was lived."""
        found: list[Era] = []
        segments, applied = self.world.lived.segments, self._applied(name)
        for place, one in enumerate(applied):
            following = applied[place + 1] if place + 1 < len(applied) else None
            last = len(segments) - 1 if following is None else following.segment
            for number in range(one.segment, last + 1):
                begin = one.begin if number == one.segment else segments[number].begin
                end = following.begin if following and number == following.segment else segments[number].end
                if one.declared is not None and begin < end:
                    found.append(Era(declared=one.declared, begin=begin, end=end, segment=number, applied=one.begin))
        return found

    def _edges(self, name: str) -> list[tuple[datetime, datetime]]:
        """Around edits nobody is blamed; what waits for its jitter follows what its job has become."""
        applied = self._applied(name)
        jitter = max((one.declared.jitter for one in applied if one.declared), default=0) * SECOND
        return [(one.begin - GRACE - jitter, max(one.begin, one.at) + GRACE) for one in applied]

    def _due(self, name: str) -> tuple[dict[datetime, int], set[datetime]]:
        """The slots of a job, each with the last pass of the wall clock in which it was due; and those that may be.

        An edit that is still to come, by a clock that was set back: its slots may run, and nobody has to run them.
        """
        due: dict[datetime, int] = {}
        allowed: set[datetime] = set()
        for era in self.eras(name):
            due.update(dict.fromkeys(slots(era.declared, max(era.begin, era.applied), era.end), era.segment))
            if era.begin < era.applied:
                allowed.update(slots(era.declared, era.begin, min(era.applied, era.end)))
        return due, allowed

    def _accounted(self, name: str, since: datetime, until: datetime) -> Iterator[str]:
        """Every slot has its record, and every record its slot."""
        due, allowed = self._due(name)
        records = [run for run in self.runs[name] if run.cause is Cause.SCHEDULE]
        single = {run.slot for run in records if run.slots == 1}
        counted = [run for run in records if run.slots > 1]
        for slot in sorted(due.keys() - single):
            is_over = due[slot] < self.world.lived.last_pass(slot)  # not due any more, when its time came again
            if is_over or not since < slot <= until or self._is_disputed(name, slot, slot):
                continue
            covering = [run for run in counted if run.slot <= slot <= (run.through or run.slot)]
            if len(covering) != 1:
                yield f"{name}: the slot {slot} has {len(covering)} records"
        for slot in sorted(single - due.keys() - allowed):
            if not self._is_disputed(name, slot, slot):
                yield f"{name}: a record of {slot}, at which nothing was due"
        for slot, number in Counter(run.slot for run in records if run.slots == 1).items():
            if number > 1 and self.world.lived.passes(slot) == 1:
                yield f"{name}: the slot {slot} has {number} records"
        for run in counted:
            yield from self._counts(name, run, due.keys() - single)

    def _counts(self, name: str, run: Run, due: Collection[datetime]) -> Iterator[str]:
        """Whether a record counts as many slots as there are without one of their own."""
        first, last = run.slot, run.through or run.slot
        if self._is_disputed(name, first, last) or len(self.world.lived.through(first, last)) > 1:
            return
        there = sum(first <= slot <= last for slot in due)
        if there != run.slots:
            yield f"{name}: a record counts {run.slots} slots from {first} to {last}; there are {there}"

    def _is_disputed(self, name: str, first: datetime, last: datetime) -> bool:
        return any(begin <= last and end >= first for begin, end in self._edges(name))

    def is_out_of_order(self, name: str) -> bool:
        """Whether an edit was applied at a wall time before that of an earlier one: its history cannot be read."""
        begins = [one.begin for one in self._applied(name)]
        return any(later <= earlier for earlier, later in pairwise(begins))

    # One record

    def _judged(self, run: Run) -> Iterator[str]:
        if (
            run.outcome is Outcome.RUNNING
            and self.world.elapsed - self.world.store.claimed.get(run.id, ZERO) > DOWNTIME
        ):
            yield "it still runs"
        if run.cause is not Cause.SCHEDULE:
            return
        if run.claimed_at < run.slot and run.slot > self.world.lived.latest:
            yield f"it was claimed at {run.claimed_at}, before its slot"
        calls = self.calls.get(run.id, ())
        if run.outcome in (Outcome.SKIPPED, Outcome.MISSED):
            if calls:
                yield f"it is {run.outcome.value}, and was called at {calls[0].at}"
            yield from self._excuses(run)
        else:
            yield from self._called(run, calls)

    def _declared(self, run: Run) -> list[Declared]:
        """What the job may have been when its slot was claimed."""
        claimed = self.world.store.claimed.get(run.id, ZERO)
        applied = self._applied(str(run.key))
        known = [one for one in applied if one.elapsed <= claimed + GRACE]
        late = [one for one in known if one.elapsed >= claimed - GRACE - 4 * self.world.most_latency]
        return [one.declared for one in {*known[-1:], *known[-len(late) - 1 :]} if one.declared is not None]

    def _called(self, run: Run, calls: Sequence[Call]) -> Iterator[str]:
        """Whether its first call was allowed."""
        declared = self._declared(run)
        if not declared:
            yield "it was claimed though its job was gone"
            return
        yield from self._not_owed(run)
        jitter = max(one.jitter for one in declared) * SECOND
        catch_up = {one.catch_up for one in declared}
        deadline = max(one.deadline for one in declared) * SECOND
        for what, at, elapsed in self._beginnings(run, calls):
            if self._was_set(self.world.store.claimed.get(run.id, ZERO), elapsed):
                continue
            lateness = at - run.slot - jitter
            slack = 2 * GRACE + 4 * self.world.most_latency
            if lateness > DOWNTIME + slack and catch_up == {"none"} and what == "claimed":
                yield f"it was {what} {lateness} late, though catchUp is none"
            if lateness > deadline + slack:
                yield f"it was {what} {lateness} late; the deadline is {deadline}"
        yield from self._superseded(run, declared)
        stop = self._surely_stopped(run)
        if stop and calls:
            yield f"it was called at {calls[0].at}, though {stop}"
        if run.outcome is Outcome.UNKNOWN and not self.world.disturbances:
            yield f"nothing had happened, and it is unknown: {run.reason}"

    def _beginnings(self, run: Run, calls: Sequence[Call]) -> Iterator[tuple[str, datetime, timedelta]]:
        yield "claimed", run.claimed_at, self.world.store.claimed.get(run.id, ZERO)
        first = next((call for call in calls if call.attempt == 1), None)
        if first is not None:
            yield "called", first.at, first.elapsed

    def _was_set(self, since: timedelta, until: timedelta) -> bool:
        """Whether the wall clock was set in between."""
        return any(what == "jump" and since <= when <= until for when, what in self.world.disturbances)

    def _not_owed(self, run: Run) -> Iterator[str]:
        """A slot from before the schedule that held when it was claimed."""
        claimed = self.world.store.claimed.get(run.id, ZERO)
        slack = ZERO if not self.world.most_latency else 4 * self.world.most_latency + SECOND
        applied = self._applied(str(run.key))
        for before, one in pairwise(applied):
            changed = before.declared is None or one.declared is None or before.declared.times != one.declared.times
            is_before = one.elapsed + slack < claimed and run.slot <= one.begin - GRACE
            if changed and is_before and run.claimed_at > one.begin and self.world.lived.passes(run.slot) == 1:
                yield f"it is from before an edit at {one.begin}, and was claimed at {run.claimed_at}"

    def _superseded(self, run: Run, declared: Sequence[Declared]) -> Iterator[str]:
        """Under ``latest`` two late slots of one job are not claimed at one moment."""
        if {one.catch_up for one in declared} != {"latest"} or any(one.jitter for one in declared):
            return
        late = DOWNTIME + 2 * SECOND
        if run.claimed_at - run.slot <= late:
            return
        for other in self.runs[str(run.key)]:
            is_late = other.claimed_at - other.slot > late and other.slots == 1
            is_called = other.cause is Cause.SCHEDULE and other.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)
            is_together = (other.claimed_at, other.owner) == (run.claimed_at, run.owner)
            if other.slot > run.slot and is_late and is_called and is_together:
                yield f"{other.slot} was caught up at the same moment, though catchUp is latest"

    # Pauses and windows

    def _stops(self, run: Run) -> Iterator[tuple[str, datetime, datetime, timedelta]]:
        """What stopped the job over a stretch of the wall clock, and since when that is written."""
        for pause, written in self.world.pauses.values():
            if pause.application == run.key.application and (pause.api is None or self._is_of(pause, run)):
                yield "paused", pause.since, pause.ended_at or pause.until, written
        applications = {"*", run.key.application}
        claimed = self.world.store.claimed.get(run.id, ZERO)
        for standing in self.world.windows:
            window = standing.window
            if window.application in applications and (standing.until is None or claimed < standing.until):
                for begin in slots(window.start, run.slot - window.duration, run.slot):
                    yield "frozen", begin, begin + window.duration, standing.since

    def _is_of(self, pause: Pause, run: Run) -> bool:
        """Whether a pause of one job is of the one that had this run, by the names that both have now."""
        name_of = self.world.store.name_of
        return name_of(JobKey(pause.application, pause.api or "")) == name_of(run.key)

    def _surely_stopped(self, run: Run) -> str:
        """What certainly should have kept this slot from being called; empty for nothing."""
        claimed = self.world.store.claimed.get(run.id, ZERO)
        for what, begin, end, written in self._stops(run):
            known = claimed - written > HEARD + 4 * self.world.most_latency
            hindered = any(claimed - MINUTE <= when <= claimed for when, _ in self.world.disturbances)
            if known and not hindered and begin + HEARD < run.slot < end - HEARD:
                return f"it was {what} from {begin} to {end}"
        return ""

    # Why something was not called

    def _excuses(self, run: Run) -> Iterator[str]:
        """Whether what a record gives as its reason is so."""
        reason = run.reason
        ended = run.finished_at or run.claimed_at
        for pattern, judge in self._REASONS.items():
            match = re.match(pattern, reason)
            if match:
                if not judge(self, run, match, ended):
                    yield f"it is {run.outcome.value}, and this is not so: {reason}"
                return
        yield f"nobody knows this reason: {reason!r}"

    def _any_declared(self, run: Run) -> Iterable[Declared]:
        return [one.declared for one in self._applied(str(run.key)) if one.declared is not None]

    def _is_overdue(self, run: Run, _match: re.Match[str], ended: datetime) -> bool:
        return any(ended - run.slot > one.deadline * SECOND for one in self._any_declared(run))

    def _is_not_caught_up(self, run: Run, _match: re.Match[str], ended: datetime) -> bool:
        return any(one.catch_up == "none" for one in self._any_declared(run)) and ended - run.slot > DOWNTIME

    def _is_superseded(self, run: Run, match: re.Match[str], ended: datetime) -> bool:
        newer = datetime.fromisoformat(match[1])
        due = {slot for era in self.eras(str(run.key)) for slot in slots(era.declared, run.slot, newer)}
        return (
            any(one.catch_up == "latest" for one in self._any_declared(run))
            and run.slot < newer <= max(ended, self.world.lived.latest)
            and newer in due
            and ended - run.slot > DOWNTIME
        )

    def _is_counted(self, run: Run, match: re.Match[str], _ended: datetime) -> bool:
        return int(match[1]) == run.slots

    def _was_changed(self, run: Run, match: re.Match[str], _ended: datetime) -> bool:
        later = [one for one in self._applied(str(run.key)) if one.at >= run.slot or self._is_repeated(one.at)]
        if "edited" in match[1]:
            return any(one.declared is not None for one in later)
        return any(one.declared is None or one.declared.suspend for one in later)

    def _is_repeated(self, instant: datetime) -> bool:
        return self.world.lived.passes(instant) > 1 or len(self.world.lived.segments) > 1

    def _overlaps(self, run: Run, match: re.Match[str], _ended: datetime) -> bool:
        other = self.world.store.stored_runs.get(match[1])
        return (
            other is not None
            and other.key == run.key
            and other.id != run.id
            and any(one.policy == self._avoids(run) for one in self._any_declared(run))
        )

    @staticmethod
    def _avoids(run: Run) -> str:
        return "Replace" if run.reason.endswith("which cannot be replaced from here") else "Forbid"

    def _was_stopped(self, run: Run, match: re.Match[str], ended: datetime) -> bool:
        kind, slack = match[1], HEARD + 4 * self.world.most_latency
        instants = (run.slot, ended, run.claimed_at)
        if kind == "paused":  # until somebody ended it early it was as long as it was meant to be
            pauses = [pause for pause, _ in self.world.pauses.values() if pause.application == run.key.application]
            return any(one.since - slack <= at <= one.until + slack for one in pauses for at in instants)
        return any(one.window.covers(at, slack) for one in self.world.windows for at in instants)

    def _was_disturbed(self, _run: Run, _match: re.Match[str], _ended: datetime) -> bool:
        return bool(self.world.disturbances)

    _REASONS = {  # noqa: RUF012 - never changed
        r"[\dhmsd]+ late; the starting deadline is ": _is_overdue,
        r"not caught up: catchUp is none; ": _is_not_caught_up,
        r"superseded by the catch-up of (\S+Z)": _is_superseded,
        r"not caught up: (\d+) slots are older than the newest 100": _is_counted,
        r"not caught up: the job was (edited|suspended|removed|suspended or removed) before ": _was_changed,
        r"overlap: run (\S+) (still runs|has not started yet)": _overlaps,
        r"(paused|frozen)": _was_stopped,
        r"waited for longer than its starting deadline": _is_overdue,
        r"the store was away for longer than the starting deadline": _is_overdue,
        r"this process lost the lead before it was sent": _was_disturbed,
        r"the reconciler stopped before it could start": _was_disturbed,
    }

    @staticmethod
    def _named(run: Run) -> str:
        return f"{run.key} {run.slot:%Y-%m-%d %H:%M:%S} ({run.cause.value} {run.outcome.value} {run.id})"
