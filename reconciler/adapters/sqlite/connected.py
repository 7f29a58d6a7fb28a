"""The two connections to the file: opening, closing, and work on the one that writes or the one that reads.

Forbidden here: what the file holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from reconciler.adapters.sqlite.connection import MAY_NOT_WRITE, Lane, Work, may_write, transaction
from reconciler.adapters.sqlite.rows import decoded
from reconciler.adapters.sqlite.tables import check, prepare
from reconciler.core.fields import Document
from reconciler.errors import StoreError
from reconciler.ports import OnDamaged

_Result = TypeVar("_Result")


class Connected:
    """What the verbs of the store stand on. The file is made when it is missing, its folder too."""

    def __init__(
        self, path: Path | str, *, patience: timedelta = timedelta(seconds=5), reads_only: bool = False
    ) -> None:
        """Name the file, how long to wait for another process's lock, and whether only questions will be asked.

        These are also answered where the file or its folder may not be written.
        """
        self._path = Path(path)
        self._patience = patience.total_seconds()
        self._reads_only = reads_only
        self._writer: Lane | None = None
        self._reader: Lane | None = None

    async def open(self) -> None:
        """Open the file, make folder, file and tables where they are missing.

        Raises:
            StoreError: it cannot be used: no permission, not a database, another program's, a newer schema.
            StoreUnavailableError: it is locked.
        """
        if self._reader is not None:
            return
        try:
            await (self._open_to_read() if self._reads_only and not may_write(self._path) else self._open_to_write())
        except BaseException:
            await self.close()
            raise

    async def _open_to_write(self) -> None:
        self._writer = Lane(self._path, self._patience)
        await self._writer.run(lambda connection: prepare(connection, self._path, self._patience))
        await self._writer.run(lambda connection: connection.execute("PRAGMA synchronous = NORMAL"))
        self._reader = Lane(self._path, self._patience)
        await self._reader.run(lambda connection: connection.execute("PRAGMA query_only = ON"))

    async def _open_to_read(self) -> None:
        self._reader = Lane(self._path, self._patience, writes=False)
        await self._reader.run(lambda connection: check(connection, self._path))

    async def close(self) -> None:
        """Let go of the file; may be called twice."""
        lanes, self._reader, self._writer = (self._reader, self._writer), None, None
        for lane in lanes:
            if lane is not None:
                await lane.close()

    async def _write(self, work: Work[_Result]) -> _Result:
        def in_transaction(connection: sqlite3.Connection) -> _Result:
            with transaction(connection):
                return work(connection)

        return await self._open_lane(self._writer).run(in_transaction)

    async def _write_durably(self, work: Work[_Result]) -> _Result:
        """Write so that it stays through a power cut: SQLite syncs the log at the commit."""

        def synced(connection: sqlite3.Connection) -> _Result:
            connection.execute("PRAGMA synchronous = FULL")
            try:
                with transaction(connection):
                    return work(connection)
            finally:
                connection.execute("PRAGMA synchronous = NORMAL")

        return await self._open_lane(self._writer).run(synced)

    async def _read(self, work: Work[_Result]) -> _Result:
        return await self._open_lane(self._reader).run(work)

    async def _find(
        self,
        decode: Callable[[Document], _Result],
        sql: str,
        values: Sequence[object] | Mapping[str, object] = (),
        *,
        damaged: OnDamaged | None = None,
    ) -> list[_Result]:
        """Read records; those that cannot be read are told to ``damaged``."""
        unread: list[tuple[str, str]] = []
        tell = None if damaged is None else lambda name, why: unread.append((name, why))
        found = await self._read(lambda c: decoded(decode, c.execute(sql, values), tell))
        for name, why in unread:  # here, and not in the lane's thread
            if damaged is not None:
                damaged(name, why)
        return found

    async def _one(self, decode: Callable[[Document], _Result], sql: str, name: str) -> _Result | None:
        found = await self._find(decode, sql, (name,))
        return found[0] if found else None

    def _open_lane(self, lane: Lane | None) -> Lane:
        if lane is None:
            raise StoreError(f"{self._path}: {'the store is not open' if self._reader is None else MAY_NOT_WRITE}")
        return lane
