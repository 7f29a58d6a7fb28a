"""A database made ready: how it is read and written, its indexes, its schema's version. Forbidden here: its records."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from reconciler.adapters.mongo.address import Address
from reconciler.core.fields import Document
from reconciler.core.records import SCHEMA_VERSION
from reconciler.errors import StoreError

_OLDEST_WIRE_VERSION = 13  # MongoDB 5.0: the first to take names with "$" and "." (headers, labels) everywhere
_BUILDING = 300.0  # seconds: an index on many runs takes its time
_SCHEMA = {"_id": "schema"}

# A date that Python does not know, written by hand, is then the one document's fault that holds it.
CODEC: CodecOptions[Document] = CodecOptions(
    tz_aware=True, tzinfo=UTC, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)

_INDEXES: tuple[tuple[str, list[tuple[str, int]]], ...] = (
    ("runs", [("job", 1), ("_id", -1)]),
    ("runs", [("application", 1), ("_id", -1)]),
    ("runs", [("outcome", 1), ("_id", -1)]),
    ("tokens", [("at", 1)]),
    ("pauses", [("endedAt", 1), ("until", 1)]),
    ("pauses", [("application", 1), ("api", 1)]),
    ("eras", [("job", 1), ("begin", -1)]),
    ("acts", [("kind", 1), ("_id", -1)]),
    ("acts", [("application", 1), ("_id", -1)]),
)


async def prepare(client: AsyncMongoClient[Document], address: Address) -> tuple[AsyncDatabase[Document], bool]:
    """Make indexes and the schema's version where they are missing.

    Returns:
        The database, and whether writes wait for a majority of servers.

    Raises:
        StoreError: the server is too old, or the database a newer reconciler's or another program's.
        PyMongoError: the server does not answer, or refuses.
    """
    hello = await client.admin.command("hello")
    if hello["maxWireVersion"] < _OLDEST_WIRE_VERSION:
        raise StoreError(f"{address.place}: this MongoDB is too old; 5.0 or newer is needed")
    replicated = is_replicated(hello)
    database = client.get_database(
        address.database,
        codec_options=CODEC,
        read_preference=ReadPreference.PRIMARY,  # a claim must be seen by the next reader
        write_concern=client.write_concern if address.sets_concern else concern(replicated=replicated),
    )
    await _check_version(database, address)
    with pymongo.timeout(_BUILDING):
        for collection, keys in _INDEXES:
            await database[collection].create_index(keys)
    return database, replicated


def is_replicated(hello: dict[str, Any]) -> bool:
    """Whether what answers ``hello`` is a replica set, or a router in front of several."""
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def concern(*, replicated: bool) -> WriteConcern:
    """When a write counts as done: with the journal, so that no killed server forgets a claim."""
    return WriteConcern("majority", j=True, wtimeout=10_000) if replicated else WriteConcern(1, j=True)


async def _check_version(database: AsyncDatabase[Document], address: Address) -> None:
    stored = await database["meta"].find_one(_SCHEMA)
    version = 0 if stored is None else stored.get("version")
    if not isinstance(version, (int, float)):
        raise StoreError(f"{address.place}: the collection meta is another program's; choose another database")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{address.place}: was written by a newer reconciler (schema {version:g}, this one knows "
            f"{SCHEMA_VERSION}); upgrade this reconciler, or choose another database"
        )
    if version < SCHEMA_VERSION:  # documents of older versions are read as they are; an older reconciler now refuses
        await database["meta"].update_one(_SCHEMA, {"$max": {"version": SCHEMA_VERSION}}, upsert=True)
