"""Acts in the file: inserted, asked for, and removed when they are old. Forbidden here: executing outside of a lane."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from reconciler.adapters.sqlite.connection import Work
from reconciler.adapters.sqlite.rows import row
from reconciler.core.act_records import encode_act
from reconciler.core.acts import KEPT_REFUSED, Act, ActKind, ActQuery
from reconciler.core.records import first_id

_BATCH = 500  # rows removed in one transaction

_INSERT = "INSERT INTO acts (id, document, kind, application, api) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_AGED = "DELETE FROM acts WHERE id IN (SELECT id FROM acts WHERE id < ? LIMIT ?)"
_SURPLUS = """DELETE FROM acts WHERE id IN (SELECT id FROM acts WHERE kind = ?1 AND id <= (SELECT id FROM acts
              WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2) LIMIT ?3)"""


def insert(connection: sqlite3.Connection, acts: Sequence[Act]) -> None:
    """Add those that are not there yet."""
    rows = [(*row(encode_act(act)).values(), act.kind.value, act.application, act.api) for act in acts]
    connection.executemany(_INSERT, rows)


def question(query: ActQuery) -> tuple[str, list[object]]:
    """The statement that answers a query, and its values. Ids begin with the instant, so they serve spans of time."""
    conditions: list[tuple[str, list[object]]] = [("1", [])]
    if query.kinds:
        marks = ", ".join("?" * len(query.kinds))
        conditions.append((f"kind IN ({marks})", [kind.value for kind in query.kinds]))
    if query.application is not None:
        conditions.append(("application = ?", [query.application]))
        if query.api is not None:
            conditions.append(("(api IS NULL OR api = ?)", [query.api]))
    if query.since is not None:
        conditions.append(("id >= ?", [first_id(query.since)]))
    if query.until is not None:
        conditions.append(("id < ?", [first_id(query.until)]))
    if query.before is not None:
        conditions.append(("id < ?", [query.before]))
    condition = " AND ".join(text for text, _ in conditions)
    sql = f"SELECT id, document FROM acts WHERE {condition} ORDER BY id DESC LIMIT ?"  # noqa: S608 - our own words
    return sql, [*(value for _, values in conditions for value in values), max(0, query.limit)]


async def expire(write: Callable[[Work[int]], Awaitable[int]], before: datetime) -> None:
    """Remove acts that are too old, and of refused attempts those that are too many, in small transactions."""
    while await write(partial(_delete, _AGED, (first_id(before), _BATCH))) == _BATCH:
        pass
    surplus = (ActKind.REFUSED.value, KEPT_REFUSED, _BATCH)
    while await write(partial(_delete, _SURPLUS, surplus)) == _BATCH:
        pass


def _delete(statement: str, values: Sequence[object], connection: sqlite3.Connection) -> int:
    return connection.execute(statement, values).rowcount
