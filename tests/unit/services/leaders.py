"""A leader among fakes: a runner, and who looks for owed slots, on one store."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from reconciler.core.model import JobKey
from reconciler.core.stops import Stoppages
from reconciler.services.arrears import Arrears
from reconciler.services.names import Renaming
from reconciler.services.run import Runner
from tests.fakes import FakeClock, MemoryStore, ScriptedCaller, settle, stored_job

NAME = "billing/nightly"
KEY = JobKey.parse(NAME)
SPAN = timedelta(seconds=5)


class Leader:
    """One process that leads under ``term`` until told otherwise; ``None``: it stands by."""

    def __init__(self, *jobs, script=(), owner="me", store=None, clock=None, term=1, **settings):
        self.clock = clock or FakeClock()
        self.store = store or MemoryStore(self.clock)
        self.caller = ScriptedCaller(*script)
        self.jobs = {job.key: job for job in jobs or (stored_job(),)}
        self.told = []
        self.term = term
        self.stops = Stoppages()
        self.renaming = Renaming()
        self.runner = Runner(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            owner=owner,
            jobs=self.jobs.get,
            observer=lambda _job, run: self.told.append(run),
            stopped=self.stopped,
            term=lambda: self.term,
            late=lambda slot: self.arrears.behind(slot),  # noqa: PLW0108 - they know each other
            renaming=self.renaming,
            **settings,
        )
        self.arrears = Arrears(
            self.store,
            self.clock,
            self.runner,
            self.jobs.values,
            term=lambda: self.term,
            stopped=self.stopped,
            renaming=self.renaming,
        )
        self.owner = owner
        self.clock.start(self.runner.on_due)

    def stopped(self, key, slot):
        return self.stops.stop_of(key, slot)

    @property
    def mark(self):
        return self.runner.accounted_until()

    async def take_the_lead(self):
        """What leading does: the lease, and from where on slots are owed."""
        lease = await self.store.lead(self.owner, SPAN, self.clock.now())
        assert lease.holder == self.owner
        self.term = lease.term
        self.arrears.lead_from(lease.accounted_until)
        return lease

    async def due(self, *names, at=None):
        self.clock.due(*(names or (NAME,)), at=at)
        await settle()

    async def look(self, since):
        await self.arrears.look(since)
        await settle()

    def keep(self):
        """Look whenever there is reason to, as a process does."""
        return asyncio.create_task(self.arrears.keep())

    async def record(self, *, advance=0.1):
        """The runs recorded, oldest slot first, once the journal has been written."""
        await self.clock.advance(advance)
        return sorted(self.store.stored_runs.values(), key=lambda run: (run.slot, run.id))

    async def outcomes(self, *, advance=0.1):
        return [(run.slot, run.outcome.value) for run in await self.record(advance=advance)]
