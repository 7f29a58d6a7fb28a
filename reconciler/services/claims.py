"""Claims on their way to the store: nothing is sent before its claim is won.

A claim is safe to repeat. Those that were sent without an answer are repeated until the store has decided; the others
are handed back where the store is away or this process leads no more, to be found again as owed slots. Where nobody
finds them again they wait, until the run may start no more; then the slot is written as missed.
Forbidden here: what follows from a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from reconciler.core.arrears import expired, overtaken
from reconciler.core.model import Cause, Outcome, Run
from reconciler.core.runs import ended
from reconciler.errors import DeposedError, StoreUnavailableError
from reconciler.ports import Clock, Store
from reconciler.services.attempts import STOPPED, Underway
from reconciler.services.batches import Batches
from reconciler.services.names import Renaming
from schemas.base import format_duration

_RETRIES_OF_ONE = (timedelta(milliseconds=100), timedelta(milliseconds=200))

HandBack = Callable[[Sequence[Underway]], None]


class Claims:
    """Claims runs, in batches or one at once.

    Args:
        store: where they go.
        clock: the time, and the pauses.
        won: told of each run that is ours.
        lost: told of each run that another process has claimed.
        refused: told of each run whose claim the store does not take, and why.
        deposed: told of each run that may stand in the store as ours, though another process leads by now.
        named: a run under the name that its job has now.
        renaming: keeps that name as it is while a claim is written.
        term: under which this process leads at this very moment, ``None`` where it does not.
        hand_back: told of runs that were never sent and will not be; ``None`` where nobody would find them again.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        store: Store,
        clock: Clock,
        *,
        won: Callable[[Underway], None],
        lost: Callable[[Underway], None],
        refused: Callable[[Underway, Exception], None],
        deposed: Callable[[Underway], None],
        named: Callable[[Run], Run] = lambda run: run,
        renaming: Renaming | None = None,
        term: Callable[[], int | None] = lambda: 0,
        hand_back: HandBack | None = None,
    ) -> None:
        self._store = store
        self._named = named
        self._renaming = renaming or Renaming()
        self._clock = clock
        self._won = won
        self._lost = lost
        self._refused = refused
        self._deposed = deposed
        self._term = term
        self._hand_back = hand_back
        # A small first batch lets calls begin while the other claims are still being written.
        self._batches = Batches[Underway](clock, self._write, self._refuse, first=64)
        self.closing = False
        self.away = False  # the last batch had no answer

    def __iter__(self) -> Iterator[Underway]:
        """Every run whose claim is not decided."""
        return (underway for underway in self._batches if not underway.ended)

    def extend(self, underway: Iterable[Underway]) -> None:
        """Claim these runs soon; one that has ended already (skipped, missed) is recorded by its claim."""
        self._batches.extend(underway)

    async def room(self) -> None:
        """Wait until no more than some thousands wait."""
        await self._batches.room()

    async def settled(self) -> None:
        """Wait until every claim is decided."""
        await self._batches.settled()

    def stop(self) -> int:
        """Claim no more; returns how many were not decided."""
        return self._batches.stop()

    async def now(self, underway: Underway) -> bool:
        """Claim one run for somebody who waits; says whether it is ours.

        Raises:
            StoreUnavailableError: the store did not answer, tried a few times; the claim may stand there.
        """
        for pause in _RETRIES_OF_ONE:
            try:
                return await self._claim_one(underway)
            except StoreUnavailableError:
                underway.doubtful = True
                await self._clock.sleep(pause)
        return await self._claim_one(underway)

    async def _claim_one(self, underway: Underway) -> bool:
        async with self._renaming.claiming():
            return underway.run.id in await self._store.claim([self._named(underway.run)])

    async def _write(self, batch: Sequence[Underway]) -> None:
        async with self._renaming.claiming():
            await self._write_named(batch)

    async def _write_named(self, batch: Sequence[Underway]) -> None:
        batch = self._sorted_out(batch)
        if not batch:
            self.away = False
            return
        term = batch[0].run.term
        try:
            won = await self._send([self._named(underway.run) for underway in batch], term)
            self._make_sure(batch, term)
        except DeposedError:
            self._leave_to_successor(batch)
            return
        except BaseException as error:
            for underway in batch:
                underway.doubtful = True
            if isinstance(error, StoreUnavailableError):
                self.away = True
                self._withdraw()
            raise
        self.away = False
        for underway in batch:
            (self._won if underway.run.id in won else self._lost)(underway)

    async def _send(self, runs: Sequence[Run], term: int) -> frozenset[str]:
        return await (self._store.claim(runs, term=term) if term else self._store.claim(runs))

    def _make_sure(self, batch: Sequence[Underway], term: int) -> None:
        """Nothing may be sent until it is known again that we lead; asked again, the store tells who was deposed."""
        if term and self._term() != term and any(one.run.outcome is Outcome.RUNNING for one in batch):
            raise StoreUnavailableError("whether this process still leads is not known")

    def _sorted_out(self, batch: Sequence[Underway]) -> Sequence[Underway]:
        """What of a batch is still to be claimed, and how; all of it under one term."""
        term = self._term()
        claimed: list[Underway] = []
        handed_back: list[Underway] = []
        for underway in batch:
            if underway.ended:
                continue
            if not underway.doubtful and (underway.run.term != term or (self.closing and self._hand_back is not None)):
                handed_back.append(underway)
            elif underway.doubtful and term is not None and underway.run.term != term:
                self._leave_to_successor([underway])
            else:
                self._give_up(underway)
                claimed.append(underway)
        self._return(handed_back)
        return claimed

    def _leave_to_successor(self, batch: Sequence[Underway]) -> None:
        """Another process leads: the slots are its own, but what may stand there as ours must not stay open.

        It may also after a first try: the other one may have taken over while that was being written.
        """
        self.away = False
        for underway in batch:
            underway.ended = True
            self._deposed(underway)

    def _withdraw(self) -> None:
        """Hand back what waits behind a batch without an answer: nothing may queue up without bound meanwhile."""
        if self._hand_back is not None:
            self._return(self._batches.withdraw(lambda one: one.run.cause is Cause.SCHEDULE))

    def _return(self, underway: Sequence[Underway]) -> None:
        for one in underway:
            one.ended = True
            self._lost(one)
        if underway and self._hand_back is not None:
            self._hand_back(underway)

    def _refuse(self, underway: Underway, error: Exception) -> None:
        self.away = False
        self._refused(underway, error)

    def _give_up(self, underway: Underway) -> None:
        """Write a run as missed where it may start no more."""
        now = self._clock.now()
        if underway.run.outcome is not Outcome.RUNNING:
            return
        if self.closing:
            underway.run = ended(underway.run, Outcome.MISSED, STOPPED, now)
        elif now > underway.expires:
            underway.run = ended(underway.run, Outcome.MISSED, self._too_late(underway, now), now)
        elif self._was_held_up(underway) and (reason := overtaken(underway.job, underway.due, now)):
            underway.run = ended(underway.run, Outcome.MISSED, reason, now)

    @staticmethod
    def _too_late(underway: Underway, now: datetime) -> str:
        if underway.is_late:  # the store is not to blame for most of it
            return expired(underway.job, now - underway.due)
        deadline = format_duration(underway.job.starting_deadline)
        return f"the store was away for longer than the starting deadline of {deadline}"

    def _was_held_up(self, underway: Underway) -> bool:
        """Whether it came at its slot and was not claimed; what is caught up has been judged before."""
        came = underway.doubtful and not underway.is_late and underway.run.cause is Cause.SCHEDULE
        return came and self._hand_back is not None
