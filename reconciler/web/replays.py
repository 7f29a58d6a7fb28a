"""Which deliveries were taken before, so that none is taken twice. Forbidden here: keeping what they said."""

from __future__ import annotations

import hashlib

REMEMBERED = 10_000  # deliveries; about 1 MiB


class Replays:
    """The digests of the bodies taken last."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        """Remember at most ``limit`` of them, the newest."""
        self._limit = limit
        self._seen: dict[bytes, None] = {}  # in the order in which they came

    def is_new(self, body: bytes) -> bool:
        """Whether this body comes for the first time; from now on it does not."""
        digest = hashlib.sha256(body).digest()
        if digest in self._seen:
            return False
        if len(self._seen) >= self._limit:
            del self._seen[next(iter(self._seen))]
        self._seen[digest] = None
        return True
