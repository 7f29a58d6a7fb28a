"""Who leads: keeping the lease, or standing by until it can be taken.

The holder counts from the sending of a renewal, on a clock that nobody can set and that goes on while the machine is
suspended, so that it stops before the store lets another process take over, whatever it did not notice meanwhile
(Gray and Cheriton, "Leases", 1989; the wait for the answer is what makes the holder's view the shorter one).
Forbidden here: what a leader does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from reconciler.core.model import Lease
from reconciler.errors import StoreError, StoreUnavailableError
from reconciler.ports import Clock, Store

LOOK = timedelta(milliseconds=300)  # how often a standby looks; with it a lease that was given up is taken in time
_RENEWALS = 5  # in one span
_GIVE_UP = 3  # of these without an answer

log = logging.getLogger(__name__)


class Leadership:
    """One process's part in the lead of a store.

    Args:
        store: where the lease is.
        clock: the steady time, and the waiting.
        process_id: who we are.
        span: how long the lease lasts from a renewal.
        accounted_until: up to which slot everything has its record; asked while we lead.
        on_lead: told each time when we lead from now on, though we did not a moment ago; with the lease as it stands.
            Its ``accounted_until`` is from where on slots may lack their record.
        on_lost: told when we lead no more.
        on_nudge: told when another process asks us, the leader, to read the source soon.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        *,
        store: Store,
        clock: Clock,
        process_id: str,
        span: timedelta,
        accounted_until: Callable[[], datetime],
        on_lead: Callable[[Lease], None] = lambda _lease: None,
        on_lost: Callable[[str], None] = lambda _reason: None,
        on_nudge: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._id = process_id
        self._span = span
        self._accounted_until = accounted_until
        self._on_lead = on_lead
        self._on_lost = on_lost
        self._on_nudge = on_nudge
        self._held_until = timedelta.min  # by the steady clock
        self._leading = False  # as was told last
        self._resigned = False
        self._away_since: datetime | None = None
        self.lease: Lease | None = None

    @property
    def term(self) -> int | None:
        """The term under which this process leads at this very moment; ``None`` where it does not, or cannot know."""
        if self.lease is None or self._resigned or self._clock.steady() >= self._held_until:
            return None
        return self.lease.term

    @property
    def away_since(self) -> datetime | None:
        """Since when the store does not answer, as far as this process has noticed; ``None`` while it does."""
        return self._away_since

    async def keep(self) -> None:
        """Renew, or look whether the lease can be taken, for as long as the process lives; never ends by itself."""
        while True:
            await self.step()
            await self._clock.sleep(self._pause())

    def _pause(self) -> timedelta:
        if self._is_ours(self.lease):
            return min(self._span / _RENEWALS, LOOK) if self._away_since is not None else self._span / _RENEWALS
        return min(LOOK, self._span / _RENEWALS)

    async def step(self) -> None:
        """Renew or try once."""
        if self._resigned:
            return
        self._notice_the_end()
        began = self._clock.now()
        try:
            await self._renew_or_take()
            self._away_since = None
        except StoreError as error:
            if self._away_since is None:
                log.warning("the lease cannot be looked at: %s", error)
            self._away_since = (self._away_since or began) if isinstance(error, StoreUnavailableError) else None
            self._notice_the_end()
        except Exception:
            log.exception("a bug in leading")

    async def _renew_or_take(self) -> None:
        if not self._leading:
            self.lease = await self._store.lease()
            if self.lease is not None and not self._is_ours(self.lease) and not _is_free(self.lease):
                return
        sent = self._clock.steady()
        self._note(await self._store.lead(self._id, self._span, self._mark()), sent)

    def _mark(self) -> datetime:
        """Where we do not lead it stays as the last leader left it, however often the answer is lost."""
        if self._leading:
            return self._accounted_until()
        return self._clock.now() if self.lease is None else self.lease.accounted_until

    def _note(self, lease: Lease, sent: timedelta) -> None:
        if self._resigned:
            return
        before, self.lease = self.lease, lease
        if not self._is_ours(lease):
            self._held_until = timedelta.min
            self._end(f"process {lease.holder} leads")
            return
        self._held_until = sent + self._span * _GIVE_UP / _RENEWALS
        if self._leading and before is not None and before.term != lease.term:
            self._end("another process has led in between")
        if not self._leading and self.term is not None:
            self._leading = True
            self._on_lead(lease)
        elif before is not None and lease.nudges != before.nudges:
            self._on_nudge()

    def _notice_the_end(self) -> None:
        if self._leading and self.term is None:
            self._end(f"no renewal was answered within {(self._span * _GIVE_UP / _RENEWALS).total_seconds():g} s")

    def _end(self, reason: str) -> None:
        if self._leading:
            self._leading = False
            self._on_lost(reason)

    def _is_ours(self, lease: Lease | None) -> bool:
        return lease is not None and lease.holder == self._id

    async def resign(self) -> None:
        """Give the lease up, and take it no more. A store that is away lets it expire. May be called twice."""
        if self._resigned:
            return
        was_ours, mark = self._is_ours(self.lease), self._mark()
        self._resigned, self._leading = True, False
        if was_ours:
            try:
                await self._store.resign(self._id, mark)
            except StoreError as error:
                log.warning("the lease is left to expire: %s", error)


def _is_free(lease: Lease) -> bool:
    return lease.expired or not lease.holder
