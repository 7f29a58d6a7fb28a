"""What is declared, as it was last applied, and the reports of the syncs that did it.

Forbidden here: deciding what is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import cast

import bson

from reconciler.adapters.mongo import leading
from reconciler.adapters.mongo.applying import (
    addition,
    carried_eras,
    carried_pauses,
    carried_runs,
    documents,
    removals,
    replacement,
)
from reconciler.adapters.mongo.connected import Connected
from reconciler.adapters.mongo.schema import CODEC
from reconciler.core import declared_records as declared
from reconciler.core import records
from reconciler.core.fencing import deposed
from reconciler.core.fields import Document
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
from reconciler.core.renames import carried_by, marked
from reconciler.core.retention import KEPT_REPORTS
from reconciler.ports import OnDamaged

_BATCH = 1000  # jobs in one answer
_RENAMED = 50  # jobs whose runs one command carries over: it must answer in time, however many runs they have


class Declared(Connected):
    """Jobs, Applications, eras, freeze windows, access tokens and sync reports."""

    @cached_property
    def _known(self) -> KnownJobs:
        return KnownJobs(lambda _, raw: bson.decode(raw, CODEC))

    async def jobs(self, damaged: OnDamaged | None = None) -> Sequence[StoredJob]:
        """Every job, ordered by key; those that cannot be read are told to ``damaged``."""
        reading = self._known.begin(tolerant=damaged is not None)
        with self._translated():
            async for batch in self._collection("jobs").find_raw_batches({}, batch_size=_BATCH):
                raw_batch = cast("bytes", batch)  # the driver's annotation is of another cursor
                reading.add(("", raw) for raw in documents(raw_batch))
        reading.tell(damaged)
        return self._known.end(reading)

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""
        return await self._one("jobs", str(key), declared.decode_job)

    async def applications(self, damaged: OnDamaged | None = None) -> Sequence[ApplicationState]:
        """Every Application, ordered by name; those that cannot be read are told to ``damaged``."""
        found = await self._find("applications", {}, declared.decode_application, damaged=damaged)
        return sorted(found, key=lambda state: state.name)

    async def apply(self, writing: Writing, *, term: int | None = None) -> None:
        """Carry runs over, write these jobs, Applications, windows and access tokens whole, and remove those.

        With a term, the lease is written first, on the condition that nobody has led after it. The writes that follow
        are looked at no more: of a process that is stopped right between, some may come after its successor's first.
        They say what its revision declares, and the next sync of the successor finds and mends them.

        Runs come first, while the stored jobs still say that there is something to rename. Applications come before
        their jobs and go after them, so that a crash in between leaves no job without its Application, and windows
        before the jobs that they freeze; the same call again completes it.

        Raises:
            DeposedError: somebody has led after this term; nothing was written.
        """
        mark = carried_by(writing.renamed, writing.jobs)
        if term is not None:
            await self._must_lead(term)
        if writing.renamed:
            await self._carry_over(writing.renamed, mark)
        await self._bulk("eras", [addition(marked(declared.encode_era(era), mark)) for era in writing.eras])
        await self._bulk(
            "applications", [replacement(declared.encode_application(one)) for one in writing.applications]
        )
        await self._bulk("access_tokens", [replacement(declared.encode_token(one)) for one in writing.access_tokens])
        await self._bulk("access_tokens", removals(writing.removed_access_tokens))
        await self._bulk("windows", [replacement(declared.encode_window(window)) for window in writing.windows])
        await self._bulk("jobs", [replacement(declared.encode_job(stored)) for stored in writing.jobs])
        await self._bulk("jobs", removals(writing.removed_job_ids))
        await self._bulk("windows", removals(writing.removed_windows))
        await self._bulk("applications", removals(writing.removed_applications))

    async def _must_lead(self, term: int) -> None:
        collection = self._collection("leases")
        with self._translated():
            written = await collection.update_one(leading.under(term), {"$currentDate": {"appliedAt": True}})
            if not written.matched_count:
                lease = await collection.find_one(leading.THE_LEASE)
                raise deposed(None if lease is None else lease.get("term"), term)

    async def _carry_over(self, renamed: Mapping[JobKey, JobKey], mark: str | None) -> None:
        pairs = list(renamed.items())
        for start in range(0, len(pairs), _RENAMED):
            some = dict(pairs[start : start + _RENAMED])
            await self._bulk("runs", carried_runs(some, mark))
            await self._bulk("pauses", carried_pauses(some, mark))
            await self._bulk("eras", carried_eras(some, mark))

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
        if since >= until:
            return []
        whose: Document = {} if keys is None else {"job": {"$in": [str(key) for key in keys]}}
        if changed:
            with self._translated():
                begun = {**whose, "begin": {"$gt": since, "$lt": until}}
                whose = {"job": {"$in": await self._collection("eras").distinct("job", begun)}}
            if not whose["job"]["$in"]:
                return []
        later: list[Document] = [{"$match": {**whose, "begin": {"$gt": since, "$lt": until}}}]
        stages: list[Document] = [
            {"$match": {**whose, "begin": {"$lte": since}}},
            {"$sort": {"job": 1, "begin": -1}},
            {"$group": {"_id": "$job", "standing": {"$first": "$$ROOT"}}},
            {"$replaceRoot": {"newRoot": "$standing"}},
            {"$unionWith": {"coll": "eras", "pipeline": later}},
        ]
        found = await self._aggregate("eras", stages)
        return sorted(map(declared.decode_era, found), key=lambda era: (era.key, era.begin))

    async def windows(self, damaged: OnDamaged | None = None) -> Sequence[FreezeWindow]:
        """Every freeze window, ordered by name; those that cannot be read are told to ``damaged``."""
        return await self._find("windows", {}, declared.decode_window, sort=[("_id", 1)], damaged=damaged)

    async def access_tokens(self, damaged: OnDamaged | None = None) -> Sequence[AccessToken]:
        """Every access token, ordered by name; those that cannot be read are told to ``damaged``."""
        return await self._find("access_tokens", {}, declared.decode_token, sort=[("_id", 1)], damaged=damaged)

    async def record(self, report: SyncReport) -> None:
        """Keep a sync report, and the newest 1,000."""
        await self._bulk("syncs", [replacement(records.encode_report(report))])
        with self._translated():
            surplus = self._collection("syncs").find({}, {"_id": 1}, sort=[("_id", -1)], skip=KEPT_REPORTS, limit=1)
            async for newest in surplus:
                await self._collection("syncs").delete_many({"_id": {"$lte": newest["_id"]}})

    async def syncs(
        self, limit: int, *, before: str | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[SyncReport]:
        """The newest sync reports, newest first; those that cannot be read are told to ``damaged``."""
        condition = {} if before is None else {"_id": {"$lt": before}}
        return await self._newest("syncs", condition, records.decode_report, limit, damaged)
