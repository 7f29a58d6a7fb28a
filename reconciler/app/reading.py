"""What the commands that look at the store need, read in one go. Forbidden here: writing, and words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler.app.wiring import is_missing, opened_to_read
from reconciler.core import views
from reconciler.core.acts import Act, ActQuery
from reconciler.core.damage import PASSED_OVER, PAUSE, Damage, unheard
from reconciler.core.model import (
    AccessToken,
    ApplicationState,
    FreezeWindow,
    JobKey,
    Run,
    RunQuery,
    StoredJob,
    SyncReport,
)
from reconciler.core.stops import Stoppages
from reconciler.core.suggest import did_you_mean
from reconciler.errors import NotFoundError
from reconciler.ports import Store
from reconciler.services.upkeep import SILENCE
from reconciler.settings import Settings
from reconciler.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Everything that is declared, as the store has it."""

    jobs: Sequence[StoredJob]
    applications: Sequence[ApplicationState]
    windows: Sequence[FreezeWindow]
    access_tokens: Sequence[AccessToken]


async def state(url: str) -> Declared:
    """Everything that is declared, as the store has it."""
    async with opened_to_read(url) as store:  # a sync writes anew what cannot be read, and so does the plan
        return Declared(
            jobs=await store.jobs(unheard),
            applications=await store.applications(unheard),
            windows=await store.windows(unheard),
            access_tokens=await store.access_tokens(unheard),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Jobs and what stands beside them: the names of held Applications, each one's newest run, what stops them."""

    jobs: Sequence[StoredJob]
    held: frozenset[str]
    last: Mapping[JobKey, Run]
    stoppages: Stoppages


async def stoppages(store: Store, now: datetime, damage: Damage) -> Stoppages:
    """Every pause that is open and every freeze window."""
    pauses = await store.pauses(ending_after=now, damaged=damage.of("pause", PAUSE))
    return Stoppages(pauses, await store.windows(damage.of("freeze window")))


async def jobs(url: str, application: str | None, damage: Damage) -> Jobs:
    """The jobs (of one Application); ``damage`` is told of records that cannot be read.

    Raises:
        NotFoundError: there is no such Application.
    """
    async with opened_to_read(url) as store:
        states = await store.applications(damage.of("Application"))
        everything = await store.jobs(damage.of("job"))
        found = [one for one in everything if application in (None, one.key.application)]
        names = {state.name for state in states} | {one.key.application for one in found}
        if application is not None and application not in names:
            raise NotFoundError(f"there is no Application {application}{did_you_mean(application, names)}")
        keys = None if application is None else [one.key for one in found]
        return Jobs(
            jobs=found,
            held=frozenset(state.name for state in states if state.held),
            last=await store.last_runs(keys),
            stoppages=await stoppages(store, datetime.now(UTC), damage),
        )


async def syncs(url: str, limit: int, damage: Damage) -> Sequence[SyncReport]:
    """The newest sync reports, newest first."""
    async with opened_to_read(url) as store:
        return await store.syncs(limit, damaged=damage.of("sync", PASSED_OVER))


async def acts(url: str, query: ActQuery, damage: Damage) -> Sequence[Act]:
    """The acts that match; ``damage`` is told of those that cannot be read."""
    async with opened_to_read(url) as store:
        return await store.acts(query, damage.of("act", PASSED_OVER))


async def runs(url: str, query: RunQuery) -> Sequence[Run]:
    """The runs that match.

    Raises:
        NotFoundError: there are none, and what is asked for was never there.
    """
    async with opened_to_read(url) as store:
        found = await store.runs(query)
        if not found and query.application is not None:
            await _must_be_known(store, query.application, query.api)
        return found


async def _must_be_known(store: Store, application: str, api: str | None) -> None:
    known = {one.key for one in await store.jobs(unheard)}
    names = {state.name for state in await store.applications(unheard)} if api is None else set()
    asked = application if api is None else str(JobKey(application, api))
    there = names | ({key.application for key in known} if api is None else {str(key) for key in known})
    if asked not in there and not await store.runs(RunQuery(application=application, api=api, limit=1)):
        kind = "Application" if api is None else "job"
        raise NotFoundError(f"there is no {kind} {asked}{did_you_mean(asked, there)}")


async def run(url: str, run_id: str) -> Run:
    """One run.

    Raises:
        NotFoundError: there is none of this id.
    """
    async with opened_to_read(url) as store:
        run = await store.run(run_id)
    if run is None:
        raise NotFoundError(f"there is no run {run_id}; `reconciler runs` lists them")
    return run


async def application(url: str, name: str, now: datetime, damage: Damage) -> views.ApplicationView:
    """One Application with its conditions; ``damage`` is told of records that cannot be read.

    Raises:
        NotFoundError: there is none of this name.
    """
    async with opened_to_read(url) as store:
        states = {state.name: state for state in await store.applications(damage.of("Application"))}
        if name not in states:
            raise NotFoundError(f"there is no Application {name}{did_you_mean(name, states)}")
        state = states[name]
        stopped = await stoppages(store, now, damage)
        return views.application_view(
            state,
            jobs=sum(one.key.application == name for one in await store.jobs(damage.of("job"))),
            syncs=await store.syncs(views.SYNCS_LOOKED_AT, damaged=damage.of("sync", PASSED_OVER)),
            stops=stopped.stops_of(JobKey(name, ""), now, suspend=state.suspend),
        )


async def status(settings: Settings, damage: Damage) -> views.StatusView:
    """The whole at a glance, from the store alone; ``damage`` is told of records that cannot be read."""
    missing = is_missing(settings.store)
    async with opened_to_read(settings.store) as store:
        now = datetime.now(UTC)
        syncs = await store.syncs(views.SYNCS_LOOKED_AT, damaged=damage.of("sync", PASSED_OVER))
        stopped = await stoppages(store, now, damage)
        alive = [one for one in await store.processes() if now - one.seen_at < SILENCE and one.role == "run"]
        return views.status_view(
            views.StatusFacts(
                version=VERSION,
                now=now,
                store=f"{settings.store}: nothing is there yet" if missing else await store.check(),
                source=syncs[0].source if syncs else "",
                reasons=() if alive else ("no reconciler is running on this store",),
                jobs=await store.jobs(damage.of("job")),
                applications=await store.applications(damage.of("Application")),
                running=await store.unfinished(),
                syncs=syncs,
                tallies=await store.tally(RunQuery(since=now - timedelta(days=1))),
                processes=alive,
                lease=await store.lease(),
                pauses=tuple(stopped.pauses),
                windows=tuple(stopped.windows),
                stops=lambda stored: stopped.stops_of(stored.key, now, suspend=stored.job.suspend),
            )
        )
