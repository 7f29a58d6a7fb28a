"""What a plan consists of, as values: changes of jobs and of freeze windows, each with the fields that differ.

Forbidden here: deciding what changes (``core.plan``), and words for people (``core.plan_text``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from reconciler.core.auth import plain_fields
from reconciler.core.calendars import content
from reconciler.core.instants import stamp
from reconciler.core.model import AccessToken, Auth, FreezeWindow, Job, JobKey, Problem, Schedule, SecretUse
from reconciler.core.redaction import MASK, is_secret_name, masked_body, masked_url
from schemas.base import format_duration, format_rate

# What a schedule comes to, where the manifest says it in other words (``H H * * *``, ``weekly on SUN at 09:45``).
RESOLVED = ("schedule.cron", "schedule.every", "schedule.at", "schedule.after")


class Action(StrEnum):
    """What a change does to a job or a freeze window."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    RENAME = "rename"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field's old and new value, as text; ``None`` where it is absent."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one job. ``before`` is absent for an addition, ``after`` for a removal.

    Attributes:
        key: of the job as it will be; for a removal, as it was.
        renamed_from: what the job was called, where it has another name now.
    """

    action: Action
    key: JobKey
    before: Job | None
    after: Job | None
    renamed_from: JobKey | None = None

    @property
    def job(self) -> Job:
        """The job as it will be; for a removal, as it was."""
        return cast("Job", self.after or self.before)

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """Every field whose value differs."""
        return differences(
            flatten(self.before) if self.before else {},
            flatten(self.after) if self.after else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowChange:
    """What becomes of one freeze window; ``before`` and ``after`` as with a job."""

    action: Action
    before: FreezeWindow | None
    after: FreezeWindow | None

    @property
    def window(self) -> FreezeWindow:
        """The window as it will be; for a removal, as it was."""
        return cast("FreezeWindow", self.after or self.before)

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """Every field whose value differs."""
        return differences(
            flatten_window(self.before) if self.before else {},
            flatten_window(self.after) if self.after else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChange:
    """What becomes of one access token; ``before`` and ``after`` as with a job."""

    action: Action
    before: AccessToken | None
    after: AccessToken | None

    @property
    def token(self) -> AccessToken:
        """The token as it will be; for a removal, as it was."""
        return cast("AccessToken", self.after or self.before)

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """Every field whose value differs; none where it is only declared elsewhere now."""
        return differences(
            flatten_token(self.before) if self.before else {},
            flatten_token(self.after) if self.after else {},
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
        window_changes: ordered by name.
        moved_windows: freeze windows that are declared elsewhere now.
        kept_windows: names of freeze windows that stay although nothing readable declares them.
        token_changes: of access tokens, ordered by name, those that are only declared elsewhere now included.
    """

    changes: tuple[Change, ...] = ()
    moved: tuple[Job, ...] = ()
    kept: tuple[Kept, ...] = ()
    held: Mapping[str, tuple[Problem, ...]]
    braked: bool = False
    total: int = 0
    window_changes: tuple[WindowChange, ...] = ()
    moved_windows: tuple[FreezeWindow, ...] = ()
    kept_windows: tuple[str, ...] = ()
    token_changes: tuple[TokenChange, ...] = ()

    def count(self, action: Action) -> int:
        """How many changes of jobs are of this kind."""
        return sum(change.action is action for change in self.changes)

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything to show: a job, a freeze window or a token that will say something else."""
        return bool(self.changes or self.window_changes or self.shown_tokens)

    @property
    def shown_tokens(self) -> tuple[TokenChange, ...]:
        """The access tokens that will say something else."""
        return tuple(change for change in self.token_changes if change.fields)

    @property
    def removals(self) -> tuple[JobKey, ...]:
        """The jobs that go; those that get another name are not among them."""
        return tuple(change.key for change in self.changes if change.action is Action.REMOVE)

    @property
    def renamed(self) -> Mapping[JobKey, JobKey]:
        """Old key -> new key of the jobs that get another name; the records of the old keys go."""
        return {change.renamed_from: change.key for change in self.changes if change.renamed_from is not None}

    @property
    def windows(self) -> tuple[FreezeWindow, ...]:
        """The freeze windows to write: new, changed, or declared elsewhere now."""
        written = (change.after for change in self.window_changes)
        return (*(window for window in written if window is not None), *self.moved_windows)

    @property
    def removed_windows(self) -> tuple[str, ...]:
        """Names of the freeze windows that go."""
        return tuple(change.window.name for change in self.window_changes if change.action is Action.REMOVE)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FieldChange, ...]:
    """Every field whose value differs between two flat tables, in their order; as it is shown."""
    names = dict.fromkeys((*before, *after))
    return tuple(
        _change(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def _change(name: str, before: str | None, after: str | None) -> FieldChange:
    old, new = _masked(name, before), _masked(name, after)
    return FieldChange(field=name, before=old, after=f"{new} (another value)" if old == new else new)


def _masked(name: str, value: str | None) -> str | None:
    """A field's value without what usually is a credential; a reference to one is shown."""
    if value is None or isinstance(value, _Reference):
        return value
    if name in ("request", "auth request"):
        return masked_url(value)
    if name in ("body", "auth body"):
        return masked_body(value)
    where, _, header = name.removeprefix("auth ").partition(" ")
    return MASK if where == "header" and is_secret_name(header) else value


def shown(job: Job) -> dict[str, str]:
    """As ``flatten``, without what usually is a credential: for people to see."""
    return {name: _masked(name, value) or "" for name, value in flatten(job).items()}


def flatten(job: Job) -> dict[str, str]:
    """A job as a flat table of fields, in the words of a manifest; jobs with different digests differ in it.

    It is for comparing; what is shown of it is ``differences`` and ``shown``.
    """
    request, retry = job.request, job.retry
    fields: dict[str, str | None] = {
        **_schedule_fields(job.schedule),
        "request": f"{request.method} {request.url}",
        **{f"header {name}": value for name, value in request.headers.items()},
        "body": request.body,
        **{_place(use): _reference(use) for use in request.secrets},
        **(_auth_fields(job.auth) if job.auth is not None else {}),
        "followRedirects": str(request.follow_redirects) if request.follow_redirects else None,
        "expect.status": ", ".join(job.expect.status),
        "expect.body.contains": job.expect.contains,
        "timeout": format_duration(job.timeout),
        "retry": f"limit {retry.limit}, {format_duration(retry.initial_delay)} × {_number(retry.factor)}, "
        f"at most {format_duration(retry.max_delay)}",
        "concurrencyPolicy": job.concurrency_policy,
        "startingDeadline": format_duration(job.starting_deadline),
        "catchUp": job.catch_up,
        "delivery": job.delivery,
        "jitter": format_duration(job.jitter),
        "suspend": str(job.suspend).lower(),
        "stopAfterFailures": None if job.stop_after_failures is None else str(job.stop_after_failures),
        "limits.concurrency": None if job.max_concurrency is None else str(job.max_concurrency),
        "limits.rate": None if job.max_rate is None else format_rate(job.max_rate),
        "description": job.description or None,
        **{f"label {name}": value for name, value in job.labels.items()},
        "renamed-from": job.derived_from or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _auth_fields(auth: Auth) -> dict[str, str]:
    fields = dict(plain_fields(auth))
    for use in auth.secrets:
        name, reference = _place(use), _reference(use)
        fields[name] = _Reference(f"{fields[name]}, {reference}") if name in fields else reference
    return fields


def _place(use: SecretUse) -> str:
    """``header X-Key``, as for a header that is written out; ``body /user/token``, ``auth password``."""
    return use.place.replace(":", " ", 2 if use.place.startswith("auth:") else 1).rstrip()


class _Reference(str):
    """What a field says that names a secret; it is shown whatever the field's name."""

    __slots__ = ()


def _reference(use: SecretUse) -> _Reference:
    """``(env NAME)``; of a sealed value also what tells it from another one, which gives nothing away."""
    if use.ref.kind != "sealed":
        return _Reference(f"({use.ref})")
    text = hashlib.sha256(use.ref.name.encode()).hexdigest()[:8]
    return _Reference(f"({use.ref}, text {text}{', of the Application' if use.shared else ''})")


def flatten_window(window: FreezeWindow) -> dict[str, str]:
    """A freeze window as a flat table of fields, as ``flatten``."""
    fields: dict[str, str | None] = {
        "mode": window.mode,
        **_schedule_fields(window.start),
        "duration": format_duration(window.duration),
        "applications": ", ".join(window.applications),
        "catchUp": window.catch_up,
        "description": window.description or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def flatten_token(token: AccessToken) -> dict[str, str]:
    """An access token as a flat table of fields, as ``flatten``; with a fingerprint, and never its digest."""
    fields: dict[str, str | None] = {
        "role": token.role.value,
        "applications": ", ".join(token.applications),
        "expiresAt": stamp(token.expires_at) if token.expires_at else None,
        "fingerprint": hashlib.sha256(token.sha256.encode()).hexdigest()[:8] if token.sha256 else None,
        "description": token.description or None,
        "closed": token.closed or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _schedule_fields(schedule: Schedule) -> dict[str, str | None]:
    return {
        "schedule": schedule.declared,
        "schedule.cron": schedule.cron if schedule.cron != schedule.declared else None,
        "schedule.every": None if schedule.every is None else format_duration(schedule.every),
        "schedule.at": None if schedule.at is None else stamp(schedule.at),
        "schedule.after": None if schedule.after is None else f"{schedule.after.key} on {schedule.after.on}",
        "timeZone": schedule.zone,
        "startsAt": stamp(schedule.starts_at) if schedule.starts_at else None,
        "endsAt": stamp(schedule.ends_at) if schedule.ends_at else None,
        "except": ", ".join(calendar.name for calendar in schedule.but_not) or None,
        "only": ", ".join(calendar.name for calendar in schedule.only) or None,
        **{f"calendar {calendar.name}": content(calendar) for calendar in (*schedule.but_not, *schedule.only)},
    }


def _number(value: float) -> str:
    """``2`` for 2.0, every digit for others."""
    return str(float(value)).removesuffix(".0")
