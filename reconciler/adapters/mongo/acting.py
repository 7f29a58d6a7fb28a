"""Acts in MongoDB: what is asked for them, and their end. Forbidden here: deciding what is old enough."""

from __future__ import annotations

from datetime import datetime

from pymongo.asynchronous.collection import AsyncCollection

from reconciler.adapters.mongo.expiring import remove
from reconciler.core.acts import KEPT_REFUSED, ActKind, ActQuery
from reconciler.core.fields import Document
from reconciler.core.records import first_id


def condition(query: ActQuery) -> Document:
    """The filter of a query. Ids begin with the instant, so that their index serves spans of time."""
    bounds: list[Document] = [
        {"$gte": None if query.since is None else first_id(query.since)},
        {"$lt": None if query.until is None else first_id(query.until)},
        {"$lt": query.before},
    ]
    of_job = query.application is not None and query.api is not None
    wanted: Document = {
        "kind": {"$in": [kind.value for kind in query.kinds]} if query.kinds else None,
        "application": query.application,
        "api": {"$in": [query.api, None]} if of_job else None,
        "$and": [{"_id": bound} for bound in bounds if None not in bound.values()] or None,
    }
    return {name: value for name, value in wanted.items() if value is not None}


async def expire(acts: AsyncCollection[Document], before: datetime) -> None:
    """Remove acts that are too old, and of refused attempts those that are too many, in small commands."""
    await remove(acts, {"_id": {"$lt": first_id(before)}}, hint=[("_id", 1)])
    refused: Document = {"kind": ActKind.REFUSED.value}
    order = [("kind", 1), ("_id", -1)]
    newest = await acts.find(refused, {"_id": 1}, sort=[("_id", -1)], skip=KEPT_REFUSED, limit=1).to_list()
    for first in newest:
        await remove(acts, {**refused, "_id": {"$lte": first["_id"]}}, hint=order)
