"""A MongoDB that is away: waited for at the start, and while it is away nothing is sent that has no claim."""

import time
from datetime import datetime, timedelta

import pytest

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare
from tests.acceptance.gateway import Gateway


@pytest.fixture
def gateway(mongodb_url):
    made = Gateway(mongodb_url)
    yield made
    made.shut()


def test_a_mongodb_that_is_away_at_the_start_is_waited_for(small_world, gateway, target):
    small_world.declare("shop", {"name": "stock"})
    small_world.store = gateway.url
    patient = small_world.run("--wait")
    patient.wait_for("waiting for the store")
    gateway.open()
    patient.ready()
    patient.wait_for("run", outcome="succeeded")
    assert patient.end() == 0
    compare(target.calls, small_world.runs())


def is_without_gaps(runs) -> bool:
    """Whether there is one run for each second."""
    slots = [datetime.fromisoformat(run["slot"]) for run in runs]
    return slots == [slots[0] + timedelta(seconds=number) for number in range(len(slots))]


def test_every_slot_of_an_outage_is_accounted_for_and_nothing_is_sent_without_a_claim(small_world, gateway, target):
    small_world.declare("shop", {"name": "stock", "request": {"path": "/stock", "method": "POST"}})
    small_world.store = gateway.url
    gateway.open()
    reconciler = small_world.start()
    eventually(lambda: target.calls)
    gateway.shut()
    shut = time.time()
    eventually(lambda: time.time() > shut + 2.5)
    assert len([call for call in target.calls if call.at.timestamp() > shut + 0.5]) == 0
    assert reconciler.get("/healthz").status_code == 200
    ready = reconciler.get("/readyz")
    assert ready.status_code == 503
    assert "store" in ready.text
    gateway.open()
    opened = time.time()
    eventually(lambda: [call for call in target.calls if call.slot.timestamp() > opened])
    assert reconciler.get("/readyz").status_code == 200
    eventually(lambda: is_without_gaps(small_world.runs()), what="a record of every slot")  # without the next start
    assert reconciler.end() == 0

    runs = small_world.runs()
    compare(target.calls, runs)
    assert is_without_gaps(runs)
    assert all(run["status"] == "succeeded" or run["reason"] for run in runs)
    assert "running" not in {run["status"] for run in runs}
