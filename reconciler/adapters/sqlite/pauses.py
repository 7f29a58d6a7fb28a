"""Pauses: what an operator has stopped for a time. Forbidden here: deciding what a pause stops."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from reconciler.adapters.sqlite.connected import Connected
from reconciler.adapters.sqlite.rows import row, stamp, still_said
from reconciler.core import records
from reconciler.core.model import Pause
from reconciler.ports import OnDamaged


class Pauses(Connected):
    """Pauses, also those of which only a part can still be read."""

    async def pause(self, pause: Pause) -> None:
        """Write a pause whole, on the disk when this returns: an operator relies on it."""
        ended = None if pause.ended_at is None else stamp(pause.ended_at)
        values = row(records.encode_pause(pause)) | {"target": pause.target, "until": stamp(pause.until)}
        sql = "INSERT OR REPLACE INTO pauses VALUES (:_id, :target, :until, :ended_at, :document)"
        await self._write_durably(lambda connection: connection.execute(sql, values | {"ended_at": ended}))

    async def pauses(
        self, *, ending_after: datetime | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[Pause]:
        """The pauses, newest first; those still open at an instant where one is given.

        Of one that cannot be read, which is told to ``damaged``, the columns still say what is paused and until when.
        """
        condition = "true" if ending_after is None else "ended_at IS NULL AND until > ?"
        sql = f"SELECT id, document FROM pauses WHERE {condition} ORDER BY id DESC"  # noqa: S608 - our own words
        values = () if ending_after is None else (stamp(ending_after),)
        unread: list[str] = []

        def tell(name: str, why: str) -> None:
            unread.append(name)
            if damaged is not None:
                damaged(name, why)

        found = await self._find(records.decode_pause, sql, values, damaged=damaged and tell)
        salvaged = await self._read(lambda c: [pause for name in unread for pause in _salvaged(c, name)])
        return sorted([*found, *salvaged], key=lambda pause: pause.id, reverse=True)


def _salvaged(connection: sqlite3.Connection, name: str) -> list[Pause]:
    """A damaged pause, from what is left of it."""
    sql = "SELECT id, document, target, until, ended_at FROM pauses WHERE id = ?"
    found = []
    for _, document, target, until, ended_at in connection.execute(sql, (name,)):
        application, slash, api = target.partition("/")
        said = still_said(
            name, document, application=application, api=api if slash else None, until=until, endedAt=ended_at
        )
        found.append(records.salvaged_pause(said))
    return [pause for pause in found if pause is not None]
