"""The processes on one store, and who of them leads. Forbidden here: decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A reconciler process that is, or was, alive on this store.

    Attributes:
        id: unique for each start.
        role: ``run`` for a reconciler, ``trigger`` for a command that makes one run.
        seen_at: its last sign of life.
        listen: the address of its HTTP, if it serves any.
        unreadable: references to secrets that it cannot read at present, by name, with the reason.
    """

    id: str
    role: str
    host: str
    pid: int
    version: str
    source: str = ""
    listen: str = ""
    started_at: datetime
    seen_at: datetime
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who leads on a store: the one process that wakes at slots, syncs and recovers.

    Attributes:
        holder: the process; empty where nobody leads, because the last one ended in good order.
        term: how often the lead has changed hands; every write of a leader carries it.
        since: when the holder began to lead.
        expires_at: by the store's own clock; after it anybody may take over.
        accounted_from: slots after this instant are accounted for: when somebody led for the first time.
        accounted_until: every slot up to this instant has its record.
        expired: whether the store's own clock was past ``expires_at`` when this was read.
        nudges: how often somebody has asked the leader to read the source soon.
    """

    holder: str
    term: int
    since: datetime
    expires_at: datetime
    accounted_from: datetime
    accounted_until: datetime
    expired: bool = False
    nudges: int = 0
