"""Access tokens through a sync: remembered by whoever syncs or follows, and opened by nothing but a valid manifest."""

from dataclasses import replace

import pytest

from reconciler.core.desired_tokens import HAS_PROBLEMS
from reconciler.core.model import Role
from reconciler.errors import StoreUnavailableError
from reconciler.services.reconcile import Reconciliation, SyncOptions
from reconciler.services.state import UNREADABLE
from tests.fakes import FakeClock, MemoryStore
from tests.unit.core.test_desired_tokens import DIGEST, token
from tests.unit.core.test_plan import application
from tests.unit.services.test_reconcile import FakeSource


@pytest.fixture
def source():
    return FakeSource(a=application("a", "one"), t=token())


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def reconciliation(source, store):
    return Reconciliation(source, store, FakeClock())


def closed(reconciliation):
    return {one.name: one.closed for one in reconciliation.access_tokens}


async def test_nothing_is_known_of_them_until_the_store_was_asked(reconciliation):
    assert reconciliation.access_tokens is None
    await reconciliation.follow()
    assert list(reconciliation.access_tokens) == []


async def test_a_declared_token_is_stored_remembered_and_told(reconciliation, store):
    report = await reconciliation.sync()
    (found,) = reconciliation.access_tokens
    assert (found.name, found.role, found.sha256) == ("oncall", Role.VIEWER, DIGEST)
    assert store.stored_access_tokens == {"oncall": found}
    assert report.notes == ("access token oncall added: viewer",)
    assert DIGEST not in repr(report)


async def test_a_token_that_is_declared_no_more_is_gone(reconciliation, source, store):
    await reconciliation.sync()
    source.files.pop("t")
    report = await reconciliation.sync()
    assert (report.result, report.notes) == ("applied", ("access token oncall removed: viewer",))
    assert list(reconciliation.access_tokens) == []
    assert store.stored_access_tokens == {}


async def test_a_mistake_closes_the_token_and_nothing_else(reconciliation, source):
    source.files["u"] = token(f"{{role: admin, sha256: '{'a' * 64}'}}", "other")
    await reconciliation.sync()
    source.files["t"] = token("{role: viewer}")
    report = await reconciliation.sync()
    assert closed(reconciliation) == {"oncall": HAS_PROBLEMS, "other": ""}
    assert (report.held, report.jobs) == ((), 1)
    source.files["t"] = token()
    await reconciliation.sync()
    assert closed(reconciliation) == {"oncall": "", "other": ""}


async def test_a_token_whose_file_cannot_be_read_is_closed_until_it_can(reconciliation, source):
    await reconciliation.sync()
    source.files["t"] = "a: ["
    await reconciliation.sync()
    assert closed(reconciliation) == {"oncall": "t.yaml cannot be read; it may be declared there"}
    source.files["t"] = token()
    await reconciliation.sync()
    assert closed(reconciliation) == {"oncall": ""}


@pytest.mark.parametrize("self_heal", [True, False])
async def test_what_somebody_opened_by_hand_is_closed_whatever_else_is_left(source, store, self_heal):
    reconciliation = Reconciliation(source, store, FakeClock(), SyncOptions(self_heal=self_heal))
    await reconciliation.sync()
    declared = store.stored_access_tokens["oncall"]
    store.stored_access_tokens = {
        "oncall": replace(declared, role=Role.ADMIN),
        "mine": replace(declared, name="mine", sha256="c" * 64),
    }
    report = await reconciliation.sync(thorough=True)
    assert {(one.name, one.field, one.put_back) for one in report.drift} == {
        ("access token oncall", "role", True),
        ("access token mine", "", True),
    }
    assert list(reconciliation.access_tokens) == [declared]
    assert store.stored_access_tokens == {"oncall": declared}


async def test_a_record_that_cannot_be_read_lets_nobody_in_and_is_written_anew(reconciliation, source, store):
    await reconciliation.sync()
    store.damaged["access_tokens"] = {"oncall": "role is missing"}
    standby = Reconciliation(source, store, FakeClock())
    await standby.follow()
    assert closed(standby) == {"oncall": UNREADABLE}
    await reconciliation.sync(thorough=True)
    assert closed(reconciliation) == {"oncall": ""}
    assert store.damaged["access_tokens"] == {}


async def test_a_standby_takes_over_what_the_leader_has_synced(reconciliation, source, store):
    standby = Reconciliation(source, store, FakeClock())
    await standby.follow()
    await reconciliation.sync()
    await standby.follow()
    assert closed(standby) == {"oncall": ""}


async def test_while_the_store_is_away_what_was_known_stays(reconciliation, source, store):
    await reconciliation.sync()
    source.files.pop("t")
    store.away = True
    with pytest.raises(StoreUnavailableError):
        await reconciliation.sync()
    assert closed(reconciliation) == {"oncall": ""}
    store.away = False
    await reconciliation.sync()
    assert closed(reconciliation) == {}
