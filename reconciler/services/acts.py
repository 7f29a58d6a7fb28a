"""Keeps in the store who did what, as soon as the store will have it; what is being done never waits for that.

Forbidden here: deciding what anybody may do, and keeping a text from outside as it came.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Final

from reconciler.core.acts import UNKNOWN, Act, ActKind, act_id, plain
from reconciler.core.redaction import Redactor
from reconciler.core.refusals import Refusals
from reconciler.errors import StoreError, StoreUnavailableError
from reconciler.ports import Clock, Store

EVERY: Final = timedelta(seconds=1)
MOST_WAITING: Final = 1000  # acts, for as long as the store is away
_BATCH: Final = 200

log = logging.getLogger(__name__)


def _random() -> str:
    return uuid.uuid4().hex


async def keep(store: Store, acts: Iterable[Act], redactor: Redactor, nonce: Callable[[], str] = _random) -> None:
    """Keep what a command has done, which stands whether this can be or not."""
    shown = [plain(act, redactor) for act in acts]
    try:
        await store.act([replace(act, id=act_id(act.at, nonce())) for act in shown])
    except StoreError as error:
        log.warning("it is done, but cannot be kept for `reconciler acts`: %s", error)


class Acts:
    """A bounded buffer before the store; see ``ports.ActLog``. What does not fit is counted, and the count is kept.

    Args:
        store: where acts are kept.
        clock: the time, and the pauses between two writes.
        redactor: knows what must not be kept.
        tell: told of each act at once, refused attempts one by one.
        nonce: makes an id unlike any other.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        redactor: Redactor,
        *,
        tell: Callable[[Act], None] = lambda _act: None,
        nonce: Callable[[], str] = _random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._redactor = redactor
        self._tell = tell
        self._nonce = nonce
        self._waiting: deque[Act] = deque()
        self._refusals = Refusals()
        self._lost = 0
        self._is_away = False

    def note(self, act: Act, *, told: bool = False) -> None:
        """Tell an act, unless that was done, and keep it soon."""
        act = plain(act, self._redactor)
        if not told:
            self._tell(act)
        if act.kind is ActKind.REFUSED:
            self._refusals.add(act)
        elif len(self._waiting) < MOST_WAITING:
            self._add(act)
        else:
            self._lost += 1

    def _add(self, act: Act) -> None:
        self._waiting.append(replace(act, id=act_id(act.at, self._nonce())))

    async def keep(self) -> None:
        """Write what has come, over and over; never ends by itself."""
        while True:
            try:
                await self.write()
            except Exception:
                log.exception("a bug in keeping acts")
            await self._clock.sleep(EVERY)

    async def end(self) -> None:
        """Write what is left, if the store will have it."""
        await self.write(everything=True)

    async def write(self, *, everything: bool = False) -> bool:
        """Write what waits, and what refused attempts are due; whether nothing of it is left.

        Args:
            everything: also attempts of which something was told less than a minute ago.
        """
        while True:
            if not self._waiting:  # refused attempts are counted on while the store is away, and one act in the end
                self._gather(everything=everything)
            if not self._waiting:
                return True
            if not await self._write(list(islice(self._waiting, _BATCH))):
                return False
            if self._lost and not self._waiting:
                self._add(self._loss())

    def _gather(self, *, everything: bool) -> None:
        for act in self._refusals.due(self._clock.steady(), every=everything):
            self._add(plain(act, self._redactor))

    async def _write(self, batch: list[Act]) -> bool:
        """Whether the batch is dealt with. One that the store refuses for good would stop all that come after it."""
        try:
            await self._store.act(batch)
        except StoreUnavailableError as error:
            if not self._is_away:
                log.warning("what was done is kept when the store is back: %s", error)
            self._is_away = True
            return False
        except StoreError as error:
            log.warning("what was done cannot be kept: %s", error)
            self._lost += sum(act.count if act.kind is ActKind.LOST else 1 for act in batch)
            self._drop(batch)
            return False
        self._is_away = False
        self._drop(batch)
        return True

    def _drop(self, batch: Iterable[Act]) -> None:
        for _ in batch:
            self._waiting.popleft()

    def _loss(self) -> Act:
        lost, self._lost = self._lost, 0
        return Act(
            kind=ActKind.LOST,
            at=self._clock.now(),
            who=UNKNOWN,
            source=UNKNOWN,
            result="not kept",
            detail="they could not be written, and there were too many to wait; the log has them",
            count=lost,
        )
