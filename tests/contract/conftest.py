"""The stores that keep the contract: both real ones, and the one in memory that other tests stand on.

A test asks for ``store``, opened and empty, and for ``another``, which makes a further store on the same database, as a
second process would have one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from reconciler.adapters.mongo import MongoStore
from reconciler.adapters.sqlite import SqliteStore
from reconciler.adapters.sqlite.rows import row
from reconciler.core.declared_records import encode_job
from reconciler.core.fields import Document
from reconciler.core.model import JobKey
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


WriteByHand = Callable[[str, str, Document], None]


def _write_sqlite(path: Path, kind: str, name: str, document: Document) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        sql = f"UPDATE {kind} SET document = ? WHERE id = ?"  # noqa: S608 - the tests' own words
        changed = connection.execute(sql, (row(document)["document"], name))
        assert changed.rowcount == 1


def _write_mongodb(url: str, kind: str, name: str, document: Document) -> None:
    with MongoClient(url) as client:
        database = client[parse_uri(url)["database"]]
        assert database[kind].replace_one({"_id": name}, document | {"_id": name}).matched_count == 1


@pytest.fixture
def write_by_hand(make: Callable[[], Store], request: pytest.FixtureRequest, tmp_path: Path) -> WriteByHand:
    """Puts a document in the place of one that is there, as a person with a shell does: kind, id, document."""
    if isinstance(make(), SqliteStore):
        return lambda *what: _write_sqlite(tmp_path / "state.db", *what)
    return lambda *what: _write_mongodb(request.getfixturevalue("mongodb_url"), *what)


@pytest.fixture
def damage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Store, str], Awaitable[None]]:
    """Takes the URL from a stored job."""

    async def damage(store: Store, name: str) -> None:
        stored = await store.job(JobKey.parse(name))
        document = encode_job(stored)
        del document["request"]["url"]
        if isinstance(store, MemoryStore):
            store.damaged_jobs[name] = "url is missing"
        elif isinstance(store, SqliteStore):
            _write_sqlite(tmp_path / "state.db", "jobs", name, document)
        else:
            _write_mongodb(request.getfixturevalue("mongodb_url"), "jobs", name, document)

    return damage
