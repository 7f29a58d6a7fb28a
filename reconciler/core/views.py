"""What people and programs are shown: the one JSON shape of ``--output json`` and of HTTP, and its builders.

Names are camelCase outside; instants are RFC 3339 in UTC with milliseconds and ``Z``; durations are written as in
manifests; fields named ``…Ms`` are milliseconds. ``docs/http.md`` is the reference of the shapes.
Forbidden here: reading a store, a clock or a request; a secret's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from reconciler.core.conditions import conditions, source_condition
from reconciler.core.model import (
    ApplicationState,
    Commit,
    FreezeWindow,
    Job,
    Outcome,
    Pause,
    Process,
    Run,
    Schedule,
    Stop,
    StopKind,
    StoredJob,
    SyncReport,
    Tally,
)
from reconciler.core.timetable import Timetable, words
from schemas.base import format_duration

SYNCS_LOOKED_AT = 20  # to find the present revision behind syncs that could not read the source
SHOWN_RUNNING = 20  # runs in flight that `status` names; their number is always whole

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


class ScheduleView(View):
    """When a job is due: as declared, in words, and resolved (exactly one of ``cron``, ``every`` and ``at``)."""

    declared: str
    words: str
    time_zone: str
    cron: str | None = None
    every: Duration | None = None
    at: Instant | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None


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
    """An operator's temporary stop; ``target`` is ``app`` or ``app/api``."""

    id: str
    target: str
    application: str
    api: str | None = None
    reason: str
    by: str
    since: Instant
    until: Instant
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
    """One field of a job that stood otherwise than declared."""

    job: str
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


class JobView(View):
    """A job as it stands in the store, with what comes next and what came last.

    ``next_due`` is when the process that answers will really wake for it; commands leave it null.
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
    timeout: Duration
    retry: RetryView
    concurrency_policy: str
    starting_deadline: Duration
    catch_up: str
    delivery: str
    jitter: Duration
    suspend: bool
    held: bool
    next_runs: tuple[Instant, ...]
    next_due: Instant | None = None
    last_run: RunBrief | None = None
    stops: tuple[StopView, ...]
    revision: str
    commit: CommitView | None = None
    file: str
    line: int
    since: Instant
    applied_at: Instant | None = None


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
    error: str
    commit: CommitView | None = None
    notes: tuple[str, ...]
    drift: tuple[DriftView, ...]
    environment: str


class ProcessView(View):
    """A process that is, or was, alive on this store."""

    id: str
    role: str
    host: str
    pid: int
    version: str
    source: str
    listen: str
    started_at: Instant
    seen_at: Instant


class JobCounts(View):
    """How many jobs there are; a job may be several of these at once."""

    total: int
    suspended: int
    paused: int
    frozen: int
    held: int


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
    processes: tuple[ProcessView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFacts:
    """What ``status`` is made of.

    Attributes:
        store: what the store answered to ``check``.
        reasons: why the process is not ready; empty for ready.
        running: every run that has not ended, oldest first.
        syncs: the newest reports, newest first; the first with a revision tells the present one.
        tallies: of the last 24 hours.
        pauses: those that are open.
        windows: every freeze window.
        stops: what keeps a job from running now.
    """

    version: str
    now: datetime
    store: str
    source: str
    reasons: Sequence[str] = ()
    jobs: Sequence[StoredJob] = ()
    applications: Sequence[ApplicationState] = ()
    running: Sequence[Run] = ()
    syncs: Sequence[SyncReport] = ()
    tallies: Sequence[Tally] = ()
    processes: Sequence[Process] = ()
    pauses: Sequence[Pause] = ()
    windows: Sequence[FreezeWindow] = ()
    stops: Callable[[StoredJob], Sequence[Stop]] = lambda _: ()


def schedule_view(schedule: Schedule) -> ScheduleView:
    """A schedule as people read it."""
    return ScheduleView(**_alike(ScheduleView, schedule), words=words(schedule), time_zone=schedule.zone)


def _alike(view: type[View], source: object) -> dict[str, Any]:
    """What the source has under the same names as the view."""
    return {name: getattr(source, name) for name in view.model_fields if hasattr(source, name)}


def run_brief(run: Run) -> RunBrief:
    """A run in a few words."""
    return RunBrief(**_alike(RunBrief, run), status=run.outcome.value)


def run_view(run: Run) -> RunView:
    """A run in full."""
    application, api = run.key
    return RunView(**_alike(RunView, run), status=run.outcome.value, job=str(run.key), application=application, api=api)


def next_runs(job: Job, *, now: datetime, count: int) -> tuple[datetime, ...]:
    """The next slots after ``now``, at most ``count``; none while the job is suspended."""
    if job.suspend or count < 1:
        return ()
    return tuple(Timetable.of(job.schedule).upcoming(now, count))


def job_view(
    stored: StoredJob,
    *,
    held: bool,
    last: Run | None,
    now: datetime,
    count: int = 3,
    stops: Sequence[Stop] = (),
) -> JobView:
    """A job with its next ``count`` slots after ``now`` and its last run.

    Args:
        stored: the job.
        held: whether its Application is held.
        last: its newest run.
        now: aware.
        count: how many next slots to name.
        stops: what keeps it from running now, declared and operational.

    Raises:
        ScheduleError: the stored schedule has no meaning to this version.
    """
    job = stored.job
    fields = _alike(JobView, job) | {
        "key": str(job.key),
        "schedule": schedule_view(job.schedule),
        "last_run": run_brief(last) if last else None,
    }
    return JobView(
        **fields,
        application=job.key.application,
        api=job.key.api,
        method=job.request.method,
        url=job.request.url,
        follow_redirects=job.request.follow_redirects,
        held=held,
        next_runs=next_runs(job, now=now, count=count),
        stops=tuple(stop_view(stop) for stop in stops),
        revision=stored.revision,
        commit=_commit_view(stored.commit),
        since=stored.since,
        applied_at=stored.applied_at,
    )


def application_view(
    state: ApplicationState, *, jobs: int, syncs: Sequence[SyncReport] = (), stops: Sequence[Stop] = ()
) -> ApplicationView:
    """An Application and the number of its jobs.

    Args:
        state: as it is stored.
        jobs: how many it has.
        syncs: the newest reports, newest first, for its conditions.
        stops: what keeps all of it from running now.
    """
    return ApplicationView(
        **_alike(ApplicationView, state),
        jobs=jobs,
        conditions=tuple(ConditionView.model_validate(one) for one in conditions(state, syncs)),
        stops=tuple(stop_view(stop) for stop in stops),
    )


def stop_view(stop: Stop) -> StopView:
    """What keeps a job from running."""
    return StopView(**_alike(StopView, stop) | {"kind": stop.kind.value})


def pause_view(pause: Pause) -> PauseView:
    """A pause."""
    return PauseView.model_validate(pause)


def window_view(window: FreezeWindow) -> WindowView:
    """A freeze window."""
    return WindowView(**_alike(WindowView, window), words=words(window.start))


def _commit_view(commit: Commit | None) -> CommitView | None:
    return None if commit is None else CommitView.model_validate(commit)


def sync_view(report: SyncReport) -> SyncView:
    """A sync report."""
    drift = tuple(DriftView(**_alike(DriftView, one), job=str(one.key)) for one in report.drift)
    return SyncView(**_alike(SyncView, report) | {"drift": drift, "commit": _commit_view(report.commit)})


def outcome_counts(tallies: Sequence[Tally]) -> dict[str, int]:
    """Ended runs by outcome; every outcome that a run can end in is named, also with zero."""
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts[tally.outcome.value] += tally.runs
    return {outcome.value: counts[outcome.value] for outcome in Outcome if outcome is not Outcome.RUNNING}


def status_view(facts: StatusFacts) -> StatusView:
    """The whole at a glance."""
    held = tuple(state.name for state in facts.applications if state.held)
    stopped = Counter(kind for stored in facts.jobs for kind in {stop.kind for stop in facts.stops(stored)})
    return StatusView(
        version=facts.version,
        now=facts.now,
        store=facts.store,
        source=facts.source,
        revision=next((report.revision for report in facts.syncs if report.revision), ""),
        environment=next((report.environment for report in facts.syncs if report.revision), ""),
        ready=not facts.reasons,
        reasons=tuple(facts.reasons),
        degraded=ConditionView.model_validate(source_condition(facts.syncs)),
        jobs=JobCounts(
            total=len(facts.jobs),
            suspended=sum(stored.job.suspend for stored in facts.jobs),
            paused=stopped[StopKind.PAUSED],
            frozen=stopped[StopKind.FROZEN],
            held=sum(stored.key.application in held for stored in facts.jobs),
        ),
        applications=len(facts.applications),
        held_applications=held,
        pauses=tuple(pause_view(pause) for pause in facts.pauses),
        windows=tuple(window_view(window) for window in facts.windows),
        running=len(facts.running),
        running_runs=tuple(run_view(run) for run in facts.running[:SHOWN_RUNNING]),
        last24_hours=outcome_counts(facts.tallies),
        last_sync=sync_view(facts.syncs[0]) if facts.syncs else None,
        processes=tuple(ProcessView.model_validate(process) for process in facts.processes),
    )
