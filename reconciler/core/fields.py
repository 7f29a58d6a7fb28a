"""One field of a stored document, read with its type checked; and the naming of a document that cannot be read.

Every reader raises ``KeyError`` where the field is missing and ``TypeError`` or ``ValueError`` where it is of the wrong
type; ``naming`` makes a ``StoreError`` of these. Instants may stand as datetimes, or as RFC 3339 where a store has no
type for them. Two writers stand here as well, for what more than one record needs. Forbidden here: knowing a record.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, wraps
from typing import Any, TypeVar

from reconciler.core.model import whole_milliseconds
from reconciler.errors import StoreError
from schemas.base import format_duration, parse_duration

Document = dict[str, Any]

_Record = TypeVar("_Record")
_Default = TypeVar("_Default")
_duration = lru_cache(maxsize=1024)(parse_duration)

declared = lru_cache(maxsize=1024)(format_duration)  # a span of time, as a manifest writes it

UNREADABLE = (KeyError, OverflowError, TypeError, ValueError)  # what readers raise


def utf8(value: str) -> str:
    """Replace lone surrogates, which no store can hold, in text that comes from outside (file names, bodies)."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def complaint(error: Exception) -> str:
    """What is wrong with a document, from what a reader has raised."""
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def unreadable(kind: str, name: object, error: Exception) -> StoreError:
    """The error that names a record and says what is wrong with it."""
    return StoreError(f"the store's {kind} {name!r} cannot be read: {complaint(error)}")


def attempt(
    decode: Callable[[Document], _Record], document: Document, damaged: Callable[[str, str], None] | None
) -> list[_Record]:
    """What a document says, or nothing where it cannot be read and ``damaged`` was told its id and why.

    Raises:
        StoreError: it cannot be read, and nobody is to be told.
    """
    try:
        return [decode(document)]
    except StoreError as error:
        if damaged is None or not isinstance(error.__cause__, UNREADABLE):
            raise
        damaged(str(document.get("_id")), complaint(error.__cause__))
        return []


def naming(kind: str) -> Callable[[Callable[[Document], _Record]], Callable[[Document], _Record]]:
    """Turn what goes wrong in reading into a ``StoreError`` that names the record."""

    def around(read: Callable[[Document], _Record]) -> Callable[[Document], _Record]:
        @wraps(read)
        def decode(document: Document) -> _Record:
            try:
                return read(document)
            except UNREADABLE as error:
                raise unreadable(kind, document.get("_id"), error) from error

        return decode

    return around


def text(document: Document, name: str) -> str:
    """A string."""
    value = document[name]
    if isinstance(value, str):
        return value
    raise TypeError(f"{name} is not a text")


def whole(document: Document, name: str) -> int:
    """A whole number."""
    value = document[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():  # a JavaScript shell writes every number as a double
        return int(value)
    raise TypeError(f"{name} is not a whole number")


def number(document: Document, name: str) -> float:
    """A number, whole or not."""
    value = document[name]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise TypeError(f"{name} is not a number")


def flag(document: Document, name: str) -> bool:
    """True or false."""
    value = document[name]
    if isinstance(value, bool):
        return value
    raise TypeError(f"{name} is neither true nor false")


def instant(document: Document, name: str) -> datetime:
    """An aware instant, in UTC."""
    value = document[name]
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value if value.tzinfo is UTC else whole_milliseconds(value)
    raise TypeError(f"{name} is not an instant")


def span(document: Document, name: str) -> timedelta:
    """A span of time as a manifest writes it: ``2h30m``."""
    return _duration(text(document, name))


def texts(document: Document, name: str) -> tuple[str, ...]:
    """A list of strings."""
    values = document[name]
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return tuple(values)
    raise TypeError(f"{name} is not a list of texts")


def mapping(document: Document, name: str) -> dict[str, str]:
    """A mapping of strings to strings."""
    values = document[name]
    if isinstance(values, dict) and all(isinstance(value, str) for value in values.values()):
        return dict(values)
    raise TypeError(f"{name} is not a mapping of texts")


def maybe(read: Callable[[Document, str], _Record], document: Document, name: str) -> _Record | None:
    """Read a field that may be null; it must be there."""
    return None if document[name] is None else read(document, name)


def newer(
    read: Callable[[Document, str], _Record], document: Document, name: str, default: _Default
) -> _Record | _Default:
    """Read a field that documents of older versions lack."""
    return read(document, name) if name in document else default


def maybe_newer(read: Callable[[Document, str], _Record], document: Document, name: str) -> _Record | None:
    """Read a field that may be null, and that documents of older versions lack."""
    return None if document.get(name) is None else read(document, name)


def part(document: Document, name: str) -> Document:
    """A document within the document."""
    value = document[name]
    if isinstance(value, dict):
        return value
    raise TypeError(f"{name} is not a mapping")


def parts(document: Document, name: str) -> list[Document]:
    """A list of documents within the document."""
    values = document[name]
    if isinstance(values, list) and all(isinstance(value, dict) for value in values):
        return values
    raise TypeError(f"{name} is not a list of mappings")
