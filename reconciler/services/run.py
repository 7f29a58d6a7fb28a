"""Making runs: from a claim to calls, from the calls to the record; and what others may ask of a process's runs.

Every run that is claimed ends in exactly one recorded outcome; nothing is sent before its claim is won.
Forbidden here: recovery of what other processes left behind (``services.upkeep``), and knowing when slots are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.core.arrears import Fate, expired
from reconciler.core.model import Attempt, Cause, JobKey, Outcome, Overrides, Run, Stop, StoredJob
from reconciler.core.redaction import Redactor
from reconciler.core.runs import ended
from reconciler.errors import NotFoundError, StoreError
from reconciler.ports import Caller, Clock, Store
from reconciler.services.admission import Admission
from reconciler.services.attempts import (
    Answered,
    Attempts,
    Ending,
    Prepare,
    Underway,
    as_answered,
    as_declared,
)
from reconciler.services.journal import Journal, Observer
from reconciler.services.names import Names, Renaming
from reconciler.services.pace import Pace
from reconciler.services.roster import Roster
from reconciler.services.triggers import Triggers
from reconciler.services.turns import Turns

ABANDONED = "the process that claimed it ended"

_FLUSH = timedelta(seconds=5)  # for the last records at the end, where the store is slow or away
_HAND_OVER = timedelta(milliseconds=500)  # the successor waits for it
_POLL = timedelta(milliseconds=500)
log = logging.getLogger(__name__)


class Runner:
    """Makes the runs of one process.

    Args:
        store: where claims and results go.
        clock: the time, and the pauses.
        caller: makes the calls.
        owner: this process's id.
        jobs: the job as it stands now, ``None`` where there is none.
        observer: told once of each run that has ended, with its job where that is known.
        max_in_flight: calls at once; see ``services.turns`` for what slow ones count.
        stopped: what stops a job's slot at an instant, ``None`` if nothing does. Such a slot ends as skipped, for the
            reason that it gives. Asked when the slot comes, also for a job with jitter, and never for a manual run:
            whoever triggers it wants it in spite of everything.
        successor: what a job was renamed to since this process began; the key itself where it was not.
        renaming: keeps claims and renamings apart; that of whoever renames.
        term: under which this process leads at this very moment; ``None`` where it does not: no slot is taken on then,
            and nothing that was claimed for one is sent. 0 where there is no lease to be had.
        late: told from which slot on there are slots without a record; see ``services.arrears``. ``None`` where nobody
            looks for them.
        prepare, answered, redactor: see ``services.attempts``.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        *,
        store: Store,
        clock: Clock,
        caller: Caller,
        owner: str,
        jobs: Callable[[JobKey], StoredJob | None],
        observer: Observer,
        max_in_flight: int = 100,
        stopped: Callable[[JobKey, datetime], Stop | None] = lambda _key, _slot: None,
        successor: Callable[[JobKey], JobKey] = lambda key: key,
        renaming: Renaming | None = None,
        term: Callable[[], int | None] = lambda: 0,
        late: Callable[[datetime], None] | None = None,
        prepare: Prepare = as_declared,
        answered: Answered = as_answered,
        redactor: Redactor | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._stopped = stopped
        self._term = term
        self._turns = Turns(clock, max_in_flight, lambda: self._pace.is_unsure)
        self._pace = Pace(store, clock, owner, lambda: term() is not None, self._turns.began)
        self._attempts = Attempts(
            caller, clock, self._turns, term, prepare=prepare, answered=answered, redactor=redactor
        )
        self._roster = Roster()
        names = Names(jobs, successor)
        self._journal = Journal(store, clock, observer, lambda: self._turns.crowded, names.named)
        self._admission = Admission(
            store=store,
            clock=clock,
            owner=owner,
            names=names,
            renaming=renaming,
            roster=self._roster,
            journal=self._journal,
            won=self._won,
            stopped=stopped,
            term=term,
            late=late,
        )
        self._triggers = Triggers(
            store=store,
            clock=clock,
            owner=owner,
            jobs=jobs,
            admission=self._admission,
            roster=self._roster,
            journal=self._journal,
            won=self._won,
        )
        self._adopting: set[asyncio.Task[None]] = set()
        self._unbegun: list[Underway] = []  # at the end: claimed, and nothing sent

    # What the clock and people ask for

    @property
    def in_flight(self) -> int:
        """How many calls are being made right now."""
        return self._turns.in_flight

    def on_due(self, slot: datetime, keys: Sequence[JobKey]) -> None:
        """Take on the slots of these jobs; quick, for thousands at once."""
        try:
            self._admission.take_on(slot, keys, Cause.SCHEDULE)
        except Exception:
            self._admission.fall_behind(slot)
            raise

    def catch_up(self, slot: datetime, keys: Sequence[JobKey]) -> None:
        """Run these jobs once for the slots that were frozen; ``slot`` is when they could run again.

        One run for a job and such an instant, however often and by however many processes it is asked for.
        """
        self._admission.take_on(slot, keys, Cause.CATCH_UP)

    def chained(self, stored: StoredJob, upstream: Run) -> None:
        """Run a job for the end of another one's run, under its present rules; nothing where that run is under way."""
        self._admission.follow(stored, upstream)

    async def trigger(self, key: JobKey, overrides: Overrides, idempotency: str | None = None) -> Run:
        """Run a job now, suspended or not, whoever leads; returns its run as soon as it is claimed.

        Args:
            key: which job.
            overrides: what is replaced in its request, for this run only.
            idempotency: the client's own key; the same key and overrides give the same run again.

        Raises:
            NotFoundError: there is no such job.
            OverridesError: the overrides cannot be sent.
            IdempotencyConflictError: the key was used before with other overrides.
            StoreUnavailableError: the store is away, or this process is ending; nothing was sent.
        """
        return await self._triggers.trigger(key, overrides, idempotency)

    async def wait(self, run_id: str) -> Run:
        """Wait until a run has ended and is recorded; returns it.

        Raises:
            NotFoundError: there is no such run.
            StoreUnavailableError: it is not ours, and the store is away.
        """
        if self.knows(run_id):
            return await self._journal.written(run_id)
        while (run := await self._store.run(run_id)) is not None:
            if run.outcome is not Outcome.RUNNING:
                return run
            await self._clock.sleep(_POLL)
        raise NotFoundError(f"there is no run {run_id}")

    # What is asked on behalf of owed slots

    def settle(self, stored: StoredJob, fates: Iterable[Fate]) -> None:
        """Give owed slots of a job the outcome that was decided for them, or set out to.

        Those that are caught up run one after the other. A slot that is under way already is left alone.
        """
        self._admission.settle(stored, fates)

    def under_way(self) -> Mapping[JobKey, Sequence[datetime]]:
        """By job, the slots that are taken on here, or wait to be, and have no end yet."""
        return self._admission.under_way()

    @property
    def is_taking_on(self) -> bool:
        """Whether slots can be taken on at this very moment: this process leads, and the store answers."""
        return self._admission.is_taking_on

    async def room(self) -> None:
        """Wait while thousands of claims wait."""
        await self._admission.claims.room()

    def lead_from(self, mark: datetime) -> None:
        """This process leads from now on; slots after ``mark`` may lack their record until ``hold`` says otherwise."""
        self._pace.forget()
        self._admission.lead_from(mark)

    async def learn_pace(self, jobs: Iterable[StoredJob]) -> None:
        """Count, once after ``lead_from``, the calls that others have begun; until then no rate allows another one.

        Raises:
            StoreError: the store is away; to be asked again.
        """
        await self._pace.learn(jobs)

    def hold(self, slot: datetime | None) -> None:
        """Keep the mark before this slot, which may be without a record; ``None`` for no such slot."""
        self._admission.hold(slot)

    def accounted_until(self) -> datetime:
        """The mark: every slot up to this instant has its record, as far as this process leads.

        Never past a slot that has come and is not claimed yet, whether the clock has handed it in or not.
        """
        return self._admission.accounted_until()

    # What upkeep asks for

    def knows(self, run_id: str) -> bool:
        """Whether a run is under way here, or its end is still to be recorded."""
        return run_id in self._roster or run_id in self._journal

    def is_busy(self, key: JobKey) -> bool:
        """Whether a run of this job is under way, here or in another process that lives."""
        return self._admission.is_busy(key)

    def elsewhere(self, runs: Mapping[JobKey, str]) -> None:
        """Of these jobs other processes have runs that have not ended; with the id of one of them. Told often."""
        self._admission.elsewhere(runs)
        self._end_unsent()

    def _end_unsent(self) -> None:
        """End what was claimed under a term that is over: it would stand as running until its turn came."""
        term = self._term()
        for underway in self._roster.all():
            if not underway.claimed or underway.run.term in (0, term):
                continue
            if underway.task is None:
                self._end(underway, underway.deposed())
            elif underway.called_at is None:
                underway.stop = underway.deposed()
                underway.task.cancel()

    def stop_of(self, key: JobKey) -> Stop | None:
        """What stops a job now; ``None`` if nothing does."""
        return self._stopped(key, self._clock.now())

    def resume(self, stored: StoredJob, run: Run) -> None:
        """Send a run again that its process left unfinished, under the same id; its attempts continue."""
        job = stored.job
        run = replace(run, revision=stored.revision, file=job.file, line=job.line)
        lost = Attempt(number=len(run.attempts) + 1, started_at=run.claimed_at, latency_ms=0.0, error=ABANDONED)
        run = replace(run, attempts=(*run.attempts, lost), owner=self._owner, term=self._term() or run.term)
        underway = Underway(run, stored, job.request, run.slot + job.starting_deadline)
        underway.attempts = list(run.attempts)
        self._roster.add(underway)
        task = asyncio.get_running_loop().create_task(self._adopt(underway))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _adopt(self, underway: Underway) -> None:
        """Make a run ours, so that nobody else can end it any more; it may have ended meanwhile."""
        try:
            await self._store.finish([underway.run])
            stands = await self._store.run(underway.run.id)
        except StoreError as error:
            log.warning("run %s cannot be taken over yet: %s", underway.run.id, error)
            stands = None
        if stands is None or (stands.owner, stands.outcome) != (self._owner, Outcome.RUNNING):
            self._admission.leave(underway)
        else:
            self._won(underway)

    def conclude(self, run: Run, outcome: Outcome, reason: str) -> None:
        """End a run that its process left unfinished, without a call."""
        run = replace(run, term=self._term() or run.term)
        self._journal.record(None, ended(run, outcome, reason, self._clock.now()))

    # From the claim to the calls

    def _won(self, underway: Underway) -> None:
        underway.claimed = True
        if underway.run.outcome is not Outcome.RUNNING:
            self._admission.close(underway)
            if underway.doubtful:  # an earlier try may have written it as running
                self._journal.record(underway.job, underway.run)
            else:
                self._journal.tell(underway.job, underway.run)
            return
        if self._attempts.closing:
            self._put_back(underway)
            return
        if underway.job.concurrency_policy == "Replace":
            self._replace_others(underway)
        job = underway.job
        underway.turn = self._turns.ask(
            underway.run.key.application,
            job.max_concurrency,
            lambda: self._start(underway),
            rate=job.max_rate,
            expires=underway.expires,
            lapse=lambda held: self._lapse(underway, held),
        )

    def _lapse(self, underway: Underway, held: str) -> None:
        """It has waited for its turn for too long."""
        if underway.attempts:  # made by a process that is no more
            reason = f"{ABANDONED}; not sent again within its starting deadline: {held}"
            self._end(underway, Ending(Outcome.UNKNOWN, reason))
            return
        reason = f"waited for longer than its starting deadline: {held}"
        if underway.is_late:
            reason = f"{expired(underway.job, self._clock.now() - underway.due)}; it waited for its turn: {held}"
        self._end(underway, Ending(Outcome.MISSED, reason))

    def _replace_others(self, newer: Underway) -> None:
        for older in self._roster.of(newer.run.key):
            if older is newer or not older.claimed or older.run.id > newer.run.id:
                continue
            older.stop = Ending(Outcome.FAILED, f"replaced by run {newer.run.id}")
            if older.task is not None:
                older.task.cancel()
            else:
                self._end(older, older.stop)

    def _start(self, underway: Underway) -> None:
        """Its turn has come. Called from within ``Turns``, which may not have returned the turn yet."""
        underway.task = asyncio.get_running_loop().create_task(self._run(underway))
        underway.task.add_done_callback(lambda task: self._done(underway, task))

    async def _run(self, underway: Underway) -> None:
        self._end(underway, await self._attempts.make(underway))
        if self._journal.full:  # the turn is kept meanwhile, so that no more calls start than can be recorded
            await self._journal.room()

    def _done(self, underway: Underway, task: asyncio.Task[None]) -> None:
        """Whatever became of its task: the turn goes on, and the run has its record."""
        self._attempts.leave(underway)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a bug ended run %s of %s", underway.run.id, underway.run.key, exc_info=error)
            underway.stop = Ending(Outcome.UNKNOWN, "internal error")
        if not underway.ended:
            self._end(underway, underway.interrupted(self._clock.now()))

    # From the calls to the record

    def _end(self, underway: Underway, ending: Ending) -> None:
        underway.ended = True
        if underway.task is None:
            self._attempts.leave(underway)
        self._journal.record(
            underway.job,
            ended(
                underway.run,
                ending.outcome,
                ending.reason,
                self._clock.now(),
                attempts=underway.attempts,
                excerpt=ending.excerpt,
            ),
        )
        self._admission.close(underway)

    # The end

    async def hand_over(self) -> None:
        """Take on no more, and give back what was claimed and not begun; then the mark is final.

        Whoever leads next finds these slots again. Calls in flight go on, and are ended by ``drain``.
        """
        self._close()
        await self._within(_HAND_OVER, self._give_back())

    async def _give_back(self) -> None:
        await self._admission.claims.settled()
        for underway in self._unbegun:
            self._admission.fall_behind(underway.run.slot)  # first: whatever becomes of the next line, it is looked for
        try:
            await self._store.release([underway.run for underway in self._unbegun])
        except StoreError as error:
            log.warning("%d runs cannot be given back: %s", len(self._unbegun), error)
            return
        given, self._unbegun = self._unbegun, []
        for underway in given:
            underway.ended = True
            self._admission.leave(underway)

    async def drain(self, grace: timedelta) -> None:
        """End in good order: nothing new starts, calls in flight may end within the grace, everything is recorded.

        Called again with a shorter grace, it hurries the first call on.
        """
        self._close()
        self._end_unbegun()
        tasks = [underway.task for underway in self._roster.all() if underway.task is not None]
        if tasks and grace > timedelta(0):
            await self._within(grace, asyncio.wait(tasks))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._within(_FLUSH, self._settled())
        self._turns.stop()
        left = self._admission.claims.stop() + self._journal.stop()
        if left:
            log.error("the store is away: %d records could not be written", left)

    def _close(self) -> None:
        """Account for everything that waits: slots, turns, further attempts."""
        if self._attempts.closing:
            return
        self._attempts.closing = True
        self._admission.end()
        for underway in self._roster.all():
            if underway.task is None and underway.claimed:
                self._put_back(underway)
            elif underway.task is not None and underway.called_at is None and underway.attempts:
                underway.task.cancel()  # it waits before another attempt

    def _put_back(self, underway: Underway) -> None:
        """It was claimed and will not begin here: it is given back where its slot is found again, or else ends."""
        is_found_again = underway.run.cause in (Cause.SCHEDULE, Cause.AFTER) and self._admission.is_looked_after
        if is_found_again and not underway.attempts:
            self._attempts.leave(underway)
            self._unbegun.append(underway)
        else:
            self._end(underway, underway.interrupted(self._clock.now()))

    def _end_unbegun(self) -> None:
        """What could not be given back."""
        unbegun, self._unbegun = self._unbegun, []
        for underway in unbegun:
            self._end(underway, underway.interrupted(self._clock.now()))

    async def _settled(self) -> None:
        await self._admission.claims.settled()
        await self._journal.settled()

    async def _within(self, limit: timedelta, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._clock.sleep(limit))
        await asyncio.wait([task, timer], return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        timer.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)
