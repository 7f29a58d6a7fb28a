"""Chains and automatic stops through the real command: what follows an end, and what stops what keeps failing."""

from __future__ import annotations

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare
from tests.acceptance.target import Answer

RARELY = {"frequency": "yearly", "month": 1, "day": 1, "time": "03:00"}


def after(job: str, on: str = "success") -> dict[str, object]:
    return {"after": {"job": job, "on": on}}


def test_the_end_of_a_run_starts_the_next_under_one_correlation(world, target):
    world.declare(
        "shop",
        {"name": "extract", "schedule": RARELY},
        {"name": "load", "schedule": after("shop/extract")},
        {"name": "report", "schedule": after("shop/load", "completion")},
        {"name": "alarm", "schedule": after("shop/extract", "failure")},
    )
    reconciler = world.start()
    assert world.command("trigger", "shop/extract").code == 0  # made by another process: the leader finds it
    eventually(lambda: target.of("shop/report"))
    assert reconciler.end() == 0

    first, second, third = (target.of(f"shop/{name}") for name in ("extract", "load", "report"))
    assert (len(first), len(second), len(third), len(target.of("shop/alarm"))) == (1, 1, 1, 0)
    runs = {run["job"]: run for run in world.runs()}
    assert {call.headers["x-reconciler-correlation-id"] for call in target.calls} == {runs["shop/extract"]["id"]}
    assert runs["shop/load"]["slot"] == runs["shop/extract"]["finishedAt"]
    assert (runs["shop/load"]["cause"], runs["shop/report"]["cause"]) == ("after", "after")
    compare(target.calls, list(runs.values()))
    assert world.command("audit").code == 0


def test_a_job_that_keeps_failing_is_stopped_until_it_is_resumed(world, target):
    target.say("/", Answer(status=500))
    world.declare("shop", {"name": "ping", "stopAfterFailures": 3})
    reconciler = world.start()
    line = reconciler.wait_for("paused", target="shop/ping")
    assert line.event["by"] == "reconciler"
    assert line.event["reason"] == "3 failures in a row; the last: status 500, expected 2xx"
    skipped = eventually(lambda: [run for run in world.runs("shop/ping") if run["status"] == "skipped"])[0]
    assert skipped["reason"].startswith("paused by reconciler until resumed: 3 failures in a row")
    listed = world.command("pauses")
    assert ("until" in listed.out.lower(), "resumed" in listed.out, "9999" in listed.out) == (True, True, False)
    assert "until resumed, by reconciler: 3 failures in a row" in world.command("status").out
    (pause,) = world.command("pauses", "--output", "json").json["items"]
    assert (pause["until"], pause["by"]) == (None, "reconciler")

    target.say("/", Answer())
    assert world.command("resume", "shop/ping").code == 0
    reconciler.wait_for("resumed", target="shop/ping")
    eventually(lambda: [run for run in world.runs("shop/ping") if run["status"] == "succeeded"])
    assert reconciler.end() == 0
    assert world.command("audit").code == 0
