"""The stores that keep the contract: both real ones, and the one in memory that other tests stand on.

A test asks for ``store``, opened and empty, and for ``another``, which makes a further store on the same database, as a
second process would have one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from reconciler.adapters.mongo import MongoStore
from reconciler.adapters.sqlite import SqliteStore
from reconciler.ports import Store
from tests.fakes import MemoryStore


@pytest.fixture(params=["sqlite", "mongodb"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Makes a store on this test's database, not yet opened."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "state.db")
    url = request.getfixturevalue("mongodb_url")
    return lambda: MongoStore(url)


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[Store], Awaitable[Store]]]:
    """Opens a store, and closes it at the end."""
    stores: list[Store] = []

    async def opened(store: Store) -> Store:
        stores.append(store)
        await store.open()
        return store

    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
def another(make: Callable[[], Store], opened) -> Callable[[], Awaitable[Store]]:
    """Makes and opens a further store on the same database."""
    return lambda: opened(make())


@pytest.fixture
async def real_store(another: Callable[[], Awaitable[Store]]) -> Store:
    """A store on a database."""
    return await another()


@pytest.fixture(params=["sqlite", "mongodb", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A store, opened and empty."""
    if request.param == "memory":
        made: Store = MemoryStore()
    elif request.param == "sqlite":
        made = SqliteStore(tmp_path / "state.db")
    else:
        made = MongoStore(request.getfixturevalue("mongodb_url"))
    await made.open()
    yield made
    await made.close()
