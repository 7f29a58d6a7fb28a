"""What goes wrong in a campaign, and when: drawn from a seed, so that a campaign can be had again.

Forbidden here: doing any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tests.faults.proxy import Mode
from tests.faults.traps import STEPS


class Kind(StrEnum):
    """What is done."""

    KILL = "kill"
    TRAP = "trap"
    STOP = "stop"
    TERMINATE = "terminate"
    NETWORK = "network"
    DATABASE = "database"
    BLACKOUT = "blackout"
    DISK = "disk"


CUT = "cut"  # the standing connections are reset once; besides the proxy's modes
_NETWORKS = (*(mode.value for mode in Mode if mode is not Mode.PASSING), CUT)
_WEIGHTS = {
    Kind.KILL: 25,
    Kind.TRAP: 24,
    Kind.STOP: 10,
    Kind.TERMINATE: 10,
    Kind.NETWORK: 25,
    Kind.DATABASE: 5,
    Kind.BLACKOUT: 1,
    Kind.DISK: 20,
}
ON_MONGODB = tuple(kind for kind in Kind if kind is not Kind.DISK)
ON_SQLITE = (Kind.KILL, Kind.TRAP, Kind.STOP, Kind.TERMINATE, Kind.DISK)
_LEADERS = 0.6  # of the faults of one replica are the leader's


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One fault to come.

    Attributes:
        at: seconds from the beginning.
        label: the step of a trap, how a network is.
        leader: whether it is to be the leader's; otherwise any replica's.
        part: how long it lasts, from 0 to 1 of what is usual for its kind.
    """

    at: float
    kind: Kind
    label: str
    leader: bool
    part: float


def plan(seed: int, faults: int, seconds: float, kinds: Sequence[Kind] = ON_MONGODB) -> Sequence[Planned]:
    """So many faults, spread evenly with some chance; each kind, step and network comes as soon as can be."""
    random = Random(seed)  # noqa: S311 - chance that can be had again is what is wanted
    drawn = random.choices(kinds, [_WEIGHTS[kind] for kind in kinds], k=faults)
    first = random.sample(kinds, len(kinds))[:faults]
    drawn[: len(first)] = first
    step = seconds / max(faults, 1)
    labels = {Kind.TRAP: _endless(STEPS, random), Kind.NETWORK: _endless(_NETWORKS, random)}
    return [
        Planned(
            at=(number + random.random()) * step,
            kind=kind,
            label=next(labels[kind]) if kind in labels else "",
            leader=random.random() < _LEADERS,
            part=random.random(),
        )
        for number, kind in enumerate(drawn)
    ]


def _endless(labels: Sequence[str], random: Random):
    while True:
        yield from random.sample(labels, len(labels))
