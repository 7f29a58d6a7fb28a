"""`run` makes every call on time, once, and records it."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare
from tests.acceptance.target import Answer

NAMES = ("stock", "prices", "orders")


@pytest.fixture(scope="module")
def lived(lasting_world):
    """A world in which a reconciler has run for some seconds; it has ended."""
    lasting_world.declare(
        "shop",
        {"name": "stock", "request": {"path": "/stock"}},
        {"name": "prices", "schedule": "* * * * * *", "request": {"path": "/prices"}},
        {"name": "orders", "request": {"path": "/orders", "method": "POST", "json": {"all": True}}},
    )
    target = lasting_world.target
    target.say("/stock", Answer(body=b'{"left": 7}'))
    reconciler = lasting_world.start()
    eventually(lambda: all(len(target.of(f"shop/{name}")) >= 4 for name in NAMES))
    assert reconciler.end() == 0
    return lasting_world, lasting_world.runs()


def test_every_slot_is_called_once_on_time_and_recorded(lived):
    world, runs = lived
    compare(world.target.calls, runs)
    for name in NAMES:
        calls = world.target.of(f"shop/{name}")
        slots = [call.slot for call in calls]
        assert slots == [slots[0] + timedelta(seconds=number) for number in range(len(slots))]
        assert all(slot.microsecond == 0 for slot in slots)
        assert max((call.at - call.slot).total_seconds() for call in calls) < 0.5
        recorded = [datetime.fromisoformat(run["slot"]) for run in runs if run["api"] == name]
        assert recorded == slots


def test_a_run_tells_who_declared_it_and_what_came_back(lived):
    world, runs = lived
    revision = world.started[0].wait_for("ready").event["revision"]
    text = (world.folder / "shop.yaml").read_text()
    line = next(number for number, text in enumerate(text.splitlines(), 1) if "name: stock" in text)
    run = next(run for run in runs if run["api"] == "stock")
    assert (run["status"], run["cause"], run["reason"]) == ("succeeded", "schedule", "")
    assert run["revision"].startswith(revision)
    assert run["file"] == "shop.yaml"
    assert run["line"] == line
    assert run["excerpt"] == '{"left": 7}'
    assert [(attempt["number"], attempt["status"], attempt["error"]) for attempt in run["attempts"]] == [(1, 200, None)]
    assert run["latenessMs"] < 500
    assert run["latencyMs"] < 500
    assert run["claimedAt"] <= run["startedAt"] <= run["finishedAt"]


def test_every_call_says_which_run_it_belongs_to(lived):
    calls = lived[0].target.calls
    for call in calls:
        key = uuid.UUID(call.run)
        assert key.version == 8
        assert key.variant == uuid.RFC_4122
        milliseconds = int(call.run.replace("-", "")[:12], 16)
        assert datetime.fromtimestamp(milliseconds / 1000, UTC) == call.slot
        assert (call.job.partition("/")[0], call.attempt) == ("shop", 1)
        assert call.headers["x-reconciler-scheduled-at"].endswith("Z")
        assert call.headers["accept-encoding"] == "identity"
    assert len({call.run for call in calls}) == len(calls)
