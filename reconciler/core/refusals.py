"""Refused attempts, counted by where they come from, so that nobody fills the record by trying.

Forbidden here: a clock; the time since some fixed instant is a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.core.acts import Act
from reconciler.core.instants import stamp
from reconciler.core.sources import bucket_of

EVERY: Final = timedelta(minutes=1)
MOST_SOURCES: Final = 20
OTHERS: Final = "other addresses"


@dataclass(slots=True)
class _Window:
    """One source's attempts since the last act was made of them; ``told`` is when that was."""

    told: timedelta | None = None
    count: int = 0
    first: datetime | None = None
    last: Act | None = None


class Refusals:
    """Makes at most one act a minute of what one source tries, and of all beyond the twentieth source together."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def add(self, act: Act) -> None:
        """Count a refused attempt."""
        bucket = bucket_of(act.source)
        if bucket not in self._windows and len(self._windows) >= MOST_SOURCES:
            bucket, act = OTHERS, replace(act, source=OTHERS)
        window = self._windows.setdefault(bucket, _Window())
        window.count += 1
        window.first = window.first or act.at
        window.last = act

    def due(self, steady: timedelta, *, every: bool = False) -> Iterator[Act]:
        """The acts of sources of which nothing was told for a minute; of each where ``every`` is said."""
        for bucket, window in list(self._windows.items()):
            rested = window.told is None or steady - window.told >= EVERY
            if window.last is None:
                if rested:
                    del self._windows[bucket]
            elif rested or every:
                yield _told(window.last, window.count, window.first)
                self._windows[bucket] = _Window(told=steady)


def _told(last: Act, count: int, first: datetime | None) -> Act:
    if count == 1 or first is None:
        return last
    return replace(last, count=count, detail=f"{count} since {stamp(first)}, the last one: {last.detail}")
