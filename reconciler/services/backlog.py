"""Slots that are caught up one after the other: those of a job wait here for each other.

They wait for as long as it takes, oldest first; whoever takes one looks at its starting deadline again.
Forbidden here: deciding whether a slot is caught up, and what becomes of it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from reconciler.core.model import JobKey


class Backlog:
    """The slots that wait, by job.

    Args:
        is_free: whether the next slot of a job can be taken.
        take: takes a slot of a job.
    """

    def __init__(self, is_free: Callable[[JobKey], bool], take: Callable[[JobKey, datetime], None]) -> None:
        self._is_free = is_free
        self._take = take
        self._slots: dict[JobKey, list[datetime]] = {}
        self._going_on: set[JobKey] = set()

    def __contains__(self, key: JobKey) -> bool:
        return key in self._slots

    def has(self, key: JobKey, slot: datetime) -> bool:
        """Whether a slot of a job waits."""
        return slot in self._slots.get(key, ())

    def waiting(self) -> Iterator[tuple[JobKey, Sequence[datetime]]]:
        """The slots that wait, by job, oldest first."""
        yield from self._slots.items()

    def oldest(self) -> datetime | None:
        """The oldest slot that waits."""
        return min((slots[0] for slots in self._slots.values()), default=None)

    def extend(self, key: JobKey, slots: Iterable[datetime]) -> None:
        """Let slots of a job wait, each once; the first is taken at once if that can be."""
        waiting = self._slots.setdefault(key, [])
        for slot in slots:
            if slot not in waiting:
                insort(waiting, slot)
        self.go_on(key)

    def go_on(self, key: JobKey) -> None:
        """Take the next slots of a job, for as long as that can be."""
        if key not in self._slots or key in self._going_on:
            return
        self._going_on.add(key)
        try:
            while (waiting := self._slots.get(key)) and self._is_free(key):
                slot = waiting.pop(0)
                if not waiting:
                    del self._slots[key]
                self._take(key, slot)
        finally:
            self._going_on.discard(key)

    def go_on_all(self) -> None:
        """As ``go_on``, for every job."""
        for key in list(self._slots):
            self.go_on(key)

    def clear(self) -> None:
        """Let nothing wait any more."""
        self._slots.clear()
