"""Acts in the file: kept, asked for, and removed when they are old. Forbidden here: deciding what is old enough."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from reconciler.adapters.sqlite import questions
from reconciler.adapters.sqlite.connected import Connected
from reconciler.adapters.sqlite.connection import Work
from reconciler.adapters.sqlite.rows import row
from reconciler.core.act_records import decode_act, encode_act
from reconciler.core.acts import KEPT_REFUSED, Act, ActKind, ActQuery
from reconciler.core.records import first_id
from reconciler.ports import OnDamaged

_BATCH = 500  # rows removed in one transaction

_INSERT = "INSERT INTO acts (id, document, kind, application, api) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_AGED = "DELETE FROM acts WHERE id IN (SELECT id FROM acts WHERE id < ? LIMIT ?)"
_SURPLUS = """DELETE FROM acts WHERE id IN (SELECT id FROM acts WHERE kind = ?1 AND id <= (SELECT id FROM acts
              WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2) LIMIT ?3)"""


class Acts(Connected):
    """What people and processes have done."""

    async def act(self, acts: Sequence[Act]) -> None:
        """Keep acts, on the disk when this returns; one that is there already stays."""
        if acts:
            await self._write_durably(lambda connection: _insert(connection, acts))

    async def acts(self, query: ActQuery, damaged: OnDamaged | None = None) -> Sequence[Act]:
        """The acts that match, newest first; those that cannot be read are told to ``damaged``."""
        condition, values = questions.for_acts(query)
        sql = f"SELECT id, document FROM acts WHERE {condition} ORDER BY id DESC LIMIT ?"  # noqa: S608 - the condition is made of our own words
        return await self._find(decode_act, sql, (*values, max(0, query.limit)), damaged=damaged)


def _insert(connection: sqlite3.Connection, acts: Sequence[Act]) -> None:
    """Add those that are not there yet."""
    rows = [(*row(encode_act(act)).values(), act.kind.value, act.application, act.api) for act in acts]
    connection.executemany(_INSERT, rows)


async def expire(write: Callable[[Work[int]], Awaitable[int]], before: datetime) -> None:
    """Remove acts that are too old, and of refused attempts those that are too many, in small transactions."""
    while await write(partial(_delete, _AGED, (first_id(before), _BATCH))) == _BATCH:
        pass
    surplus = (ActKind.REFUSED.value, KEPT_REFUSED, _BATCH)
    while await write(partial(_delete, _SURPLUS, surplus)) == _BATCH:
        pass


def _delete(statement: str, values: Sequence[object], connection: sqlite3.Connection) -> int:
    return connection.execute(statement, values).rowcount
