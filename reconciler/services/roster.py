"""Which runs are under way in this process, by id and by job.

Forbidden here: deciding what follows from an overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from reconciler.core.model import JobKey
from reconciler.services.attempts import Underway


class Roster:
    """The runs between their claim and their end."""

    def __init__(self) -> None:
        self._by_id: dict[str, Underway] = {}
        self._by_key: dict[JobKey, list[Underway]] = {}
        self._keys: dict[str, JobKey] = {}  # by run: the key of its job, which may have another name by now

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._by_id

    def all(self) -> list[Underway]:
        """Every run under way, in the order in which they came."""
        return list(self._by_id.values())

    def of(self, key: JobKey) -> Iterable[Underway]:
        """The runs of one job, in the order in which they came."""
        return tuple(self._by_key.get(key, ()))

    def predecessor(self, key: JobKey) -> Underway | None:
        """The oldest run of a job."""
        same = self._by_key.get(key)
        return same[0] if same else None

    def add(self, underway: Underway) -> None:
        """A run sets out."""
        self._by_id[underway.run.id] = underway
        self._keys[underway.run.id] = underway.run.key
        self._by_key.setdefault(underway.run.key, []).append(underway)

    def remove(self, underway: Underway) -> None:
        """A run has ended, or is not ours. May be called twice, and for one that never set out."""
        if self._by_id.pop(underway.run.id, None) is not None:
            key = self._keys.pop(underway.run.id)
            same = self._by_key[key]
            same.remove(underway)
            if not same:
                del self._by_key[key]

    def rename(self, successor: Callable[[JobKey], JobKey]) -> None:
        """Count the runs of jobs that are called otherwise now as runs of these."""
        moved = {key: new for key in self._by_key if (new := successor(key)) != key}
        leaving = [(new, self._by_key.pop(key)) for key, new in moved.items()]
        for new, runs in leaving:
            self._by_key[new] = sorted([*self._by_key.get(new, ()), *runs], key=lambda one: one.run.id)
            self._keys |= {one.run.id: new for one in runs}


class Recent:
    """Which runs have ended here a moment ago: a slot that is handed in twice may come again within a millisecond.

    A claim is told from another by the millisecond in which it was made, which is then not enough.
    """

    _SPAN = timedelta(seconds=1)

    def __init__(self) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._since: datetime | None = None

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._young or run_id in self._old

    def add(self, run_id: str, now: datetime) -> None:
        """A run has ended; it is forgotten after one second or two."""
        if self._since is None or abs(now - self._since) >= self._SPAN:
            self._old, self._young, self._since = self._young, set(), now
        self._young.add(run_id)
