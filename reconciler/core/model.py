"""The words of the product as frozen values: jobs, slots, runs, attempts, sync reports.

Every instant is aware, in UTC and cut to whole milliseconds, which is what every store can hold.
Forbidden here: decisions. They stand in the modules named after them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.errors import NotFoundError


def whole_milliseconds(instant: datetime) -> datetime:
    """Cut an aware instant to milliseconds, in UTC."""
    instant = instant.astimezone(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Where a secret value is found; never the value.

    Attributes:
        kind: ``env``, ``file`` or ``sealed``.
        name: the variable, the path, the sealed text.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind != "sealed" else f"sealed, key {self.name.split('.')[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """A place of a request at which a secret value goes out.

    Attributes:
        place: ``header:NAME``, ``query:NAME``, ``form:NAME``, ``body:/json/pointer`` or ``auth:FIELD``; in the request
            of a handshake ``auth:`` and one of these.
        shared: it is sealed for the Application, which declares it for all its Apis.
    """

    place: str
    ref: SecretRef
    shared: bool = False

    def field(self, api: str) -> str:
        """What a sealed value is bound to, beside the Application: ``api/nightly/header:x-key``, ``header:x-key``."""
        where, colon, name = self.place.rpartition("header:")  # capitals make no difference in its name
        place = f"{where}{colon}{name.lower()}" if colon and where in ("", "auth:") else self.place
        return place if self.shared else f"api/{api}/{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request with nothing left to resolve but its secrets, whose values stand nowhere in it.

    Attributes:
        url: absolute, the query included.
        headers: as they go out, besides those that the run adds; names as declared.
        body: as it goes out, in UTF-8; ``None`` for no body.
        follow_redirects: at most so many, one after the other; 0 for none.
        secrets: what is put in just before a call: a header, a parameter, a null within the JSON body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    follow_redirects: int = 0
    secrets: tuple[SecretUse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How calls authenticate, with nothing left to resolve but its secrets, whose values stand nowhere in it.

    Attributes:
        kind: ``basic``, ``bearer``, ``header``, ``oauth2``, ``hmac`` or ``handshake``.
        username: of ``basic``, the client's id of ``oauth2``; empty where it is a secret.
        header: the name of the header, of ``header``.
        request: what fetches a credential, of ``oauth2`` and ``handshake``, but for what is put in before it is sent.
        scopes, audience, style: of ``oauth2``.
        secrets: each at ``auth:FIELD``; of a handshake also ``auth:header:NAME``, ``auth:query:NAME``,
            ``auth:body:/json/pointer``. Two at ``auth:secret``, the present one first, while one replaces the other.
    """

    kind: str
    username: str = ""
    header: str = ""
    request: HttpRequest | None = None
    scopes: tuple[str, ...] = ()
    audience: str = ""
    style: str = ""
    secrets: tuple[SecretUse, ...] = ()

    @property
    def is_fetched(self) -> bool:
        """Whether its credentials are asked for, expire, and are fetched once more when they are refused."""
        return self.request is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a target or a token endpoint has given, in plain: it is held in memory, and stands nowhere else.

    Attributes:
        kind: ``Basic`` or ``BearerToken``.
        username: of ``Basic``.
        secret: the password, the token.
        obtained_at: when it was asked for.
        expires_at: it is not used from then on; ``None`` where that was not said.
    """

    kind: str
    username: str = field(default="", repr=False)
    secret: str = field(repr=False)
    obtained_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCredential:
    """A credential as it stands in the store: encrypted.

    Attributes:
        id: ``application/digest``.
        digest: of the ``auth`` that it was fetched by; another ``auth`` never uses it.
        sealed: the credential, encrypted together with its id.
        obtained_at, expires_at: as in the credential; those within are what counts.
    """

    id: str
    application: str
    kind: str
    digest: str
    sealed: str = field(repr=False)
    obtained_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Which answer is a success: one of the statuses (``200``, ``2xx``, ``200-204``) and a text in the body."""

    status: tuple[str, ...] = ("2xx",)
    contains: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """At most ``limit`` further attempts after the first; each delay at most ``max_delay``."""

    limit: int = 0
    initial_delay: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    max_delay: timedelta = timedelta(minutes=5)


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
    expect: Expectation = Expectation()
    retry: RetryPolicy = RetryPolicy()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One instant at which a job is due."""

    key: JobKey
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with the manifests, at its place; line and column count from 1."""

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationState:
    """An Application as it stands in the store.

    Attributes:
        held: its manifests have problems: its last good jobs stay.
        problems: why it is held, as ``file:line:column: field: message``.
        since: when it was last held or released.
        revision: of the source, at which that happened.
        prune: what its annotation ``reconciler/prune`` said when it was last good: ``allow``, ``never`` or nothing.
        history: how long its runs are kept, where it declares that; what it leaves out is ``Retention``'s default.
    """

    name: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    base_url: str | None = None
    suspend: bool = False
    file: str = ""
    line: int = 1
    held: bool = False
    problems: tuple[str, ...] = ()
    since: datetime
    revision: str = ""
    prune: str = ""
    history: Retention | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWindow:
    """A declared span of time, coming again and again, in which slots are not run, or outside which they are not.

    Attributes:
        mode: ``deny``: no slot runs in it; ``allow``: for the Applications named, no slot runs outside all of these.
        start: when it begins.
        duration: how long it lasts from there; windows of one declaration may overlap.
        applications: names, or patterns with ``*``, of the Applications that it is for.
        catch_up: ``none``, or ``latest``: when it ends, each job whose slots it froze runs once.
        description: why, for people.
        file, line: where it is declared.
    """

    name: str
    mode: str
    start: Schedule
    duration: timedelta
    applications: tuple[str, ...] = ("*",)
    catch_up: str = "none"
    description: str = ""
    file: str = ""
    line: int = 1


class Role(StrEnum):
    """What whoever asks over HTTP may do; each may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether it may do what another may."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A declared token that lets whoever sends it read or trigger; the token itself is nowhere.

    Attributes:
        applications: names, or patterns with ``*``, of the Applications that it is limited to.
        expires_at: it lets nobody in from this instant on.
        sha256: of the token, in hexadecimal; empty where its manifest cannot be read.
        closed: why it lets nobody in; empty where it does.
        file, line: where it is declared.
    """

    name: str
    role: Role
    applications: tuple[str, ...] = ("*",)
    expires_at: datetime | None = None
    sha256: str = field(repr=False)
    description: str = ""
    closed: str = ""
    file: str = ""
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An operator's temporary stop of an Application or one job; syncs never undo it, and it ends by itself.

    Attributes:
        id: unique, sortable by time.
        api: ``None`` for the whole Application.
        by: who, as ``user@host``.
        until: its end; slots at or after it run.
        ended_at: when somebody ended it early.
        ended_by: who did.
    """

    id: str
    application: str
    api: str | None = None
    reason: str
    by: str
    since: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str = ""

    @property
    def target(self) -> str:
        """What is paused, as people write it: ``app`` or ``app/api``."""
        return self.application if self.api is None else f"{self.application}/{self.api}"


class StopKind(StrEnum):
    """Why a job is not run for now."""

    SUSPENDED = "suspended"
    PAUSED = "paused"
    FROZEN = "frozen"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One thing that keeps a job from running, declared or operational.

    Attributes:
        reason: for people; see ``core.stops.said`` for what a skipped run says.
        since: when it began; ``None`` where that is not known (a suspension).
        until: when it ends by itself; ``None`` if never.
        by: who paused it, or which window froze it.
    """

    kind: StopKind
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One field of a job, an Application or a freeze window that stands somewhere otherwise than it is declared.

    Attributes:
        key: of the job; of anything else its name, and no Api.
        kind: ``job``, ``Application`` or ``freeze window``.
        where: ``store`` or ``scheduler``.
        field: as in a plan; empty where all of it is missing, surplus or unreadable.
        found: what stands there; ``None`` where nothing does.
        declared: what should; ``None`` where nothing should.
        put_back: whether it was mended in the same pass.
    """

    key: JobKey
    where: str
    field: str = ""
    found: str | None = None
    declared: str | None = None
    put_back: bool = True
    kind: str = "job"

    @property
    def name(self) -> str:
        """What people call it: ``app/api``, ``Application app``, ``freeze window easter``."""
        return str(self.key) if self.kind == "job" else f"{self.kind} {self.key.application}"


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
class SyncReport:
    """What one sync saw and did.

    Attributes:
        id: sortable by time.
        revision: of the snapshot; empty where the source could not be read.
        result: ``applied``, ``unchanged``, ``refused`` (the brake), ``failed`` (no snapshot).
        jobs: how many jobs are stored afterwards.
        parsed: how many files were new and parsed.
        held: names of held Applications.
        problems: every problem, as text.
        kept: jobs whose removal the brake, an annotation or an unreadable file stopped.
        kept_reasons: which of them stay and why, in words; not those of held Applications, whose problems say it.
        error: why there is no snapshot, or why nothing of it was looked at further.
        duration_ms: of the whole pass.
        commit: what the revision is, where the source is a repository.
        notes: what else is worth knowing: a rewritten history, removals that somebody allowed.
        drift: what stood otherwise than declared before this pass.
        environment: whose patches were applied; empty for none.
    """

    id: str
    source: str
    revision: str
    result: str
    started_at: datetime
    duration_ms: float
    files: int = 0
    parsed: int = 0
    jobs: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    held: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    error: str = ""
    renamed: int = 0
    commit: Commit | None = None
    notes: tuple[str, ...] = ()
    drift: tuple[Drift, ...] = ()
    environment: str = ""
    kept_reasons: tuple[str, ...] = ()

    @property
    def ended_at(self) -> datetime:
        """When the pass ended, and what it says was known."""
        return whole_milliseconds(self.started_at + timedelta(milliseconds=self.duration_ms))


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
class Snapshot:
    """The files of a source at one revision.

    Attributes:
        revision: commit id, or digest of the folder's content.
        files: path relative to the source -> content id. Unreadable files are in ``problems`` instead.
        texts: path -> content, only for files that the reader did not know with this content id.
        problems: files that could not be read; their presence stops every removal in this pass.
        commit: what the revision is, where the source is a repository.
        notes: what is worth knowing about how it came: a history that was rewritten.
    """

    revision: str
    files: Mapping[str, str]
    texts: Mapping[str, bytes]
    problems: tuple[Problem, ...] = ()
    commit: Commit | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a manual trigger replaces for its one run."""

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    has_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back from one call: an answer, or why there is none.

    Attributes:
        status: ``None`` where no complete answer came.
        body: at most the cap; content codings that we bound are undone.
        retry_after: the header's text, if there was one.
        content_type: the header's text, if there was one.
        cache_control: the header's text, if there was one.
        location: where a redirect leads, if the answer is one.
        error: what went wrong: a timeout, a reset, a body over the cap; ``None`` for a complete answer.
        sent: False only where it is certain that the request never left.
        transient: False where an error would be the same again, such as a refused address.
        latency_ms: from sending to the last byte, or to the failure.
    """

    status: int | None = None
    body: bytes = b""
    retry_after: str | None = None
    content_type: str | None = None
    cache_control: str | None = None
    location: str | None = None
    error: str | None = None
    sent: bool = True
    transient: bool = True
    latency_ms: float = 0.0
