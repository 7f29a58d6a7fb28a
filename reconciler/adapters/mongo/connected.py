"""A connection to one MongoDB database: opening, closing, one round trip, the driver's errors as ours.

The URL may hold a password: errors name host and database only. Forbidden here: what the database holds.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from reconciler.adapters.mongo.address import Address
from reconciler.adapters.mongo.applying import Write
from reconciler.adapters.mongo.refusals import translation
from reconciler.adapters.mongo.schema import prepare
from reconciler.core.fields import Document, attempt
from reconciler.errors import StoreError
from reconciler.ports import OnDamaged

_Record = TypeVar("_Record")


class Connected:
    """What the verbs of the store stand on."""

    def __init__(self, url: str, *, patience: timedelta = timedelta(seconds=3)) -> None:
        """Name the database, and how long to look for a server that answers.

        Raises:
            SettingsError: the URL is of another form, or names no database.
        """
        self._address = Address(url)
        self._options = self._address.options(patience)
        self._client: AsyncMongoClient[Document] | None = None
        self._opened: AsyncDatabase[Document] | None = None
        self._surely = ReadConcern("local")

    async def open(self) -> None:
        """Connect, make the indexes, check the schema version.

        Raises:
            SettingsError: an option of the URL cannot be used.
            StoreError: the server refuses us, is too old, or holds a newer schema.
            StoreUnavailableError: no server answers.
        """
        if self._opened is not None:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # pymongo's word for an option that it does not know
                self._client = AsyncMongoClient(self._address.url, **self._options)
        except (PyMongoError, UserWarning, ValueError, TypeError) as error:
            raise self._address.unusable(error) from None  # a cause would quote the URL, and with it the password
        try:
            with self._translated():
                self._opened, replicated = await prepare(self._client, self._address)
                self._surely = ReadConcern("majority" if replicated else "local")  # what no failover takes back
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of every connection; may be called twice."""
        client, self._client, self._opened = self._client, None, None
        if client is not None:
            await client.close()

    def _collection(self, name: str) -> AsyncCollection[Document]:
        if self._opened is None:
            raise StoreError(f"{self._address.place}: the store is not open")
        return self._opened[name]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of ours for the driver's, and no cancellation lost.

        Up to Python 3.11 ``asyncio.wait_for``, which the driver uses, swallows one that comes just when a write ends.
        """
        before = _cancellations()
        try:
            yield
            if _cancellations() > before:
                raise asyncio.CancelledError
        except PyMongoError as error:
            raise translation(error, self._address.place, is_srv=self._address.is_srv) from error
        except (BSONError, OverflowError, UnicodeError) as error:
            raise StoreError(f"{self._address.place}: cannot hold this: {error}") from error

    async def _find(
        self,
        collection: str,
        condition: Document,
        decode: Callable[[Document], _Record],
        *,
        sort: list[tuple[str, int]] | None = None,
        limit: int = 0,
        damaged: OnDamaged | None = None,
    ) -> list[_Record]:
        with self._translated():
            found = await self._collection(collection).find(condition, sort=sort, limit=limit).to_list()
        return [record for document in found for record in attempt(decode, document, damaged)]

    async def _one(self, collection: str, name: str, decode: Callable[[Document], _Record]) -> _Record | None:
        found = await self._find(collection, {"_id": name}, decode)
        return found[0] if found else None

    async def _newest(
        self,
        collection: str,
        condition: Document,
        decode: Callable[[Document], _Record],
        limit: int,
        damaged: OnDamaged | None = None,
    ) -> list[_Record]:
        if limit <= 0:  # to MongoDB, zero is no limit
            return []
        return await self._find(collection, condition, decode, sort=[("_id", -1)], limit=limit, damaged=damaged)

    async def _aggregate(self, collection: str, stages: list[Document]) -> list[Document]:
        with self._translated():
            return await (await self._collection(collection).aggregate(stages, allowDiskUse=True)).to_list()

    async def _bulk(self, collection: str, writes: Sequence[Write]) -> None:
        if writes:
            with self._translated():
                await self._collection(collection).bulk_write(writes, ordered=False)


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
