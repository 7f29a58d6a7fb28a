"""What commands do is kept with who did it, where the store will have it."""

from datetime import timedelta

import pytest

from reconciler.adapters.encryption import new_key
from reconciler.adapters.sqlite import SqliteStore
from reconciler.app import acting, auth_trial, reading, stopping, wiring
from reconciler.core.acts import ActQuery
from reconciler.core.damage import Damage
from reconciler.core.model import ApplicationState, JobKey, Outcome, Overrides, SealedCredential, Writing
from reconciler.errors import StoreError
from reconciler.settings import Settings
from tests.fakes import START, stored_job
from tests.unit.core.test_plan import application

LATER = START + timedelta(hours=2)


@pytest.fixture
async def url(tmp_path):
    """A store with a job that calls nobody."""
    async with wiring.opened(f"sqlite:///{tmp_path}/state.db") as store:
        await store.apply(
            Writing(jobs=[stored_job("billing/nightly")], applications=[ApplicationState(name="billing", since=START)])
        )
    return f"sqlite:///{tmp_path}/state.db"


async def kept(url):
    damage = Damage()
    found = await reading.acts(url, ActQuery(), damage)
    assert damage.lines == []
    return found


async def test_pausing_and_resuming_are_kept_with_who_did_it(url):
    await stopping.pause(url, "billing/nightly", reason="migration", until=LATER, by="ops@desk", now=START)
    await stopping.resume(url, "billing/nightly", by="me@here (done)", now=START + timedelta(minutes=1))
    resumed, paused = await kept(url)
    assert (paused.kind, paused.who, paused.source, paused.target, paused.at) == (
        "pause",
        "ops@desk",
        "command line",
        "billing/nightly",
        START,
    )
    assert paused.detail.endswith(": migration")
    assert (resumed.kind, resumed.who, resumed.detail) == ("resume", "me@here (done)", "paused by ops@desk: migration")


async def test_a_pause_stands_where_the_act_cannot_be_kept(url, monkeypatch, caplog):
    async def refuses(_store, _acts):
        raise StoreError("the disk is full")

    monkeypatch.setattr(SqliteStore, "act", refuses)
    written = await stopping.pause(url, "billing", reason="x", until=LATER, by="ops@desk", now=START)
    assert written.pause in await stopping.pauses(url, Damage())
    assert "it is done, but cannot be kept for `reconciler acts`: the disk is full" in caplog.text


async def test_a_trigger_is_kept_with_its_run_whatever_comes_of_it(url):
    run = await acting.trigger_once(Settings(store=url), JobKey("billing", "nightly"), Overrides(), None)
    assert run.outcome is Outcome.FAILED
    (act,) = await kept(url)
    assert (act.kind, act.target, act.who, act.run) == ("trigger", "billing/nightly", wiring.operator(), run.id)


async def test_what_a_sync_removes_is_kept_with_who_allowed_it(tmp_path):
    url, folder = f"sqlite:///{tmp_path}/state.db", tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(application("a", "one", "two"), encoding="utf-8")
    (folder / "b.yaml").write_text(application("b", "one"), encoding="utf-8")
    chosen = Settings(store=url, source=str(folder))
    await acting.sync_once(chosen, allow_prune="")
    (folder / "a.yaml").unlink()
    report, _ = await acting.sync_once(chosen, allow_prune="")
    assert (report.result, await kept(url)) == ("refused", [])
    await acting.sync_once(chosen, allow_prune=report.revision)
    (act,) = await kept(url)
    assert (act.kind, act.who, act.target, act.source) == ("prune", wiring.operator(), "a", str(folder))
    assert act.detail.startswith("allowed by --allow-prune; 2 jobs")


async def test_encrypting_anew_is_kept_and_doing_nothing_is_not(url):
    chosen = Settings(store=url, encryption_keys=new_key())
    await auth_trial.rotate(chosen)
    assert await kept(url) == []
    async with wiring.opened(url) as store:
        await store.keep_credential(
            SealedCredential(
                id="billing/1", application="billing", kind="Basic", digest="1", sealed="x", obtained_at=START
            )
        )
    await auth_trial.rotate(chosen)
    (act,) = await kept(url)
    assert (act.kind, act.target, act.detail) == ("rotate", "credentials", "0 encrypted anew, 1 dropped")


async def test_where_there_is_no_store_yet_there_are_no_acts_and_no_file(tmp_path):
    assert await kept(f"sqlite:///{tmp_path}/none.db") == []
    assert list(tmp_path.iterdir()) == []
