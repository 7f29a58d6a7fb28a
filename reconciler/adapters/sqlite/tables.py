"""What the file holds: its tables, its schema's version, and whose file it is. Forbidden here: the records in it."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

from reconciler.adapters.sqlite.connection import transaction, use_write_ahead_log
from reconciler.core.records import SCHEMA_VERSION
from reconciler.errors import StoreError

_APPLICATION_ID = 0x5245434F  # "RECO": says in the file's header whose it is (https://sqlite.org/fileformat.html)

_OLDEST = (3, 33)  # UPDATE … FROM; Debian 11 and Ubuntu 22.04 have newer ones

# What each version of the schema has added; a file of an older version is given what it lacks, and keeps what it has.
_VERSIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, document TEXT NOT NULL)",
        "CREATE TABLE applications (id TEXT PRIMARY KEY, document TEXT NOT NULL)",
        """CREATE TABLE runs (id TEXT PRIMARY KEY, job TEXT NOT NULL, application TEXT NOT NULL, api TEXT NOT NULL,
               slot TEXT NOT NULL, hour TEXT NOT NULL, cause TEXT NOT NULL, outcome TEXT NOT NULL, owner TEXT NOT NULL,
               claimed_at TEXT NOT NULL, latency_ms INTEGER, document TEXT NOT NULL)""",
        "CREATE INDEX runs_by_job ON runs (job, id)",
        "CREATE INDEX runs_by_application ON runs (application, id)",
        "CREATE INDEX runs_by_outcome ON runs (outcome, id)",
        "CREATE TABLE syncs (id TEXT PRIMARY KEY, document TEXT NOT NULL)",
        "CREATE TABLE processes (id TEXT PRIMARY KEY, seen_at TEXT NOT NULL, document TEXT NOT NULL)",
        "CREATE TABLE tokens (id TEXT PRIMARY KEY, at TEXT NOT NULL, document TEXT NOT NULL)",
    ),
    (
        "CREATE TABLE windows (id TEXT PRIMARY KEY, document TEXT NOT NULL)",
        """CREATE TABLE pauses (id TEXT PRIMARY KEY, target TEXT NOT NULL, until TEXT NOT NULL, ended_at TEXT,
               document TEXT NOT NULL)""",
        "CREATE INDEX pauses_by_target ON pauses (target)",
        "CREATE INDEX pauses_by_end ON pauses (ended_at, until)",
    ),
    (
        "ALTER TABLE runs ADD COLUMN term INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE leases (id TEXT PRIMARY KEY, term INTEGER NOT NULL, boot TEXT NOT NULL,
               expires_ms INTEGER NOT NULL, span_ms INTEGER NOT NULL, document TEXT NOT NULL)""",
        "CREATE TABLE eras (id TEXT PRIMARY KEY, job TEXT NOT NULL, begin TEXT NOT NULL, document TEXT NOT NULL)",
        "CREATE INDEX eras_by_job ON eras (job, begin)",
        "CREATE TABLE access_tokens (id TEXT PRIMARY KEY, document TEXT NOT NULL)",
        "CREATE TABLE credentials (id TEXT PRIMARY KEY, obtained_at TEXT NOT NULL, document TEXT NOT NULL)",
    ),
    (
        """CREATE TABLE acts (id TEXT PRIMARY KEY, kind TEXT NOT NULL, application TEXT NOT NULL, api TEXT,
               document TEXT NOT NULL)""",
        "CREATE INDEX acts_by_kind ON acts (kind, id)",
        "CREATE INDEX acts_by_application ON acts (application, id)",
    ),
)


def prepare(connection: sqlite3.Connection, path: Path, patience: float) -> None:
    """Make the tables that a file lacks, fresh or of an older version; several processes may do so at once.

    Raises:
        StoreError: the file is another program's, or a newer reconciler's; or this Python's SQLite is too old.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.33 or newer is needed")
    # One moment's view: between two looks another process may make the tables, and seem to be another program.
    connection.execute("BEGIN")
    try:
        found = _schema(connection, path)
    finally:
        connection.execute("ROLLBACK")
    if found == SCHEMA_VERSION:
        return
    use_write_ahead_log(connection, patience)
    with transaction(connection):
        found = _schema(connection, path)  # another process may have been faster
        for statement in itertools.chain.from_iterable(_VERSIONS[found:]):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Look whether a file that may not be written can be read as it is.

    Raises:
        StoreError: the file is another program's, or another version's.
    """
    if _schema(connection, path) < SCHEMA_VERSION:
        raise StoreError(
            f"{path}: was written by an older reconciler, and brought up to date it must be written; "
            "give permission for the file and its folder once"
        )


def _schema(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the schema that the file holds; 0 for a fresh file.

    Raises:
        StoreError: the file is another program's, or a newer reconciler's.
    """
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    foreign = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] if owner == 0 else 0
    if owner not in (0, _APPLICATION_ID) or foreign:
        raise StoreError(f"{path}: holds another program's tables; choose another path")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: was written by a newer reconciler (schema {version}, this one knows {SCHEMA_VERSION}); "
            "upgrade this reconciler, or choose another path"
        )
    return version
