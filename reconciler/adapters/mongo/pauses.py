"""Pauses: what an operator has stopped for a time. Forbidden here: deciding what a pause stops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reconciler.adapters.mongo.applying import UNTELLABLE, replacement
from reconciler.adapters.mongo.connected import Connected
from reconciler.core import records
from reconciler.core.fields import Document
from reconciler.core.model import Pause
from reconciler.errors import StoreError
from reconciler.ports import OnDamaged


class Pauses(Connected):
    """Pauses, also those of which only a part can still be read."""

    async def pause(self, pause: Pause) -> None:
        """Write a pause whole."""
        await self._bulk("pauses", [replacement(records.encode_pause(pause))])

    async def pauses(
        self, *, ending_after: datetime | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[Pause]:
        """The pauses, newest first; those still open at an instant where one is given.

        One that cannot be read, which is told to ``damaged``, may still say what is paused.
        """
        condition: Document = {} if ending_after is None else {"endedAt": None, "until": {"$gt": ending_after}}
        if damaged is not None and ending_after is not None:  # also those of which it cannot be told
            condition = {"$or": [condition, *UNTELLABLE]}
        salvaged: list[Pause | None] = []

        def decode(document: Document) -> Pause:
            try:
                return records.decode_pause(document)
            except StoreError:
                salvaged.append(records.salvaged_pause(document))
                raise

        found = await self._find("pauses", condition, decode, damaged=damaged)
        still = (pause for pause in salvaged if pause is not None and _is_open(pause, ending_after))
        return sorted([*found, *still], key=lambda pause: pause.id, reverse=True)


def _is_open(pause: Pause, now: datetime | None) -> bool:
    return now is None or (pause.ended_at is None and pause.until > now)
