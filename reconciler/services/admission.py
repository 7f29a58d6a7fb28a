"""From a slot to its claim: which slots are taken on, which are put off, and which are recorded without a call.

Every slot that is handed in is claimed, or it is found again: what cannot be taken on now (the store is away, another
process leads, it comes too late to be on time) is told to whoever looks for owed slots, and the mark stays before it.
Forbidden here: making calls, and deciding what becomes of owed slots (``core.arrears``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.core.arrears import Fate, expired
from reconciler.core.model import Cause, Job, JobKey, Outcome, Run, Stop, StopKind, StoredJob
from reconciler.core.runs import claim_of, ended
from reconciler.core.stops import said
from reconciler.core.timetable import DOWNTIME, Verdict, spread, verdict
from reconciler.ports import Clock, Store
from reconciler.services.attempts import LOST_LEAD, STOPPED, Underway
from reconciler.services.backlog import Backlog
from reconciler.services.claims import Claims
from reconciler.services.jitter import Delay, Delayed, Jitter
from reconciler.services.journal import Journal
from reconciler.services.names import Names, Renaming
from reconciler.services.roster import Recent, Roster

NEVER = datetime.max.replace(tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)  # slots are whole ones


def overlap_elsewhere(job: Job, run_id: str) -> str:
    """Why a run of a job is skipped that may not begin beside another process's: that one cannot be cancelled here."""
    reason = f"overlap: run {run_id} still runs in another process"
    return f"{reason}, which cannot be replaced from here" if job.concurrency_policy == "Replace" else reason


class Admission:
    """Takes slots on.

    Args:
        store: where claims go.
        clock: the time, and the waiting.
        owner: this process's id.
        names: jobs, and what they are called now.
        renaming: keeps claims and renamings apart.
        roster: the runs under way.
        journal: told of runs that end without a call.
        won: told of each run that is claimed; also of those that have ended already.
        stopped: what stops a job's slot at an instant.
        term: under which this process leads at this very moment, ``None`` where it does not.
        late: told from which slot on there are slots without a record; ``None`` where nobody looks for them. Everything
            is then decided here: late slots by the starting deadline alone.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        *,
        store: Store,
        clock: Clock,
        owner: str,
        names: Names,
        renaming: Renaming | None = None,
        roster: Roster,
        journal: Journal,
        won: Callable[[Underway], None],
        stopped: Callable[[JobKey, datetime], Stop | None],
        term: Callable[[], int | None],
        late: Callable[[datetime], None] | None,
    ) -> None:
        self._clock = clock
        self._owner = owner
        self._names = names
        self._roster = roster
        self._journal = journal
        self._stopped = stopped
        self._term = term
        self._late = late
        self.claims = Claims(
            store,
            clock,
            won=won,
            lost=self.leave,
            refused=self._refused,
            deposed=self._deposed,
            named=names.named,
            renaming=renaming,
            term=term,
            hand_back=None if late is None else self._handed_back,
        )
        self._jitter = Jitter(clock, self._take_delayed)
        self._backlog = Backlog(self._is_free, self._take_late)
        self._recent = Recent()
        self._elsewhere: Mapping[JobKey, str] = {}
        self._owed_from: datetime | None = None
        self._marked: datetime | None = None
        self._renames_followed_at: datetime | None = None
        self.closing = False

    # Slots that come

    def take_on(self, slot: datetime, keys: Sequence[JobKey], cause: Cause) -> None:
        """Take on the slots of these jobs; quick, for thousands at once."""
        now = self._clock.now()
        if self._is_put_off(slot, slot, now, cause):
            return
        punctual: list[Underway] = []
        jittered: list[Delay] = []
        for key in keys:
            stored = self._due(key)
            if stored is None:
                continue
            stop = self._stopped(key, slot)
            if stored.job.jitter and stop is None:
                jittered.append((self._delay(stored), key))
            elif (taken := self._take(stored, Delayed(key, slot, slot, cause), now, stop)) is not None:
                punctual.append(taken)
        self.claims.extend(punctual)
        if jittered:
            self._jitter.spread(slot, cause, jittered)

    def follow(self, stored: StoredJob, upstream: Run) -> None:
        """Take on the end of another job's run as a slot."""
        slot, now = upstream.finished_at, self._clock.now()
        if slot is None or stored.job.suspend or self._is_put_off(slot, slot, now, Cause.AFTER):
            return
        delay = self._delay(stored)
        due = Delayed(stored.key, slot, slot + delay, Cause.AFTER, upstream)
        stop = self._stopped(stored.key, slot)
        if delay and stop is None and due.due > now:
            self._jitter.wait(due)
        elif (taken := self._take(stored, due, now, stop)) is not None:
            self.claims.extend([taken])

    def _is_put_off(self, slot: datetime, due: datetime, now: datetime, cause: Cause) -> bool:
        """Whether a slot cannot be taken on now; it is found again."""
        if self._late is None or cause is not Cause.SCHEDULE:
            return self.closing or self._term() is None
        if self.closing or self.claims.away or now - due > DOWNTIME or self._term() is None:
            self.fall_behind(slot)
            return True
        return False

    def _take_delayed(self, delayed: Delayed) -> None:
        now = self._clock.now()
        if not self.closing and self._is_put_off(delayed.slot, delayed.due, now, delayed.cause):
            return
        stored = self._due(delayed.key)
        is_found_again = delayed.cause is Cause.SCHEDULE and self._late is not None
        # A ``since`` that is still to come was written by a clock that was wrong: slots count in spite of it.
        if stored is None or (is_found_again and delayed.slot <= stored.since <= now):
            if is_found_again:  # gone, suspended or edited meanwhile: that is recorded
                self.fall_behind(delayed.slot)
        elif (taken := self._take(stored, delayed, now)) is not None:
            self.claims.extend([taken])

    def _due(self, key: JobKey) -> StoredJob | None:
        """The job as it stands now, unless it has been suspended or removed since its slot was set."""
        stored = self._names.job(key)
        return None if stored is None or stored.job.suspend else stored

    @staticmethod
    def _delay(stored: StoredJob) -> timedelta:
        job = stored.job
        return spread(job.jitter, job.derived_from or str(stored.key)) if job.jitter else timedelta(0)

    @staticmethod
    def _underway(run: Run, stored: StoredJob, due: datetime) -> Underway:
        underway = Underway(run, stored, stored.job.request, due + stored.job.starting_deadline)
        underway.due = due
        return underway

    def _claim(
        self, stored: StoredJob, slot: datetime, cause: Cause, now: datetime, upstream: Run | None = None
    ) -> Run | None:
        """The claim of a slot; ``None`` where it is under way here, or was a moment ago."""
        run = claim_of(stored, slot, cause, self._owner, now, upstream=upstream, term=self._term() or 0)
        return None if run.id in self._roster or run.id in self._recent or self._is_under_way(stored, run) else run

    def _is_under_way(self, stored: StoredJob, claim: Run) -> bool:
        """Whether the same is under way already with the id that an older name of the job has given it."""
        if not stored.job.derived_from:
            return False
        self.follow_renames()
        wanted = (claim.slot, claim.cause, claim.upstream)
        return any((one.run.slot, one.run.cause, one.run.upstream) == wanted for one in self._roster.of(stored.key))

    def _take(self, stored: StoredJob, due: Delayed, now: datetime, stop: Stop | None = None) -> Underway | None:
        """Decide what becomes of a slot and write its claim; ``None`` where it is under way already."""
        job = stored.job
        run = self._claim(stored, due.slot, due.cause, now, due.upstream)
        if run is None:
            return None
        underway = self._underway(run, stored, due.due)
        if stop is not None:
            underway.run = ended(run, Outcome.SKIPPED, said(stop), now)
        elif verdict(due.due, now, job.starting_deadline) is Verdict.MISSED:
            underway.run = ended(run, Outcome.MISSED, expired(job, now - due.due), now)
        elif self.closing:
            underway.run = ended(run, Outcome.MISSED, STOPPED, now)
        else:
            self.admit(underway, now)
        return underway

    def admit(self, underway: Underway, now: datetime) -> None:
        """Let a run go on, unless its predecessor still runs and its job forbids overlaps, or it cannot be replaced."""
        if underway.job.derived_from:
            self.follow_renames()
        if overlap := self._overlap(underway.job, underway.run.key):
            underway.run = ended(underway.run, Outcome.SKIPPED, overlap, now)
        else:
            self._roster.add(underway)

    def _overlap(self, job: Job, key: JobKey) -> str:
        """Why a run may not begin beside another one of its job; empty where it may, or where it replaces that."""
        if job.concurrency_policy == "Allow":
            return ""
        if job.concurrency_policy == "Forbid" and (before := self._roster.predecessor(key)) is not None:
            does = "still runs" if before.task is not None else "has not started yet"
            return f"overlap: run {before.run.id} {does}"
        other = self._elsewhere.get(key) if self._elsewhere else None
        return "" if other is None else overlap_elsewhere(job, other)

    def is_busy(self, key: JobKey) -> bool:
        """Whether a run of a job is under way, here or in another process that lives."""
        self.follow_renames()
        return self._roster.predecessor(key) is not None or key in self._elsewhere

    def follow_renames(self) -> None:
        """See to it that runs which set out under a job's old name count as its own; once for all that is due now."""
        now = self._clock.now()
        if now != self._renames_followed_at:
            self._renames_followed_at = now
            self._roster.rename(self._names.current)

    def elsewhere(self, runs: Mapping[JobKey, str]) -> None:
        """These runs of other processes have not ended."""
        self._elsewhere = runs
        self._backlog.go_on_all()

    # Slots that were owed

    @property
    def is_taking_on(self) -> bool:
        """Whether slots can be taken on at this very moment."""
        return not (self.closing or self.claims.away or self._term() is None)

    def under_way(self) -> Mapping[JobKey, Sequence[datetime]]:
        """By job, the slots that are taken on here, or wait to be, and have no end yet; quick, for many thousands."""
        found: dict[JobKey, list[datetime]] = {}
        for key, slots in self._backlog.waiting():
            found.setdefault(self._names.current(key), []).extend(slots)
        runs = [one.run for one in (*self._roster.all(), *self.claims) if one.run.cause is Cause.SCHEDULE]
        # After a sleep or a clock set forward, what waits for its jitter is too late by far, and will be put off.
        now = self._clock.now()
        jittered = [one for one in self._jitter.scheduled() if now - one.due <= DOWNTIME]
        for one in (*runs, *jittered):
            found.setdefault(self._names.current(one.key), []).append(one.slot)
        return found

    def settle(self, stored: StoredJob, fates: Iterable[Fate]) -> None:
        """Give owed slots of a job the outcome that was decided for them, or set out to."""
        now, delay = self._clock.now(), self._delay(stored)
        queued: list[datetime] = []
        settled: list[Underway] = []
        for fate in fates:
            if fate.outcome is not Outcome.RUNNING:
                settled += self._recorded(stored, fate, now)
            elif self._backlog.has(stored.key, fate.slot):
                continue
            elif fate.is_late:
                queued.append(fate.slot)
            elif fate.slot + delay > now:
                self._jitter.wait(Delayed(stored.key, fate.slot, fate.slot + delay, Cause.SCHEDULE))
            elif queued:  # its turn is after theirs
                queued.append(fate.slot)
            elif taken := self._take(stored, Delayed(stored.key, fate.slot, fate.slot + delay, Cause.SCHEDULE), now):
                settled.append(taken)
        self.claims.extend(settled)
        if queued:
            self._backlog.extend(stored.key, queued)

    def _recorded(self, stored: StoredJob, fate: Fate, now: datetime) -> list[Underway]:
        run = self._claim(stored, fate.slot, Cause.SCHEDULE, now)
        if run is None or self._backlog.has(stored.key, fate.slot):
            return []
        run = replace(ended(run, fate.outcome, fate.reason, now), slots=fate.slots, through=fate.through)
        return [Underway(run, stored, stored.job.request, NEVER)]

    def _is_free(self, key: JobKey) -> bool:
        """Whether the next of a job's slots that are caught up can start; one does not overlap another."""
        if not self.is_taking_on:
            return False
        stored = self._names.job(key)
        if stored is None:
            return True
        self.follow_renames()
        is_next = not any(underway.is_late for underway in self._roster.of(stored.key))
        return is_next and not self._overlap(stored.job, stored.key)

    def _take_late(self, key: JobKey, slot: datetime) -> None:
        now = self._clock.now()
        stored = self._due(key)
        if stored is None or slot <= stored.since:  # not owed any more: that is recorded
            self.fall_behind(slot)
            return
        run = self._claim(stored, slot, Cause.SCHEDULE, now)
        if run is None:
            return
        underway = self._underway(run, stored, slot + self._delay(stored))
        underway.is_late = True
        stop = self._stopped(stored.key, now)
        if stop is not None and stop.kind is not StopKind.EXCLUDED:  # somebody wants no calls now
            underway.run = ended(run, Outcome.SKIPPED, said(stop), now)
        elif reason := expired(stored.job, now - underway.due):  # it was not when it was looked for, and has waited
            underway.run = ended(run, Outcome.MISSED, reason, now)
        else:
            self._roster.add(underway)
        self.claims.extend([underway])

    @property
    def is_looked_after(self) -> bool:
        """Whether somebody finds slots again that are not taken on."""
        return self._late is not None

    # What becomes of claims

    def leave(self, underway: Underway) -> None:
        """A run is under way no more, and has no end here: another process has it, or it is found again."""
        self._roster.remove(underway)
        self._backlog.go_on(underway.run.key)

    def close(self, underway: Underway) -> None:
        """A run has its end."""
        self._recent.add(underway.run.id, self._clock.now())
        self.leave(underway)

    def _refused(self, underway: Underway, error: Exception) -> None:
        self.close(underway)
        self._journal.tell(underway.job, ended(underway.run, Outcome.MISSED, f"no claim: {error}", self._clock.now()))

    def _deposed(self, underway: Underway) -> None:
        """Its claim may stand in the store, and another process leads: it must not stay open there."""
        run, now = underway.run, self._clock.now()
        self.leave(underway)
        self._journal.correct(ended(run, Outcome.MISSED, LOST_LEAD, now) if run.outcome is Outcome.RUNNING else run)

    def _handed_back(self, underway: Sequence[Underway]) -> None:
        slots = [one.run.slot for one in underway if one.run.cause is Cause.SCHEDULE]
        if slots:
            self.fall_behind(min(slots))

    # The mark

    def fall_behind(self, slot: datetime) -> None:
        """Slots from this one on are without a record; from the mark on, for not every one of them was handed in."""
        if self._marked is not None:
            slot = min(slot, self._marked + _MILLISECOND)
        if self._owed_from is None or slot < self._owed_from:
            self._owed_from = slot
        if self._late is not None:
            self._late(slot)

    def hold(self, slot: datetime | None) -> None:
        """The mark stays before this slot; ``None``: nothing is owed any more."""
        self._owed_from = slot

    def lead_from(self, mark: datetime) -> None:
        """This process leads from now on; slots after the mark may be without a record."""
        self._marked = mark
        self._owed_from = mark + _MILLISECOND
        self._backlog.clear()

    def accounted_until(self) -> datetime:
        """The mark: every slot up to it has its record."""
        claimed = (one.run.slot for one in self.claims if one.run.cause is Cause.SCHEDULE)
        pending = (self._owed_from, self._jitter.oldest(), self._backlog.oldest(), min(claimed, default=None))
        held = [slot - _MILLISECOND for slot in pending if slot is not None]
        self._marked = min([self._clock.now(), self._clock.handed_until(), *held])
        return self._marked

    # The end

    def end(self) -> None:
        """Take on no more. What waits is left to whoever looks for owed slots, or recorded as missed."""
        self.closing = self.claims.closing = True
        for delayed in list(self._jitter.stop()):
            if self._late is not None and delayed.cause is Cause.SCHEDULE:
                self.fall_behind(delayed.slot)
            else:
                self._take_delayed(delayed)
        if (slot := self._backlog.oldest()) is not None:
            self.fall_behind(slot)
            self._backlog.clear()
