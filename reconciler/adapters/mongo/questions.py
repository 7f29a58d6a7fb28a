"""Queries as filters. Ids begin with an instant, so that their index serves spans of time. Forbidden here: asking."""

from __future__ import annotations

from reconciler.core.acts import ActQuery
from reconciler.core.fields import Document
from reconciler.core.model import RunQuery
from reconciler.core.records import first_id


def for_runs(query: RunQuery) -> Document:
    """The filter of a query for runs."""
    among = [] if query.applications is None else [{"application": {"$in": list(query.applications)}}]
    wanted: Document = {
        "job": f"{query.application}/{query.api}" if query.application is not None and query.api is not None else None,
        "application": query.application,
        "api": query.api,
        "cause": query.cause and query.cause.value,
        "outcome": {"$in": [outcome.value for outcome in query.outcomes]} if query.outcomes else None,
        "$and": _span(query) + among or None,
    }
    return _given(wanted)


def for_acts(query: ActQuery) -> Document:
    """The filter of a query for acts."""
    of_job = query.application is not None and query.api is not None
    wanted: Document = {
        "kind": {"$in": [kind.value for kind in query.kinds]} if query.kinds else None,
        "application": query.application,
        "api": {"$in": [query.api, None]} if of_job else None,
        "$and": _span(query) or None,
    }
    return _given(wanted)


def _span(query: RunQuery | ActQuery) -> list[Document]:
    bounds: list[Document] = [
        {"$gte": None if query.since is None else first_id(query.since)},
        {"$lt": None if query.until is None else first_id(query.until)},
        {"$lt": query.before},
    ]
    return [{"_id": bound} for bound in bounds if None not in bound.values()]


def _given(wanted: Document) -> Document:
    return {name: value for name, value in wanted.items() if value is not None}
