"""Processes: who leads, and who has shown life. Forbidden here: the rules of who should lead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from reconciler.adapters.sqlite import leading
from reconciler.adapters.sqlite.connected import Connected
from reconciler.adapters.sqlite.rows import row, stamp
from reconciler.core import records
from reconciler.core.model import Lease, Process


class Processes(Connected):
    """The lease, and the processes' signs of life."""

    async def lease(self) -> Lease | None:
        """Who leads; ``None`` where nobody ever has."""
        return await self._read(leading.read)

    async def lead(self, process_id: str, span: timedelta, accounted_until: datetime) -> Lease:
        """Take the lease or renew it, in one transaction; it is ours if its ``holder`` says so."""
        return await self._write(lambda c: leading.lead(c, process_id, span, accounted_until))

    async def resign(self, process_id: str, accounted_until: datetime) -> None:
        """Give the lease up, if it is ours, so that another process can take it at once."""
        await self._write(lambda c: leading.resign(c, process_id, accounted_until))

    async def nudge(self) -> None:
        """Ask whoever leads to read the source soon."""
        await self._write(leading.nudge)

    async def beat(self, process: Process) -> None:
        """Write a process's sign of life."""
        values = row(records.encode_process(process)) | {"seen_at": stamp(process.seen_at)}
        sql = "INSERT OR REPLACE INTO processes VALUES (:_id, :seen_at, :document)"
        await self._write(lambda connection: connection.execute(sql, values))

    async def processes(self) -> Sequence[Process]:
        """The processes that have shown life, newest first."""
        sql = "SELECT id, document FROM processes ORDER BY seen_at DESC, id DESC"
        return await self._find(records.decode_process, sql)

    async def farewell(self, process_id: str) -> None:
        """Forget a process that ends in good order."""
        await self._write(lambda connection: connection.execute("DELETE FROM processes WHERE id = ?", (process_id,)))
