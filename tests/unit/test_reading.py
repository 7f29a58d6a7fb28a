"""What the commands that look at the store read."""

from datetime import timedelta

import pytest

from reconciler.adapters.sqlite import SqliteStore
from reconciler.adapters.sqlite.connection import Lane
from reconciler.app import reading, stopping
from reconciler.core.damage import Damage
from reconciler.core.model import ApplicationState, FreezeWindow, Pause, Schedule, SyncReport, Writing
from reconciler.errors import NotFoundError
from reconciler.settings import Settings
from tests.fakes import START, stored_job


async def test_status_says_that_nothing_is_there_under_the_name_that_was_asked_for(tmp_path):
    url = f"sqlite:///{tmp_path}/nobody/was/here.db"
    view = await reading.status(Settings(store=url), Damage())
    assert view.store == f"{url}: nothing is there yet"
    assert list(tmp_path.iterdir()) == []


async def damaged(tmp_path) -> str:
    """The URL of a store of which every record was emptied, but for one job's."""
    path = tmp_path / "state.db"
    store, pause = SqliteStore(path), {"reason": "x", "by": "me", "since": START, "until": START + timedelta(days=9999)}
    await store.open()
    await store.apply(
        Writing(
            jobs=[stored_job("a/good"), stored_job("a/bad")],
            applications=[ApplicationState(name="a", since=START)],
            windows=[
                FreezeWindow(
                    name="w", mode="deny", start=Schedule(declared="x", cron="0 0 1 1 *"), duration=timedelta(1)
                )
            ],
        )
    )
    await store.pause(Pause(id="1", application="a", **pause))
    report = {"source": "m", "revision": "r", "result": "applied", "started_at": START, "duration_ms": 1.0}
    await store.record(SyncReport(id="s", **report))
    await store.close()
    lane = Lane(path, 5.0)
    for table in ("applications", "windows", "pauses", "syncs"):
        sql = f"UPDATE {table} SET document = '{{}}'"  # noqa: S608 - the tests' own words
        await lane.run(lambda connection, sql=sql: connection.execute(sql))
    await lane.run(lambda connection: connection.execute("UPDATE jobs SET document = '[' WHERE id = 'a/bad'"))
    await lane.close()
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("ask", "kinds"),
    [
        (lambda url, told: reading.status(Settings(store=url), told), "sync pause freeze+window job Application"),
        (lambda url, told: reading.jobs(url, "a", told), "Application job pause freeze+window"),
        (lambda url, told: reading.syncs(url, 9, told), "sync"),
        (stopping.pauses, "pause"),
        (lambda url, _: reading.state(url), ""),
    ],
    ids=["status", "jobs", "syncs", "pauses", "state"],
)
async def test_damaged_records_are_told_and_blind_nobody(tmp_path, ask, kinds):
    damage = Damage()
    await ask(await damaged(tmp_path), damage)
    told = [line.partition(" of the ")[2].partition(" cannot be read: ")[0].rpartition(" ")[0] for line in damage.lines]
    assert told == [kind.replace("+", " ") for kind in kinds.split()]


async def test_what_is_paused_by_a_damaged_record_is_still_shown_as_paused(tmp_path):
    found = await reading.jobs(await damaged(tmp_path), "a", Damage())
    assert [str(one.key) for one in found.jobs] == ["a/good"]
    assert found.stoppages.stop_of(found.jobs[0].key, START + timedelta(days=1)) is not None


async def test_a_damaged_application_is_told_where_it_is_asked_for_by_name(tmp_path):
    damage = Damage()
    with pytest.raises(NotFoundError):
        await reading.application(await damaged(tmp_path), "a", START, damage)
    assert len(damage.lines) == 1


async def test_a_damaged_pause_can_be_resumed(tmp_path):
    url = await damaged(tmp_path)
    written = await stopping.resume(url, "a", by="me@host", now=START + timedelta(days=1))
    assert [one.id for one in written.ended] == ["1"]
    damage = Damage()
    (pause,) = await stopping.pauses(url, damage)
    assert (pause.ended_by, damage.lines) == ("me@host", [])
