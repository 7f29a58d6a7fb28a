"""Claims on their way to the store: nothing is sent before its claim is won.

A claim is safe to repeat, so that a store that is away is asked again until the run may start no more; then the slot is
written as missed. Forbidden here: what follows from a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from reconciler.core.model import Outcome, Run
from reconciler.core.runs import ended
from reconciler.errors import StoreUnavailableError
from reconciler.ports import Clock, Store
from reconciler.services.attempts import STOPPED, Underway
from reconciler.services.batches import Batches
from schemas.base import format_duration

_RETRIES_OF_ONE = (timedelta(milliseconds=100), timedelta(milliseconds=200))


class Claims:
    """Claims runs, in batches or one at once.

    Args:
        store: where they go.
        clock: the time, and the pauses.
        won: told of each run that is ours.
        lost: told of each run that another process has claimed.
        refused: told of each run whose claim the store does not take, and why.
        named: a run under the name that its job has now.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        won: Callable[[Underway], None],
        lost: Callable[[Underway], None],
        refused: Callable[[Underway, Exception], None],
        named: Callable[[Run], Run] = lambda run: run,
    ) -> None:
        self._store = store
        self._named = named
        self._clock = clock
        self._won = won
        self._lost = lost
        # A small first batch lets calls begin while the other claims are still being written.
        self._batches = Batches[Underway](clock, self._write, refused, first=64)
        self.closing = False

    def extend(self, underway: Iterable[Underway]) -> None:
        """Claim these runs soon; one that has ended already (skipped, missed) is recorded by its claim."""
        self._batches.extend(underway)

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
        return underway.run.id in await self._store.claim([self._named(underway.run)])

    async def _write(self, batch: Sequence[Underway]) -> None:
        for underway in batch:
            self._give_up(underway)
        try:
            won = await self._store.claim([self._named(underway.run) for underway in batch])
        except BaseException:
            for underway in batch:
                underway.doubtful = True
            raise
        for underway in batch:
            (self._won if underway.run.id in won else self._lost)(underway)

    def _give_up(self, underway: Underway) -> None:
        """Write a run as missed where it may start no more."""
        now = self._clock.now()
        if underway.run.outcome is not Outcome.RUNNING:
            return
        if self.closing:
            underway.run = ended(underway.run, Outcome.MISSED, STOPPED, now)
        elif now > underway.expires:
            deadline = format_duration(underway.job.starting_deadline)
            reason = f"the store was away for longer than the starting deadline of {deadline}"
            underway.run = ended(underway.run, Outcome.MISSED, reason, now)
