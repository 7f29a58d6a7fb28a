"""Runs that people ask for: a job runs now, on time or not, in spite of everything but an overlap that may not be.

Such a run is made by the process that is asked, whoever leads. Forbidden here: making calls.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from reconciler.core.model import (
    Cause,
    HttpRequest,
    JobKey,
    Outcome,
    Overrides,
    Run,
    RunQuery,
    StoredJob,
    whole_milliseconds,
)
from reconciler.core.runs import apply_overrides, claim_of, ended, fingerprint, slot_of
from reconciler.errors import IdempotencyConflictError, NotFoundError, StoreUnavailableError
from reconciler.ports import Clock, Store
from reconciler.services.admission import Admission, overlap_elsewhere
from reconciler.services.attempts import Underway
from reconciler.services.journal import Journal
from reconciler.services.roster import Roster

_MOST_RUNNING = 10


class Triggers:
    """Makes runs by hand.

    Args:
        store: where claims and the clients' own keys go.
        clock: the time.
        owner: this process's id.
        jobs: the job as it stands now, ``None`` where there is none.
        admission: tells overlaps, and claims.
        roster: the runs under way.
        journal: told of the end of a run whose claim had no answer.
        won: told of each run that is claimed.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        *,
        store: Store,
        clock: Clock,
        owner: str,
        jobs: Callable[[JobKey], StoredJob | None],
        admission: Admission,
        roster: Roster,
        journal: Journal,
        won: Callable[[Underway], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._jobs = jobs
        self._admission = admission
        self._roster = roster
        self._journal = journal
        self._won = won
        self._remembering = asyncio.Lock()

    async def trigger(self, key: JobKey, overrides: Overrides, idempotency: str | None = None) -> Run:
        """Run a job now; see ``Runner.trigger``."""
        if self._admission.closing:
            raise StoreUnavailableError("the reconciler is stopping; try again")
        stored = self._jobs(key)
        if stored is None:
            raise NotFoundError(f"there is no job {key}")
        request = apply_overrides(stored.job.request, overrides)
        parts = (("query", overrides.query), ("headers", overrides.headers), ("json", overrides.has_json))
        names = tuple(name for name, given in parts if given)
        now = whole_milliseconds(self._clock.now())
        if idempotency is None:
            return await self._make(stored, request, self._claim_of(stored, now, uuid.uuid4().hex, names))
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
            return await self._make(stored, request, self._claim_of(stored, slot_of(known), idempotency, names))

    def _claim_of(self, stored: StoredJob, slot: datetime, nonce: str, overrides: Sequence[str]) -> Run:
        now = self._clock.now()
        return claim_of(stored, slot, Cause.MANUAL, self._owner, now, nonce=nonce, overrides=overrides)

    async def _make(self, stored: StoredJob, request: HttpRequest, run: Run) -> Run:
        other = await self._running_elsewhere(stored, run)
        underway = Underway(run, stored, request, run.claimed_at + stored.job.starting_deadline)
        self._admission.admit(underway, run.claimed_at)
        if other is not None and underway.run.outcome is Outcome.RUNNING:
            self._roster.remove(underway)
            underway.run = ended(run, Outcome.SKIPPED, overlap_elsewhere(stored.job, other.id), run.claimed_at)
        try:
            won = await self._admission.claims.now(underway)
        except BaseException:
            # Perhaps it was written and only the answer is lost: end what may stand there. Nothing was sent.
            self._admission.leave(underway)
            self._journal.record(
                None, ended(run, Outcome.MISSED, "the store did not answer its claim", self._clock.now())
            )
            raise
        if not won:
            self._admission.leave(underway)
            earlier = await self._store.run(run.id)
            return earlier or run
        self._won(underway)
        return underway.run

    async def _running_elsewhere(self, stored: StoredJob, run: Run) -> Run | None:
        """A run that another process has not ended, of a job whose runs may not be made beside each other."""
        if stored.job.concurrency_policy == "Allow":
            return None
        query = RunQuery(
            application=stored.key.application, api=stored.key.api, outcomes=(Outcome.RUNNING,), limit=_MOST_RUNNING
        )
        running = await self._store.runs(query)
        return next((one for one in running if one.owner != self._owner and one.id != run.id), None)
