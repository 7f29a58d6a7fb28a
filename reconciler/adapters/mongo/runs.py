"""Runs: their claims and their ends, what is asked about them, and the tokens of those that somebody asked for.

Forbidden here: deciding what happens to a run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pymongo import DeleteOne, UpdateOne
from pymongo.errors import DuplicateKeyError

from reconciler.adapters.mongo import claiming, questions
from reconciler.adapters.mongo.connected import Connected
from reconciler.core import records
from reconciler.core.fencing import standing
from reconciler.core.fields import Document
from reconciler.core.model import JobKey, Outcome, Run, RunQuery, Tally

_IDS = 10_000  # ids in one answer
_NAMED = frozenset({"_id", "job", "application", "api"})  # what a run's end does not change


class Runs(Connected):
    """Runs, and the tokens by which a request that is repeated finds its run."""

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
        return await self._one("runs", run_id, records.decode_run)

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """The runs that match, newest slot first."""
        return await self._newest("runs", questions.for_runs(query), records.decode_run, query.limit)

    async def unfinished(self, *, but_not_of: str | None = None) -> Sequence[Run]:
        """Every run that was claimed and has not ended, oldest first, but for one owner's."""
        condition = {"outcome": Outcome.RUNNING.value, "owner": {"$ne": but_not_of}}
        return await self._find("runs", condition, records.decode_run, sort=[("_id", 1)])

    async def last_runs(self, keys: Collection[JobKey] | None = None) -> Mapping[JobKey, Run]:
        """The newest run of each job; of every job where no keys are given."""
        condition = {} if keys is None else {"job": {"$in": [str(key) for key in keys]}}
        found = await self._last(condition, "$$ROOT")
        return {run.key: run for run in (records.decode_run(group["newest"]) for group in found)}

    async def _last(self, condition: Document, what: str) -> list[Document]:
        """The newest run of each job; the server jumps from job to job in the index (DISTINCT_SCAN)."""
        stages: list[Document] = [
            {"$match": condition},
            {"$sort": {"job": 1, "_id": -1}},
            {"$group": {"_id": "$job", "newest": {"$first": what}}},
        ]
        return await self._aggregate("runs", stages)

    async def tally(self, query: RunQuery) -> Sequence[Tally]:
        """Ended runs counted by hour, outcome and latency."""
        group = {"hour": "$hour", "outcome": "$outcome", "latencyMs": "$latencyMs"}
        ended = {"outcome": {"$ne": Outcome.RUNNING.value}}
        stages: list[Document] = [
            {"$match": {"$and": [questions.for_runs(replace(query, before=None)), ended]}},
            {"$group": {"_id": group, "runs": {"$sum": 1}}},
        ]
        return [_tally(group) for group in await self._aggregate("runs", stages)]

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


def _finishing(new: Document) -> UpdateOne:
    """All but the name, which a rename may have changed meanwhile, and the mark that this has left."""
    stands = {"_id": new["_id"], "outcome": Outcome.RUNNING.value, "term": {"$not": {"$gt": new["term"]}}}
    return UpdateOne(stands, {"$set": {name: value for name, value in new.items() if name not in _NAMED}})


def _tally(group: Document) -> Tally:
    key = group["_id"]
    return Tally(key["hour"], Outcome(key["outcome"]), key.get("latencyMs"), group["runs"])
