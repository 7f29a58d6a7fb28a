"""Names that change while runs of a job are claimed, called and ended: every record ends up under the new one."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.core.model import JobKey, Outcome, Overrides
from reconciler.services.names import Renaming
from reconciler.services.reconcile import Reconciliation, SyncOptions
from reconciler.services.run import Runner
from tests.fakes import FakeClock, Gate, MemoryStore, ScriptedCaller, settle
from tests.unit.services.test_reconcile import FakeSource

OLD, NEW = JobKey("c", "old"), JobKey("c", "new")
DECLARED = """\
apiVersion: reconciler/v1
kind: Application
metadata: {{name: c}}
spec:
  baseUrl: http://127.0.0.1:1
  apis:
    - {{name: {name}, schedule: {{every: 1s}}, {more}request: {{method: POST, path: /}}}}
"""
RENAMED = DECLARED.format(name="new", more="annotations: {reconciler/renamed-from: c/old}, ")


class SlowStore(MemoryStore):
    """Takes its time over claims and over what is applied: named in ``slow``, until they are let go."""

    def __init__(self):
        super().__init__()
        self.slow = {}

    async def _enter(self, verb):
        if verb in self.slow:
            await self.slow[verb].wait()
        await super()._enter(verb)

    def hold(self, verb):
        self.slow[verb] = asyncio.Event()

    def let_go(self, verb):
        self.slow.pop(verb).set()


class House:
    """Who syncs and who runs, in one process."""

    def __init__(self, *script):
        self.clock, self.store, self.caller = FakeClock(), SlowStore(), ScriptedCaller(*script)
        self.source = FakeSource(c=DECLARED.format(name="old", more=""))
        self.reconciliation = Reconciliation(self.source, self.store, self.clock, SyncOptions(max_prune=1.0))
        self.runner = Runner(
            store=self.store,
            clock=self.clock,
            caller=self.caller,
            owner="me",
            jobs=self.reconciliation.job,
            observer=lambda _job, _run: None,
            successor=self.reconciliation.successor,
            renaming=self.reconciliation.renaming,
        )
        self.clock.start(self.runner.on_due)

    async def rename(self):
        """Begin to rename; the store takes its time over it."""
        self.source.files = {"c": RENAMED}
        self.store.hold("apply")
        renaming = asyncio.create_task(self.reconciliation.sync())
        await settle()
        return renaming

    async def due(self, name):
        self.clock.due(name)
        await settle()

    async def record(self):
        await self.clock.advance(3)
        return [(run.key, run.outcome) for run in self.store.stored_runs.values()]


@pytest.fixture
async def house():
    house = House()
    await house.reconciliation.sync()
    return house


class TestWhileAJobIsRenamed:
    async def test_a_slot_that_comes_is_recorded_under_the_new_name(self, house):
        renaming = await house.rename()
        await house.due("c/old")
        assert house.store.stored_runs == {}, "nothing is claimed before it is known under which name"
        house.store.let_go("apply")
        await renaming
        assert await house.record() == [(NEW, Outcome.SUCCEEDED)]

    async def test_a_claim_that_is_being_written_is_written_first_and_carried_over(self, house):
        house.store.hold("claim")
        await house.due("c/old")
        renaming = await house.rename()
        house.store.let_go("apply")
        await settle()
        assert not renaming.done()
        house.store.let_go("claim")
        await settle()
        assert (await renaming).renamed == 1
        assert await house.record() == [(NEW, Outcome.SUCCEEDED)]

    async def test_an_end_that_is_being_written_keeps_the_new_name(self):
        gate = Gate()
        house = House(gate)
        await house.reconciliation.sync()
        await house.due("c/old")
        house.store.hold("finish")
        gate.open()
        await house.clock.advance(2)
        renaming = await house.rename()
        house.store.let_go("apply")
        await renaming
        house.store.let_go("finish")
        assert await house.record() == [(NEW, Outcome.SUCCEEDED)]

    async def test_a_trigger_waits_for_it_too(self, house):
        renaming = await house.rename()
        triggered = asyncio.create_task(house.runner.trigger(OLD, Overrides()))
        await settle()
        house.store.let_go("apply")
        await renaming
        await triggered
        assert await house.record() == [(NEW, Outcome.SUCCEEDED)]

    async def test_a_store_that_is_away_by_then_holds_up_no_claim_for_long(self, house):
        renaming = await house.rename()
        await house.due("c/old")
        house.store.away = True
        house.store.let_go("apply")
        await asyncio.gather(renaming, return_exceptions=True)
        house.store.away = False
        assert await house.record() == [(OLD, Outcome.SUCCEEDED)]
        assert (await house.reconciliation.sync()).renamed == 1, "the next sync begins where this one ended"
        assert [run.key for run in house.store.stored_runs.values()] == [NEW]

    async def test_a_sync_that_is_broken_off_holds_up_nobody(self, house):
        renaming = await house.rename()
        await house.due("c/old")
        renaming.cancel()
        await asyncio.gather(renaming, return_exceptions=True)
        assert await house.record() == [(OLD, Outcome.SUCCEEDED)]

    async def test_what_renames_nothing_holds_up_nobody(self, house):
        house.source.files = {"c": DECLARED.format(name="old", more="description: another, ")}
        house.store.hold("apply")
        syncing = asyncio.create_task(house.reconciliation.sync())
        await settle()
        await house.due("c/old")
        assert len(house.caller.requests) == 1
        house.store.let_go("apply")
        assert (await syncing).changed == 1


class TestRenaming:
    async def test_claims_do_not_wait_for_each_other(self):
        apart = Renaming()
        async with asyncio.timeout(1), apart.claiming(), apart.claiming():
            assert apart is not None

    async def test_every_claim_that_waited_goes_on_and_the_next_renaming_waits_for_all(self):
        apart, seen = Renaming(), []
        go_on = asyncio.Event()

        async def claim(number):
            async with apart.claiming():
                seen.append(number)
                await go_on.wait()

        async def rename():
            async with apart.renaming():
                seen.append("renamed")

        async with asyncio.TaskGroup() as tasks:
            async with apart.renaming():
                for number in range(3):
                    tasks.create_task(claim(number))
                await settle()
                assert seen == []
            await settle()
            tasks.create_task(rename())
            await settle()
            assert seen == [0, 1, 2]
            go_on.set()
        assert seen == [0, 1, 2, "renamed"]
