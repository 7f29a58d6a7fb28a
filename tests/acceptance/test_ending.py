"""How a reconciler ends: in good order by a signal, or killed in the middle of a call. Nothing is lost either way."""

import signal
import time
from datetime import datetime

import pytest

from tests.acceptance.command import PATIENCE, eventually
from tests.acceptance.conftest import compare
from tests.acceptance.target import Answer, hang

SOON = {"every": "2s"}


def only_slow(world, target, method: str = "GET", **spec) -> None:
    world.declare("shop", {"name": "slow", "request": {"path": "/slow", "method": method}, **spec})


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_a_signal_lets_the_call_in_flight_end_and_starts_nothing_new(world, target, number, code):
    world.declare("shop", {"name": "slow", "request": {"path": "/slow"}}, {"name": "quick"})
    target.say("/slow", Answer(after=2))
    reconciler = world.start()
    eventually(lambda: target.of("shop/slow"))
    sent = datetime.now().astimezone()
    assert reconciler.end(number) == code
    assert reconciler.events("draining")
    assert reconciler.events("stopped")
    assert not [call for call in target.calls if call.slot > sent]
    runs = world.runs()
    compare(target.calls, runs)
    assert not [run for run in runs if run["status"] in ("running", "unknown")]
    assert world.runs("shop/slow")[0]["status"] == "succeeded"


def test_a_second_signal_does_not_wait_for_the_call(small_world, target):
    only_slow(small_world, target, timeout="60s")
    target.say("/slow", hang(target))
    reconciler = small_world.start()
    eventually(lambda: target.calls)
    reconciler.send(signal.SIGTERM)
    reconciler.wait_for("draining")
    began = time.monotonic()
    assert reconciler.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 3
    run = small_world.runs()[0]
    assert (run["status"], len(run["attempts"])) == ("unknown", 1)
    assert run["reason"]
    compare(target.calls, small_world.runs())


def test_signals_that_come_until_it_is_over_change_nothing_in_its_exit_code(small_world):
    small_world.declare("shop", {"name": "stock"})
    reconciler = small_world.start()
    latest = time.monotonic() + PATIENCE
    while reconciler.process.poll() is None and time.monotonic() < latest:
        reconciler.send(signal.SIGTERM)
        time.sleep(0.001)  # so often that one of them comes in each of its last steps, which take milliseconds
    assert reconciler.end() == 0
    assert reconciler.events("stopped")


def test_draining_is_bounded(small_world, target):
    only_slow(small_world, target, timeout="60s")
    target.say("/slow", hang(target))
    reconciler = small_world.start(env={"RECONCILER_DRAIN": "1s"})
    eventually(lambda: target.calls)
    began = time.monotonic()
    assert reconciler.end() == 0
    assert 1 <= time.monotonic() - began < 4
    assert small_world.runs()[0]["status"] == "unknown"


def killed_in_mid_call(world, target) -> str:
    """Kill a reconciler while its first call is in flight; the run's id."""
    target.say("/slow", hang(target))
    reconciler = world.start()
    eventually(lambda: target.calls)
    reconciler.end(signal.SIGKILL)
    (run,) = [run for run in world.runs() if run["id"] == target.calls[0].run]
    assert run["status"] == "running"
    target.say("/slow", Answer())
    return run["id"]


def test_a_call_that_may_be_made_once_is_unknown_after_a_kill_and_never_sent_again(world, target):
    only_slow(world, target, "POST")
    run_id = killed_in_mid_call(world, target)
    again = world.start()
    again.wait_for("run", run=run_id, outcome="unknown")
    eventually(lambda: [call for call in target.calls if call.run != run_id])
    assert again.end() == 0
    assert len([call for call in target.calls if call.run == run_id]) == 1
    run = world.command("show", run_id, "--output", "json").json
    assert (run["status"], run["delivery"]) == ("unknown", "atMostOnce")
    assert run["reason"]
    assert not [run for run in world.runs() if run["status"] == "running"]


def test_a_call_that_may_be_repeated_is_sent_again_under_the_same_key_after_a_kill(world, target):
    only_slow(world, target)
    run_id = killed_in_mid_call(world, target)
    again = world.start()
    again.wait_for("run", run=run_id, outcome="succeeded")
    assert again.end() == 0
    calls = [call for call in target.calls if call.run == run_id]
    assert len(calls) == 2
    assert len({call.headers["x-reconciler-scheduled-at"] for call in calls}) == 1
    assert [call.attempt for call in calls] == [1, 2]
    run = world.command("show", run_id, "--output", "json").json
    assert [attempt["status"] for attempt in run["attempts"]] == [None, 200]
    compare(target.calls, world.runs())


def test_nothing_is_lost_by_a_kill(world, target):
    apis = [{"name": f"job{number}", "request": {"path": "/", "method": "POST"}} for number in range(10)]
    world.declare("shop", *apis)
    reconciler = world.start()
    eventually(lambda: len(target.calls) >= 15)
    reconciler.end(signal.SIGKILL)
    again = world.start()
    reach = len(target.calls) + 10
    eventually(lambda: len(target.calls) >= reach)
    assert again.end() == 0
    runs = {run["id"]: run for run in world.runs()}
    keys = [call.run for call in target.calls]
    assert len(set(keys)) == len(keys)  # nothing twice
    assert set(keys) <= set(runs)  # no call without a record
    assert not [run for run in runs.values() if run["status"] == "running"]
    assert {run_id for run_id, run in runs.items() if run["status"] == "succeeded"} <= set(keys)
