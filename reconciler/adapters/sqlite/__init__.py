"""The store in one SQLite file: the standard library's driver, write-ahead log, for one machine.

Two connections, each with a thread of its own, so that the event loop never waits for a disk and a long question never
delays a claim: one writes, one only reads. Other processes may read and write beside them. Every table holds whole
documents (``core.records``) as JSON, and columns for what is searched. A claim is on the disk before ``claim`` returns,
also through a power cut; the rest survives the end of the process, and after a power cut may lack its last moments.
Forbidden here: anything but SQLite, and deciding what happens to a run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.adapters.sqlite import acting, expiring
from reconciler.adapters.sqlite.acting import Acts
from reconciler.adapters.sqlite.credentials import Credentials
from reconciler.adapters.sqlite.declared import Declared
from reconciler.adapters.sqlite.pauses import Pauses
from reconciler.adapters.sqlite.processes import Processes
from reconciler.adapters.sqlite.runs import Runs
from reconciler.core import retention as retaining
from reconciler.core.acts import KEEP_ACTS
from reconciler.core.model import Retention


class SqliteStore(Declared, Pauses, Runs, Acts, Processes, Credentials):
    """The Store port in one file; the rooms have the verbs about one thing each, this has what is about all."""

    async def check(self) -> str:
        """Take the lock for writing, if the file may be written, and give it back; returns what answered."""
        ask = self._read if self._reader is not None and self._writer is None else self._write
        await ask(lambda connection: connection.execute("SELECT count(*) FROM jobs").fetchone())
        return f"SQLite {sqlite3.sqlite_version} at {self._path}{', read only' if self._writer is None else ''}"

    async def expire(
        self,
        *,
        now: datetime,
        retention: Retention,
        applications: Mapping[str, Retention],
        keep_acts: timedelta = KEEP_ACTS,
        look_back: timedelta = timedelta(0),
    ) -> int:
        """Remove ended runs that are older or more than ``retention`` says, in small transactions; returns how many."""
        needed = retaining.needed(await self.lease(), now, look_back)  # the mark only moves on meanwhile
        gone = await expiring.expire_runs(
            self._read, self._write, now=now, retention=retention, applications=applications, needed=needed
        )
        await expiring.expire_others(self._write, now - retention.keep_failures_for, needed)
        await acting.expire(self._write, now - keep_acts)
        return gone
