"""The stores that are measured on: a new SQLite file, or a new database on a real MongoDB, gone afterwards.

STORE in the environment chooses ``sqlite`` or ``mongodb``; TEST_MONGODB_URI names a MongoDB, else one is started as for
the tests. Forbidden here: knowing what is measured.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from pymongo import MongoClient

from benchmarks.processes import NotMeasuredError
from tests.services import mongodb

SQLITE = "sqlite"
MONGODB = "mongodb"
SHOWN = {SQLITE: "SQLite", MONGODB: "MongoDB"}


class NoStoreError(NotMeasuredError):
    """A kind of store is not to be had here."""


@contextlib.contextmanager
def session() -> Iterator[None]:
    """Within it there may be a MongoDB; what was started for it is stopped at its end."""
    mongodb.begin(os.getpid())
    try:
        yield
    finally:
        mongodb.end()


def chosen(*otherwise: str) -> Sequence[str]:
    """The kinds of store to measure on: what STORE says, or else these.

    Raises:
        NotMeasuredError: STORE names none.
    """
    kind = os.environ.get("STORE", "").strip()
    if not kind:
        return otherwise
    if kind not in SHOWN:
        raise NotMeasuredError(f"STORE={kind}: there are {' and '.join(SHOWN)}")
    return (kind,)


@contextlib.contextmanager
def store(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a store with nothing in it.

    Raises:
        NoStoreError: there is no MongoDB.
    """
    if kind == SQLITE:
        folder.mkdir(parents=True, exist_ok=True)
        yield f"sqlite:///{folder}/state.db"
        return
    try:
        server = mongodb.uri()
    except mongodb.NoMongodbError as error:
        raise NoStoreError(f"there is no MongoDB ({error}); to have one, {mongodb.ADVICE}") from None
    name = f"bench-{uuid4().hex[:16]}"
    try:
        yield mongodb.url(server, name)
    finally:
        client: MongoClient[dict[str, object]]
        with MongoClient(server) as client:
            client.drop_database(name)
