"""What ``apply`` asks of MongoDB, as writes in an order that a repetition completes. Forbidden here: sending them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from bson import ObjectId
from pymongo import DeleteOne, ReplaceOne, UpdateMany, UpdateOne

from reconciler.core.fields import Document
from reconciler.core.model import JobKey
from reconciler.core.renames import marked

# Pauses of which the server cannot tell whether they are open: somebody has damaged them.
UNTELLABLE: tuple[Document, ...] = (
    {"until": {"$not": {"$type": "date"}}},
    {"endedAt": {"$exists": True, "$not": {"$type": ["date", "null"]}}},
)

Write: TypeAlias = ReplaceOne[Document] | DeleteOne | UpdateMany | UpdateOne


def replacement(document: Document) -> ReplaceOne[Document]:
    """Write a document whole, whether it is there or not."""
    return ReplaceOne({"_id": document["_id"]}, document, upsert=True)


def addition(document: Document) -> UpdateOne:
    """Write a document where there is none of this name."""
    return UpdateOne({"_id": document["_id"]}, {"$setOnInsert": document}, upsert=True)


def removals(names: Iterable[str]) -> list[Write]:
    """Remove what has these names, where it is there."""
    return [DeleteOne({"_id": {"$in": [name, ObjectId(name)]} if ObjectId.is_valid(name) else name}) for name in names]


def carried_runs(renamed: Mapping[JobKey, JobKey], mark: str | None) -> list[Write]:
    """Give the runs of each old key to the new one, whether they have ended or not."""
    return _carried_by_job(renamed, mark)


def carried_eras(renamed: Mapping[JobKey, JobKey], mark: str | None) -> list[Write]:
    """Give the eras of each old key to the new one; their ``_id`` keeps the name that they began with."""
    return _carried_by_job(renamed, mark)


def _carried_by_job(renamed: Mapping[JobKey, JobKey], mark: str | None) -> list[Write]:
    return [
        _carried({"job": str(old)}, {"job": str(new), "application": new.application, "api": new.api}, mark)
        for old, new in renamed.items()
    ]


def carried_pauses(renamed: Mapping[JobKey, JobKey], mark: str | None) -> list[Write]:
    """Give the pauses of each old key to the new one."""
    return [_carried(old._asdict(), new._asdict(), mark) for old, new in renamed.items()]


def _carried(found: Document, change: Document, mark: str | None) -> Write:
    not_yet = found if mark is None else found | {"carriedBy": {"$ne": mark}}
    return UpdateMany(not_yet, {"$set": marked(change, mark)})


def documents(batch: bytes) -> list[bytes]:
    """Part documents that the server has sent in a row; each begins with its length (https://bsonspec.org)."""
    found, start = [], 0
    while start < len(batch):
        end = start + int.from_bytes(batch[start : start + 4], "little")
        found.append(batch[start:end])
        start = end
    return found
