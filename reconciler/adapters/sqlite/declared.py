"""What is declared, as it was last applied, and the reports of the syncs that did it.

Forbidden here: deciding what is written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cached_property

from reconciler.adapters.sqlite import applying, leading
from reconciler.adapters.sqlite.connected import Connected
from reconciler.adapters.sqlite.rows import document_of, row, slices, stamp
from reconciler.core import declared_records as declared
from reconciler.core import records
from reconciler.core.known_jobs import KnownJobs
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    Era,
    FreezeWindow,
    JobKey,
    StoredJob,
    SyncReport,
    Writing,
)
from reconciler.core.retention import KEPT_REPORTS
from reconciler.ports import OnDamaged

# One row for all of them, for the reason given in ``runs``; the lengths part the documents again.
_JOBS = """SELECT json_group_array(CAST(id AS TEXT)), json_group_array(length(CAST(document AS BLOB))),
           CAST(group_concat(document, '') AS BLOB) FROM jobs"""
# Until its job's next one begins an era holds.
_ERAS = """SELECT id, document FROM eras WHERE begin < :until
           AND (:jobs IS NULL OR job IN (SELECT value FROM json_each(:jobs)))
           AND (NOT :changed OR job IN (SELECT job FROM eras WHERE begin > :since AND begin < :until))
           AND NOT EXISTS (SELECT 1 FROM eras AS later
                           WHERE later.job = eras.job AND later.begin > eras.begin AND later.begin <= :since)"""


class Declared(Connected):
    """Jobs, Applications, eras, freeze windows, access tokens and sync reports."""

    @cached_property
    def _known(self) -> KnownJobs:
        return KnownJobs(document_of)

    async def jobs(self, damaged: OnDamaged | None = None) -> Sequence[StoredJob]:
        """Every job, ordered by key; those that cannot be read are told to ``damaged``."""
        reading = self._known.begin(tolerant=damaged is not None)

        def read(connection: sqlite3.Connection) -> list[StoredJob]:
            reading.add(slices(*connection.execute(_JOBS).fetchone()))
            return self._known.end(reading)

        found = await self._read(read)
        reading.tell(damaged)  # here, and not in the lane's thread
        return found

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""
        sql = "SELECT id, document FROM jobs WHERE id = ?"
        return await self._one(declared.decode_job, sql, str(key))

    async def applications(self, damaged: OnDamaged | None = None) -> Sequence[ApplicationState]:
        """Every Application, ordered by name; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM applications"
        found = await self._find(declared.decode_application, sql, damaged=damaged)
        return sorted(found, key=lambda state: state.name)

    async def apply(self, writing: Writing, *, term: int | None = None) -> None:
        """Carry runs over, write what is given whole, and remove the rest that is named, in one transaction.

        Raises:
            DeposedError: somebody has led after this term; nothing was written.
        """

        def write(connection: sqlite3.Connection) -> None:
            leading.must_lead(connection, term)
            applying.write(connection, writing)

        if writing:
            await self._write(write)

    async def eras(
        self,
        *,
        since: datetime,
        until: datetime,
        keys: Collection[JobKey] | None = None,
        changed: bool = False,
    ) -> Sequence[Era]:
        """The eras that hold anywhere in (since, until], by key and begin; of every job where no keys are given.

        With ``changed`` only those of jobs of which one has begun after ``since``.
        """
        jobs = None if keys is None else json.dumps([str(key) for key in keys])
        values = {"since": stamp(since), "until": stamp(until), "jobs": jobs, "changed": changed}
        found = await self._find(declared.decode_era, _ERAS, values)
        return sorted(found, key=lambda era: (era.key, era.begin)) if since < until else []

    async def windows(self, damaged: OnDamaged | None = None) -> Sequence[FreezeWindow]:
        """Every freeze window, ordered by name; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM windows ORDER BY id"
        return await self._find(declared.decode_window, sql, damaged=damaged)

    async def access_tokens(self, damaged: OnDamaged | None = None) -> Sequence[AccessToken]:
        """Every access token, ordered by name; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM access_tokens ORDER BY id"
        return await self._find(declared.decode_token, sql, damaged=damaged)

    async def record(self, report: SyncReport) -> None:
        """Keep a sync report, and the newest 1,000."""
        document = records.encode_report(report)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO syncs VALUES (:_id, :document)", row(document))
            connection.execute(
                "DELETE FROM syncs WHERE id <= (SELECT id FROM syncs ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (KEPT_REPORTS,),
            )

        await self._write(write)

    async def syncs(
        self, limit: int, *, before: str | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[SyncReport]:
        """The newest sync reports, newest first; those that cannot be read are told to ``damaged``."""
        sql = "SELECT id, document FROM syncs WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
        return await self._find(records.decode_report, sql, (before, max(0, limit)), damaged=damaged)
