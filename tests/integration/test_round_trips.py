"""How often the database is asked for a burst of runs, counted by its own driver."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandListener

from reconciler.adapters.clock import ApsClock
from reconciler.adapters.mongo import MongoStore
from reconciler.core.model import Outcome, Reply
from reconciler.services.run import Runner
from tests.fakes import stored_job

RUNS = 10_000


class _Commands(CommandListener):
    """Notes the names of commands."""

    def __init__(self):
        self.names = []

    def started(self, event):
        self.names.append(event.command_name)

    def succeeded(self, event):
        pass

    def failed(self, event):
        pass


class _Quick:
    """A target that answers after a moment."""

    async def call(self, request, timeout):  # noqa: ASYNC109 - the port's own word
        await asyncio.sleep(0.002)
        return Reply(status=200, latency_ms=2.0)


async def test_claims_and_results_of_ten_thousand_runs_take_forty_round_trips_at_most(mongodb_url):
    store = MongoStore(mongodb_url)
    await store.open()
    commands = _Commands()
    await store._client.close()
    store._client = AsyncMongoClient(mongodb_url, event_listeners=[commands])
    store._opened = store._client[store._address.database].with_options(codec_options=store._opened.codec_options)
    try:
        clock = ApsClock()
        lease = await store.lead("me", timedelta(minutes=5), clock.now())
        jobs = {job.key: job for job in (stored_job(f"app{n % 20}/job{n}") for n in range(RUNS))}
        outcomes, all_told = [], asyncio.Event()

        def told(_job, run):
            outcomes.append(run.outcome)
            if len(outcomes) == RUNS:
                all_told.set()

        runner = Runner(
            store=store,
            clock=clock,
            caller=_Quick(),
            owner="me",
            jobs=jobs.get,
            observer=told,
            term=lambda: lease.term,
            late=lambda _slot: None,
        )
        commands.names.clear()
        runner.on_due(datetime.now(UTC).replace(microsecond=0), list(jobs))
        async with asyncio.timeout(60):
            await all_told.wait()
        await runner.drain(timedelta(0))
        assert outcomes == [Outcome.SUCCEEDED] * RUNS
        asked = [name for name in commands.names if name not in ("hello", "ping", "endSessions")]
        assert set(asked) == {"aggregate", "update"}
        assert 2 * RUNS // 1000 <= len(asked) <= 40, asked
    finally:
        await store.close()
