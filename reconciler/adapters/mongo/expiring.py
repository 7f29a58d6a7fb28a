"""What is old enough goes from MongoDB, in commands so small that none takes long and no claim waits for one.

No command is waited for longer than others are: where the server goes away, the rest is done another time. Forbidden
here: deciding what is old enough.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from reconciler.core.fields import Document
from reconciler.core.model import Retention
from reconciler.core.retention import FAILURES, FOLLOWING, OTHERS, Aged, Needed, aged, keep_per_job

_BATCH = 1000  # records removed by one command
_COUNTED = 200  # jobs whose runs one command counts

_BY_OUTCOME = [("outcome", 1), ("_id", -1)]
_BY_APPLICATION = [("application", 1), ("_id", -1)]


async def expire_runs(
    runs: AsyncCollection[Document],
    newest: Mapping[str, str],
    *,
    now: datetime,
    retention: Retention,
    applications: Mapping[str, Retention],
    needed: Needed,
) -> int:
    """Remove ended runs that are too old or too many; returns how many.

    The newest (job -> id) stay, and what is needed.
    """
    spared, gone = frozenset(newest.values()), 0
    for old in aged(now, retention, applications):
        hint = _BY_OUTCOME if old.application is None else _BY_APPLICATION
        gone += await remove(runs, _condition(old, needed), spared, hint=hint)
    jobs = sorted(newest)
    for start in range(0, len(jobs), _COUNTED):
        for job, count in await _counts(runs, jobs[start : start + _COUNTED]):
            gone += await _thin_out(
                runs, job, min(newest[job], needed.from_id), count - keep_per_job(job, retention, applications), needed
            )
    return gone


def _condition(old: Aged, needed: Needed) -> Document:
    return {
        "_id": {"$lt": min(old.below, needed.from_id)},
        "outcome": {"$in": [outcome.value for outcome in old.outcomes]},
        "application": {"$nin": list(old.others)} if old.application is None else old.application,
        "$nor": [_following(needed)],
    }


def _following(needed: Needed) -> Document:
    return {"_id": {"$gte": needed.following_from_id}, "cause": {"$in": [cause.value for cause in FOLLOWING]}}


async def _counts(runs: AsyncCollection[Document], jobs: Collection[str]) -> list[tuple[str, int]]:
    """How many runs each of these jobs has, from the index alone."""
    stages: list[Document] = [
        {"$match": {"job": {"$in": list(jobs)}}},
        {"$group": {"_id": "$job", "runs": {"$sum": 1}}},
    ]
    found = await (await runs.aggregate(stages)).to_list()
    return [(group["_id"], group["runs"]) for group in found]


async def _thin_out(runs: AsyncCollection[Document], job: str, below: str, surplus: int, needed: Needed) -> int:
    """Remove a job's oldest runs: first those that did not fail."""
    gone = 0
    for outcomes in (OTHERS, FAILURES):
        if gone < surplus:
            condition = {
                "job": job,
                "_id": {"$lt": below},
                "outcome": {"$in": [outcome.value for outcome in outcomes]},
                "$nor": [_following(needed)],
            }
            gone += await remove(runs, condition, limit=surplus - gone, hint=[("job", 1), ("_id", -1)])
    return gone


async def remove(
    runs: AsyncCollection[Document],
    condition: Document,
    spared: Collection[str] = (),
    *,
    limit: int = 0,
    hint: list[tuple[str, int]],
) -> int:
    """Remove what matches and is not spared, with ``limit`` the oldest, in batches; returns how much."""
    gone, batch = 0, list[str]()
    found = runs.find(condition, {"_id": 1}, sort=[("_id", 1)] if limit else None, limit=limit, hint=hint)
    async for run in found.batch_size(_BATCH):
        if run["_id"] not in spared:
            batch.append(run["_id"])
        if len(batch) == _BATCH:
            gone += await _delete(runs, batch)
            batch = []
    return gone + (await _delete(runs, batch) if batch else 0)


async def _delete(collection: AsyncCollection[Document], names: list[str]) -> int:
    return (await collection.delete_many({"_id": {"$in": names}})).deleted_count


async def expire_others(database: AsyncDatabase[Document], before: datetime, needed: Needed) -> None:
    """Remove tokens, processes, credentials, pauses that are over and eras that another one has followed."""
    await database["tokens"].delete_many({"at": {"$lt": before}})
    await database["processes"].delete_many({"seenAt": {"$lt": before}})
    await database["credentials"].delete_many({"obtainedAt": {"$lt": before}})
    before = needed.before(before)
    for over in ({"endedAt": {"$lt": before}}, {"endedAt": None, "until": {"$lt": before}}):
        await database["pauses"].delete_many(over)
    stages: list[Document] = [
        {"$match": {"begin": {"$lt": before}}},
        {"$group": {"_id": "$job", "last": {"$max": "$begin"}, "eras": {"$sum": 1}}},
        {"$match": {"eras": {"$gt": 1}}},
    ]
    async for job in await database["eras"].aggregate(stages, allowDiskUse=True):
        await database["eras"].delete_many({"job": job["_id"], "begin": {"$lt": job["last"]}})
