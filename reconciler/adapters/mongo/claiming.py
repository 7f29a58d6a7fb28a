"""Claims in MongoDB: the unique ``_id`` decides, and under a term the lease does too.

Forbidden here: what follows from a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.read_concern import ReadConcern

from reconciler.adapters.mongo import leading
from reconciler.adapters.mongo.refusals import DUPLICATE, taken
from reconciler.core import records
from reconciler.core.fencing import deposed
from reconciler.core.fields import Document
from reconciler.core.model import Outcome, Run

_TRIES = 3  # of what is refused only where another process inserts the same at once
_AT_ONCE = 5000  # runs that one command claims under a term: it is one document, of 16 MB at most


async def claim(
    database: AsyncDatabase[Document], runs: Sequence[Run], term: int | None, *, surely: ReadConcern
) -> frozenset[str]:
    """Insert runs that do not exist yet; the ids of those that are ours.

    What stands already is read as ``surely`` says: so that no failover takes it back.

    Raises:
        DeposedError: somebody has led after this term, or the lease is gone. What was inserted in the moment before
            stands.
        PyMongoError: the server does not answer, or refuses.
    """
    if term is None:
        return await _insert(database, runs, surely)
    won: frozenset[str] = frozenset()
    for start in range(0, len(runs), _AT_ONCE):
        won |= await _insert_under(database, runs[start : start + _AT_ONCE], term, surely)
    return won


def own(run: Run) -> Document:
    """The claim of a run as it was made, if it still stands so and has no end."""
    return {
        "_id": run.id,
        "owner": run.owner,
        "claimedAt": run.claimed_at,
        "term": run.term,
        "outcome": Outcome.RUNNING.value,
    }


async def _insert(database: AsyncDatabase[Document], runs: Sequence[Run], surely: ReadConcern) -> frozenset[str]:
    try:
        await database["runs"].insert_many([records.encode_run(run) for run in runs], ordered=False)
    except BulkWriteError as error:
        places = taken(error)
    else:
        places = set()
    inserted = frozenset(run.id for place, run in enumerate(runs) if place not in places)
    return inserted | await _claimed_before(database, [runs[place] for place in places], surely)


async def _claimed_before(
    database: AsyncDatabase[Document], runs: Sequence[Run], surely: ReadConcern
) -> frozenset[str]:
    """Those runs that stand in the store as our own claim, whose answer was lost."""
    if not runs:
        return frozenset()
    condition = {"_id": {"$in": [run.id for run in runs]}}
    collection = database["runs"].with_options(read_concern=surely)
    stored = collection.find(condition, {"owner": 1, "claimedAt": 1}, batch_size=len(runs) + 1)
    return _ours(runs, await stored.to_list())


async def _insert_under(
    database: AsyncDatabase[Document], runs: Sequence[Run], term: int, surely: ReadConcern
) -> frozenset[str]:
    ids = {run.id for run in runs}
    await _merge(database, leading.inserting([records.encode_run(run) for run in runs], term))
    leases = database["leases"].with_options(read_concern=surely)
    # All in one answer: unless told, the first one holds 101 records.
    found = await (await leases.aggregate(leading.standing(ids), batchSize=len(ids) + 2)).to_list()
    stands, claims = _parted(found)
    won = _ours(runs, claims)
    is_behind = stands is None or stands > term
    if is_behind or ids > {claim["_id"] for claim in claims}:
        raise deposed(stands, term)
    return won


async def _merge(database: AsyncDatabase[Document], stages: list[Document]) -> None:
    """Run an aggregate that inserts; where another process inserts the same at once, the server may refuse it."""
    for last in (*[False] * (_TRIES - 1), True):
        try:
            await database["leases"].aggregate(stages)
        except OperationFailure as error:
            if last or error.code != DUPLICATE:
                raise
        else:
            return


def _ours(runs: Sequence[Run], stored: Iterable[Document]) -> frozenset[str]:
    """Those runs that stand in the store as they were claimed: by the same process, at the same moment."""
    claims = {(run.id, run.owner, run.claimed_at) for run in runs}
    found = ((claim["_id"], claim.get("owner"), claim.get("claimedAt")) for claim in stored)
    return frozenset(claim[0] for claim in found if claim in claims)


def _parted(found: Sequence[Document]) -> tuple[int | None, list[Document]]:
    """The term that leads now, ``None`` where there is no lease; and the claims."""
    terms = [one["term"] for one in found if one["_id"] == records.LEADER]
    return (terms[0] if terms else None), [one for one in found if one["_id"] != records.LEADER]
