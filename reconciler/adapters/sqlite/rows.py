"""Records as rows and back. Forbidden here: executing anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from reconciler.core import records
from reconciler.core.fields import Document, attempt
from reconciler.core.model import Run
from reconciler.errors import StoreError
from reconciler.ports import OnDamaged

_Result = TypeVar("_Result")


def stamp(value: datetime) -> str:
    """RFC 3339 in UTC, always of one length, so that texts sort like the instants they name."""
    if value.tzinfo is UTC:  # the rule; and half the price
        return f"{value.isoformat(timespec='milliseconds')[:-6]}Z"
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


# Runs that are due together share most of their instants.
_stamp_once = lru_cache(maxsize=2_000)(stamp)
_as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_stamp_once, separators=(",", ":")).encode


def row(document: Document) -> dict[str, str]:
    """A record under its name, as JSON."""
    return {"_id": document["_id"], "document": _as_json(document)}


# The columns of the table of runs, in its order, as they stand in a run's document.
_FIELDS = ("_id", "job", "application", "api", "slot", "hour", "cause", "outcome", "owner", "claimedAt", "latencyMs")
RUN_COLUMNS = ", ".join(
    [*(f"json_extract(new.value, '$.{name}')" for name in _FIELDS), "new.value", "json_extract(new.value, '$.term')"]
)


def run_batch(runs: Iterable[Run]) -> str:
    """Runs as one JSON array of documents, for ``json_each``.

    Raises:
        StoreError: a number in one of them is none (NaN, infinity).
    """
    try:
        return _as_json([records.encode_run(run) for run in runs])
    except ValueError as error:
        raise StoreError(f"a run cannot be stored: {error}") from error


def decoded(
    decode: Callable[[Document], _Result], rows: Iterable[tuple[str, str]], damaged: OnDamaged | None = None
) -> list[_Result]:
    """Read rows of a name and a document back; those that cannot be read are told to ``damaged``.

    Raises:
        StoreError: naming the record that cannot be read, where nobody is to be told.
    """
    if damaged is None:
        return [decode(_document(name, text)) for name, text in rows]
    found: list[_Result] = []
    for name, text in rows:
        try:
            document = document_of(name, text)
        except (TypeError, ValueError) as error:
            damaged(str(name), str(error))
        else:
            found += attempt(decode, document, damaged)
    return found


def still_said(name: str, text: str, **columns: str | None) -> Document:
    """What is left of a damaged record: its columns, and of its document what can be read."""
    try:
        document = document_of(name, text)
    except (TypeError, ValueError):
        document = {"_id": name}
    return document | columns


def _document(name: str, text: str) -> Document:
    try:
        return document_of(name, text)
    except (TypeError, ValueError) as error:
        raise StoreError(f"the record {name!r} in the store cannot be read: {error}") from error


def document_of(name: str, text: str | bytes) -> Document:
    """The document of a row; the column says what its name is.

    Raises:
        ValueError: it is no document.
    """
    try:
        document = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("it is not a document")  # noqa: TRY004 - what stands there is wrong, no argument
    return document | {"_id": name}


def slices(names: str, lengths: str, whole: bytes | None) -> Iterator[tuple[str, bytes]]:
    """Part again what one statement has put together: names and lengths as JSON arrays, and the documents in a row."""
    start = 0
    for name, length in zip(json.loads(names), json.loads(lengths), strict=True):
        yield name, (whole or b"")[start : start + length]
        start += length
