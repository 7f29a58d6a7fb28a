"""What a campaign leaves behind to be judged, as values. Forbidden here: judging.

Instants are seconds of the epoch, all of one machine's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.core.model import Run
from tests.faults.calls import Call
from tests.faults.jobs import Declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that was done to the product.

    Attributes:
        kind: as in ``faults.Kind``.
        victims: ids of the processes that it was done to; none where it was done to the database, and so to all.
        began: when it struck.
        ended: when everything was as before again.
        label: at which step, or how the network was.
    """

    kind: str
    began: float
    ended: float
    victims: frozenset[str] = frozenset()
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """A process's time as the leader: from ``began`` to the next one's."""

    term: int
    holder: str
    began: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known afterwards.

    Attributes:
        since: from when on each job's slots count, as the store says.
        until: no slot after this instant is judged.
        runs: every record of the store.
        calls: the target's log.
        tenures: who led, oldest first.
        troubles: processes that ended though nothing was done to them, and errors in their logs.
        audit: what the product's own audit says, as JSON; ``None`` where it was not asked.
        takeover: how long one may take at most after a kill; ``None`` where time is not judged.
        handover: how long one may take at most after a signal; likewise.
    """

    jobs: Sequence[Declared]
    since: Mapping[str, float]
    until: float
    runs: Sequence[Run]
    calls: Sequence[Call]
    faults: Sequence[Fault] = ()
    tenures: Sequence[Tenure] = ()
    troubles: Sequence[str] = ()
    audit: Mapping[str, Any] | None = None
    takeover: float | None = None
    handover: float | None = None
