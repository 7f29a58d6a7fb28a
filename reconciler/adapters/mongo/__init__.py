"""The store in MongoDB 5.0 or newer: pymongo's async client, no transactions, no change streams.

The unique ``_id`` is the claim. Every write is of whole documents under a known ``_id`` and may be repeated; writes
wait for a majority where the server is a replica set, and for the journal everywhere, so that no acknowledged claim is
lost with one server. The URL may hold a password: errors name host and database only. Forbidden here: anything but
MongoDB, and deciding what happens to a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.adapters.mongo import acting, expiring
from reconciler.adapters.mongo.acting import Acts
from reconciler.adapters.mongo.credentials import Credentials
from reconciler.adapters.mongo.declared import Declared
from reconciler.adapters.mongo.pauses import Pauses
from reconciler.adapters.mongo.processes import Processes
from reconciler.adapters.mongo.runs import Runs
from reconciler.core import retention as retaining
from reconciler.core.acts import KEEP_ACTS
from reconciler.core.model import Retention


class MongoStore(Declared, Pauses, Runs, Acts, Processes, Credentials):
    """The Store port in one database; the rooms have the verbs about one thing each, this has what is about all."""

    async def check(self) -> str:
        """Round trip; returns what answered."""
        with self._translated():
            await self._collection("meta").find_one({"_id": "schema"})
            version = (await self._collection("meta").database.command("buildInfo"))["version"]
        return f"MongoDB {version} at {self._address.place}"

    async def expire(
        self,
        *,
        now: datetime,
        retention: Retention,
        applications: Mapping[str, Retention],
        keep_acts: timedelta = KEEP_ACTS,
        look_back: timedelta = timedelta(0),
    ) -> int:
        """Remove ended runs that are older or more than ``retention`` says, in small commands; returns how many."""
        runs = self._collection("runs")
        needed = retaining.needed(await self.lease(), now, look_back)  # the mark only moves on meanwhile
        with self._translated():
            newest = {group["_id"]: group["newest"] for group in await self._last({}, "$_id")}
            gone = await expiring.expire_runs(
                runs, newest, now=now, retention=retention, applications=applications, needed=needed
            )
            await expiring.expire_others(runs.database, now - retention.keep_failures_for, needed)
            await acting.expire(runs.database["acts"], now - keep_acts)
        return gone
