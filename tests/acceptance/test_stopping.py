"""Stopping things: by an operator and by a window; what runs, what does not, and what is owed afterwards."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from tests.acceptance.command import eventually
from tests.acceptance.conftest import World, compare

SECOND = timedelta(seconds=1)
RARELY = {"frequency": "yearly", "month": 1, "day": 1, "time": "03:00"}


def skipped(world: World, job: str = "shop/ping") -> list[dict[str, Any]]:
    return [run for run in world.runs(job) if run["status"] == "skipped"]


def after(instant: datetime) -> float:
    """Until some seconds after an instant, for ``eventually``."""
    return (instant - datetime.now(UTC)).total_seconds() + 15


def freeze(world: World, name: str, start: datetime, duration: str, **spec: Any) -> None:
    manifest = {
        "apiVersion": "reconciler/v1",
        "kind": "FreezeWindow",
        "metadata": {"name": name},
        "spec": {"start": {"at": f"{start:%Y-%m-%dT%H:%M:%SZ}"}, "duration": duration, **spec},
    }
    world.write(f"window-{name}.yaml", yaml.safe_dump(manifest, sort_keys=False))


def soon(seconds: float) -> datetime:
    """A whole second, some seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


def test_a_pause_stops_one_job_until_it_is_resumed(world, target):
    world.declare("shop", {"name": "ping"}, {"name": "other"})
    reconciler = world.start()
    eventually(lambda: target.of("shop/ping"))
    paused = world.command("pause", "shop/ping", "--reason", "database migration", "--until", "1h")
    assert paused.code == 0
    assert "A running reconciler takes it up within 2 seconds." in paused.out
    line = reconciler.wait_for("paused", within=4, target="shop/ping")
    assert line.event["reason"] == "database migration"
    run = eventually(lambda: skipped(world))[0]
    assert run["reason"].startswith("paused by ")
    assert run["reason"].endswith("Z: database migration")
    count = len(target.of("shop/ping"))
    others = len(target.of("shop/other"))
    eventually(lambda: len(target.of("shop/other")) >= others + 3)
    assert len(target.of("shop/ping")) <= count + 1  # at most the one that was on its way

    assert world.command("resume", "shop/ping").code == 0
    reconciler.wait_for("resumed", within=4, target="shop/ping")
    count = len(target.of("shop/ping"))
    eventually(lambda: len(target.of("shop/ping")) > count)
    assert reconciler.end() == 0
    compare(target.calls, world.runs())


def test_a_pause_survives_syncs_and_restarts_and_ends_by_itself(world, target):
    world.declare("shop", {"name": "ping"})
    assert world.command("sync").code == 0
    until = soon(18)
    paused = world.command("pause", "shop", "--reason", "moving house", "--until", f"{until:%H:%M:%SZ}")
    assert "No reconciler is running" in paused.out
    reconciler = world.start()
    world.declare("shop", {"name": "ping", "request": {"path": "/new"}})
    reconciler.wait_for("sync", changed=1)
    assert reconciler.end() == 0
    again = world.start()
    again.wait_for("paused", target="shop")
    eventually(lambda: target.calls, after(until))
    again.wait_for("pause ended", target="shop")
    assert again.end() == 0
    assert min(call.slot for call in target.calls) >= until
    assert all(datetime.fromisoformat(run["slot"]) < until for run in skipped(world))
    assert skipped(world)
    (past,) = world.command("pauses", "--output", "json").json["items"]
    assert (past["endedAt"], past["reason"]) == (None, "moving house")
    assert "ended by itself" in world.command("pauses").out


def test_a_manual_trigger_runs_in_spite_of_a_pause(small_world, target):
    small_world.declare("shop", {"name": "ping", "schedule": RARELY})
    assert small_world.command("sync").code == 0
    assert small_world.command("pause", "shop", "--reason", "why not", "--until", "1h").code == 0
    assert small_world.command("trigger", "shop/ping").code == 0
    assert len(target.calls) == 1


def test_what_is_paused_again_is_replaced_and_what_is_not_paused_cannot_be_resumed(small_world):
    small_world.declare("shop", {"name": "ping", "schedule": RARELY})
    small_world.command("sync")
    first = small_world.command("pause", "shop", "--reason", "first", "--until", "1h", "--output", "json").json
    second = small_world.command("pause", "shop", "--reason", "second", "--until", "2h", "--output", "json").json
    assert [one["id"] for one in second["ended"]] == [first["pause"]["id"]]
    job = small_world.command("resume", "shop/ping")
    assert (job.code, "shop is paused as a whole: `reconciler resume shop`" in job.err) == (1, True)
    resumed = small_world.command("resume", "shop", "--reason", "all is well", "--output", "json").json
    assert [one["reason"] for one in resumed["ended"]] == ["second"]
    assert resumed["ended"][0]["endedBy"].endswith(" (all is well)")
    nothing = small_world.command("resume", "shop")
    assert (nothing.code, "shop is not paused; nothing is" in nothing.err) == (1, True)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("pause", "shop"), 2, ("--reason: say why", "--until: say when it ends", "for example: ")),
        (("pause", "shop", "--reason", "x", "--until", "2020-01-01"), 2, ("has passed",)),
        (("pause", "shop", "--reason", "x", "--until", "400d"), 2, ("more than 366 days away",)),
        (("pause", "shpo", "--reason", "x", "--until", "1h"), 1, ("did you mean `shop`?",)),
        (("pause", "shop/pnig", "--reason", "x", "--until", "1h"), 1, ("did you mean `shop/ping`?",)),
        (("pause", "a/b/c", "--reason", "x", "--until", "1h"), 1, ("APPLICATION/API",)),
        (("resume", "shop", "--reason", " "), 2, ("--reason: say why",)),
    ],
    ids=["nothing said", "past", "far", "no Application", "no job", "no target", "blank reason"],
)
def test_what_cannot_be_done_is_said(small_world, args, code, said):
    small_world.declare("shop", {"name": "ping", "schedule": RARELY})
    small_world.command("sync")
    ended = small_world.command(*args)
    assert ended.code == code
    assert [text for text in said if text not in ended.err] == []
    assert small_world.command("pauses").out == "No pauses.\n"


def test_a_window_freezes_and_each_frozen_job_runs_once_when_it_ends(world, target):
    begin = soon(6)
    end = begin + 3 * SECOND
    half = {"at": f"{begin + SECOND:%Y-%m-%dT%H:%M:%SZ}"}
    world.declare("shop", {"name": "ping"}, {"name": "once", "schedule": half})
    world.declare("free", {"name": "ping"})
    freeze(world, "stocktaking", begin, "3s", applications=["shop"], catchUp="latest", description="We count")
    reconciler = world.start()
    (run,) = eventually(lambda: [one for one in world.runs("shop/once") if one["cause"] == "catchUp"], after(end))
    assert datetime.fromisoformat(run["slot"]) == end
    eventually(lambda: [call for call in target.of("shop/ping") if call.slot > end])
    assert reconciler.end() == 0
    frozen = [*skipped(world), *skipped(world, "shop/once")]
    assert {run["reason"] for run in frozen} == {f"frozen by stocktaking until {end:%Y-%m-%d %H:%M:%S}Z: We count"}
    assert sorted({datetime.fromisoformat(run["slot"]) for run in frozen}) == [
        begin,
        begin + SECOND,
        begin + 2 * SECOND,
    ]
    assert not [call for call in target.of("shop/ping") if begin <= call.slot < end]
    assert [call for call in target.of("free/ping") if begin <= call.slot < end]
    # A slot at the end runs by itself: nothing is caught up beside it.
    assert [one["cause"] for one in world.runs("shop/ping") if one["cause"] == "catchUp"] == []
    compare(target.calls, world.runs())


def test_a_window_that_ended_while_nobody_lived_is_honoured(small_world, target):
    begin = soon(4)
    end = begin + 2 * SECOND
    at = {"at": f"{begin + SECOND:%Y-%m-%dT%H:%M:%SZ}"}
    small_world.declare("shop", {"name": "once", "schedule": at})
    freeze(small_world, "short", begin, "2s", catchUp="latest")
    assert small_world.command("sync").code == 0
    eventually(lambda: datetime.now(UTC) > end + SECOND)
    for _ in range(2):  # and by nobody a second time
        reconciler = small_world.start()
        eventually(lambda: target.calls)
        settled = time.time() + 1
        eventually(lambda settled=settled: time.time() > settled)
        assert reconciler.end() == 0
    (call,) = target.calls
    assert call.slot == end


def test_outside_an_allow_window_nothing_runs(small_world, target):
    begin = soon(5)
    small_world.declare("shop", {"name": "ping"})
    freeze(small_world, "staffed", begin, "1h", mode="allow")
    reconciler = small_world.start()
    eventually(lambda: target.calls, after(begin))
    assert reconciler.end() == 0
    assert min(call.slot for call in target.calls) >= begin
    reasons = {run["reason"] for run in skipped(small_world)}
    assert reasons == {f"frozen by staffed until {begin:%Y-%m-%d %H:%M:%S}Z: outside its hours"}


def test_status_shows_declared_and_operational_stops_side_by_side(small_world):
    small_world.declare("shop", {"name": "ping", "suspend": True})
    freeze(small_world, "now", soon(-60), "1h")
    small_world.command("sync")
    small_world.command("pause", "shop", "--reason", "stocktaking", "--until", "1h")
    jobs = small_world.command("jobs", "--output", "json").json["items"]
    assert [stop["kind"] for stop in jobs[0]["stops"]] == ["suspended", "paused", "frozen"]
