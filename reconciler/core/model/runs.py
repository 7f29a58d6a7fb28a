"""What became of slots and triggers. Forbidden here: decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.core.model.jobs import JobKey


class Outcome(StrEnum):
    """What became of a run; ``RUNNING`` stands until it has ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    MISSED = "missed"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """Why there is a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    CATCH_UP = "catchUp"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One instant at which a job is due."""

    key: JobKey
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP call of a run.

    Attributes:
        number: from 1.
        started_at: when it was sent.
        latency_ms: from sending to the last byte read, or to the failure.
        status: of the answer; ``None`` where none came.
        error: why it did not succeed; ``None`` where it did.
        sent: whether the request may have reached the target.
    """

    number: int
    started_at: datetime
    latency_ms: float
    status: int | None = None
    error: str | None = None
    sent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of one slot, or of one manual trigger.

    Attributes:
        id: UUIDv8 in its usual text form, ordered by slot; sent as ``Idempotency-Key``.
        slot: the instant that was due; for a manual run, the instant of the trigger.
        reason: why it was skipped, missed, failed or is unknown; empty for success.
        owner: the process that claimed it.
        claimed_at: when it was written, before anything was sent.
        started_at: when its first attempt was sent.
        finished_at: when its outcome was known.
        excerpt: the first 4 KiB of the last answer's body, as text.
        revision, file, line: of the job at the time of the claim: who declared this call.
        delivery: the job's delivery at the time of the claim; decides what recovery does.
        overrides: which parts of the request a manual trigger replaced (names, never values).
        term: under which the claim was made; 0 where its process did not lead. A write of a lower term is refused.
        slots: how many slots this record stands for: more than one only for old ones that are counted, not called.
        through: the last of them; ``None`` where it is one.
        upstream: the run whose end started this one.
        correlation: the first run of its chain; empty where there is no chain.
    """

    id: str
    key: JobKey
    slot: datetime
    cause: Cause
    outcome: Outcome
    reason: str = ""
    owner: str = ""
    claimed_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    excerpt: str = ""
    revision: str = ""
    file: str = ""
    line: int = 1
    delivery: str = "atLeastOnce"
    overrides: tuple[str, ...] = ()
    term: int = 0
    slots: int = 1
    through: datetime | None = None
    upstream: str = ""
    correlation: str = ""

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds of the last attempt; ``None`` where nothing was called."""
        return self.attempts[-1].latency_ms if self.attempts else None

    @property
    def lateness_ms(self) -> float | None:
        """Milliseconds from the slot to the first attempt; ``None`` where nothing was called."""
        if self.started_at is None:
            return None
        return (self.started_at - self.slot).total_seconds() * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs are asked for; what is ``None`` does not filter.

    Attributes:
        since: slots at or after this instant.
        until: slots before this instant.
        applications: only runs of these Applications, besides what ``application`` says.
        before: only runs whose id is below this one: the cursor.
        limit: at most so many, newest slot first.
    """

    application: str | None = None
    api: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    cause: Cause | None = None
    since: datetime | None = None
    until: datetime | None = None
    applications: tuple[str, ...] | None = None
    before: str | None = None
    limit: int = 50


class Tally(NamedTuple):
    """How many ended runs share an hour (UTC, of the slot), an outcome and a latency in whole milliseconds."""

    hour: datetime
    outcome: Outcome
    latency_ms: int | None
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a manual trigger replaces for its one run."""

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    has_json: bool = False
