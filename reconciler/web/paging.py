"""Pages of a list by opaque cursor. A cursor names the last item seen, so that new items never shift a page.

Forbidden here: knowing what is listed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from reconciler.core.views import Page

T = TypeVar("T")
V = TypeVar("V")

DEFAULT_LIMIT = 50
HIGHEST_LIMIT = 500
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,400}")
_POSITION = re.compile(r"[!-~]{1,200}")


def encode_cursor(kind: str, position: str) -> str:
    """Make a cursor that is good for lists of this kind only."""
    return base64.urlsafe_b64encode(f"{kind} {position}".encode()).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str) -> str:
    """The position that a cursor of this kind names.

    Raises:
        ValueError: it is not a cursor, or one of another list.
    """
    readable = cursor if _CURSOR.fullmatch(cursor) else ""
    try:
        text = base64.urlsafe_b64decode(readable + "=" * (-len(readable) % 4)).decode("ascii")
    except ValueError:  # also binascii.Error and UnicodeDecodeError
        text = ""
    found, _, position = text.partition(" ")
    if found != kind or not _POSITION.fullmatch(position):
        raise ValueError("not a cursor of this list; take the value of `next` from one of its pages")
    return position


def page(found: Sequence[T], limit: int, *, kind: str, position: Callable[[T], str], show: Callable[[T], V]) -> Page[V]:
    """A page of at most ``limit`` items; one more than that in ``found`` tells that another page follows."""
    items = found[:limit]
    follows = encode_cursor(kind, position(items[-1])) if len(found) > limit else None
    return Page(items=tuple(show(item) for item in items), next=follows)
