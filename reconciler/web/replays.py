"""Which deliveries were taken before, so that none is taken twice. Forbidden here: keeping what they said.

A delivery is its body, and its id where that is proven: the same commit may be pushed, taken back and pushed again,
and the forge then sends the same body under another id. An id that nobody has signed tells nothing: with another one
in its place, an old delivery that somebody has overheard would be new again and again.
"""

from __future__ import annotations

import hashlib

REMEMBERED = 10_000  # deliveries; about 1 MiB


class Replays:
    """The digests of the deliveries taken last."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Remember at most ``limit`` of them, the newest."""
        self._limit = limit
        self._seen: dict[bytes, None] = {}  # in the order in which they came

    def is_new(self, body: bytes, identity: bytes = b"") -> bool:
        """Whether this body comes for the first time, under this id if there is one; from now on it does not."""
        digest = hashlib.sha256(b"%d %b%b" % (len(identity), identity, body)).digest()
        if digest in self._seen:
            return False
        if len(self._seen) >= self._limit:
            del self._seen[next(iter(self._seen))]
        self._seen[digest] = None
        return True
