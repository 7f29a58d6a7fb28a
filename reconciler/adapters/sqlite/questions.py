"""Queries as conditions in SQL. Ids begin with an instant, so that their index serves spans of time.

Forbidden here: asking.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.acts import ActQuery
from reconciler.core.model import RunQuery
from reconciler.core.records import first_id

_Condition = tuple[str, Sequence[object]]


def for_runs(query: RunQuery) -> _Condition:
    """The filter of a query for runs, and the values in it."""
    conditions: list[_Condition] = []
    if query.application is not None and query.api is not None:
        conditions.append(("job = ?", [f"{query.application}/{query.api}"]))
    elif query.application is not None:
        conditions.append(("application = ?", [query.application]))
    elif query.api is not None:
        conditions.append(("api = ?", [query.api]))
    if query.applications is not None:
        conditions.append(_one_of("application", query.applications))
    if query.outcomes:
        conditions.append(_one_of("outcome", [outcome.value for outcome in query.outcomes]))
    if query.cause is not None:
        conditions.append(("cause = ?", [query.cause.value]))
    return _all_of([*conditions, *_span(query)])


def for_acts(query: ActQuery) -> _Condition:
    """The filter of a query for acts, and the values in it."""
    conditions: list[_Condition] = []
    if query.kinds:
        conditions.append(_one_of("kind", [kind.value for kind in query.kinds]))
    if query.application is not None:
        conditions.append(("application = ?", [query.application]))
        if query.api is not None:
            conditions.append(("(api IS NULL OR api = ?)", [query.api]))
    return _all_of([*conditions, *_span(query)])


def _one_of(column: str, values: Sequence[object]) -> _Condition:
    return f"{column} IN ({', '.join('?' * len(values))})", values


def _span(query: RunQuery | ActQuery) -> list[_Condition]:
    conditions: list[_Condition] = []
    if query.since is not None:
        conditions.append(("id >= ?", [first_id(query.since)]))
    if query.until is not None:
        conditions.append(("id < ?", [first_id(query.until)]))
    if query.before is not None:
        conditions.append(("id < ?", [query.before]))
    return conditions


def _all_of(conditions: Sequence[_Condition]) -> _Condition:
    texts = ["1", *(text for text, _ in conditions)]
    return " AND ".join(texts), [value for _, values in conditions for value in values]
