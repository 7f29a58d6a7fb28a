"""A connection to the file, with the one thread that may use it, and SQLite's complaints in words for people.

Forbidden here: what the file holds.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from reconciler.errors import StoreError, StoreUnavailableError

MAY_NOT_WRITE = "may not be written; give permission for the file and its folder"

_Result = TypeVar("_Result")
Work = Callable[[sqlite3.Connection], _Result]


class Lane:
    """One connection and the one thread that uses it; work is done in the order in which it comes."""

    def __init__(self, path: Path, patience: float, *, writes: bool = True) -> None:
        self._path = path
        self._writes = writes
        # An absolute path: ":memory:" is a file like others, and a later change of folder does no harm.
        self._place = path.absolute()
        self._patience = patience
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    async def run(self, work: Work[_Result]) -> _Result:
        """Do ``work`` on the connection, which is made by the first one."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    def _do(self, work: Work[_Result]) -> _Result:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._must_be_the_same()
            return work(self._connection)
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error
        except (OverflowError, ValueError) as error:
            raise StoreError(f"{self._path}: cannot hold this: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        if not self._writes:
            place = _to_read(self._place)
            return sqlite3.connect(place, uri=True, timeout=self._patience, isolation_level=None)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self._path}: its folder cannot be made: {error.strerror}") from error
        return sqlite3.connect(self._place, timeout=self._patience, isolation_level=None)

    def _must_be_the_same(self) -> None:
        """SQLite writes on into a file that was removed or replaced, where nobody will ever read it.

        Raises:
            StoreUnavailableError: the file at the path is not the one that this connection has.
        """
        try:
            info = self._place.stat()
        except OSError:
            found = None
        else:
            found = (info.st_dev, info.st_ino)
        if self._file is None:
            self._file = found  # none before the first write: SQLite makes the file late
        elif self._file != found:
            became = "replaced" if found else "removed"
            raise StoreUnavailableError(f"{self._path}: the file was {became} while in use; put it back, or restart")

    async def close(self) -> None:
        """Finish what is under way, then let go."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()


def may_write(path: Path) -> bool:
    """Whether the file may be written where it is there, and others made beside it: the log, and what readers share."""
    return _may(path.parent, os.W_OK | os.X_OK) and (not path.exists() or _may(path, os.R_OK | os.W_OK))


def may_make(path: Path) -> bool:
    """Whether a file that is not there may be made, with the folders that it needs."""
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    return nearest.is_dir() and _may(nearest, os.W_OK | os.X_OK)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _to_read(place: Path) -> str:
    """How to open a file that may not be written (https://sqlite.org/wal.html#readonly).

    Where there is no log, nobody writes, and nothing beside the file is needed to read it.
    """
    is_still = not place.with_name(f"{place.name}-wal").exists() and not _may(place.parent, os.W_OK | os.X_OK)
    return f"{place.as_uri()}?mode=ro{'&immutable=1' if is_still else ''}"


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the lock is taken at once, so that nothing fails halfway because another process writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise


def use_write_ahead_log(connection: sqlite3.Connection, patience: float) -> None:
    """Let readers and a writer work side by side; where another process does the same, SQLite itself does not wait."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _translated(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's result codes (https://sqlite.org/rescode.html) in words for people."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    passing = {
        sqlite3.SQLITE_BUSY: "another process holds its lock",
        sqlite3.SQLITE_LOCKED: "another process holds its lock",
        sqlite3.SQLITE_FULL: "the disk is full",
        sqlite3.SQLITE_IOERR: f"the disk failed ({error})",
    }
    lasting = {
        sqlite3.SQLITE_NOTADB: "is not a SQLite database; choose another path",
        sqlite3.SQLITE_CORRUPT: f"is damaged ({error}); restore it from a backup, or move it away",
        sqlite3.SQLITE_READONLY: MAY_NOT_WRITE,
        sqlite3.SQLITE_CANTOPEN: _why_not_opened(path),
    }
    if code in passing:
        return StoreUnavailableError(f"{path}: {passing[code]}")
    return StoreError(f"{path}: {lasting.get(code, str(error))}")


def _why_not_opened(path: Path) -> str:
    if path.is_dir():
        return "is a folder; name a file in it"
    if not may_write(path):
        return "may not be opened; give permission for the file and its folder"
    return "cannot be opened"
