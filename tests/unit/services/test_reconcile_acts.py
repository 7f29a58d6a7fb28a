"""What a sync removes is an act of whoever allowed it, or else of whoever made the commit."""

from reconciler.services.reconcile import Reconciliation, SyncOptions
from tests.fakes import FakeClock, MemoryStore
from tests.unit.core.test_plan import application
from tests.unit.services.test_reconcile import FakeSource, a_commit


class House:
    """A source of two Applications that was synced once."""

    def __init__(self):
        self.source = FakeSource(a=application("a", "one", "two"), b=application("b", "one", "two", "three"))
        self.store, self.clock, self.acts = MemoryStore(), FakeClock(), []

    async def sync(self, **options):
        sync = Reconciliation(
            self.source, self.store, self.clock, SyncOptions(operator="ops@desk", **options), on_act=self.acts.append
        )
        return await sync.sync()


async def test_removals_that_an_operator_allowed_are_kept_with_who_allowed_them():
    house = House()
    await house.sync()
    house.source.files.clear()
    refused = await house.sync()
    assert (refused.result, house.acts) == ("refused", [])
    await house.sync(allow_prune=refused.revision[:12])
    assert [(act.kind, act.target, act.who, act.source) for act in house.acts] == [
        ("prune", "a", "ops@desk", "folder"),
        ("prune", "b", "ops@desk", "folder"),
    ]
    assert house.acts[0].detail == f"allowed by --allow-prune; 2 jobs at revision {refused.revision[:12]}: one, two"
    assert house.acts[0].at == house.clock.now()


async def test_removals_that_an_annotation_allowed_are_kept_with_whose_commit_it_was():
    house = House()
    house.source.files["a"] = application("a", "one", "two", annotations="reconciler/prune: allow")
    await house.sync()
    del house.source.files["a"]
    house.source.commits = {"b.yaml": a_commit("c2", day=2)}
    report = await house.sync()
    assert (report.result, report.removed) == ("applied", 2)
    (act,) = house.acts
    assert (act.target, act.who) == ("a", "A Developer <developer@example.com>")
    assert act.detail.startswith("allowed by reconciler/prune: allow; 2 jobs at revision")


async def test_a_removal_that_nobody_had_to_allow_is_its_commits_and_told_once():
    house = House()
    await house.sync()
    house.source.files["b"] = application("b", "one", "two")
    for _ in range(3):
        await house.sync()
    (act,) = house.acts
    assert (act.who, act.target, act.detail.partition(" at ")[0]) == ("unknown", "b", "1 job")
