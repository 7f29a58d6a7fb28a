"""The one JSON shape of ``--output json`` and of HTTP, piece by piece; ``core.views`` fills them.

Names are camelCase outside; instants are RFC 3339 in UTC with milliseconds and ``Z``; durations are written as in
manifests; fields named ``…Ms`` are milliseconds. ``docs/http.md`` is the reference of the shapes.
Forbidden here: knowing where the values come from; a secret's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from schemas.base import format_duration

T = TypeVar("T")


def format_instant(instant: datetime) -> str:
    """Write an aware instant as ``2026-03-29T01:00:00.000Z`` (RFC 3339, UTC, milliseconds)."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_INSTANT_SCHEMA = {"type": "string", "format": "date-time", "examples": ["2026-03-29T01:00:00.000Z"]}
_DURATION_SCHEMA = {"type": "string", "examples": ["30s", "2h30m"]}
Instant = Annotated[datetime, PlainSerializer(format_instant, return_type=str), WithJsonSchema(_INSTANT_SCHEMA)]
Duration = Annotated[timedelta, PlainSerializer(format_duration, return_type=str), WithJsonSchema(_DURATION_SCHEMA)]


class View(BaseModel):
    """Something shown: frozen, camelCase outside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, from_attributes=True)

    def shape(self) -> dict[str, Any]:
        """This view as plain JSON values under its outside names."""
        return self.model_dump(mode="json", by_alias=True)


class Page(View, Generic[T]):
    """Some items of a list; ``next`` is the cursor of the page that follows, null on the last one."""

    items: tuple[T, ...]
    next: str | None = None


class AfterView(View):
    """The job that is followed, and which of its ends: ``success``, ``failure`` or ``completion``."""

    job: str
    on: str


class ScheduleView(View):
    """When a job is due: as declared, in words, and resolved (exactly one of ``cron``, ``every``, ``at``, ``after``).

    ``except`` and ``only`` are names of calendars.
    """

    declared: str
    words: str
    time_zone: str
    cron: str | None = None
    every: Duration | None = None
    at: Instant | None = None
    after: AfterView | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    but_not: tuple[str, ...] = Field(alias="except")
    only: tuple[str, ...]


class RetryView(View):
    """How often and how soon a call is tried again."""

    limit: int
    initial_delay: Duration
    factor: float
    max_delay: Duration


class AttemptView(View):
    """One HTTP call of a run."""

    number: int
    started_at: Instant
    latency_ms: float
    status: int | None = None
    error: str | None = None
    sent: bool


class RunBrief(View):
    """A run in a few words, as it stands beside its job."""

    id: str
    slot: Instant
    cause: str
    status: str
    reason: str
    finished_at: Instant | None = None
    lateness_ms: float | None = None
    latency_ms: float | None = None


class RunView(RunBrief):
    """What became of one slot, or of one manual trigger."""

    job: str
    application: str
    api: str
    claimed_at: Instant
    started_at: Instant | None = None
    attempts: tuple[AttemptView, ...]
    excerpt: str
    revision: str
    file: str
    line: int
    delivery: str
    overrides: tuple[str, ...]
    owner: str


class CommitView(View):
    """A commit, as far as people ask for it."""

    id: str
    author: str
    date: Instant
    subject: str


class StopView(View):
    """What keeps a job from running: ``suspended`` (declared), ``paused`` (an operator) or ``frozen`` (a window)."""

    kind: str
    reason: str
    since: Instant | None = None
    until: Instant | None = None
    by: str


class PauseView(View):
    """An operator's temporary stop; ``target`` is ``app`` or ``app/api``; ``until`` is null until it is resumed."""

    id: str
    target: str
    application: str
    api: str | None = None
    reason: str
    by: str
    since: Instant
    until: Instant | None = None
    ended_at: Instant | None = None
    ended_by: str


class WindowView(View):
    """A declared freeze window."""

    name: str
    mode: str
    words: str
    duration: Duration
    applications: tuple[str, ...]
    catch_up: str
    description: str
    file: str
    line: int


class DriftView(View):
    """One field of a job, an Application or a freeze window (``kind``) that stood otherwise than declared."""

    job: str
    kind: str
    where: str
    field: str
    found: str | None = None
    declared: str | None = None
    put_back: bool


class ConditionView(View):
    """One thing that is true of an Application (``status``), or is not."""

    type: str
    status: bool
    since: Instant | None = None
    revision: str
    reason: str


class RequestView(View):
    """What a job sends besides method and URL; whatever usually is a credential is masked."""

    headers: Mapping[str, str]
    body: str | None = None


class JobView(View):
    """A job as it stands in the store, with what comes next and what came last.

    ``state`` is ``complete`` (its schedule has no further slot), ``suspended``, ``paused``, ``frozen`` or ``active``;
    ``completed_at`` is the last slot of a complete one. ``next_runs`` leaves out what calendars leave out.
    ``auth`` is how its calls authenticate, in one word; null for not at all.
    ``secrets`` names where each secret value of the request is found, and ``url`` is without usual credentials.
    ``next_due`` is when the process that answers will really wake for it; commands leave it null.
    ``request`` is shown over HTTP to an admin; others see ``url`` without its query.
    """

    key: str
    application: str
    api: str
    description: str
    labels: Mapping[str, str]
    schedule: ScheduleView
    method: str
    url: str
    follow_redirects: int = 0
    auth: str | None = None
    secrets: Mapping[str, str]
    timeout: Duration
    retry: RetryView
    concurrency_policy: str
    starting_deadline: Duration
    catch_up: str
    delivery: str
    jitter: Duration
    max_concurrency: int | None = None
    max_rate: str | None = None
    stop_after_failures: int | None = None
    suspend: bool
    held: bool
    state: str
    completed_at: Instant | None = None
    next_runs: tuple[Instant, ...]
    next_due: Instant | None = None
    request: RequestView | None = None
    last_run: RunBrief | None = None
    stops: tuple[StopView, ...]
    revision: str
    commit: CommitView | None = None
    file: str
    line: int
    since: Instant
    applied_at: Instant | None = None


class HistoryView(View):
    """How long the runs of an Application are kept."""

    keep_for: Duration
    keep_failures_for: Duration
    keep_per_job: int


class ApplicationView(View):
    """An Application as it stands in the store; ``jobs`` is the number of its jobs."""

    name: str
    description: str
    labels: Mapping[str, str]
    base_url: str | None = None
    suspend: bool
    held: bool
    problems: tuple[str, ...]
    since: Instant
    revision: str
    prune: str
    history: HistoryView | None = None
    conditions: tuple[ConditionView, ...]
    stops: tuple[StopView, ...]
    file: str
    line: int
    jobs: int


class SyncView(View):
    """What one sync saw and did."""

    id: str
    source: str
    revision: str
    result: str
    started_at: Instant
    duration_ms: float
    files: int
    parsed: int
    jobs: int
    added: int
    changed: int
    removed: int
    held: tuple[str, ...]
    problems: tuple[str, ...]
    renamed: int
    kept: tuple[str, ...]
    kept_reasons: tuple[str, ...]
    error: str
    commit: CommitView | None = None
    notes: tuple[str, ...]
    drift: tuple[DriftView, ...]
    environment: str


class LeaderView(View):
    """Who leads: the one process that wakes at slots and syncs; the others stand by.

    ``leads`` is false where its lease has expired or was given up and nobody has taken it yet.
    """

    process: str
    leads: bool
    term: int
    since: Instant
    accounted_until: Instant


class ProcessView(View):
    """A process that is, or was, alive on this store; ``leads`` is true for one of them at most.

    ``unreadable`` names the references to secrets that it cannot read at present.
    """

    id: str
    role: str
    host: str
    pid: int
    version: str
    source: str
    listen: str
    started_at: Instant
    seen_at: Instant
    unreadable: tuple[str, ...]
    leads: bool = False


class JobCounts(View):
    """How many jobs there are; a job may be several of these at once."""

    total: int
    suspended: int
    paused: int
    frozen: int
    held: int
    complete: int


class StatusView(View):
    """The whole at a glance; ``running`` counts, ``running_runs`` names the oldest of them."""

    version: str
    now: Instant
    store: str
    source: str
    revision: str
    environment: str
    ready: bool
    reasons: tuple[str, ...]
    degraded: ConditionView
    jobs: JobCounts
    applications: int
    held_applications: tuple[str, ...]
    pauses: tuple[PauseView, ...]
    windows: tuple[WindowView, ...]
    running: int
    running_runs: tuple[RunView, ...]
    last24_hours: Mapping[str, int] = Field(alias="last24Hours")
    last_sync: SyncView | None = None
    leader: LeaderView | None = None
    processes: tuple[ProcessView, ...]
