"""`run` makes every call on time, once, and records it."""

import uuid
from datetime import UTC, datetime, timedelta

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare
from tests.acceptance.target import Answer


def test_every_slot_is_called_once_on_time_and_recorded(world, target):
    world.declare(
        "shop",
        {"name": "stock", "request": {"path": "/stock"}},
        {"name": "prices", "schedule": "* * * * * *", "request": {"path": "/prices"}},
        {"name": "orders", "request": {"path": "/orders", "method": "POST", "json": {"all": True}}},
    )
    target.say("/stock", Answer(body=b'{"left": 7}'))
    reconciler = world.start()
    eventually(lambda: all(len(target.of(f"shop/{name}")) >= 4 for name in ("stock", "prices", "orders")))
    assert reconciler.end() == 0

    runs = world.runs()
    compare(target.calls, runs)
    for name in ("stock", "prices", "orders"):
        calls = target.of(f"shop/{name}")
        slots = [call.slot for call in calls]
        assert slots == [slots[0] + timedelta(seconds=number) for number in range(len(slots))]
        assert all(slot.microsecond == 0 for slot in slots)
        assert max((call.at - call.slot).total_seconds() for call in calls) < 0.5
        recorded = [datetime.fromisoformat(run["slot"]) for run in runs if run["api"] == name]
        assert recorded == slots


def test_a_run_tells_who_declared_it_and_what_came_back(world, target):
    path = world.declare("shop", {"name": "stock", "request": {"path": "/stock"}})
    target.say("/stock", Answer(body=b'{"left": 7}'))
    reconciler = world.start()
    eventually(lambda: reconciler.events("run"))
    revision = reconciler.wait_for("ready").event["revision"]
    assert reconciler.end() == 0

    run = world.runs()[0]
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "name: stock" in text)
    assert (run["status"], run["cause"], run["reason"]) == ("succeeded", "schedule", "")
    assert run["revision"].startswith(revision)
    assert run["file"] == "shop.yaml"
    assert run["line"] == line
    assert run["excerpt"] == '{"left": 7}'
    assert [(attempt["number"], attempt["status"], attempt["error"]) for attempt in run["attempts"]] == [(1, 200, None)]
    assert run["latenessMs"] < 500
    assert run["latencyMs"] < 500
    assert run["claimedAt"] <= run["startedAt"] <= run["finishedAt"]


def test_every_call_says_which_run_it_belongs_to(world, target):
    world.declare("shop", {"name": "stock", "request": {"path": "/stock"}})
    reconciler = world.start()
    eventually(lambda: len(target.calls) >= 2)
    assert reconciler.end() == 0

    for call in target.calls:
        key = uuid.UUID(call.run)
        assert key.version == 8
        assert key.variant == uuid.RFC_4122
        milliseconds = int(call.run.replace("-", "")[:12], 16)
        assert datetime.fromtimestamp(milliseconds / 1000, UTC) == call.slot
        assert (call.job, call.attempt) == ("shop/stock", 1)
        assert call.headers["x-reconciler-scheduled-at"].endswith("Z")
        assert call.headers["accept-encoding"] == "identity"
    assert len({call.run for call in target.calls}) == len(target.calls)
