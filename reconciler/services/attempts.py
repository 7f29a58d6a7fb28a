"""The attempts of one run: calling, judging, waiting, calling again.

Forbidden here: claiming and recording, which are the runner's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reconciler.core.model import Attempt, HttpRequest, Job, Outcome, Reply, Run, StoredJob, whole_milliseconds
from reconciler.core.redaction import Redactor
from reconciler.core.runs import call_headers, excerpt, judge, retry_delay, retryable
from reconciler.errors import ReconcilerError
from reconciler.ports import Caller, Clock
from reconciler.services.turns import Turn, Turns
from schemas.base import format_duration

INTERRUPTED = "interrupted by shutdown"
STOPPED = "the reconciler stopped before it could start"
LOST_LEAD = "this process lost the lead before it was sent"

_UNAUTHORIZED: Final = 401
_UNNOTICED: Final = timedelta(milliseconds=50)
_LEAST: Final = timedelta(milliseconds=1)


class Ending(NamedTuple):
    """How a run ends."""

    outcome: Outcome
    reason: str
    excerpt: str = ""


class Underway:
    """A run on its way from its claim to its record.

    Attributes:
        run: as it was claimed; one that is recorded without a call (skipped, missed) has ended already.
        request: the job's, with a trigger's overrides.
        due: its slot, jitter included.
        expires: after this instant it starts no more.
        is_late: it runs by its job's ``catchUp`` alone.
        attempts: those made so far.
        called_at: when the call was sent that is in flight; ``None`` where none is.
        task: what makes the attempts; ``None`` before its turn has come.
        failure: why the last attempt failed, where another is to follow.
        excerpt: of that attempt's answer.
        stop: how it ends when its task is cancelled, if not by a shutdown.
        doubtful: a claim was sent and its answer lost: the store may hold it as running.
        ended: its end has been handed to the journal, or is somebody else's affair.
    """

    __slots__ = (
        "attempts",
        "called_at",
        "claimed",
        "doubtful",
        "due",
        "ended",
        "excerpt",
        "expires",
        "failure",
        "is_late",
        "request",
        "run",
        "stop",
        "stored",
        "task",
        "turn",
    )

    def __init__(self, run: Run, stored: StoredJob, request: HttpRequest, expires: datetime) -> None:
        self.run = run
        self.stored = stored
        self.request = request
        self.due = run.slot
        self.expires = expires
        self.is_late = False
        self.attempts: list[Attempt] = []
        self.called_at: datetime | None = None
        self.task: asyncio.Task[None] | None = None
        self.turn: Turn | None = None
        self.failure = ""
        self.excerpt = ""
        self.stop: Ending | None = None
        self.claimed = False
        self.doubtful = False
        self.ended = False

    @property
    def job(self) -> Job:
        """The job as it was when the run was claimed."""
        return self.stored.job

    def interrupted(self, now: datetime) -> Ending:
        """Say how it ends where its task was cancelled, and note the attempt that was cut off."""
        if self.called_at is not None:
            ending = self.stop or Ending(Outcome.UNKNOWN, INTERRUPTED)
            self.note(
                Reply(error=ending.reason, latency_ms=(now - self.called_at).total_seconds() * 1000), ending.reason
            )
            return ending
        if self.stop is not None:
            return self.stop
        if self.failure:
            return Ending(Outcome.FAILED, f"{self.failure}; not tried again: {INTERRUPTED}", self.excerpt)
        if self.attempts:  # made by a process that is no more
            return Ending(Outcome.UNKNOWN, INTERRUPTED)
        return Ending(Outcome.MISSED, STOPPED)

    def deposed(self) -> Ending:
        """Say how it ends where this process may send nothing more."""
        if self.failure:
            return Ending(Outcome.FAILED, f"{self.failure}; not tried again: this process lost the lead", self.excerpt)
        if self.attempts:  # made by a process that is no more
            return Ending(Outcome.UNKNOWN, LOST_LEAD)
        return Ending(Outcome.MISSED, LOST_LEAD)

    def note(self, reply: Reply, error: str) -> None:
        """Keep what became of the call that was in flight."""
        if self.called_at is not None:
            self.attempts.append(
                Attempt(
                    number=len(self.attempts) + 1,
                    started_at=whole_milliseconds(self.called_at),
                    latency_ms=reply.latency_ms,
                    status=reply.status,
                    error=error or None,
                    sent=reply.sent,
                )
            )
        self.called_at = None


Prepare = Callable[[Underway], Awaitable[HttpRequest]]


Answered = Callable[[Underway, HttpRequest, int], bool]


async def as_declared(underway: Underway) -> HttpRequest:
    """The request as it is."""
    return underway.request


def as_answered(_underway: Underway, _sent: HttpRequest, _status: int) -> bool:
    """Take every answer as it is."""
    return False


class Attempts:
    """Makes the attempts of runs.

    Args:
        caller: makes the calls.
        clock: for the pauses in between.
        turns: a run that pauses gives its turn back and queues up again.
        term: under which this process leads at this very moment, ``None`` where it does not. What was claimed under
            another term is not sent.
        prepare: makes a request ready to be sent, before each attempt: secret values, credentials. Where it raises a
            ``ReconcilerError`` the run fails with that reason; nothing is sent, and it is not tried again.
        answered: told of each answer's status, with what was sent; says whether the target has refused what ``prepare``
            had put in, and another preparation will help. Then the call is made once more, whatever ``retry`` and
            ``delivery`` say: what is refused has not been done.
        redactor: masks what an answer echoes of these.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        caller: Caller,
        clock: Clock,
        turns: Turns,
        term: Callable[[], int | None],
        *,
        prepare: Prepare = as_declared,
        answered: Answered = as_answered,
        redactor: Redactor | None = None,
    ) -> None:
        self._prepare = prepare
        self._answered = answered
        self._redactor = Redactor() if redactor is None else redactor
        self._caller = caller
        self._clock = clock
        self._turns = turns
        self._term = term
        self.closing = False

    async def make(self, underway: Underway) -> Ending:
        """Call until the answer is the expected one or trying again is of no use; the turn has come already."""
        job = underway.job
        tried, is_renewed = 0, False
        while True:
            tried += 1
            begun = self._clock.steady()
            try:
                request = await self._prepare(underway)
            except ReconcilerError as error:
                return Ending(Outcome.FAILED, self._redactor.masked(str(error)), underway.excerpt)
            if underway.run.term and self._term() != underway.run.term:
                return underway.deposed()
            reply = await self._call(underway, request, self._left(job, begun))
            outcome, reason = judge(reply, job.expect)
            reason = self._redactor.masked(reason)
            underway.note(reply, reason)
            shown = excerpt(reply.body, reply.content_type, self._redactor) if reply.body else ""
            is_stale = self._is_stale(underway, request, reply, outcome)
            is_renewal, is_renewed = is_stale and not is_renewed, is_stale or is_renewed
            again = outcome is Outcome.FAILED and tried <= job.retry.limit
            if is_renewal:
                tried -= 1
            elif not again or not retryable(reply, job.expect, job.delivery):
                return Ending(outcome, reason, shown)
            underway.failure, underway.excerpt = reason, shown
            if self.closing:
                return underway.interrupted(self._clock.now())
            if held := await (self._queue_up(underway) if is_renewal else self._pause(underway, reply)):
                return self._given_up(underway, held)

    @staticmethod
    def _given_up(underway: Underway, held: str) -> Ending:
        """It would keep its job waiting without bound."""
        deadline = format_duration(underway.job.starting_deadline)
        waited = f"it waited for its turn for longer than the starting deadline of {deadline}: {held}"
        return Ending(Outcome.FAILED, f"{underway.failure}; not tried again: {waited}", underway.excerpt)

    def _is_stale(self, underway: Underway, sent: HttpRequest, reply: Reply, outcome: Outcome) -> bool:
        """Whether the target has refused what the request authenticated with, and that was not expected of it."""
        if reply.status is None or (outcome is Outcome.SUCCEEDED and reply.status == _UNAUTHORIZED):
            return False
        return self._answered(underway, sent, reply.status)

    def _left(self, job: Job, begun: timedelta) -> timedelta:
        """What is left of the timeout after the preparation, which counts too where it took a noticeable time."""
        spent = self._clock.steady() - begun
        return job.timeout if spent < _UNNOTICED else max(job.timeout - spent, _LEAST)

    async def _call(self, underway: Underway, request: HttpRequest, within: timedelta) -> Reply:
        number = len(underway.attempts) + 1
        outgoing = replace(request, headers={**request.headers, **call_headers(underway.run, number)})
        underway.called_at = self._clock.now()
        return await self._caller.call(outgoing, within)

    async def _pause(self, underway: Underway, reply: Reply) -> str:
        """Wait before the next attempt, and for its turn; what held that for too long, empty where it has come."""
        now = self._clock.now()
        number = len(underway.attempts)
        delay = retry_delay(underway.job.retry, number, underway.run.id, reply.retry_after, now)
        self.leave(underway)
        await self._clock.sleep(delay)
        return await self._queue_up(underway)

    async def _queue_up(self, underway: Underway) -> str:
        """Wait for another turn: also this call counts for the Application's limits.

        Returns what held it for longer than the starting deadline; empty where its turn has come.
        """
        self.leave(underway)
        turned: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def tell(held: str) -> None:
            if not turned.done():
                turned.set_result(held)

        underway.turn = self._turns.ask(
            underway.run.key.application,
            underway.job.max_concurrency,
            lambda: tell(""),
            rate=underway.job.max_rate,
            expires=self._clock.now() + underway.job.starting_deadline,
            lapse=tell,
        )
        return await turned

    def leave(self, underway: Underway) -> None:
        """Give its turn back, if it has one."""
        if underway.turn is not None:
            self._turns.leave(underway.turn)
            underway.turn = None
