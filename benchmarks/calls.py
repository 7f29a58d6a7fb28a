"""The target's notes as values, and how late the calls of each slot came.

Forbidden here: measuring.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import quantile


class Call(NamedTuple):
    """One request as it arrived.

    Attributes:
        at: when, in seconds of the epoch.
        slot: the instant for which it was made, likewise; jitter not included.
        job: its key.
    """

    at: float
    slot: float
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """How late the calls of one slot, or of several, reached the target, in seconds."""

    p50: float
    p99: float
    last: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Lateness:
        return cls(p50=quantile(values, 0.5), p99=quantile(values, 0.99), last=max(values))

    def __str__(self) -> str:
        return f"p50 {self.p50:.3f} s, p99 {self.p99:.3f} s, last {self.last:.3f} s"


def read(notes: Path) -> Sequence[Call]:
    """Every call, in the order of arrival."""
    return [_call(line) for line in notes.read_text().splitlines()]


def _call(line: str) -> Call:
    at, slot, job = line.split("\t")
    return Call(float(at), datetime.fromisoformat(slot).timestamp(), job)


def late_by_slot(calls: Iterable[Call]) -> Mapping[float, Sequence[float]]:
    """By slot, how late each of its calls came, in seconds."""
    found: dict[float, list[float]] = defaultdict(list)
    for call in calls:
        found[call.slot].append(call.at - call.slot)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """What was due against what came, as pairs of a slot and a job.

    Attributes:
        due: how many calls were due.
        lost: those that never came.
        extra: how many came more than once.
    """

    due: int
    lost: Sequence[tuple[float, str]]
    extra: int


def reckon(due: Iterable[tuple[float, str]], calls: Iterable[Call]) -> Reckoning:
    """Hold the calls against what was due; what was not due is not looked at."""
    wanted = set(due)
    came = Counter((call.slot, call.job) for call in calls)
    extra = sum(came[pair] - 1 for pair in wanted if came[pair] > 1)
    return Reckoning(due=len(wanted), lost=sorted(wanted - came.keys()), extra=extra)
