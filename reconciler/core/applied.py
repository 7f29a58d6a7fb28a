"""What a plan leaves in the store: jobs with the revision and the moment they count from, eras, and Applications.

Forbidden here: deciding what changes (``core.plan``), and writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from reconciler.core.annotations import prune_of
from reconciler.core.changes import Change, Plan
from reconciler.core.declared import DeclaredApplication
from reconciler.core.desired import Desired
from reconciler.core.model import ApplicationState, Commit, Era, JobKey, Problem, Retention, StoredJob
from schemas.application import History

_NO_TIME = datetime.min.replace(tzinfo=UTC)


def stored_jobs(
    plan: Plan,
    stored: Mapping[JobKey, StoredJob],
    *,
    revision: str,
    now: datetime,
    commits: Mapping[JobKey, Commit] | None = None,
) -> list[StoredJob]:
    """What the plan's additions, changes, renamings and moves are to stand in the store as.

    Slots count from the moment a schedule was applied, so an edited, resumed or new schedule owes nothing from before,
    and a job that has only another name owes what it owed.

    Args:
        plan: what is to be applied.
        stored: every stored job.
        revision: of the source.
        now: the instant of the sync.
        commits: by key, which commit changed what the job does, where that is known.
    """
    written = [replace(stored[job.key], job=job) for job in plan.moved]
    for change in plan.changes:
        if change.after is not None:
            commit = (commits or {}).get(change.key)
            written.append(
                StoredJob(
                    job=change.after,
                    revision=commit.id if commit else revision,
                    since=now if _restarts(change) else stored[change.renamed_from or change.key].since,
                    applied_at=now,
                    commit=commit,
                )
            )
    return written


def _restarts(change: Change) -> bool:
    before, after = change.before, change.after
    return before is None or after is None or (before.schedule, before.suspend) != (after.schedule, after.suspend)


def eras_of(plan: Plan, *, revision: str, now: datetime) -> list[Era]:
    """What the plan adds to the history of schedules: one era for each job whose slots are others from now on.

    That is a job that is new, gone, suspended, resumed or scheduled otherwise. One that is only renamed goes on.

    Args:
        plan: what is to be applied.
        revision: of the source.
        now: the instant of the sync, which is also the ``since`` of these jobs.
    """
    return [_era(change, revision, now) for change in plan.changes if _restarts(change)]


def _era(change: Change, revision: str, now: datetime) -> Era:
    job = change.job
    is_due = change.after is not None and not job.suspend
    return Era(
        key=change.key,
        begin=now,
        schedule=job.schedule if is_due else None,
        revision=revision,
        file=job.file,
        line=job.line,
    )


def application_states(
    plan: Plan, desired: Desired, stored: Mapping[str, ApplicationState], *, now: datetime, revision: str = ""
) -> tuple[list[ApplicationState], list[str]]:
    """The Applications to write and those to remove, so that the store says what is declared and what is held.

    ``now`` and ``revision`` are noted where an Application is new, or is held or released with this plan.
    """
    turn = _Turn(at=now, revision=revision)
    written = []
    for name in sorted(set(desired.applications) | set(plan.held)):
        state = _application_state(name, desired.applications.get(name), plan.held.get(name), stored.get(name), turn)
        if state != stored.get(name):
            written.append(state)
    staying = {item.key.application for item in plan.kept} | set(desired.applications) | set(plan.held)
    return written, sorted(set(stored) - staying)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """When an Application became what it is, held or not, and at which revision."""

    at: datetime
    revision: str


def _application_state(
    name: str,
    declared: DeclaredApplication | None,
    problems: tuple[Problem, ...] | None,
    known: ApplicationState | None,
    turn: _Turn,
) -> ApplicationState:
    held = problems is not None
    if known is not None and known.held == held:
        turn = _Turn(at=known.since, revision=known.revision)
    reasons = tuple(str(problem) for problem in problems or ())
    if held and known is not None:
        return replace(known, held=True, problems=reasons, since=turn.at, revision=turn.revision)
    if declared is None:
        return ApplicationState(name=name, held=held, problems=reasons, since=turn.at, revision=turn.revision)
    state = declared_state(name, declared)
    return replace(state, held=held, problems=reasons, since=turn.at, revision=turn.revision)


def declared_state(name: str, declared: DeclaredApplication) -> ApplicationState:
    """What an Application's manifest says of it, and nothing of when."""
    spec = declared.manifest.spec
    return ApplicationState(
        name=name,
        description=spec.description,
        labels=declared.manifest.metadata.labels,
        base_url=spec.base_url,
        suspend=spec.suspend,
        file=declared.file,
        line=declared.line,
        since=_NO_TIME,
        prune=prune_of(declared),
        history=_retention(spec.history),
    )


def _retention(history: History | None) -> Retention | None:
    """What an Application says of its runs; failures are kept no shorter than other runs, unless it says so."""
    if history is None:
        return None
    default = Retention()
    keep_for = history.keep_for or default.keep_for
    return Retention(
        keep_for=keep_for,
        keep_failures_for=history.keep_failures_for or max(default.keep_failures_for, keep_for),
        keep_per_job=history.keep_per_job or default.keep_per_job,
    )
