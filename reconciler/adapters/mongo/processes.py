"""Processes: who leads, and who has shown life. Forbidden here: the rules of who should lead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import DeleteOne, ReturnDocument
from pymongo.errors import DuplicateKeyError

from reconciler.adapters.mongo import leading
from reconciler.adapters.mongo.applying import replacement
from reconciler.adapters.mongo.connected import Connected
from reconciler.core import records
from reconciler.core.model import Lease, Process
from reconciler.errors import StoreUnavailableError

_RACES = 3  # tries of what fails only where another process does the same at once


class Processes(Connected):
    """The lease, and the processes' signs of life."""

    async def lease(self) -> Lease | None:
        """Who leads; ``None`` where nobody ever has."""
        with self._translated():
            found = await (await self._collection("leases").aggregate(leading.READING)).to_list()
        return records.decode_lease(found[0]) if found else None

    async def lead(self, process_id: str, span: timedelta, accounted_until: datetime) -> Lease:
        """Take the lease or renew it, in one command; it is ours if its ``holder`` says so.

        A command that comes twice, because its answer was lost, finds the lease as it has left it.
        """
        change, collection = leading.taking(process_id, span, accounted_until), self._collection("leases")
        with self._translated():
            for _ in range(_RACES):
                try:
                    lease = await collection.find_one_and_update(
                        leading.THE_LEASE, change, upsert=True, return_document=ReturnDocument.AFTER
                    )
                except DuplicateKeyError:  # two made the first lease at once, and the other one was faster
                    continue
                return records.decode_lease(lease or {})
        raise StoreUnavailableError(f"{self._address.place}: the lease cannot be written now")

    async def resign(self, process_id: str, accounted_until: datetime) -> None:
        """Give the lease up, if it is ours, so that another process can take it at once."""
        ours = {**leading.THE_LEASE, "holder": process_id}
        with self._translated():
            await self._collection("leases").update_one(ours, leading.resigning(accounted_until))

    async def nudge(self) -> None:
        """Ask whoever leads to read the source soon."""
        with self._translated():
            await self._collection("leases").update_one(leading.THE_LEASE, leading.NUDGING)

    async def beat(self, process: Process) -> None:
        """Write a process's sign of life."""
        await self._bulk("processes", [replacement(records.encode_process(process))])

    async def processes(self) -> Sequence[Process]:
        """The processes that have shown life, newest first."""
        order = [("seenAt", -1), ("_id", -1)]
        return await self._find("processes", {}, records.decode_process, sort=order)

    async def farewell(self, process_id: str) -> None:
        """Forget a process that ends in good order."""
        await self._bulk("processes", [DeleteOne({"_id": process_id})])
