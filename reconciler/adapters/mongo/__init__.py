"""The store in MongoDB 5.0 or newer: pymongo's async client, no transactions, no change streams.

The unique ``_id`` is the claim. Every write is of whole documents under a known ``_id`` and may be repeated; writes
wait for a majority where the server is a replica set, and for the journal everywhere, so that no acknowledged claim is
lost with one server. The URL may hold a password: errors name host and database only. Forbidden here: anything but
MongoDB, and deciding what happens to a run.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar, cast

import bson
from bson.errors import BSONError
from pymongo import AsyncMongoClient, DeleteOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from reconciler.adapters.mongo import acting, claiming, expiring, leading
from reconciler.adapters.mongo.address import Address
from reconciler.adapters.mongo.applying import (
    UNTELLABLE,
    Write,
    addition,
    carried_eras,
    carried_pauses,
    carried_runs,
    documents,
    removals,
    replacement,
)
from reconciler.adapters.mongo.refusals import translation
from reconciler.adapters.mongo.schema import CODEC, prepare
from reconciler.core import declared_records as declared
from reconciler.core import records
from reconciler.core import retention as retaining
from reconciler.core.act_records import decode_act, encode_act
from reconciler.core.acts import KEEP_ACTS, Act, ActQuery
from reconciler.core.fencing import standing
from reconciler.core.fields import Document, attempt
from reconciler.core.known_jobs import KnownJobs
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    Era,
    FreezeWindow,
    JobKey,
    Lease,
    Outcome,
    Pause,
    Process,
    Retention,
    Run,
    RunQuery,
    SealedCredential,
    StoredJob,
    SyncReport,
    Tally,
    Writing,
)
from reconciler.core.renames import carried_by
from reconciler.errors import StoreError, StoreUnavailableError
from reconciler.ports import OnDamaged

_KEPT_REPORTS = 1000
_BATCH = 1000  # jobs in one answer
_RENAMED = 50  # jobs whose runs one command carries over: it must answer in time, however many runs they have
_RACES = 3  # tries of what fails only where another process does the same at once
_IDS = 10_000  # ids in one answer
_NAMED = frozenset({"_id", "job", "application", "api"})  # what a run's end does not change

_Record = TypeVar("_Record")


class MongoStore:
    """The Store port in one MongoDB database."""

    def __init__(self, url: str, *, patience: timedelta = timedelta(seconds=3)) -> None:
        """Name the database, and how long to look for a server that answers.

        Raises:
            SettingsError: the URL is of another form, or names no database.
        """
        self._address = Address(url)
        self._options = self._address.options(patience)
        self._client: AsyncMongoClient[Document] | None = None
        self._opened: AsyncDatabase[Document] | None = None
        self._surely = ReadConcern("local")
        self._known = KnownJobs(lambda _, raw: bson.decode(raw, CODEC))

    async def open(self) -> None:
        """Connect, make the indexes, check the schema version.

        Raises:
            SettingsError: an option of the URL cannot be used.
            StoreError: the server refuses us, is too old, or holds a newer schema.
            StoreUnavailableError: no server answers.
        """
        if self._opened is not None:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # pymongo's word for an option that it does not know
                self._client = AsyncMongoClient(self._address.url, **self._options)
        except (PyMongoError, UserWarning, ValueError, TypeError) as error:
            raise self._address.unusable(error) from None  # a cause would quote the URL, and with it the password
        try:
            with self._translated():
                self._opened, replicated = await prepare(self._client, self._address)
                self._surely = ReadConcern("majority" if replicated else "local")  # what no failover takes back
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of every connection; may be called twice."""
        client, self._client, self._opened = self._client, None, None
        if client is not None:
            await client.close()

    def _collection(self, name: str) -> AsyncCollection[Document]:
        if self._opened is None:
            raise StoreError(f"{self._address.place}: the store is not open")
        return self._opened[name]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of ours for the driver's, and no cancellation lost.

        Up to Python 3.11 ``asyncio.wait_for``, which the driver uses, swallows one that comes just when a write ends.
        """
        before = _cancellations()
        try:
            yield
            if _cancellations() > before:
                raise asyncio.CancelledError
        except PyMongoError as error:
            raise translation(error, self._address.place, is_srv=self._address.is_srv) from error
        except (BSONError, OverflowError, UnicodeError) as error:
            raise StoreError(f"{self._address.place}: cannot hold this: {error}") from error

    async def check(self) -> str:
        """Round trip; returns what answered."""
        with self._translated():
            await self._collection("meta").find_one({"_id": "schema"})
            version = (await self._collection("meta").database.command("buildInfo"))["version"]
        return f"MongoDB {version} at {self._address.place}"

    # --- jobs, Applications, syncs

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
        found = await self._find("jobs", {"_id": str(key)}, declared.decode_job)
        return found[0] if found else None

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
        removed_jobs = (*map(str, writing.removed_jobs), *writing.removed_records)
        await self._bulk("eras", [addition(declared.encode_era(era), mark) for era in writing.eras])
        await self._bulk(
            "applications", [replacement(declared.encode_application(one)) for one in writing.applications]
        )
        await self._bulk("access_tokens", [replacement(declared.encode_token(one)) for one in writing.access_tokens])
        await self._bulk("access_tokens", removals(writing.removed_access_tokens))
        await self._bulk("windows", [replacement(declared.encode_window(window)) for window in writing.windows])
        await self._bulk("jobs", [replacement(declared.encode_job(stored)) for stored in writing.jobs])
        await self._bulk("jobs", removals(removed_jobs))
        await self._bulk("windows", removals(writing.removed_windows))
        await self._bulk("applications", removals(writing.removed_applications))

    async def _must_lead(self, term: int) -> None:
        collection = self._collection("leases")
        with self._translated():
            written = await collection.update_one(leading.under(term), {"$currentDate": {"appliedAt": True}})
            if not written.matched_count:
                lease = await collection.find_one(leading.THE_LEASE)
                raise claiming.deposed(None if lease is None else lease.get("term"), term)

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
        with self._translated():
            found = await (await self._collection("eras").aggregate(stages, allowDiskUse=True)).to_list()
        return sorted(map(declared.decode_era, found), key=lambda era: (era.key, era.begin))

    async def windows(self, damaged: OnDamaged | None = None) -> Sequence[FreezeWindow]:
        """Every freeze window, ordered by name; those that cannot be read are told to ``damaged``."""
        return await self._find("windows", {}, declared.decode_window, sort=[("_id", 1)], damaged=damaged)

    async def access_tokens(self, damaged: OnDamaged | None = None) -> Sequence[AccessToken]:
        """Every access token, ordered by name; those that cannot be read are told to ``damaged``."""
        return await self._find("access_tokens", {}, declared.decode_token, sort=[("_id", 1)], damaged=damaged)

    async def pause(self, pause: Pause) -> None:
        """Write a pause whole."""
        await self._bulk("pauses", [replacement(records.encode_pause(pause))])

    async def pauses(
        self, *, ending_after: datetime | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[Pause]:
        """The pauses, newest first; those still open at an instant where one is given.

        One that cannot be read, which is told to ``damaged``, may still say what is paused.
        """
        condition: Document = {} if ending_after is None else {"endedAt": None, "until": {"$gt": ending_after}}
        if damaged is not None and ending_after is not None:  # also those of which it cannot be told
            condition = {"$or": [condition, *UNTELLABLE]}
        salvaged: list[Pause | None] = []

        def decode(document: Document) -> Pause:
            try:
                return records.decode_pause(document)
            except StoreError:
                salvaged.append(records.salvaged_pause(document))
                raise

        found = await self._find("pauses", condition, decode, damaged=damaged)
        still = (pause for pause in salvaged if pause is not None and _is_open(pause, ending_after))
        return sorted([*found, *still], key=lambda pause: pause.id, reverse=True)

    async def record(self, report: SyncReport) -> None:
        """Keep a sync report, and the newest 1,000."""
        await self._bulk("syncs", [replacement(records.encode_report(report))])
        with self._translated():
            surplus = self._collection("syncs").find({}, {"_id": 1}, sort=[("_id", -1)], skip=_KEPT_REPORTS, limit=1)
            async for newest in surplus:
                await self._collection("syncs").delete_many({"_id": {"$lte": newest["_id"]}})

    async def syncs(
        self, limit: int, *, before: str | None = None, damaged: OnDamaged | None = None
    ) -> Sequence[SyncReport]:
        """The newest sync reports, newest first; those that cannot be read are told to ``damaged``."""
        condition = {} if before is None else {"_id": {"$lt": before}}
        return await self._newest("syncs", condition, records.decode_report, limit, damaged)

    # --- the lead

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

    # --- runs

    async def claim(self, runs: Sequence[Run], *, term: int | None = None) -> frozenset[str]:
        """Insert runs that do not exist yet, in one unordered batch; the ids that are ours.

        With a term, a batch takes two round trips: the server looks at the lease and inserts in one aggregate, and is
        then asked whose claims stand. Between its look and its last insert another process may take the lease over, for
        as long as that one command runs: the claim of a slot that the new leader has not claimed may then be a moment
        late. Never do both get one slot: the unique ``_id`` decides.

        Raises:
            DeposedError: somebody has led after this term, or the lease is gone; see the port.
        """
        collection = self._collection("runs")
        if not runs:
            return frozenset()
        with self._translated():
            return await claiming.claim(collection.database, runs, term, surely=self._surely)

    async def finish(self, runs: Sequence[Run]) -> None:
        """Write runs over their claims, in one round trip; what has ended, or has a higher term, is left alone."""
        await self._bulk("runs", [_finishing(records.encode_run(run)) for run in standing(runs)])

    async def release(self, runs: Sequence[Run]) -> None:
        """Remove claims for which nothing was sent, so that their slots can be claimed anew."""
        await self._bulk("runs", [DeleteOne(claiming.own(run)) for run in runs])

    async def run_ids(self, since: datetime) -> frozenset[str]:
        """The ids of all runs whose slot is at or after an instant, from the index alone."""
        with self._translated():
            found = self._collection("runs").find(
                {"_id": {"$gte": records.first_id(since)}}, {"_id": 1}, batch_size=_IDS
            )
            return frozenset([run["_id"] async for run in found])

    async def run(self, run_id: str) -> Run | None:
        """One run."""
        found = await self._find("runs", {"_id": run_id}, records.decode_run)
        return found[0] if found else None

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """The runs that match, newest slot first."""
        return await self._newest("runs", _condition(query), records.decode_run, query.limit)

    async def unfinished(self, *, but_not_of: str | None = None) -> Sequence[Run]:
        """Every run that was claimed and has not ended, oldest first, but for one owner's."""
        condition = {"outcome": Outcome.RUNNING.value, "owner": {"$ne": but_not_of}}
        return await self._find("runs", condition, records.decode_run, sort=[("_id", 1)])

    async def last_runs(self, keys: Collection[JobKey] | None = None) -> Mapping[JobKey, Run]:
        """The newest run of each job; of every job where no keys are given."""
        condition = {} if keys is None else {"job": {"$in": [str(key) for key in keys]}}
        with self._translated():
            found = await self._last(condition, "$$ROOT")
        return {run.key: run for run in (records.decode_run(group["newest"]) for group in found)}

    async def _last(self, condition: Document, what: str) -> list[Document]:
        """The newest run of each job; the server jumps from job to job in the index (DISTINCT_SCAN)."""
        stages: list[Document] = [
            {"$match": condition},
            {"$sort": {"job": 1, "_id": -1}},
            {"$group": {"_id": "$job", "newest": {"$first": what}}},
        ]
        return await (await self._collection("runs").aggregate(stages, allowDiskUse=True)).to_list()

    async def tally(self, query: RunQuery) -> Sequence[Tally]:
        """Ended runs counted by hour, outcome and latency."""
        group = {"hour": "$hour", "outcome": "$outcome", "latencyMs": "$latencyMs"}
        ended = {"outcome": {"$ne": Outcome.RUNNING.value}}
        stages: list[Document] = [
            {"$match": {"$and": [_condition(replace(query, before=None)), ended]}},
            {"$group": {"_id": group, "runs": {"$sum": 1}}},
        ]
        with self._translated():
            found = await (await self._collection("runs").aggregate(stages, allowDiskUse=True)).to_list()
        return [_tally(group) for group in found]

    # --- acts

    async def act(self, acts: Sequence[Act]) -> None:
        """Keep acts, in one batch; one that is there already stays."""
        await self._bulk("acts", [addition(encode_act(act), None) for act in acts])

    async def acts(self, query: ActQuery, damaged: OnDamaged | None = None) -> Sequence[Act]:
        """The acts that match, newest first; those that cannot be read are told to ``damaged``."""
        return await self._newest("acts", acting.condition(query), decode_act, query.limit, damaged)

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

    # --- tokens, processes

    async def remember(self, token: str, fingerprint: str, run_id: str, at: datetime) -> tuple[str, str]:
        """Keep ``token`` (first come) and return the fingerprint and run id that stand there now."""
        with self._translated():
            try:
                await self._collection("tokens").insert_one(records.encode_token(token, fingerprint, run_id, at))
            except DuplicateKeyError:
                stands = await self._collection("tokens").find_one({"_id": token})
                if stands is None:  # it has expired in between
                    return await self.remember(token, fingerprint, run_id, at)
                return records.decode_token(stands)
        return fingerprint, run_id

    async def credential(self, credential_id: str) -> SealedCredential | None:
        """One credential, encrypted as it was kept."""
        found = await self._find("credentials", {"_id": credential_id}, records.decode_credential)
        return found[0] if found else None

    async def credentials(self, damaged: OnDamaged | None = None) -> Sequence[SealedCredential]:
        """Every credential, ordered by id; those that cannot be read are told to ``damaged``."""
        return await self._find("credentials", {}, records.decode_credential, sort=[("_id", 1)], damaged=damaged)

    async def keep_credential(self, credential: SealedCredential) -> None:
        """Write a credential whole, in place of what stands under its id."""
        await self._bulk("credentials", [replacement(records.encode_credential(credential))])

    async def drop_credential(self, credential_id: str) -> None:
        """Forget a credential; nothing where there is none."""
        await self._bulk("credentials", [DeleteOne({"_id": credential_id})])

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

    # --- one round trip

    async def _find(
        self,
        collection: str,
        condition: Document,
        decode: Callable[[Document], _Record],
        *,
        sort: list[tuple[str, int]] | None = None,
        limit: int = 0,
        damaged: OnDamaged | None = None,
    ) -> list[_Record]:
        with self._translated():
            found = await self._collection(collection).find(condition, sort=sort, limit=limit).to_list()
        return [record for document in found for record in attempt(decode, document, damaged)]

    async def _newest(
        self,
        collection: str,
        condition: Document,
        decode: Callable[[Document], _Record],
        limit: int,
        damaged: OnDamaged | None = None,
    ) -> list[_Record]:
        if limit <= 0:  # to MongoDB, zero is no limit
            return []
        return await self._find(collection, condition, decode, sort=[("_id", -1)], limit=limit, damaged=damaged)

    async def _bulk(self, collection: str, writes: Sequence[Write]) -> None:
        if writes:
            with self._translated():
                await self._collection(collection).bulk_write(writes, ordered=False)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _is_open(pause: Pause, now: datetime | None) -> bool:
    return now is None or (pause.ended_at is None and pause.until > now)


def _finishing(new: Document) -> UpdateOne:
    """All but the name, which a rename may have changed meanwhile, and the mark that this has left."""
    stands = {"_id": new["_id"], "outcome": Outcome.RUNNING.value, "term": {"$not": {"$gt": new["term"]}}}
    return UpdateOne(stands, {"$set": {name: value for name, value in new.items() if name not in _NAMED}})


def _tally(group: Document) -> Tally:
    key = group["_id"]
    return Tally(key["hour"], Outcome(key["outcome"]), key.get("latencyMs"), group["runs"])


def _condition(query: RunQuery) -> Document:
    """The filter of a query. Run ids begin with the slot, so their index serves spans of time."""
    bounds: list[Document] = [
        {"$gte": None if query.since is None else records.first_id(query.since)},
        {"$lt": None if query.until is None else records.first_id(query.until)},
        {"$lt": query.before},
    ]
    among = [] if query.applications is None else [{"application": {"$in": list(query.applications)}}]
    wanted: Document = {
        "job": f"{query.application}/{query.api}" if query.application is not None and query.api is not None else None,
        "application": query.application,
        "api": query.api,
        "cause": query.cause and query.cause.value,
        "outcome": {"$in": [outcome.value for outcome in query.outcomes]} if query.outcomes else None,
        "$and": [{"_id": bound} for bound in bounds if None not in bound.values()] + among or None,
    }
    return {name: value for name, value in wanted.items() if value is not None}
