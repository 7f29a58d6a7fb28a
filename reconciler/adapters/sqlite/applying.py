"""What ``apply`` writes to the tables, within somebody else's transaction. Forbidden here: beginning one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from reconciler.adapters.sqlite.rows import row, stamp
from reconciler.core import declared_records as declared
from reconciler.core.model import Era, JobKey, Writing
from reconciler.core.renames import carried_by, marked

# A document that somebody has broken by hand stays as it is; the column decides whose run it is.
_CARRY = """UPDATE {table} SET {columns},
            document = CASE WHEN json_valid(document) THEN json_set(document, {fields}) ELSE document END
            WHERE {found} = :old AND (:mark IS NULL OR NOT json_valid(document)
                                      OR json_extract(document, '$.carriedBy') IS NOT :mark)"""
_MARKED = "'$.application', :application, '$.api', :api, '$.carriedBy', :mark"
_UNMARKED = "'$.application', :application, '$.api', :api"


def _carrying(fields: str) -> tuple[str, ...]:
    """The statements for runs, eras and pauses."""
    with_job = f"'$.job', :new, {fields}"
    return (
        _CARRY.format(
            table="runs", columns="job = :new, application = :application, api = :api", fields=with_job, found="job"
        ),
        _CARRY.format(table="eras", columns="job = :new", fields=with_job, found="job"),
        _CARRY.format(table="pauses", columns="target = :new", fields=fields, found="target"),
    )


_STATEMENTS = {True: _carrying(_MARKED), False: _carrying(_UNMARKED)}


def write(connection: sqlite3.Connection, what: Writing) -> None:
    """Write all of it; runs are carried over first."""
    mark = carried_by(what.renamed, what.jobs)
    _carry_over(connection, what.renamed, mark)
    many = connection.executemany
    many("INSERT OR IGNORE INTO eras VALUES (:_id, :job, :begin, :document)", (_era(e, mark) for e in what.eras))
    many(_replacing("applications"), (row(declared.encode_application(state)) for state in what.applications))
    many(_replacing("windows"), (row(declared.encode_window(window)) for window in what.windows))
    many(_replacing("access_tokens"), (row(declared.encode_token(token)) for token in what.access_tokens))
    many(_replacing("jobs"), (row(declared.encode_job(stored)) for stored in what.jobs))
    _remove(connection, "jobs", what.removed_job_ids)
    _remove(connection, "windows", what.removed_windows)
    _remove(connection, "access_tokens", what.removed_access_tokens)
    _remove(connection, "applications", what.removed_applications)


def _carry_over(connection: sqlite3.Connection, renamed: Mapping[JobKey, JobKey], mark: str | None) -> None:
    pairs = [
        {"old": str(old), "new": str(new), "application": new.application, "api": new.api, "mark": mark}
        for old, new in renamed.items()
    ]
    for statement in _STATEMENTS[mark is not None]:
        connection.executemany(statement, pairs)


def _era(era: Era, mark: str | None) -> dict[str, str]:
    return row(marked(declared.encode_era(era), mark)) | {"job": str(era.key), "begin": stamp(era.begin)}


def _replacing(table: str) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES (:_id, :document)"  # noqa: S608 - our own words


def _remove(connection: sqlite3.Connection, table: str, names: Iterable[str]) -> None:
    connection.executemany(f"DELETE FROM {table} WHERE id = ?", ((name,) for name in names))  # noqa: S608 - as above
