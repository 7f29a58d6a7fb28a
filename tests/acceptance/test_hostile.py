"""Targets that mean harm: each call ends in a recorded failure within its deadline, and nobody else suffers."""

import socket
from datetime import datetime, timedelta

import psutil
import pytest

from tests.acceptance.command import eventually
from tests.acceptance.target import Answer, bomb, drip, gigabyte, hang, reset

MEGABYTE = 1024 * 1024


def babble(_, connection: socket.socket) -> None:
    """Answer with what is no HTTP."""
    connection.sendall(b"\x00\xff not HTTP at all\r\n\r\n")


def endless_headers(_, connection: socket.socket) -> None:
    """Begin to answer and never come to the body."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        connection.sendall(b"X-%d: %s\r\n" % (number, b"a" * 1000))


def lie(_, connection: socket.socket) -> None:
    """Promise more than is sent."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")


REASONS = {
    "hang": "timed out after 1s500ms",
    "drip": "timed out after 1s500ms",
    "reset": "",
    "gigabyte": "longer than 1 MiB",
    "bomb": "unpacks to more than 1 MiB",
    "loop": "redirect to /loop is not followed",
    "babble": "not valid HTTP",
    "headers": "not valid HTTP",
    "lie": "broke off",
}


@pytest.fixture
def hostile(world, target):
    """An Application for each sort of harm, and a good one beside them."""
    said = {
        "hang": hang(target),
        "drip": drip(target),
        "reset": reset,
        "gigabyte": gigabyte,
        "bomb": bomb,
        "loop": Answer(302, headers={"Location": "/loop"}),
        "babble": babble,
        "headers": endless_headers,
        "lie": lie,
    }
    for name, behaviour in said.items():
        target.say(f"/{name}", behaviour)
        world.declare(name, {"name": "call", "timeout": "1500ms", "request": {"path": f"/{name}"}})
    world.declare("good", {"name": "call", "request": {"path": "/good"}})
    assert set(said) == set(REASONS)
    return world


def test_hostile_targets_fail_within_the_deadline_and_delay_nobody(hostile, target):
    world = hostile
    reconciler = world.start()
    process = psutil.Process(reconciler.process.pid)
    eventually(lambda: target.of("good/call"))
    before = process.memory_info().rss
    most = before

    def enough() -> bool:
        nonlocal most
        most = max(most, process.memory_info().rss)
        return len(target.of("good/call")) >= 6

    eventually(enough)
    assert reconciler.end() == 0
    assert most - before < 60 * MEGABYTE

    runs = world.runs()
    for name, said in REASONS.items():
        made = [run for run in runs if run["application"] == name and run["attempts"]]
        assert made, name
        assert {run["status"] for run in made} == {"failed"}, name
        assert all(run["reason"] and said in run["reason"] for run in made), made
        assert max(run["latencyMs"] for run in made) < 2500, name
    good = [run for run in runs if run["application"] == "good"]
    assert {run["status"] for run in good} == {"succeeded"}
    assert max(run["latenessMs"] for run in good) < 1000
    calls = target.of("good/call")
    assert max((call.at - call.slot).total_seconds() for call in calls) < 1
    assert len({call.slot for call in calls}) == len(calls)


def test_many_that_hang_do_not_hold_up_the_others(small_world, target):
    target.say("/hang", hang(target))
    for number in range(4):
        apis = [{"name": f"call{api}", "timeout": "3s", "request": {"path": "/hang"}} for api in range(40)]
        small_world.declare(f"hung{number}", *apis)
    small_world.declare("zoo", {"name": "call", "schedule": {"every": "2s"}})
    reconciler = small_world.start()
    eventually(lambda: len(target.of("zoo/call")) >= 3)
    assert reconciler.end(within=20) == 0
    calls = target.of("zoo/call")
    # Held up until the others time out, it would come after 3 s; a second is the rule, the rest is a busy machine's.
    assert max((call.at - call.slot).total_seconds() for call in calls) < 2.5
    runs = small_world.runs("zoo/call")
    slots = [datetime.fromisoformat(run["slot"]) for run in runs]
    assert slots == [slots[0] + timedelta(seconds=2 * number) for number in range(len(slots))]
    assert {run["status"] for run in runs} <= {"succeeded", "missed"}  # missed: due while it was ending
