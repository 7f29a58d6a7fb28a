"""What is old enough goes from the file, in transactions so small that no claim waits long.

Forbidden here: deciding what is old enough.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from reconciler.adapters.sqlite.connection import Work
from reconciler.adapters.sqlite.rows import stamp
from reconciler.core.model import Outcome, Retention
from reconciler.core.retention import FAILURES, FOLLOWING, OTHERS, Aged, Needed, aged, keep_per_job

_Rows = list[tuple[str, ...]]
Read = Callable[[Work[_Rows]], Awaitable[_Rows]]
Write = Callable[[Work[object]], Awaitable[object]]

_BATCH = 500  # rows removed in one transaction
_LOOKED_AT = 200  # crowded jobs whose runs one question looks for

_NOT_THE_NEWEST = "EXISTS (SELECT 1 FROM runs AS newer WHERE newer.job = runs.job AND newer.id > runs.id)"
_CROWDED = "SELECT job, count(*) FROM runs GROUP BY job HAVING count(*) > ?"
_NOT_NEEDED = f"id < ? AND NOT (id >= ? AND cause IN ({', '.join('?' * len(FOLLOWING))}))"
_OTHERS = (
    "DELETE FROM tokens WHERE at < ?1",
    "DELETE FROM processes WHERE seen_at < ?1",
    "DELETE FROM credentials WHERE obtained_at < ?1",
)
_HELD = (
    "DELETE FROM pauses WHERE ended_at < ?1 OR (ended_at IS NULL AND until < ?1)",
    """DELETE FROM eras WHERE begin < ?1 AND EXISTS
       (SELECT 1 FROM eras AS newer WHERE newer.job = eras.job AND newer.begin > eras.begin AND newer.begin < ?1)""",
)


async def expire_runs(
    read: Read,
    write: Write,
    *,
    now: datetime,
    retention: Retention,
    applications: Mapping[str, Retention],
    needed: Needed,
) -> int:
    """Remove ended runs that are too old or too many; returns how many.

    The newest of each job stays, and what is needed.
    """
    gone = 0
    for old in aged(now, retention, applications):
        statement, values = _aged(old, needed)
        gone += await _remove(write, await read(_asking(statement, values)))
    least = min(each.keep_per_job for each in (retention, *applications.values()))
    crowded = await read(_asking(_CROWDED, (max(1, least),)))
    surplus = [(job, int(count) - keep_per_job(job, retention, applications)) for job, count in crowded]
    for start in range(0, len(surplus), _LOOKED_AT):
        some = surplus[start : start + _LOOKED_AT]
        gone += await _remove(write, await read(partial(_surplus, crowded=some, needed=needed)))
    return gone


def _asking(statement: str, values: Sequence[object]) -> Work[_Rows]:
    return lambda connection: connection.execute(statement, values).fetchall()


def _aged(old: Aged, needed: Needed) -> tuple[str, list[object]]:
    one_of = f"outcome IN ({_marks(old.outcomes)})"
    whose = f"application NOT IN ({_marks(old.others)})" if old.application is None else "application = ?"
    names = old.others if old.application is None else (old.application,)
    statement = f"""SELECT id FROM runs WHERE {one_of} AND id < ? AND {whose}
                    AND {_NOT_THE_NEWEST} AND {_NOT_NEEDED}"""  # noqa: S608 - our own words
    return statement, [*_values(old.outcomes), old.below, *names, *_needed(needed)]


def _surplus(connection: sqlite3.Connection, crowded: Sequence[tuple[str, int]], needed: Needed) -> _Rows:
    """The oldest runs of these jobs, as many as are too many: first those that did not fail."""
    surplus: _Rows = []
    for job, too_many in crowded:
        left = too_many
        for outcomes in (OTHERS, FAILURES):
            statement = f"""SELECT id FROM runs WHERE job = ? AND +outcome IN ({_marks(outcomes)})
                            AND {_NOT_THE_NEWEST} AND {_NOT_NEEDED} ORDER BY id LIMIT ?"""  # noqa: S608 - our own words
            found = connection.execute(statement, (job, *_values(outcomes), *_needed(needed), max(0, left))).fetchall()
            left -= len(found)
            surplus += found
    return surplus


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _values(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.value for outcome in outcomes]


def _needed(needed: Needed) -> list[str]:
    return [needed.from_id, needed.following_from_id, *(cause.value for cause in FOLLOWING)]


async def _remove(write: Write, ids: _Rows) -> int:
    for start in range(0, len(ids), _BATCH):
        await write(partial(_delete, ids=ids[start : start + _BATCH]))
    return len(ids)


def _delete(connection: sqlite3.Connection, ids: _Rows) -> None:
    connection.executemany("DELETE FROM runs WHERE id = ?", ids)


async def expire_others(write: Write, before: datetime, needed: Needed) -> None:
    """Remove tokens, processes, credentials, pauses that are over and eras that another one has followed."""
    for statements, bound in ((_OTHERS, before), (_HELD, needed.before(before))):
        for statement in statements:
            await write(_asking(statement, (stamp(bound),)))
