"""The audit after real runs: every slot has its record, and a record that is gone is named."""

from __future__ import annotations

import signal
import sqlite3
import time
from datetime import datetime

import pytest

from tests.acceptance.command import eventually
from tests.acceptance.conftest import World

RARELY = {"frequency": "yearly", "month": 1, "day": 1, "time": "03:00"}


@pytest.fixture
def world(small_world):
    """On SQLite alone: what the stores make of it is shown by the contract tests, and by those of replicas."""
    return small_world


def audit(world: World, *args: str, code: int = 0):
    ended = world.command("audit", *args, "--output", "json")
    assert ended.code == code, ended.text
    return ended.json


def delete_run(world: World, run_id: str) -> None:
    connection = sqlite3.connect(world.store.removeprefix("sqlite:///"))
    with connection:
        assert connection.execute("DELETE FROM runs WHERE id = ?", (run_id,)).rowcount == 1
    connection.close()


def stamp_of(slot: str) -> float:
    return datetime.fromisoformat(slot).timestamp()


def test_every_slot_has_its_record_while_it_runs_and_afterwards(world, target):
    world.declare("shop", {"name": "ping"}, {"name": "rare", "schedule": RARELY})
    reconciler = world.start()
    eventually(lambda: len(target.of("shop/ping")) >= 5)
    running = audit(world)
    assert (running["complete"], running["jobs"]) == (True, 2)
    world.declare("shop", {"name": "ping", "schedule": {"every": "2s"}}, {"name": "rare", "schedule": RARELY})
    reconciler.wait_for("sync", changed=1)
    count = len(target.of("shop/ping"))
    eventually(lambda: len(target.of("shop/ping")) >= count + 3)
    assert world.command("trigger", "shop/rare").code == 0
    assert reconciler.end() == 0

    found = audit(world)
    assert found["verdict"] == "Every slot has its record."
    assert found["slots"] == found["outcomes"]["succeeded"] >= 8
    assert found["beside"] == 1
    text = world.command("audit")
    assert (text.code, text.out.splitlines()[-1]) == (0, "Every slot has its record.")


def test_a_record_that_is_gone_is_named(small_world, target):
    small_world.declare("shop", {"name": "ping"})
    reconciler = small_world.start()
    eventually(lambda: len(target.of("shop/ping")) >= 5)
    assert reconciler.end() == 0
    lost = small_world.runs("shop/ping")[2]
    delete_run(small_world, lost["id"])

    found = audit(small_world, "shop/ping", code=1)
    assert found["verdict"] == "1 slot has no record."
    (one,) = found["differences"]
    assert (one["kind"], one["job"], one["slot"], one["slots"]) == ("missing", "shop/ping", lost["slot"], 1)
    text = small_world.command("audit")
    assert text.code == 1
    assert "missing  shop/ping" in text.out
    assert "no record; due by `every 1s` (shop.yaml:" in text.out
    assert audit(small_world, "--to", lost["slot"].replace(".000Z", "Z"), code=1)["differences"] == [one]


def test_what_nobody_has_led_yet_is_not_accounted_for(small_world):
    small_world.declare("shop", {"name": "ping"})
    assert small_world.command("sync").code == 0
    found = audit(small_world)
    assert (found["complete"], found["slots"]) == (True, 0)


def test_what_is_asked_wrongly_is_told(small_world):
    small_world.declare("shop", {"name": "ping"})
    assert small_world.command("sync").code == 0
    wrong = small_world.command("audit", "shpo")
    assert (wrong.code, "did you mean `shop`?" in wrong.err) == (1, True)
    backwards = small_world.command("audit", "--from", "2026-03-02", "--to", "2026-03-01")
    assert (backwards.code, "is not before the end" in backwards.err) == (2, True)


class TestEditsDuringDowntime:
    """What was due by the old schedule, after the reconciler stopped and before the edit was applied."""

    DOWNTIME = 4.0  # seconds

    @pytest.fixture
    def down(self, world, target):
        """A world whose reconciler has ended, with a job a second; and when it ended."""
        world.declare("shop", {"name": "ping"}, {"name": "rare", "schedule": RARELY})
        reconciler = world.start()
        eventually(lambda: len(target.of("shop/ping")) >= 2)
        assert reconciler.end() == 0
        return time.time()

    def after(self, world, target, down, job="shop/ping", **sync):
        """Start anew after a while; the records of the slots since, up to when the edit was known."""
        calls = len(target.calls)
        eventually(lambda: time.time() > down + self.DOWNTIME)
        begun = time.time()
        reconciler = world.start()
        reconciler.wait_for("sync", **sync)
        found = eventually(lambda: self.owed(world, job, down, begun))
        assert reconciler.end() == 0
        assert not [call for call in target.calls[calls:] if call.slot.timestamp() < begun]
        result = audit(world)
        assert (result["verdict"], result["differences"]) == ("Every slot has its record.", [])
        return found

    def owed(self, world, job, down, begun):
        """The records of the slots of the downtime, once each slot has one."""
        found = [run for run in world.runs(job) if down < stamp_of(run["slot"]) < begun]
        return found if len(found) >= int(begun - down) else []

    @pytest.mark.parametrize(
        ("end", "apis", "sync"),
        [
            ("edited", ({"name": "ping", "schedule": RARELY},), {"changed": 1}),
            ("removed", (), {"removed": 1}),
            ("suspended", ({"name": "ping", "suspend": True},), {"changed": 1}),
            ("removed", ({"name": "pong", "schedule": RARELY},), {"removed": 1, "added": 1}),
        ],
        ids=["edited", "removed", "suspended", "another-name"],
    )
    def test_nothing_is_called_and_each_slot_has_its_record(self, world, target, down, end, apis, sync):
        world.declare("shop", *apis, {"name": "rare", "schedule": RARELY})
        found = self.after(world, target, down, **sync)
        reason = f"not caught up: the job was {end} before this slot could be taken on"
        assert {(run["status"], run["reason"], run["file"]) for run in found} == {("missed", reason, "shop.yaml")}

    def test_a_renamed_and_edited_job_keeps_its_slots(self, world, target, down):
        renamed = {"name": "pong", "schedule": RARELY, "annotations": {"reconciler/renamed-from": "shop/ping"}}
        world.declare("shop", renamed, {"name": "rare", "schedule": RARELY})
        found = self.after(world, target, down, job="shop/pong", renamed=1)
        assert {run["status"] for run in found} == {"missed"}
        assert {"edited" in run["reason"] for run in found} == {True}

    def test_a_sync_by_hand_while_nobody_leads(self, world, target, down):
        world.declare("shop", {"name": "ping", "schedule": RARELY}, {"name": "rare", "schedule": RARELY})
        eventually(lambda: time.time() > down + self.DOWNTIME)
        assert world.command("sync").code == 0
        edited = time.time()
        reconciler = world.start()
        found = eventually(lambda: [r for r in world.runs("shop/ping") if down < stamp_of(r["slot"]) < edited])
        assert reconciler.end() == 0
        assert len(found) >= int(self.DOWNTIME)
        assert {run["status"] for run in found} == {"missed"}
        assert audit(world)["verdict"] == "Every slot has its record."

    def test_a_takeover_after_an_edit(self, world, target):
        """The leader is killed, and the file edited before another leads."""
        world.declare("shop", {"name": "ping"})
        first = world.start()
        eventually(lambda: len(target.of("shop/ping")) >= 2)
        second = world.start()
        first.end(signal.SIGKILL)
        down, calls = time.time(), len(target.calls)
        world.declare("shop", {"name": "ping", "schedule": RARELY})
        line = second.wait_for("sync", changed=1)
        found = eventually(lambda: self.owed(world, "shop/ping", down, line.at - 1))
        assert second.end() == 0
        assert {run["status"] for run in found} <= {"missed", "succeeded", "skipped"}
        assert len({call.run for call in target.calls}) == len(target.calls)
        assert len(target.calls) <= calls + len(found)
        assert audit(world)["verdict"] == "Every slot has its record."
