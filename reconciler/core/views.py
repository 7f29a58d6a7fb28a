"""What people and programs are shown of jobs, runs and syncs, in the shapes of ``core.shapes``.

Forbidden here: reading a store, a clock or a request; a secret's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.core.calendars import Agenda
from reconciler.core.completion import completed_at
from reconciler.core.conditions import conditions, source_condition
from reconciler.core.model import (
    ApplicationState,
    Commit,
    FreezeWindow,
    Job,
    Lease,
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
from reconciler.core.pauses import FOREVER
from reconciler.core.redaction import masked_url
from reconciler.core.shapes import (
    AfterView,
    ApplicationView,
    AttemptView,
    CommitView,
    ConditionView,
    DriftView,
    HistoryView,
    Instant,
    JobCounts,
    JobView,
    LeaderView,
    Page,
    PauseView,
    ProcessView,
    RetryView,
    RunBrief,
    RunView,
    ScheduleView,
    StatusView,
    StopView,
    SyncView,
    View,
    WindowView,
    format_instant,
)
from reconciler.core.timetable import words
from schemas.base import format_rate

__all__ = [
    "SHOWN_RUNNING",
    "SYNCS_LOOKED_AT",
    "AfterView",
    "ApplicationView",
    "AttemptView",
    "CommitView",
    "ConditionView",
    "DriftView",
    "HistoryView",
    "Instant",
    "JobCounts",
    "JobView",
    "Page",
    "PauseView",
    "ProcessView",
    "RetryView",
    "RunBrief",
    "RunView",
    "ScheduleView",
    "StatusFacts",
    "StatusView",
    "StopView",
    "SyncView",
    "View",
    "WindowView",
    "application_view",
    "format_instant",
    "job_view",
    "next_runs",
    "outcome_counts",
    "pause_view",
    "run_brief",
    "run_view",
    "schedule_view",
    "state_of",
    "status_view",
    "stop_view",
    "sync_view",
    "window_view",
]

SYNCS_LOOKED_AT = 20  # to find the present revision behind syncs that could not read the source
SHOWN_RUNNING = 20  # runs in flight that `status` names; their number is always whole


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFacts:
    """What ``status`` is made of.

    Attributes:
        store: what the store answered to ``check``.
        reasons: why the process is not ready; empty for ready.
        running: every run that has not ended, oldest first.
        syncs: the newest reports, newest first; the first with a revision tells the present one.
        tallies: of the last 24 hours.
        lease: who leads; ``None`` where nobody ever has.
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
    lease: Lease | None = None
    pauses: Sequence[Pause] = ()
    windows: Sequence[FreezeWindow] = ()
    stops: Callable[[StoredJob], Sequence[Stop]] = lambda _: ()


def schedule_view(schedule: Schedule) -> ScheduleView:
    """A schedule as people read it."""
    after = schedule.after
    fields = _alike(ScheduleView, schedule) | {
        "after": AfterView(job=str(after.key), on=after.on) if after else None,
        "but_not": tuple(calendar.name for calendar in schedule.but_not),
        "only": tuple(calendar.name for calendar in schedule.only),
    }
    return ScheduleView(**fields, words=words(schedule), time_zone=schedule.zone)


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
    """The next slots after ``now`` that will run, at most ``count``; none while the job is suspended."""
    if job.suspend or count < 1:
        return ()
    return Agenda.of(job.schedule).upcoming(now, count)


def state_of(job: Job, stops: Sequence[Stop], *, now: datetime) -> str:
    """A job in one word: ``complete``, what stops it, or ``active``."""
    if completed_at(job.schedule, now) is not None:
        return "complete"
    return stops[0].kind.value if stops else "active"


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
    return JobView(
        **_declared(job),
        last_run=run_brief(last) if last else None,
        held=held,
        state=state_of(job, stops, now=now),
        completed_at=completed_at(job.schedule, now),
        next_runs=next_runs(job, now=now, count=count),
        stops=tuple(stop_view(stop) for stop in stops),
        revision=stored.revision,
        commit=_commit_view(stored.commit),
        since=stored.since,
        applied_at=stored.applied_at,
    )


def _declared(job: Job) -> dict[str, Any]:
    """What a view shows of a job as its manifest declares it."""
    return _alike(JobView, job) | {
        "key": str(job.key),
        "application": job.key.application,
        "api": job.key.api,
        "method": job.request.method,
        "url": masked_url(job.request.url),
        "follow_redirects": job.request.follow_redirects,
        "auth": None if job.auth is None else job.auth.kind,
        "secrets": _references(job),
        "schedule": schedule_view(job.schedule),
        "max_rate": None if job.max_rate is None else format_rate(job.max_rate),
        "request": None,  # HTTP shows it to whoever may see configuration (web.sight)
    }


def _references(job: Job) -> dict[str, str]:
    """Where each secret value is found, by its place; two at one place, while one replaces the other, are both told."""
    found: dict[str, str] = {}
    for use in job.secrets:
        place = use.place.replace(":", " ", 1).rstrip()
        found[place] = f"{found[place]}, {use.ref}" if place in found else str(use.ref)
    return found


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
    history = None if state.history is None else HistoryView.model_validate(state.history)
    return ApplicationView(
        **_alike(ApplicationView, state)
        | {"history": history, "base_url": state.base_url and masked_url(state.base_url)},
        jobs=jobs,
        conditions=tuple(ConditionView.model_validate(one) for one in conditions(state, syncs)),
        stops=tuple(stop_view(stop) for stop in stops),
    )


def stop_view(stop: Stop) -> StopView:
    """What keeps a job from running."""
    return StopView(**_alike(StopView, stop) | {"kind": stop.kind.value})


def pause_view(pause: Pause) -> PauseView:
    """A pause."""
    view = PauseView.model_validate(pause)
    return view if pause.until < FOREVER else view.model_copy(update={"until": None})


def window_view(window: FreezeWindow) -> WindowView:
    """A freeze window."""
    return WindowView(**_alike(WindowView, window), words=words(window.start))


def _commit_view(commit: Commit | None) -> CommitView | None:
    return None if commit is None else CommitView.model_validate(commit)


def sync_view(report: SyncReport) -> SyncView:
    """A sync report."""
    drift = tuple(DriftView(**_alike(DriftView, one), job=str(one.key).removesuffix("/")) for one in report.drift)
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
            complete=sum(completed_at(stored.job.schedule, facts.now) is not None for stored in facts.jobs),
        ),
        applications=len(facts.applications),
        held_applications=held,
        pauses=tuple(pause_view(pause) for pause in facts.pauses),
        windows=tuple(window_view(window) for window in facts.windows),
        running=len(facts.running),
        running_runs=tuple(run_view(run) for run in facts.running[:SHOWN_RUNNING]),
        last24_hours=outcome_counts(facts.tallies),
        last_sync=sync_view(facts.syncs[0]) if facts.syncs else None,
        leader=_leader_view(facts.lease),
        processes=tuple(_process_view(process, facts.lease) for process in facts.processes),
    )


def _leader_view(lease: Lease | None) -> LeaderView | None:
    if lease is None:
        return None
    return LeaderView(
        process=lease.holder,
        leads=bool(lease.holder) and not lease.expired,
        term=lease.term,
        since=lease.since,
        accounted_until=lease.accounted_until,
    )


def _process_view(process: Process, lease: Lease | None) -> ProcessView:
    leads = lease is not None and not lease.expired and process.id == lease.holder
    return ProcessView(**_alike(ProcessView, process), leads=leads)
