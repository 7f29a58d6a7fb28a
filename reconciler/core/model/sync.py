"""From a snapshot of the source to the report on its sync. Forbidden here: decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from reconciler.core.model.access import AccessToken
from reconciler.core.model.instants import whole_milliseconds
from reconciler.core.model.jobs import Commit, Era, JobKey, Retention, StoredJob
from reconciler.core.model.stops import FreezeWindow


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
class Writing:
    """What a sync writes in one go; false where that is nothing. See ``ports.Store.apply``.

    Attributes:
        removed_records: ids of jobs' records that cannot be read, as ``ports.OnDamaged`` was told them.
        renamed: old key -> new key.
    """

    jobs: Sequence[StoredJob] = ()
    removed_jobs: Sequence[JobKey] = ()
    removed_records: Sequence[str] = ()
    applications: Sequence[ApplicationState] = ()
    removed_applications: Sequence[str] = ()
    windows: Sequence[FreezeWindow] = ()
    removed_windows: Sequence[str] = ()
    access_tokens: Sequence[AccessToken] = ()
    removed_access_tokens: Sequence[str] = ()
    renamed: Mapping[JobKey, JobKey] = field(default_factory=dict)
    eras: Sequence[Era] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))

    @property
    def removed_job_ids(self) -> tuple[str, ...]:
        """The id of each job's record that goes, whether it can be read or not."""
        return (*map(str, self.removed_jobs), *self.removed_records)
