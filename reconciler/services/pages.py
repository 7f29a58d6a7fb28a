"""All runs that a question asks for, page by page. Forbidden here: knowing what they are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from reconciler.core.model import Run, RunQuery
from reconciler.ports import Store

PAGE = 1000


async def every_run(store: Store, query: RunQuery) -> AsyncIterator[Run]:
    """Every run that matches, newest slot first; the query's own limit does not count.

    Raises:
        StoreError: the store is away or refuses, whatever was given before.
    """
    query = replace(query, limit=PAGE)
    while True:
        page = await store.runs(query)
        for run in page:
            yield run
        if len(page) < PAGE:
            return
        query = replace(query, before=page[-1].id)
