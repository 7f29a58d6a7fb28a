"""The reading addresses below ``/api/v1``: they show what the store says. Forbidden here: writing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from reconciler.core import views
from reconciler.core.damage import unheard
from reconciler.core.model import ApplicationState, JobKey, Run, RunQuery, StoredJob, SyncReport
from reconciler.core.stats import StatsView, stats
from reconciler.core.stops import Stoppages
from reconciler.core.views import ApplicationView, JobView, Page, RunView, StatusView, SyncView, View
from reconciler.errors import StoreUnavailableError
from reconciler.web import examples
from reconciler.web.documented import GUARDED, READING, answers
from reconciler.web.paging import page
from reconciler.web.problems import RETRY_AFTER, Reason, invalid, refuse
from reconciler.web.questions import (
    ApisQuestion,
    ApplicationsQuestion,
    HistoryQuestion,
    JobsQuestion,
    RunsQuestion,
    StatsQuestion,
    SyncsQuestion,
    is_name,
    is_run_id,
    job_key,
)
from reconciler.web.sight import Sees, SeesAll, Sight

router = APIRouter(prefix="/api/v1")


class SettingsView(View):
    """What is set, by the names of the variables without their prefix."""

    settings: Mapping[str, str | None]


ApplicationName = Annotated[str, Path(description="The Application's name.", examples=["billing"])]
ApiName = Annotated[str, Path(description="The Api's name.", examples=["nightly-invoices"])]
RunId = Annotated[str, Path(description="The run's id.", examples=[examples.RUN["id"]])]


@router.get(
    "/status",
    tags=["status"],
    summary="The whole at a glance",
    responses=answers(examples.STATUS, *GUARDED, "store-unavailable"),
)
async def read_status(sight: Sees) -> StatusView:
    """Version, store, revision, readiness, jobs, runs in flight, outcomes of the last 24 hours, processes.

    While the store is away the problem says what this process knows of that: which store, since when, and why.
    """
    asking = asyncio.ensure_future(sight.state.readiness())
    try:
        return await _status(sight, asking)
    except StoreUnavailableError as error:
        reasons = tuple(await asking) or (f"the store is away: {error}",)
        raise refuse("store-unavailable", "; ".join(reasons), reasons=reasons, headers=RETRY_AFTER) from error
    finally:
        asking.cancel()


async def _status(sight: Sight, readiness: Awaitable[Sequence[str]]) -> StatusView:
    state = sight.state
    store, now = state.store, state.now()
    stopped = await _stoppages(sight)
    shown = views.status_view(
        views.StatusFacts(
            version=state.version,
            now=now,
            store=await store.check(),
            source=state.source,
            reasons=await readiness,
            jobs=await sight.jobs(),
            applications=await sight.applications(),
            running=sight.of(await store.unfinished()),
            syncs=sight.syncs(await store.syncs(views.SYNCS_LOOKED_AT, damaged=unheard)),
            tallies=await sight.tally(RunQuery(since=now - timedelta(hours=24))),
            processes=sight.processes(await store.processes()),
            lease=await store.lease(),
            pauses=tuple(stopped.pauses),
            windows=tuple(stopped.windows),
            stops=lambda stored: stopped.stops_of(stored.key, now, suspend=stored.job.suspend),
        )
    )
    last = None if shown.last_sync is None else sight.sync_view(shown.last_sync)
    return shown.model_copy(update={"last_sync": last})


@router.get(
    "/applications",
    tags=["jobs"],
    summary="All Applications",
    responses=answers(examples.page_of(examples.APPLICATION), *READING),
)
async def list_applications(sight: Sees, question: Annotated[ApplicationsQuestion, Query()]) -> Page[ApplicationView]:
    """Every Application by name; a held one has problems and keeps its last good jobs."""
    counts, about = _counts(await sight.jobs()), await _Surroundings.of(sight)
    found = [
        one
        for one in await sight.applications()
        if (question.cursor is None or one.name > question.cursor) and question.held in (None, one.held)
    ]
    return page(
        found[: question.limit + 1],
        question.limit,
        kind=question.kind,
        position=lambda one: one.name,
        show=lambda one: about.application(one, counts.get(one.name, 0)),
    )


@router.get(
    "/applications/{application}",
    tags=["jobs"],
    summary="One Application",
    responses=answers(examples.APPLICATION, *GUARDED, "store-unavailable", "application-not-found"),
)
async def read_application(sight: Sees, application: ApplicationName) -> ApplicationView:
    """One Application, with the reason if it is held."""
    if is_name(application):
        for one in await sight.applications():
            if one.name == application:
                counts = _counts(await sight.jobs())
                return (await _Surroundings.of(sight)).application(one, counts.get(application, 0))
    raise refuse("application-not-found", "No Application of this name is stored.")


@router.get(
    "/applications/{application}/apis",
    tags=["jobs"],
    summary="The jobs of an Application",
    responses=answers(examples.page_of(examples.JOB), *READING, "application-not-found"),
)
async def list_apis(
    sight: Sees, application: ApplicationName, question: Annotated[ApisQuestion, Query()]
) -> Page[JobView]:
    """Every job of one Application by name."""
    known = is_name(application) and application in {one.name for one in await sight.applications()}
    if not known:
        raise refuse("application-not-found", "No Application of this name is stored.")
    return await _jobs_page(sight, question, application)


@router.get("/cronjobs", tags=["jobs"], summary="All jobs", responses=answers(examples.page_of(examples.JOB), *READING))
async def list_jobs(sight: Sees, question: Annotated[JobsQuestion, Query()]) -> Page[JobView]:
    """Every job by key, with its next runs and its last one."""
    return await _jobs_page(sight, question, question.application)


@router.get(
    "/cronjobs/{application}/{api}",
    tags=["jobs"],
    summary="One job",
    responses=answers(examples.JOB, *GUARDED, "store-unavailable", "job-not-found"),
)
async def read_job(sight: Sees, application: ApplicationName, api: ApiName) -> JobView:
    """One job with everything that its manifest and its Application's defaults say."""
    key = job_key(application, api)
    stored = await sight.job(key) if key else None
    if key is None or stored is None:
        raise refuse("job-not-found", "No job of this name is stored.")
    about = await _Surroundings.of(sight)
    return about.job(stored, await sight.state.store.last_runs([key]))


@router.get(
    "/cronjobs/{application}/{api}/history",
    tags=["runs"],
    summary="The runs of a job",
    responses=answers(examples.page_of(examples.RUN), *READING, "job-not-found"),
)
async def list_history(
    sight: Sees, application: ApplicationName, api: ApiName, question: Annotated[HistoryQuestion, Query()]
) -> Page[RunView]:
    """Its runs, newest slot first. A job that is gone keeps its history until the runs expire."""
    key = job_key(application, api)
    if key is None or not await _has_been(sight, key):
        raise refuse("job-not-found", "No job of this name is stored, and no run of it.")
    return await _runs_page(sight, question, question.query(application=application, api=api))


@router.get("/runs", tags=["runs"], summary="Runs", responses=answers(examples.page_of(examples.RUN), *READING))
async def list_runs(sight: Sees, question: Annotated[RunsQuestion, Query()]) -> Page[RunView]:
    """Runs of all jobs, newest slot first."""
    return await _runs_page(sight, question, question.query(application=question.application))


@router.get(
    "/runs/{run_id}",
    tags=["runs"],
    summary="One run",
    responses=answers(examples.RUN, *GUARDED, "store-unavailable", "run-not-found"),
)
async def read_run(sight: Sees, run_id: RunId) -> RunView:
    """One run with its attempts and which revision, file and line declared it."""
    run = await sight.run(run_id.lower()) if is_run_id(run_id.lower()) else None
    if run is None:
        raise refuse("run-not-found", "No run of this id is stored.")
    return views.run_view(run)


@router.get("/syncs", tags=["status"], summary="Syncs", responses=answers(examples.page_of(examples.SYNC), *READING))
async def list_syncs(sight: Sees, question: Annotated[SyncsQuestion, Query()]) -> Page[SyncView]:
    """What each sync saw and did, newest first."""
    found = sight.syncs(await sight.state.store.syncs(question.limit + 1, before=question.cursor, damaged=unheard))
    return page(
        found,
        question.limit,
        kind=question.kind,
        position=lambda one: one.id,
        show=lambda one: sight.sync_view(views.sync_view(one)),
    )


@router.get(
    "/stats",
    tags=["runs"],
    summary="Figures",
    responses=answers(examples.STATS, *READING, "application-not-found", "job-not-found"),
)
async def read_stats(sight: Sees, question: Annotated[StatsQuestion, Query()]) -> StatsView:
    """Totals, success rate, latency percentiles, UTC days and UTC hours of the day; the last 7 days unless told."""
    try:
        since, until = question.window(sight.state.now())
    except ValueError as error:
        raise invalid([Reason(field="from", message=str(error))]) from None
    tallies = await sight.tally(question.query(since=since, until=until))
    if not tallies:
        await _refuse_unknown(sight, question.application, question.api)
    return stats(tallies, since=since, until=until, application=question.application, api=question.api)


@router.get("/settings", tags=["status"], summary="Settings", responses=answers(examples.SETTINGS, *GUARDED))
async def read_settings(sight: SeesAll) -> SettingsView:
    """Every setting of the process that answers; null where it is not set. Secrets are masked."""
    return SettingsView(settings=sight.state.settings)


def _counts(jobs: Iterable[StoredJob]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for stored in jobs:
        counts[stored.key.application] = counts.get(stored.key.application, 0) + 1
    return counts


async def _stoppages(sight: Sight) -> Stoppages:
    state = sight.state
    pauses = await state.store.pauses(ending_after=state.now(), damaged=unheard)
    return Stoppages(sight.pauses(pauses), await sight.windows(await state.store.windows(unheard)))


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What is shown with a job or an Application, besides itself."""

    sight: Sight
    now: datetime
    held: frozenset[str]
    stoppages: Stoppages
    syncs: Sequence[SyncReport]

    @staticmethod
    async def of(sight: Sight) -> _Surroundings:
        """As things stand now."""
        state = sight.state
        held = frozenset(one.name for one in await sight.applications() if one.held)
        syncs = sight.syncs(await state.store.syncs(views.SYNCS_LOOKED_AT, damaged=unheard))
        return _Surroundings(sight, state.now(), held, await _stoppages(sight), syncs)

    def job(self, stored: StoredJob, last: Mapping[JobKey, Run]) -> JobView:
        """One job as it is shown."""
        view = views.job_view(
            stored,
            held=stored.key.application in self.held,
            last=last.get(stored.key),
            now=self.now,
            stops=self.stoppages.stops_of(stored.key, self.now, suspend=stored.job.suspend),
        )
        due = {"next_due": self.sight.state.next_due(stored.key)}
        return self.sight.job_view(view.model_copy(update=due), stored.job.request)

    def application(self, one: ApplicationState, jobs: int) -> ApplicationView:
        """One Application as it is shown."""
        stops = self.stoppages.stops_of(JobKey(one.name, ""), self.now, suspend=one.suspend)
        return self.sight.application_view(views.application_view(one, jobs=jobs, syncs=self.syncs, stops=stops))


async def _jobs_page(sight: Sight, question: ApisQuestion, application: str | None) -> Page[JobView]:
    found: Sequence[StoredJob] = [
        stored
        for stored in await sight.jobs()
        if (application is None or stored.key.application == application)
        and (question.cursor is None or stored.key > _key_of(question.cursor))
        and question.suspend in (None, stored.job.suspend)
    ]
    if question.status:
        last = await sight.state.store.last_runs()
        found = [stored for stored in found if (run := last.get(stored.key)) and run.outcome in question.status]
        found = found[: question.limit + 1]
    else:
        found = found[: question.limit + 1]
        last = await sight.state.store.last_runs([stored.key for stored in found])
    about = await _Surroundings.of(sight)
    return page(
        found,
        question.limit,
        kind=question.kind,
        position=lambda stored: str(stored.key),
        show=lambda stored: about.job(stored, last),
    )


def _key_of(position: str) -> JobKey:
    application, _, api = position.partition("/")
    return JobKey(application, api)


async def _runs_page(sight: Sight, question: HistoryQuestion, query: RunQuery) -> Page[RunView]:
    found = await sight.runs(query)
    return page(found, question.limit, kind=question.kind, position=lambda run: run.id, show=views.run_view)


async def _has_been(sight: Sight, key: JobKey) -> bool:
    """Whether the job is stored, or was once: then runs of it are."""
    if not sight.principal.sees(key.application):
        return False
    if await sight.state.store.job(key) is not None:
        return True
    return bool(await sight.runs(RunQuery(application=key.application, api=key.api, limit=1)))


async def _refuse_unknown(sight: Sight, application: str | None, api: str | None) -> None:
    """Tell zero runs from a name that never was."""
    if application is None:
        return
    if api is not None:
        if not await _has_been(sight, JobKey(application, api)):
            raise refuse("job-not-found", "No job of this name is stored, and no run of it.")
        return
    stored = {one.name for one in await sight.state.store.applications(unheard)}
    known = application in stored or await sight.runs(RunQuery(application=application, limit=1))
    if not (known and sight.principal.sees(application)):
        raise refuse("application-not-found", "No Application of this name is stored, and no run of it.")
