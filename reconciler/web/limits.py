"""How often a source may ask: so many times at once, and then at a steady rate. Forbidden here: what is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.core.sources import bucket_of

REMEMBERED = 10_000  # sources; about 2 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many at once, and then one after each span.

    Attributes:
        burst: at once.
        every: seconds for each one more.
    """

    burst: int
    every: float


class Allowance:
    """What each source has left of a rate (a token bucket). One that has not asked for long is forgotten."""

    def __init__(self, rate: Rate, steady: Callable[[], float] = time.monotonic, limit: int = REMEMBERED) -> None:
        """Count by ``steady``, in seconds; remember at most ``limit`` sources, those that asked last."""
        self._rate = rate
        self._steady = steady
        self._limit = limit
        self._full_at: dict[str, float] = {}  # when each source has its whole burst again, in the order of asking

    def wait(self, source: str) -> float:
        """Seconds until the source may ask; 0 where it may."""
        ahead = self._full_at.get(bucket_of(source), 0.0) - self._steady()
        return max(0.0, ahead - (self._rate.burst - 1) * self._rate.every)

    def take(self, source: str) -> float:
        """As ``wait``; and where it may ask, it has."""
        if left := self.wait(source):
            return left
        bucket, now = bucket_of(source), self._steady()
        full_at = max(now, self._full_at.pop(bucket, 0.0)) + self._rate.every
        if len(self._full_at) >= self._limit:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[bucket] = full_at
        return 0.0
