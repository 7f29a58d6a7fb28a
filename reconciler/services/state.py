"""What the store holds, remembered by the process that syncs, so that a sync costs what has changed.

Forbidden here: deciding what is to change; a plan says that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.core.desired import Desired
from reconciler.core.desired_tokens import closed_token
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    FreezeWindow,
    Job,
    JobKey,
    StoredJob,
    SyncReport,
    Writing,
)
from reconciler.ports import Store

UNREADABLE = "its record cannot be read"
_KINDS = ("jobs", "applications", "windows", "access_tokens", "syncs")
REPORTS_LOOKED_AT = 20  # to find the last revision behind syncs that could not read the source


class State:
    """The jobs, Applications, windows and access tokens that are stored, and the newest sync reports.

    Attributes:
        access_tokens: by name; ``None`` until they have been read. One whose record cannot be read is closed.
        damaged: by kind (``jobs``, ``access_tokens``, …) the records that cannot be read, and why.
        reports: newest first.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded = False
        self._shared = False
        self._pairs: dict[JobKey, tuple[StoredJob, StoredJob]] = {}  # as read, and as it was shared then
        self.jobs: dict[JobKey, StoredJob] = {}
        self.applications: dict[str, ApplicationState] = {}
        self.windows: dict[str, FreezeWindow] = {}
        self.access_tokens: dict[str, AccessToken] | None = None
        self.damaged: dict[str, dict[str, str]] = {}
        self.reports: list[SyncReport] = []
        self._newest = ""  # the id of the newest report, whether it can be read or not

    @property
    def latest(self) -> SyncReport | None:
        """The newest report."""
        return self.reports[0] if self.reports else None

    @property
    def read(self) -> SyncReport | None:
        """The newest report of a sync that could read the source."""
        return next((report for report in self.reports if report.revision), None)

    async def is_behind(self) -> bool:
        """Whether somebody else has synced since this was loaded."""
        damaged: dict[str, str] = {}
        newest = [report.id for report in await self._store.syncs(1, damaged=damaged.__setitem__)]
        return not self._loaded or max([*newest, *damaged], default="") != self._newest

    async def load(self, *, anew: bool = False) -> bool:
        """Read what is stored: at first, whenever somebody else has synced, and when told; whether it was read."""
        if not (anew or await self.is_behind()):
            return False
        damaged: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
        stored = await self._store.jobs(damaged["jobs"].__setitem__)
        applications = await self._store.applications(damaged["applications"].__setitem__)
        windows = await self._store.windows(damaged["windows"].__setitem__)
        tokens = await self._store.access_tokens(damaged["access_tokens"].__setitem__)
        self.reports = list(await self._store.syncs(REPORTS_LOOKED_AT, damaged=damaged["syncs"].__setitem__))
        self._newest = max([*(report.id for report in self.reports), *damaged["syncs"]], default="")
        self.damaged = damaged
        self.applications = {state.name: state for state in applications}
        self.windows = {window.name: window for window in windows}
        self.access_tokens = {name: closed_token(name, UNREADABLE) for name in damaged["access_tokens"]}
        self.access_tokens |= {token.name: token for token in tokens}
        self.jobs = {one.key: one for one in stored}
        self._loaded, self._shared = True, False
        return True

    async def write(self, writing: Writing, *, term: int | None = None) -> None:
        """Write to the store, then remember it. What fails is not remembered: the next sync begins where this ended."""
        await self._store.apply(writing, term=term)
        for key in writing.removed_jobs:
            self.jobs.pop(key, None)
        for name in writing.removed_applications:
            self.applications.pop(name, None)
        for name in writing.removed_windows:
            self.windows.pop(name, None)
        self.jobs |= {stored.key: stored for stored in writing.jobs}
        self.applications |= {state.name: state for state in writing.applications}
        self.windows |= {window.name: window for window in writing.windows}
        gone = frozenset(writing.removed_access_tokens)
        left = {name: token for name, token in (self.access_tokens or {}).items() if name not in gone}
        self.access_tokens = left | {token.name: token for token in writing.access_tokens}
        self._mended("access_tokens", (*gone, *(token.name for token in writing.access_tokens)))
        self._mended("jobs", (*writing.removed_records, *(str(stored.key) for stored in writing.jobs)))
        self._mended("applications", (*writing.removed_applications, *(state.name for state in writing.applications)))
        self._mended("windows", (*writing.removed_windows, *(window.name for window in writing.windows)))

    def _mended(self, kind: str, names: Iterable[str]) -> None:
        damaged = self.damaged.get(kind, {})
        for name in names if damaged else ():
            damaged.pop(name, None)

    async def record(self, report: SyncReport) -> None:
        """Keep a report, unless it says what the last one said: the same revision twice writes nothing."""
        if not says_the_same(report, self.latest):
            await self._store.record(report)
            self.reports = [report, *self.reports[: REPORTS_LOOKED_AT - 1]]
            self._newest = max(self._newest, report.id)

    def share(self, desired: Desired) -> None:
        """Let a stored job that equals its declaration be the same object, so that it is seen to at a glance.

        To compare thousands of jobs takes long. One that the store gives out again unchanged is not compared again.
        """
        if self._shared:
            return
        known, self._pairs = self._pairs, {}
        shared = (self._shared_one(one, desired.jobs.get(key), known.get(key)) for key, one in self.jobs.items())
        self.jobs = {one.job.key: one for one in shared}  # under the declared key: one object is found fastest
        self._shared = True

    def _shared_one(
        self, stored: StoredJob, declared: Job | None, known: tuple[StoredJob, StoredJob] | None
    ) -> StoredJob:
        """A stored job with its declaration where they are equal; ``known`` is what came of it the last time."""
        if declared is None:
            return stored
        if known is None or known[0] is not stored or known[1].job is not declared:
            if stored.job != declared:
                return stored
            known = (stored, replace(stored, job=declared))
        self._pairs[known[1].job.key] = known
        return known[1]


def says_the_same(report: SyncReport, latest: SyncReport | None) -> bool:
    """Whether a report of a pass that changed nothing adds nothing to the last one."""
    if latest is None or report.result == "applied":
        return False
    quiet = report.result == "unchanged" and latest.result == "applied"
    mended = not report.drift and all(drift.put_back for drift in latest.drift)
    same = replace(
        report,
        id=latest.id,
        started_at=latest.started_at,
        duration_ms=latest.duration_ms,
        parsed=latest.parsed,
        added=latest.added,
        changed=latest.changed,
        removed=latest.removed,
        renamed=latest.renamed,
        result=latest.result if quiet else report.result,
        notes=report.notes or latest.notes,
        drift=latest.drift if mended else report.drift,
    )
    return same == latest
