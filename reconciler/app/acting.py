"""A process that does one thing and ends: one sync, one run, the checks.

Forbidden here: words for people beyond a finding's text.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from reconciler.adapters.caller import HttpCaller
from reconciler.adapters.clock import ApsClock
from reconciler.app import admitting, authenticating, wiring
from reconciler.app.masking import REDACTOR
from reconciler.core.acts import COMMAND_LINE, Act, triggered
from reconciler.core.desired import Desired
from reconciler.core.model import JobKey, Outcome, Overrides, Run, SyncReport
from reconciler.core.plan import Plan
from reconciler.core.plural import plural
from reconciler.errors import NotFoundError, ReconcilerError, SourceError
from reconciler.services import acts
from reconciler.services.declarations import Declarations
from reconciler.services.reconcile import Reconciliation
from reconciler.services.run import Runner
from reconciler.services.secrets import SecretValues
from reconciler.services.upkeep import Upkeep
from reconciler.settings import Settings
from reconciler.web.server import bind, parse_listen

_SHOWN = 20


async def sync_once(settings: Settings, *, allow_prune: str) -> tuple[SyncReport, Plan]:
    """One pass from the source to the store.

    Args:
        settings: everything that can be set.
        allow_prune: the revision whose removals are meant, or its beginning; empty for none.

    Raises:
        SourceError: there is no snapshot, or another source has declared what the store holds.
        UnsafePlanError: the source is at another revision than ``allow_prune``; nothing was applied.
        StoreError: the store is away or refuses.
    """
    async with wiring.opened(settings.store) as store:
        options = wiring.sync_options(settings, allow_prune, exact=True)
        done: list[Act] = []
        source = wiring.open_source(settings)
        reconciliation = Reconciliation(source, store, ApsClock(), options, on_act=done.append, redactor=REDACTOR)
        try:
            report = await reconciliation.sync()
        finally:  # what was removed was removed, whatever comes after it
            await acts.keep(store, done, REDACTOR)
        if report.result == "failed" or reconciliation.plan is None:
            raise SourceError(report.error)
        return report, reconciliation.plan


async def trigger_once(settings: Settings, key: JobKey, overrides: Overrides, idempotency_key: str | None) -> Run:
    """Make one run in this process and wait for its end.

    Raises:
        NotFoundError: there is no such job.
        IdempotencyConflictError: the key was used before with another request.
        StoreError: the store is away or refuses; nothing was sent.
    """
    async with wiring.opened(settings.store) as store:
        stored = await store.job(key)
        if stored is None:
            raise NotFoundError(f"there is no job {key}; `reconciler jobs` lists them")
        clock, caller = ApsClock(), HttpCaller(wiring.egress(settings))
        values = SecretValues(wiring.secrets(settings), REDACTOR)
        kept = authenticating.credentials(settings, store=store, clock=clock, caller=caller, values=values)
        authentication = authenticating.authentication(values, kept, clock)
        process = wiring.process_of("trigger", clock.now())
        runner = Runner(
            store=store,
            clock=clock,
            caller=caller,
            owner=process.id,
            jobs={key: stored}.get,
            observer=lambda _job, _run: None,
            max_in_flight=1,
            prepare=authentication.prepare,
            answered=authentication.answered,
            redactor=REDACTOR,
        )
        upkeep = Upkeep(store=store, clock=clock, runner=runner, process=process)
        await upkeep.step()  # who claims must be known to live
        keeping = asyncio.create_task(upkeep.keep())
        try:
            run = await runner.trigger(key, overrides, idempotency_key)
            act = triggered(run.key, run.id, at=clock.now(), who=wiring.operator(), source=COMMAND_LINE)
            await acts.keep(store, [act], REDACTOR)
            return run if run.outcome is not Outcome.RUNNING else await runner.wait(run.id)
        finally:
            await runner.drain(timedelta(0))
            keeping.cancel()
            await kept.close()
            await caller.close()
            with suppress(ReconcilerError):
                await upkeep.farewell()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, whether it is usable, and what was seen."""

    what: str
    good: bool
    text: str


async def check(settings: Settings) -> list[Finding]:
    """Look at source, secrets, store and address; raises nothing that it can say."""
    return [*await _check_source(settings), await _check_store(settings), _check_listen(settings)]


async def _check_source(settings: Settings) -> list[Finding]:
    try:
        source = wiring.open_source(settings)
        declarations = Declarations(source.name, settings.environment)
        snapshot = await source.fetch({})
    except ReconcilerError as error:
        return [Finding(what="source", good=False, text=str(error))]
    desired = declarations.update(snapshot)
    problems = declarations.problems
    counts = ((len(snapshot.files), "file"), (len(desired.jobs), "job"), (len(problems), "problem"))
    text = f"{source.name}: {', '.join(plural(count, noun) for count, noun in counts)}"
    text = f"{text}; see `reconciler validate`" if problems else text
    return [
        Finding(what="source", good=not problems, text=text),
        *await _check_secrets(settings, desired),
        *_check_access(settings, desired),
    ]


def _check_access(settings: Settings, desired: Desired) -> list[Finding]:
    """Whether ``run`` would refuse the address, because nobody has said who may read there."""
    refused = admitting.refused_start(settings, desired.tokens.values())
    return [Finding(what="access", good=False, text=refused)] if refused else []


async def _check_secrets(settings: Settings, desired: Desired) -> list[Finding]:
    """Whether every reference can be read by this process, with its environment and its rights."""
    jobs = list(desired.jobs.values())
    if not any(job.secrets for job in jobs):
        return []
    found = await SecretValues(wiring.secrets(settings), REDACTOR).unreadable(jobs)
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    bad = [Finding(what="secrets", good=False, text=text) for text in (*found[:_SHOWN], *more)]
    return bad or [Finding(what="secrets", good=True, text="every reference can be read")]


async def _check_store(settings: Settings) -> Finding:
    if wiring.is_missing(settings.store):  # a question leaves no file behind
        good = wiring.may_be_made(settings.store)
        then = "the first sync makes it" if good else "its folder may not be written; give permission, or name another"
        return Finding(what="store", good=good, text=f"{settings.store}: there is none yet; {then}")
    try:
        async with wiring.opened(settings.store) as store:
            return Finding(what="store", good=True, text=await store.check())
    except ReconcilerError as error:
        return Finding(what="store", good=False, text=str(error))


def _check_listen(settings: Settings) -> Finding:
    try:
        bind(*parse_listen(settings.listen)).close()
    except ReconcilerError as error:
        return Finding(what="listen", good=False, text=str(error))
    return Finding(what="listen", good=True, text=f"{settings.listen} is free")
