"""Making runs: from a slot or a trigger to a claim, from the claim to calls, from the calls to the record.

Every slot that is handed in ends in exactly one recorded outcome; nothing is sent before its claim is won.
Forbidden here: recovery of what other processes left behind (``services.upkeep``), and knowing when slots are.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.core.model import (
    Attempt,
    Cause,
    HttpRequest,
    JobKey,
    Outcome,
    Overrides,
    Run,
    Stop,
    StoredJob,
    whole_milliseconds,
)
from reconciler.core.runs import apply_overrides, claim_of, ended, fingerprint, slot_of
from reconciler.core.stops import said
from reconciler.core.timetable import Verdict, spread, verdict
from reconciler.errors import IdempotencyConflictError, NotFoundError, StoreUnavailableError
from reconciler.ports import Caller, Clock, Store
from reconciler.services.attempts import STOPPED, Attempts, Ending, Underway
from reconciler.services.claims import Claims
from reconciler.services.jitter import Delay, Delayed, Jitter
from reconciler.services.journal import Journal, Observer
from reconciler.services.names import Names
from reconciler.services.roster import Roster
from reconciler.services.turns import Turns
from schemas.base import format_duration

ABANDONED = "the process that claimed it ended"

_NEVER = datetime.max.replace(tzinfo=UTC)
_FLUSH = timedelta(seconds=5)  # for the last records at the end, where the store is slow or away
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
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._jobs = jobs
        self._turns = Turns(clock, max_in_flight)
        self._attempts = Attempts(caller, clock, self._turns)
        self._roster = Roster()
        self._names = Names(jobs, successor)
        named = self._names.named
        self._claims = Claims(
            store, clock, won=self._won, lost=self._roster.remove, refused=self._claim_refused, named=named
        )
        self._journal = Journal(store, clock, observer, lambda: self._turns.crowded, named)
        self._jitter = Jitter(clock, self._take_delayed)
        self._stopped = stopped
        self._renames_followed_at: datetime | None = None
        self._remembering = asyncio.Lock()

    # What the clock and people ask for

    @property
    def in_flight(self) -> int:
        """How many calls are being made right now."""
        return self._turns.in_flight

    def on_due(self, slot: datetime, keys: Sequence[JobKey]) -> None:
        """Take on the slots of these jobs; quick, for thousands at once."""
        self._take_on(slot, keys, Cause.SCHEDULE)

    def catch_up(self, slot: datetime, keys: Sequence[JobKey]) -> None:
        """Run these jobs once for the slots that they missed; ``slot`` is when they could run again.

        One run for a job and such an instant, however often and by however many processes it is asked for.
        """
        self._take_on(slot, keys, Cause.CATCH_UP)

    def _take_on(self, slot: datetime, keys: Sequence[JobKey], cause: Cause) -> None:
        if self._attempts.closing:
            return
        now = self._clock.now()
        punctual: list[Underway] = []
        jittered: list[Delay] = []
        for key in keys:
            stored = self._due(key)
            if stored is None:
                continue
            stop = self._stopped(key, slot)
            if stored.job.jitter and stop is None:
                seed = stored.job.derived_from or str(key)
                jittered.append((spread(stored.job.jitter, seed), key))
            elif (taken := self._take(stored, Delayed(key, slot, slot, cause), now, stop)) is not None:
                punctual.append(taken)
        self._claims.extend(punctual)
        if jittered:
            self._jitter.spread(slot, cause, jittered)

    async def trigger(self, key: JobKey, overrides: Overrides, idempotency: str | None = None) -> Run:
        """Run a job now, suspended or not; returns its run as soon as it is claimed.

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
        if self._attempts.closing:
            raise StoreUnavailableError("the reconciler is stopping; try again")
        stored = self._jobs(key)
        if stored is None:
            raise NotFoundError(f"there is no job {key}")
        request = apply_overrides(stored.job.request, overrides)
        parts = (("query", overrides.query), ("headers", overrides.headers), ("json", overrides.has_json))
        names = tuple(name for name, given in parts if given)
        now = whole_milliseconds(self._clock.now())
        if idempotency is None:
            return await self._manual(stored, request, self._claim_of(stored, now, uuid.uuid4().hex, names))
        async with self._remembering:
            run = self._claim_of(stored, now, idempotency, names)
            token = f"{key} {idempotency}"
            first, known = await self._store.remember(token, fingerprint(overrides), run.id, now)
            if first != fingerprint(overrides):
                raise IdempotencyConflictError("this Idempotency-Key was used before with another request")
            if (earlier := await self._store.run(known)) is not None:
                return earlier
            if known in self._journal:
                raise StoreUnavailableError("the store has not taken the first run of this key yet; try again")
            # The token may be older than the run: its process ended between the two. The same run is claimed now.
            return await self._manual(stored, request, self._claim_of(stored, slot_of(known), idempotency, names))

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

    # What upkeep asks for

    def knows(self, run_id: str) -> bool:
        """Whether a run is under way here, or its end is still to be recorded."""
        return run_id in self._roster or run_id in self._journal

    def is_busy(self, key: JobKey) -> bool:
        """Whether a run of this job is under way here."""
        self._follow_renames()
        return self._roster.predecessor(key) is not None

    def stop_of(self, key: JobKey) -> Stop | None:
        """What stops a job now; ``None`` if nothing does."""
        return self._stopped(key, self._clock.now())

    def resume(self, stored: StoredJob, run: Run) -> None:
        """Send a run again that its process left unfinished, under the same id; its attempts continue."""
        job = stored.job
        run = replace(run, revision=stored.revision, file=job.file, line=job.line)
        underway = Underway(run, stored, job.request, _NEVER)
        lost = Attempt(number=len(run.attempts) + 1, started_at=run.claimed_at, latency_ms=0.0, error=ABANDONED)
        underway.attempts = [*run.attempts, lost]
        self._roster.add(underway)
        self._won(underway)

    def conclude(self, run: Run, outcome: Outcome, reason: str) -> None:
        """End a run that its process left unfinished, without a call."""
        self._journal.record(None, ended(run, outcome, reason, self._clock.now()))

    # From the slot to the claim

    def _claim_of(self, stored: StoredJob, slot: datetime, nonce: str, overrides: Sequence[str]) -> Run:
        now = self._clock.now()
        return claim_of(stored, slot, Cause.MANUAL, self._owner, now, nonce=nonce, overrides=overrides)

    def _take_delayed(self, delayed: Delayed) -> None:
        stored = self._due(delayed.key)
        taken = None if stored is None else self._take(stored, delayed, self._clock.now())
        if taken is not None:
            self._claims.extend([taken])

    def _due(self, key: JobKey) -> StoredJob | None:
        """The job as it stands now, unless it has been suspended or removed since its slot was set."""
        stored = self._names.job(key)
        return None if stored is None or stored.job.suspend else stored

    def _take(self, stored: StoredJob, due: Delayed, now: datetime, stop: Stop | None = None) -> Underway | None:
        """Decide what becomes of a slot and write its claim; ``None`` where it is under way already."""
        job = stored.job
        run = claim_of(stored, due.slot, due.cause, self._owner, now)
        if run.id in self._roster:
            return None
        underway = Underway(run, stored, job.request, due.due + job.starting_deadline)
        if stop is not None:
            underway.run = ended(run, Outcome.SKIPPED, said(stop), now)
        elif verdict(due.due, now, job.starting_deadline) is Verdict.MISSED:
            lateness = format_duration(timedelta(seconds=(now - due.due) // timedelta(seconds=1)))
            reason = f"{lateness} late; the starting deadline is {format_duration(job.starting_deadline)}"
            underway.run = ended(run, Outcome.MISSED, reason, now)
        elif self._attempts.closing:
            underway.run = ended(run, Outcome.MISSED, STOPPED, now)
        else:
            self._admit(underway, now)
        return underway

    def _admit(self, underway: Underway, now: datetime) -> None:
        """Let a run go on, unless its predecessor still runs and its job forbids overlaps."""
        if underway.job.derived_from:
            self._follow_renames()
        before = self._roster.predecessor(underway.run.key)
        if before is not None and underway.job.concurrency_policy == "Forbid":
            does = "still runs" if before.task is not None else "has not started yet"
            reason = f"overlap: run {before.run.id} {does}"
            underway.run = ended(underway.run, Outcome.SKIPPED, reason, now)
        else:
            self._roster.add(underway)

    def _follow_renames(self) -> None:
        """See to it that runs which set out under a job's old name count as its own; once for all that is due now."""
        now = self._clock.now()
        if now != self._renames_followed_at:
            self._renames_followed_at = now
            self._roster.rename(self._names.current)

    def _claim_refused(self, underway: Underway, error: Exception) -> None:
        self._roster.remove(underway)
        self._journal.tell(underway.job, ended(underway.run, Outcome.MISSED, f"no claim: {error}", self._clock.now()))

    async def _manual(self, stored: StoredJob, request: HttpRequest, run: Run) -> Run:
        underway = Underway(run, stored, request, run.claimed_at + stored.job.starting_deadline)
        self._admit(underway, run.claimed_at)
        try:
            won = await self._claims.now(underway)
        except BaseException:
            # Perhaps it was written and only the answer is lost: end what may stand there. Nothing was sent.
            self._roster.remove(underway)
            self._journal.record(
                None, ended(run, Outcome.MISSED, "the store did not answer its claim", self._clock.now())
            )
            raise
        if not won:
            self._roster.remove(underway)
            earlier = await self._store.run(run.id)
            return earlier or run
        self._won(underway)
        return underway.run

    # From the claim to the calls

    def _won(self, underway: Underway) -> None:
        underway.claimed = True
        if underway.run.outcome is not Outcome.RUNNING:
            self._roster.remove(underway)
            if underway.doubtful:  # an earlier try may have written it as running
                self._journal.record(underway.job, underway.run)
            else:
                self._journal.tell(underway.job, underway.run)
            return
        if self._attempts.closing:
            self._end(underway, underway.interrupted(self._clock.now()))
            return
        if underway.job.concurrency_policy == "Replace":
            self._replace_others(underway)
        application = underway.run.key.application
        underway.turn = self._turns.ask(application, underway.job.max_concurrency, lambda: self._start(underway))

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
        now = self._clock.now()
        if now > underway.expires:
            deadline = format_duration(underway.job.starting_deadline)
            reason = f"waited for its turn for longer than the starting deadline of {deadline}"
            self._end(underway, Ending(Outcome.MISSED, reason))
        else:
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
        self._roster.remove(underway)
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

    # The end

    async def drain(self, grace: timedelta) -> None:
        """End in good order: nothing new starts, calls in flight may end within the grace, everything is recorded.

        Called again with a shorter grace, it hurries the first call on.
        """
        self._close()
        tasks = [underway.task for underway in self._roster.all() if underway.task is not None]
        if tasks and grace > timedelta(0):
            await self._within(grace, asyncio.wait(tasks))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._within(_FLUSH, self._settled())
        left = self._claims.stop() + self._journal.stop()
        if left:
            log.error("the store is away: %d records could not be written", left)

    def _close(self) -> None:
        """Account for everything that waits: slots, turns, further attempts."""
        if self._attempts.closing:
            return
        self._attempts.closing = self._claims.closing = True
        for delayed in self._jitter.stop():
            self._take_delayed(delayed)
        now = self._clock.now()
        for underway in self._roster.all():
            if underway.task is None and underway.claimed:
                self._end(underway, underway.interrupted(now))
            elif underway.task is not None and underway.called_at is None and underway.attempts:
                underway.task.cancel()  # it waits before another attempt

    async def _settled(self) -> None:
        await self._claims.settled()
        await self._journal.settled()

    async def _within(self, limit: timedelta, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._clock.sleep(limit))
        await asyncio.wait([task, timer], return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        timer.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)
