"""What somebody sees of what there is: the Applications that they are limited to, and configuration if they may.

Forbidden here: refusing anybody, and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

from fastapi import Depends

from reconciler.core.access import Principal
from reconciler.core.model import (
    ApplicationState,
    FreezeWindow,
    HttpRequest,
    JobKey,
    Pause,
    Process,
    Role,
    Run,
    RunQuery,
    StoredJob,
    SyncReport,
    Tally,
)
from reconciler.core.redaction import MASK, is_secret_name, masked_body
from reconciler.core.shapes import ApplicationView, DriftView, JobView, RequestView, SyncView
from reconciler.core.windows import matches
from reconciler.web.access import Admin, Viewer
from reconciler.web.state import State, WebState

_CONFIGURATION: Final = re.compile(r"request|body|(header|query|form|body|auth|secret) .*|baseUrl")

_OWNED: Final = frozenset({"job", "Application"})  # what drifts of other kinds has a name that is no Application's


class _Keyed(Protocol):
    @property
    def key(self) -> JobKey: ...


_K = TypeVar("_K", bound=_Keyed)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one principal sees. What it does not see is not there for it."""

    state: WebState
    principal: Principal

    @property
    def sees_configuration(self) -> bool:
        """Whether headers, bodies, queries and settings are shown."""
        return self.principal.may(Role.ADMIN)

    def of(self, found: Iterable[_K]) -> Sequence[_K]:
        """Those jobs or runs that are there for it."""
        return [one for one in found if self.principal.sees(one.key.application)]

    async def jobs(self) -> Sequence[StoredJob]:
        """Every job, ordered by key."""
        return self.of(await self.state.declared.jobs())

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""
        return await self.state.declared.job(key) if self.principal.sees(key.application) else None

    async def applications(self) -> Sequence[ApplicationState]:
        """Every Application, ordered by name. Why one is held names none of the others, not even as a suggestion."""
        known = await self.state.declared.applications()
        others = [one.name for one in known if not self.principal.sees(one.name)]
        found = (one for one in known if self.principal.sees(one.name))
        return [replace(one, problems=tuple(_without_names(text, others) for text in one.problems)) for one in found]

    async def run(self, run_id: str) -> Run | None:
        """One run."""
        run = await self.state.store.run(run_id)
        return run if run is not None and self.principal.sees(run.key.application) else None

    async def query(self, query: RunQuery) -> RunQuery:
        """A query, for runs of its Applications alone."""
        if not self.principal.is_limited:
            return query
        known = [one.name for one in await self.state.declared.applications()]
        return replace(query, applications=self.principal.names(known))

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """The runs that match."""
        return await self.state.store.runs(await self.query(query))

    async def tally(self, query: RunQuery) -> Sequence[Tally]:
        """Ended runs, counted."""
        return await self.state.store.tally(await self.query(query))

    def pauses(self, pauses: Iterable[Pause]) -> tuple[Pause, ...]:
        """Those of its Applications."""
        return tuple(pause for pause in pauses if self.principal.sees(pause.application))

    async def windows(self, windows: Iterable[FreezeWindow]) -> tuple[FreezeWindow, ...]:
        """Those that are not for others alone, naming none of the others; nor does a pattern that is for others."""
        if not self.principal.is_limited:
            return tuple(windows)
        own = self.principal.names([one.name for one in await self.applications()])
        named = (
            (window, tuple(name for name in window.applications if any(matches(name, each) for each in own)))
            for window in windows
        )
        return tuple(replace(window, applications=names) for window, names in named if names)

    def processes(self, processes: Iterable[Process]) -> Sequence[Process]:
        """Every process, with those secrets of its Applications that it cannot read."""
        if not self.principal.is_limited:
            return list(processes)
        return [
            replace(one, unreadable=tuple(text for text in one.unreadable if self._is_of_its_own(text)))
            for one in processes
        ]

    def _is_of_its_own(self, text: str) -> bool:
        """Whether a sentence that begins with a job's key is about a job that is there for it."""
        return self.principal.sees(text.partition("/")[0])

    def syncs(self, reports: Iterable[SyncReport]) -> Sequence[SyncReport]:
        """Sync reports, without what concerns Applications that it does not see."""
        return [self._report(report) for report in reports] if self.principal.is_limited else list(reports)

    def _report(self, report: SyncReport) -> SyncReport:
        """What does not tell whose it is goes: problems (those of an Application stand with it), notes, subjects."""
        return replace(
            report,
            held=tuple(name for name in report.held if self.principal.sees(name)),
            kept=tuple(filter(self._is_of_its_own, report.kept)),
            kept_reasons=tuple(filter(self._is_of_its_own, report.kept_reasons)),
            drift=tuple(one for one in report.drift if one.kind in _OWNED and self.principal.sees(one.key.application)),
            commit=None if report.commit is None else replace(report.commit, subject=""),
            problems=(),
            notes=(),
        )

    def sync_view(self, view: SyncView) -> SyncView:
        """A sync, without the values of configuration that drifted."""
        if self.sees_configuration:
            return view
        return view.model_copy(update={"drift": tuple(map(_without_values, view.drift))})

    def application_view(self, view: ApplicationView) -> ApplicationView:
        """An Application, without the query of its address where configuration may not be seen."""
        if self.sees_configuration or not view.base_url:
            return view
        return view.model_copy(update={"base_url": _without_query(view.base_url)})

    def job_view(self, view: JobView, request: HttpRequest) -> JobView:
        """A job, with its request where that may be seen, and else without the query of its URL."""
        if not self.sees_configuration:
            return view.model_copy(update={"url": _without_query(view.url)})
        headers = {name: MASK if is_secret_name(name) else value for name, value in request.headers.items()}
        shown = RequestView(headers=headers, body=masked_body(request.body))
        return view.model_copy(update={"request": shown})


def _without_names(text: str, others: Sequence[str]) -> str:
    """A problem without the names of these Applications and of their jobs, as problems write them."""
    if not others:
        return text
    names = "|".join(re.escape(name) for name in sorted(others, key=len, reverse=True))
    text = re.sub(rf"(?<![\w.-])(?:{names})/[\w.-]*\w", "…/…", text)
    return re.sub(rf"(`|Application )(?:{names})(?![\w-])", r"\1…", text)


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="…")) if parts.query else url


def _without_values(drift: DriftView) -> DriftView:
    if drift.kind == "access token" or not _CONFIGURATION.fullmatch(drift.field):
        return drift
    values = (("found", drift.found), ("declared", drift.declared))
    return drift.model_copy(update={name: value and "…" for name, value in values})


async def _sight(state: State, principal: Viewer) -> Sight:
    return Sight(state, principal)


async def _whole_sight(state: State, principal: Admin) -> Sight:
    return Sight(state, principal)


Sees = Annotated[Sight, Depends(_sight)]
SeesAll = Annotated[Sight, Depends(_whole_sight)]
