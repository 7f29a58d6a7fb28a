"""Files edited under a running reconciler: live in under a second; a mistake holds back its own Application alone."""

import time
from datetime import datetime

import pytest

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare

RARELY = {"frequency": "yearly", "month": 1, "day": 1, "time": "03:00"}


@pytest.fixture
def world(small_world):
    """On SQLite alone: what the stores make of it is shown by the contract tests, and by those of replicas."""
    return small_world


def keys(reconciler) -> set[str]:
    return {job["key"] for job in reconciler.get("/api/v1/cronjobs").json()["items"]}


@pytest.fixture
def three(world):
    """Three Applications with one job each, called every second."""
    for name in ("shop", "crm", "billing"):
        world.declare(name, {"name": "ping", "request": {"path": f"/{name}"}})
    return world


def test_a_new_file_is_live_in_under_a_second(world, target):
    world.declare("shop", {"name": "ping", "schedule": RARELY})
    reconciler = world.start()
    for number in range(3):
        written = time.time()
        world.declare(f"new{number}", {"name": "ping", "schedule": RARELY})
        line = reconciler.wait_for("sync", added=1, jobs=number + 2)
        assert line.at - written < 1
    assert keys(reconciler) == {"shop/ping", "new0/ping", "new1/ping", "new2/ping"}


def test_a_changed_schedule_and_request_take_effect(world, target):
    world.declare("shop", {"name": "ping", "schedule": RARELY, "request": {"path": "/old"}})
    reconciler = world.start()
    written = time.time()
    world.declare("shop", {"name": "ping", "request": {"path": "/new", "query": {"page": 2}}})
    line = reconciler.wait_for("sync", changed=1)
    assert line.at - written < 1
    call = eventually(lambda: target.of("shop/ping"))[0]
    assert call.target == "/new?page=2"
    assert call.slot.timestamp() > written  # what a new schedule says of the past is not due
    assert call.at.timestamp() - written < 2.5

    world.declare("shop", {"name": "ping", "schedule": RARELY, "request": {"path": "/new"}})
    reconciler.wait_for("sync", within=5, changed=1, revision=eventually(lambda: _newest(reconciler, 3)))
    count = len(target.calls)
    settled = time.time() + 1.5
    eventually(lambda: time.time() > settled)
    assert len(target.calls) <= count + 1  # at most the one that was being made
    assert reconciler.end() == 0
    compare(target.calls, world.runs())
    assert all(run["reason"] == "" for run in world.runs())


def _newest(reconciler, number: int) -> str:
    syncs = [line.event["revision"] for line in reconciler.events("sync")]
    return syncs[-1] if len(syncs) >= number else ""


def test_a_deleted_file_removes_its_job_and_keeps_its_runs(three, target):
    reconciler = three.start()
    eventually(lambda: target.of("shop/ping"))
    (three.folder / "shop.yaml").unlink()
    reconciler.wait_for("sync", removed=1, jobs=2)
    assert keys(reconciler) == {"crm/ping", "billing/ping"}
    removed = time.time()
    eventually(lambda: len([call for call in target.of("crm/ping") if call.at.timestamp() > removed]) >= 2)
    assert not [call for call in target.of("shop/ping") if call.slot.timestamp() > removed]
    assert reconciler.end() == 0
    assert three.runs("shop/ping")
    compare(target.calls, three.runs())


def test_a_broken_file_holds_only_its_application_and_mending_releases_it(three, target):
    reconciler = three.start()
    good = (three.folder / "shop.yaml").read_text()
    broken = good.replace("schedule:", "shedule:")
    three.write("shop.yaml", broken)
    three.declare("crm", {"name": "ping", "request": {"path": "/crm/new"}})

    reconciler.wait_for("problem")
    number = next(number for number, text in enumerate(broken.splitlines(), 1) if "shedule" in text)
    column = broken.splitlines()[number - 1].index("shedule") + 1
    place = f"shop.yaml:{number}:{column}: spec.apis[0].shedule: "
    said = eventually(lambda: [line.event["text"] for line in reconciler.events("problem") if place in line.text])
    assert "did you mean `schedule`?" in said[0]
    reconciler.wait_for("sync", held="shop")
    since = time.time()
    assert reconciler.get("/api/v1/applications/shop").json()["held"] is True
    assert reconciler.get("/api/v1/applications/crm").json()["held"] is False
    eventually(lambda: [call for call in target.of("crm/ping") if call.path == "/crm/new"])
    eventually(lambda: len([call for call in target.of("shop/ping") if call.slot.timestamp() > since]) >= 2)

    three.write("shop.yaml", good.replace("/shop", "/shop/mended"))
    eventually(lambda: [call for call in target.of("shop/ping") if call.path == "/shop/mended"])
    assert reconciler.get("/api/v1/applications/shop").json()["held"] is False
    assert reconciler.end() == 0
    compare(target.calls, three.runs())


def test_an_emptied_folder_removes_nothing_and_most_jobs_only_where_it_is_said_that_it_is_meant(three, target):
    texts = {path: path.read_text() for path in three.folder.iterdir()}
    reconciler = three.start()
    for path in texts:
        path.unlink()
    line = reconciler.wait_for("sync", jobs=3, removed=0, kept=3)
    assert line.event["level"] == "warning"
    assert len(keys(reconciler)) == 3
    emptied = time.time()
    eventually(lambda: [call for call in target.of("shop/ping") if call.slot.timestamp() > emptied])

    only = three.folder / "billing.yaml"
    only.write_text(texts[only])
    reconciler.wait_for("sync", removed=0, kept=2, result="refused")
    assert reconciler.end() == 0
    refused = three.command("sync", "--output", "json")
    assert refused.code == 1
    assert three.command("sync", "--allow-prune", "0000000").code == 1
    meant = three.command("sync", "--allow-prune", refused.json["revision"], "--output", "json")
    assert (meant.code, meant.json["removed"], meant.json["jobs"]) == (0, 2, 1)


def test_a_restart_neither_moves_nor_repeats_a_slot(world, target):
    world.declare("shop", {"name": "ping", "schedule": {"every": "2s"}})
    first = world.start()
    eventually(lambda: target.calls)
    assert first.end() == 0
    second = world.start()
    eventually(lambda: len(target.calls) >= 2)
    assert second.events("sync", result="unchanged")
    assert second.end() == 0
    slots = [call.slot for call in target.calls]
    assert all(int(slot.timestamp()) % 2 == 0 for slot in slots)
    assert len(set(slots)) == len(slots)
    assert [datetime.fromisoformat(run["slot"]) for run in world.runs() if run["attempts"]] == slots
