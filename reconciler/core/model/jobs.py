"""What is declared, resolved: jobs, and the parts of which they are made. Forbidden here: decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.core.model.credentials import Auth
from reconciler.core.model.requests import Expectation, HttpRequest, RetryPolicy
from reconciler.core.model.secrets import SecretUse
from reconciler.errors import NotFoundError


class JobKey(NamedTuple):
    """A job's identity, written ``application/api``."""

    application: str
    api: str

    def __str__(self) -> str:
        return f"{self.application}/{self.api}"

    @classmethod
    def parse(cls, text: str) -> JobKey:
        """Read ``application/api``.

        Raises:
            NotFoundError: the text is not of that form.
        """
        application, slash, api = text.partition("/")
        if not (application and slash and api) or "/" in api:
            raise NotFoundError(f"{text!r} names no job; jobs are named APPLICATION/API")
        return cls(application, api)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Days, named by a manifest of kind Calendar and resolved into every schedule that refers to it.

    Attributes:
        zone: IANA name; a day is a day there.
        dates: ``2026-12-25``, or ``12-25`` for every year.
        weekly: ``SUN`` to ``SAT``.
        ranges: first and last day, both included, each written as in ``dates``; one without a year may span New Year.
    """

    name: str
    zone: str = "UTC"
    dates: tuple[str, ...] = ()
    weekly: tuple[str, ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A schedule that follows another job's runs: one run for each that ends so.

    Attributes:
        on: ``success``, ``failure`` (failed, missed or unknown) or ``completion`` (any of these).
    """

    key: JobKey
    on: str = "success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a job is due, with everything resolved: exactly one of cron, every, at and after is set.

    Attributes:
        declared: what the manifest says, for people: ``H H * * *``, ``weekly on SUN at 09:45``.
        cron: five or six fields, every ``H`` and ``@`` replaced.
        every: an interval anchored at ``starts_at`` or the epoch.
        at: one instant, in UTC.
        after: the job whose runs it follows.
        zone: IANA name; cron fields are wall time there.
        starts_at: no slot before it, in UTC.
        ends_at: no slot after it, in UTC.
        but_not: calendars on whose days no slot runs (``except`` in a manifest); such slots end as skipped.
        only: calendars, on whose days alone slots run; nothing for every day.
    """

    declared: str
    cron: str | None = None
    every: timedelta | None = None
    at: datetime | None = None
    after: After | None = None
    zone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    but_not: tuple[Calendar, ...] = ()
    only: tuple[Calendar, ...] = ()


class Rate(NamedTuple):
    """At most ``calls`` in any span of this length."""

    calls: int
    per: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long ended runs are kept; the newest run of each job always stays.

    Attributes:
        keep_for: runs that did not fail.
        keep_failures_for: runs that failed, were missed or are unknown.
        keep_per_job: at most so many runs of one job, the newest; what did not fail goes first.
    """

    keep_for: timedelta = timedelta(days=30)
    keep_failures_for: timedelta = timedelta(days=90)
    keep_per_job: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An Api with its Application's defaults merged in: everything explicit.

    Attributes:
        suspend: by the Api or by its Application.
        max_concurrency: the Application's bound on calls in flight, shared by all its jobs.
        max_rate: the Application's bound on calls in a span of time, shared by all its jobs.
        stop_after_failures: after so many failures in a row the job is paused; ``None`` for never.
        auth: how its calls authenticate; ``None`` for not at all.
        derived_from: the key that ``H`` and jitter are derived from; empty for the job's own.
        file: where it is declared, relative to the source.
        line: the line, from 1, on which the Api begins.
        digest: of everything but file and line; equal digests mean nothing to do.
    """

    key: JobKey
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    schedule: Schedule
    request: HttpRequest
    expect: Expectation = field(default_factory=Expectation)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta = timedelta(seconds=30)
    concurrency_policy: str = "Forbid"
    starting_deadline: timedelta = timedelta(hours=1)
    catch_up: str = "latest"
    delivery: str = "atLeastOnce"
    jitter: timedelta = timedelta(0)
    suspend: bool = False
    max_concurrency: int | None = None
    max_rate: Rate | None = None
    stop_after_failures: int | None = None
    auth: Auth | None = None
    derived_from: str = ""
    file: str = ""
    line: int = 1
    digest: str = ""

    @property
    def secrets(self) -> tuple[SecretUse, ...]:
        """Every reference to a secret value: of the request, and of how it authenticates."""
        return self.request.secrets if self.auth is None else (*self.request.secrets, *self.auth.secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit of a git repository, as far as people ask for it.

    Attributes:
        id: the full object name, in hexadecimal.
        author: ``Name <address>``, as the commit says it; never trusted for anything.
        date: when it was authored, in UTC.
        subject: the first line of its message.
    """

    id: str
    author: str
    date: datetime
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job as it stands in the store.

    Attributes:
        revision: of the source, that last changed what the job does: the id of ``commit`` where there is one.
        since: when its present schedule was applied; slots count from here.
        applied_at: when all that it says now was applied; ``None`` where an older version wrote it.
        commit: who declared what it says now; ``None`` where the source is a folder.
    """

    job: Job
    revision: str
    since: datetime
    applied_at: datetime | None = None
    commit: Commit | None = None

    @property
    def key(self) -> JobKey:
        """The job's key."""
        return self.job.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """What a job's slots were from an instant on, until its next era: the history of its schedule, for the audit.

    Attributes:
        begin: slots after it follow this era.
        schedule: ``None`` where no slot is due: the job was removed or suspended.
        revision, file, line: who declared it.
    """

    key: JobKey
    begin: datetime
    schedule: Schedule | None
    revision: str = ""
    file: str = ""
    line: int = 1

    @property
    def id(self) -> str:
        """Unique, and sortable by time for one job."""
        return f"{self.key} {self.begin.strftime('%Y%m%dT%H%M%S')}.{self.begin.microsecond // 1000:03}Z"
