"""The audit after real runs: every slot has its record, and a record that is gone is named."""

from __future__ import annotations

import sqlite3

from tests.acceptance.command import eventually
from tests.acceptance.conftest import World

RARELY = {"frequency": "yearly", "month": 1, "day": 1, "time": "03:00"}


def audit(world: World, *args: str, code: int = 0):
    ended = world.command("audit", *args, "--output", "json")
    assert ended.code == code, ended.text
    return ended.json


def delete_run(world: World, run_id: str) -> None:
    connection = sqlite3.connect(world.store.removeprefix("sqlite:///"))
    with connection:
        assert connection.execute("DELETE FROM runs WHERE id = ?", (run_id,)).rowcount == 1
    connection.close()


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
