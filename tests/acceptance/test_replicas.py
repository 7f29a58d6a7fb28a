"""Several ``reconciler run`` on one store: one leads, the others stand by warm and take over; on both stores."""

import hmac
import json
import signal
import time

import pytest

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare
from tests.integration.repositories import Repository

TOKEN = "made-up-token-of-a-test"


@pytest.fixture
def pair(world):
    """A leader and a standby on one store, with one job a second."""
    world.env["RECONCILER_TRIGGER_TOKEN"] = TOKEN
    world.declare(
        "shop",
        {"name": "stock", "request": {"path": "/stock", "method": "POST"}, "concurrencyPolicy": "Allow"},
        {"name": "yearly", "schedule": "@yearly", "request": {"path": "/yearly"}},
    )
    leader = world.start()
    leader.wait_for("run", job="shop/stock", outcome="succeeded")
    standby = world.start()
    return leader, standby


def status_of(reconciler):
    return reconciler.get("/api/v1/status").json()


def test_one_leads_and_everybody_says_so(world, pair, target):
    leader, standby = pair
    seen = status_of(standby)
    assert seen == status_of(leader) | {"now": seen["now"]} | {
        key: seen[key] for key in ("leader", "processes", "running", "runningRuns", "last24Hours")
    }
    assert seen["leader"]["leads"] is True
    assert [one["listen"] for one in seen["processes"] if one["leads"]] == [leader.address.removeprefix("http://")]
    assert len(seen["processes"]) == 2
    assert seen["ready"] is True
    said = world.command("status").out
    assert "leader" in said
    assert "stands by" in said
    assert not standby.events("leads")
    assert len(target.of("shop/stock")) == len({call.run for call in target.of("shop/stock")})


def test_a_standby_knows_the_jobs_and_makes_a_run_that_is_triggered_there(world, pair, target):
    leader, standby = pair
    world.declare("late", {"name": "comer", "schedule": "@yearly"})
    eventually(lambda: standby.get("/api/v1/cronjobs/late/comer").status_code == 200)
    answered = standby.post("/api/v1/cronjobs/shop/yearly/trigger", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answered.status_code == 202
    standby.wait_for("run", job="shop/yearly", outcome="succeeded")
    assert len(target.of("shop/yearly")) == 1
    eventually(lambda: leader.get(answered.json()["href"]).json()["status"] == "succeeded")  # told before it is written


def test_a_hook_at_a_standby_has_the_leader_read_the_source(world, target):
    secret = "a-secret-of-a-test-that-is-long-enough"
    world.env |= {"RECONCILER_HOOK_SECRET": secret, "RECONCILER_INTERVAL": "1h"}
    declared = world.declare("shop", {"name": "yearly", "schedule": "@yearly"}).read_text()
    repository = Repository(world.path / "jobs.git")
    repository.write("Begin", {"shop.yaml": declared})
    world.folder = repository.url
    leader, standby = world.start(), world.start()
    repository.write("Add another", {"late.yaml": declared.replace("shop", "late")})
    body = json.dumps({"ref": "refs/heads/main", "after": repository.head()}).encode()
    signature = hmac.new(secret.encode(), body, "sha256").hexdigest()
    answered = standby.post(
        "/hooks/git",
        content=body,
        headers={
            "X-Hub-Signature-256": f"sha256={signature}",
            "X-GitHub-Event": "push",
            "Content-Type": "application/json",
        },
    )
    assert answered.status_code == 202, answered.text
    eventually(lambda: leader.get("/api/v1/cronjobs/late/yearly").status_code == 200)
    assert standby.get("/readyz").status_code == 200


def test_a_leader_that_is_killed_is_followed_within_eight_seconds_and_no_slot_is_lost(world, pair, target):
    leader, standby = pair
    leader.send(signal.SIGKILL)
    killed = time.time()
    taken = standby.wait_for("leads")
    assert taken.at - killed < 8
    standby.wait_for("run", job="shop/stock", outcome="succeeded")
    time.sleep(2)
    assert standby.end() == 0
    runs = world.runs("shop/stock")
    slots = [run["slot"] for run in runs]
    assert len(slots) == len(set(slots))
    audit = world.command("audit")
    assert audit.code == 0, audit.text
    calls = target.of("shop/stock")
    assert len(calls) == len({call.run for call in calls})


def test_a_leader_that_ends_in_good_order_is_followed_within_a_second(world, pair, target):
    leader, standby = pair
    leader.send(signal.SIGTERM)
    told = time.time()
    assert standby.wait_for("leads").at - told < 1
    assert leader.end() == 0
    standby.wait_for("run", job="shop/stock", outcome="succeeded")
    assert standby.end() == 0
    runs = world.runs()
    compare(target.calls, runs)
    assert {run["status"] for run in runs} == {"succeeded"}
    assert world.command("audit").code == 0


def test_a_leader_that_was_frozen_for_three_leases_finds_another_one_and_stands_by(world, pair, target):
    leader, standby = pair
    leader.send(signal.SIGSTOP)
    standby.wait_for("leads")
    time.sleep(9)
    leader.send(signal.SIGCONT)
    leader.wait_for("leads no more")
    time.sleep(2)
    assert [one["leads"] for one in status_of(leader)["processes"]].count(True) == 1
    assert status_of(leader)["leader"]["term"] == 2
    assert leader.end() == 0
    assert standby.end() == 0
    calls = target.of("shop/stock")
    assert len(calls) == len({call.run for call in calls}), "a slot was called twice"
    audit = world.command("audit")
    assert audit.code == 0, audit.text


def test_a_lone_process_that_was_away_owes_by_policy_what_came_meanwhile(world, target):
    world.declare(
        "shop",
        {"name": "every", "catchUp": "all", "concurrencyPolicy": "Allow"},
        {"name": "last", "catchUp": "latest", "concurrencyPolicy": "Allow"},
        {"name": "not-at-all", "catchUp": "none", "concurrencyPolicy": "Allow"},
    )
    first = world.start()
    first.wait_for("run", job="shop/every", outcome="succeeded")
    assert first.end() == 0
    time.sleep(13)
    second = world.start()
    eventually(lambda: len([call for call in target.of("shop/every") if call.attempt == 1]) > 15)
    time.sleep(1)
    assert second.end() == 0
    runs = {name: world.runs(f"shop/{name}") for name in ("every", "last", "not-at-all")}
    assert {run["status"] for run in runs["every"]} == {"succeeded"}
    missed = {
        name: {run["reason"].split(";")[0][:23] for run in runs[name] if run["status"] == "missed"} for name in runs
    }
    assert missed == {
        "every": set(),
        "last": {"superseded by the catch"},
        "not-at-all": {"not caught up: catchUp "},
    }
    audit = world.command("audit")
    assert audit.code == 0, audit.text
