"""The lease in MongoDB, and writes that only its present term may make, as questions and pipelines.

One document decides, and only the server's own clock (``$$NOW``) says whether it has expired; each verb is one command,
which MongoDB executes alone on that document. Forbidden here: sending anything, and the rules of who should lead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from reconciler.core.fields import Document
from reconciler.core.records import LEADER

THE_LEASE: Document = {"_id": LEADER}

_EXPIRED: Document = {"$lte": ["$expiresAt", "$$NOW"]}
_MILLISECOND = timedelta(milliseconds=1)

READING: list[Document] = [{"$match": THE_LEASE}, {"$set": {"expired": _EXPIRED}}]


def taking(process_id: str, span: timedelta, accounted_until: datetime) -> list[Document]:
    """Take the lease or renew it, where that is allowed; otherwise everything stays as it is."""
    us: Document = {"$literal": process_id}
    nobody: Document = {"$eq": [{"$ifNull": ["$holder", ""]}, ""]}
    ours: Document = {"$eq": ["$holder", us]}
    free: Document = {"$and": [{"$not": [ours]}, {"$or": [nobody, _EXPIRED]}]}
    return [
        {"$set": {"renews": ours, "takes": free}},
        {
            "$set": {
                "holder": _where("$takes", us, "$holder"),
                "term": _where("$takes", {"$add": [{"$ifNull": ["$term", 0]}, 1]}, "$term"),
                "since": _where("$takes", "$$NOW", "$since"),
                "expiresAt": _where(
                    {"$or": ["$takes", "$renews"]}, {"$add": ["$$NOW", span // _MILLISECOND]}, "$expiresAt"
                ),
                "nudges": {"$ifNull": ["$nudges", 0]},
                "accountedFrom": {"$ifNull": ["$accountedFrom", accounted_until]},
                "accountedUntil": _where("$renews", accounted_until, {"$ifNull": ["$accountedUntil", accounted_until]}),
            }
        },
        {"$unset": ["renews", "takes"]},
    ]


def _where(condition: object, this: object, otherwise: object) -> Document:
    return {"$cond": [condition, this, otherwise]}


def resigning(accounted_until: datetime) -> list[Document]:
    """Leave the lease to whoever comes first."""
    return [{"$set": {"holder": "", "expiresAt": "$$NOW", "accountedUntil": accounted_until}}]


NUDGING: Document = {"$inc": {"nudges": 1}}


def under(term: int) -> Document:
    """The lease, if nobody has led after this term."""
    return {**THE_LEASE, "term": {"$lte": term}}


def inserting(runs: Sequence[Document], term: int) -> list[Document]:
    """Insert runs that do not exist yet, if nobody has led after this term: an aggregate on the leases.

    Runs that are there stay as they are, and so does the first of two in one batch.
    """
    return [
        {"$match": under(term)},
        {"$project": {"_id": 0, "run": {"$literal": list(runs)}}},
        {"$unwind": "$run"},
        {"$replaceRoot": {"newRoot": "$run"}},
        {"$merge": {"into": "runs", "on": "_id", "whenMatched": "keepExisting", "whenNotMatched": "insert"}},
    ]


def standing(run_ids: Collection[str]) -> list[Document]:
    """The term that leads now, and whose claims these runs are: an aggregate on the leases, the lease first."""
    claims: list[Document] = [
        {"$match": {"_id": {"$in": list(run_ids)}}},
        {"$project": {"owner": 1, "claimedAt": 1}},
    ]
    return [
        {"$match": THE_LEASE},
        {"$project": {"term": 1}},
        {"$unionWith": {"coll": "runs", "pipeline": claims}},
    ]
