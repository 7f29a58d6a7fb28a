"""Jobs that were given another name: what makes carrying their runs over safe to repeat. Forbidden here: any store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from reconciler.core.fields import Document
from reconciler.core.model import JobKey, StoredJob


def carried_by(renamed: Mapping[JobKey, JobKey], jobs: Iterable[StoredJob]) -> str | None:
    """The mark for runs and pauses that a renaming carries over; ``None`` where they need none.

    They need one where a name is both given up and taken: where ``a`` becomes ``b`` and ``b`` becomes ``c``, a second
    pass would take for the old ``b``'s what the first has given to the new one. A marked run is not carried again by
    the renaming with the same mark.

    Args:
        renamed: old key -> new key.
        jobs: as they are written with it; their revision tells this renaming from an equal one at another time.
    """
    taken = set(renamed.values())
    if taken.isdisjoint(renamed):
        return None
    pairs = sorted(f"{old} {new}" for old, new in renamed.items())
    revisions = sorted(f"{stored.key} {stored.revision}" for stored in jobs if stored.key in taken)
    return sha256("\n".join([*pairs, *revisions]).encode("utf-8", "replace")).hexdigest()[:16]


def marked(document: Document, mark: str | None) -> Document:
    """A document that a renaming brings along; marked, a repetition of it does not carry the document over."""
    return document if mark is None else document | {"carriedBy": mark}
