"""The changes between what is stored and what is declared, as a value that can be printed, tested and refused.

Also the prune brake: a commit that would take away more than a part of all jobs takes away nothing.
Forbidden here: applying a plan, and words for people (``core.plan_text`` has those).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import cast

from reconciler.core.desired import Desired
from reconciler.core.manifests import DeclaredApplication
from reconciler.core.model import ApplicationState, Job, JobKey, Problem, StoredJob
from schemas.base import format_duration

DEFAULT_MAX_PRUNE = 0.5


class Action(StrEnum):
    """What a change does to a job."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field's old and new value, as text; ``None`` where it is absent."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one job. ``before`` is absent for an addition, ``after`` for a removal."""

    action: Action
    key: JobKey
    before: Job | None
    after: Job | None

    @property
    def job(self) -> Job:
        """The job as it will be; for a removal, as it was."""
        return cast("Job", self.after or self.before)

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """Every field whose value differs."""
        before = flatten(self.before) if self.before else {}
        after = flatten(self.after) if self.after else {}
        names = dict.fromkeys((*before, *after))
        return tuple(
            FieldChange(field=name, before=before.get(name), after=after.get(name))
            for name in names
            if before.get(name) != after.get(name)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A job that is declared no more and stays all the same, and why."""

    key: JobKey
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The way from what is stored to what is declared.

    Attributes:
        changes: ordered by key.
        moved: jobs that do the same as before but are declared elsewhere now (another file or line).
        kept: jobs that stay as they are although their manifests are gone or not good.
        held: Applications with problems, and the problems.
        braked: whether the prune brake stopped removals; ``--allow-prune`` releases it.
        total: how many jobs are stored before.
    """

    changes: tuple[Change, ...] = ()
    moved: tuple[Job, ...] = ()
    kept: tuple[Kept, ...] = ()
    held: Mapping[str, tuple[Problem, ...]]
    braked: bool = False
    total: int = 0

    def count(self, action: Action) -> int:
        """How many changes are of this kind."""
        return sum(change.action is action for change in self.changes)

    @property
    def removals(self) -> tuple[JobKey, ...]:
        """The jobs that go."""
        return tuple(change.key for change in self.changes if change.action is Action.REMOVE)


def diff(
    stored: Mapping[JobKey, StoredJob],
    desired: Desired,
    *,
    unread: Iterable[Problem] = (),
    applications: Mapping[str, ApplicationState] | None = None,
) -> Plan:
    """Compare what is stored with what is declared.

    Args:
        stored: every stored job.
        desired: what the readable manifests declare.
        unread: files of the source that could not be read at all.
        applications: the stored Applications; a broken file holds those that it declared.
    """
    unread = tuple(unread)
    broken = desired.broken | {problem.file for problem in unread}
    held = _held(stored, desired, unread, broken, applications or {})
    changes, moved = _declared(stored, desired, held)
    gone, kept = _gone(stored, desired, held, broken)
    return Plan(
        changes=tuple(sorted((*changes, *gone), key=lambda change: change.key)),
        moved=tuple(moved),
        kept=tuple(sorted(kept, key=lambda item: item.key)),
        held=held,
        total=len(stored),
    )


def _declared(
    stored: Mapping[JobKey, StoredJob], desired: Desired, held: Container[str]
) -> tuple[list[Change], list[Job]]:
    """Additions and changes, and the jobs that only stand elsewhere now."""
    changes: list[Change] = []
    moved: list[Job] = []
    for key, job in desired.jobs.items():
        known = stored.get(key)
        if key.application in held or (known is not None and known.job is job):
            continue
        if known is None:
            changes.append(Change(action=Action.ADD, key=key, before=None, after=job))
        elif known.job.digest != job.digest:
            changes.append(Change(action=Action.CHANGE, key=key, before=known.job, after=job))
        elif (known.job.file, known.job.line) != (job.file, job.line):
            moved.append(job)
    return changes, moved


def _gone(
    stored: Mapping[JobKey, StoredJob], desired: Desired, held: Container[str], broken: AbstractSet[str]
) -> tuple[list[Change], list[Kept]]:
    """Removals, and the jobs that stay although nothing readable declares them."""
    gone: list[Change] = []
    kept: list[Kept] = []
    for key, known in stored.items():
        if key.application in held:
            kept.append(Kept(key=key, reason=f"{key.application} is held"))
        elif key not in desired.jobs and broken:
            kept.append(Kept(key=key, reason=f"{min(broken)} cannot be read; it may be declared there"))
        elif key not in desired.jobs:
            gone.append(Change(action=Action.REMOVE, key=key, before=known.job, after=None))
    return gone, kept


def _held(
    stored: Mapping[JobKey, StoredJob],
    desired: Desired,
    unread: Iterable[Problem],
    broken: Iterable[str],
    applications: Mapping[str, ApplicationState],
) -> dict[str, tuple[Problem, ...]]:
    """Applications with problems of their own, and those that a broken file is known to have declared."""
    held = dict(desired.held)
    files = set(broken)
    if not files:
        return held
    reasons: dict[str, list[Problem]] = {}
    for problem in (*desired.problems, *unread):
        if problem.file in files:
            reasons.setdefault(problem.file, []).append(problem)
    owners = {(known.key.application, known.job.file) for known in stored.values() if known.job.file in files}
    owners |= {(state.name, state.file) for state in applications.values() if state.file in files}
    for name, file in sorted(owners):
        merged = (*held.get(name, ()), *reasons.get(file, ()))
        held[name] = tuple(dict.fromkeys(merged))
    return held


def brake(plan: Plan, *, declares_nothing: bool, allow_prune: bool, max_prune: float = DEFAULT_MAX_PRUNE) -> Plan:
    """Stop every removal where too much would go; the rest of the plan stays.

    Args:
        plan: the plan to guard.
        declares_nothing: whether the source declares no Application at all.
        allow_prune: a person has said that this is meant.
        max_prune: the part of all stored jobs that may go at once, 0 to 1.
    """
    gone = plan.removals
    if allow_prune or not gone:
        return plan
    if declares_nothing:
        reason = "the source declares nothing at all"
    elif len(gone) > plan.total * max_prune:
        reason = f"{len(gone)} of {plan.total} jobs would go, more than {max_prune:.0%}"
    else:
        return plan
    kept = (*plan.kept, *(Kept(key=key, reason=f"{reason}; --allow-prune lets them go") for key in gone))
    return replace(
        plan,
        changes=tuple(change for change in plan.changes if change.action is not Action.REMOVE),
        kept=tuple(sorted(kept, key=lambda item: item.key)),
        braked=True,
    )


def stored_jobs(plan: Plan, stored: Mapping[JobKey, StoredJob], *, revision: str, now: datetime) -> list[StoredJob]:
    """What the plan's additions, changes and moves are to stand in the store as.

    Slots count from the moment a schedule was applied, so an edited, resumed or new schedule owes nothing from before.
    """
    written = [StoredJob(job=job, revision=stored[job.key].revision, since=stored[job.key].since) for job in plan.moved]
    for change in plan.changes:
        if change.after is not None:
            since = now if _restarts(change) else stored[change.key].since
            written.append(StoredJob(job=change.after, revision=revision, since=since))
    return written


def _restarts(change: Change) -> bool:
    before, after = change.before, change.after
    return before is None or after is None or (before.schedule, before.suspend) != (after.schedule, after.suspend)


def application_states(
    plan: Plan, desired: Desired, stored: Mapping[str, ApplicationState], *, now: datetime
) -> tuple[list[ApplicationState], list[str]]:
    """The Applications to write and those to remove, so that the store says what is declared and what is held."""
    written = []
    for name in sorted(set(desired.applications) | set(plan.held)):
        state = _application_state(name, desired.applications.get(name), plan.held.get(name), stored.get(name), now)
        if state != stored.get(name):
            written.append(state)
    staying = {item.key.application for item in plan.kept} | set(desired.applications) | set(plan.held)
    return written, sorted(set(stored) - staying)


def _application_state(
    name: str,
    declared: DeclaredApplication | None,
    problems: tuple[Problem, ...] | None,
    known: ApplicationState | None,
    now: datetime,
) -> ApplicationState:
    held = problems is not None
    since = known.since if known is not None and known.held == held else now
    reasons = tuple(str(problem) for problem in problems or ())
    if held and known is not None:
        return replace(known, held=True, problems=reasons, since=since)
    if declared is None:
        return ApplicationState(name=name, held=held, problems=reasons, since=since)
    spec = declared.manifest.spec
    return ApplicationState(
        name=name,
        description=spec.description,
        labels=declared.manifest.metadata.labels,
        base_url=spec.base_url,
        suspend=spec.suspend,
        file=declared.file,
        line=declared.line,
        held=held,
        problems=reasons,
        since=since,
    )


def flatten(job: Job) -> dict[str, str]:
    """A job as a flat table of fields, in the words of a manifest."""
    schedule, request, retry = job.schedule, job.request, job.retry
    fields: dict[str, str | None] = {
        "schedule": schedule.declared,
        "timeZone": schedule.zone,
        "startsAt": schedule.starts_at.isoformat() if schedule.starts_at else None,
        "endsAt": schedule.ends_at.isoformat() if schedule.ends_at else None,
        "request": f"{request.method} {request.url}",
        **{f"header {name}": value for name, value in request.headers.items()},
        "body": request.body,
        "expect.status": ", ".join(job.expect.status),
        "expect.body.contains": job.expect.contains,
        "timeout": format_duration(job.timeout),
        "retry": f"limit {retry.limit}, {format_duration(retry.initial_delay)} × {retry.factor:g}, "
        f"at most {format_duration(retry.max_delay)}",
        "concurrencyPolicy": job.concurrency_policy,
        "startingDeadline": format_duration(job.starting_deadline),
        "catchUp": job.catch_up,
        "delivery": job.delivery,
        "jitter": format_duration(job.jitter),
        "suspend": str(job.suspend).lower(),
        "limits.concurrency": None if job.max_concurrency is None else str(job.max_concurrency),
        "description": job.description or None,
        **{f"label {name}": value for name, value in job.labels.items()},
    }
    return {name: value for name, value in fields.items() if value is not None}
