"""What a call looks like when it arrives, which answers are good, and when it is made again."""

import json
import socket
from itertools import pairwise
from urllib.parse import parse_qs

import pytest

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare
from tests.acceptance.target import Answer, hang

NEVER = {"at": "2099-01-01T00:00:00"}
RETRY = {"limit": 2, "initialDelay": "100ms", "factor": 1}


def trigger(world, job: str, expected: int = 0) -> dict:
    """Make one run now, in a process of its own, and wait for its end."""
    ended = world.command("trigger", job, "--output", "json")
    assert ended.code == expected, ended.text
    return ended.json


def declare(world, *apis, **spec) -> None:
    """Jobs that are due never, synced into the store, to be triggered."""
    world.declare("shop", *({"schedule": NEVER} | api for api in apis), **spec)
    synced = world.command("sync")
    assert synced.code == 0, synced.text


def test_a_call_that_fails_twice_is_made_three_times_under_one_key(world, target):
    world.declare("shop", {"name": "stock", "schedule": {"every": "4s"}, "request": {"path": "/stock"}, "retry": RETRY})
    target.say("/stock", Answer(503), Answer(503), Answer(200, b"at last"))
    reconciler = world.start()
    reconciler.wait_for("run", outcome="succeeded")
    assert reconciler.end() == 0
    run = world.runs()[0]
    calls = [call for call in target.calls if call.run == run["id"]]
    assert [call.attempt for call in calls] == [1, 2, 3]
    assert len({call.headers["x-reconciler-scheduled-at"] for call in calls}) == 1
    assert [attempt["status"] for attempt in run["attempts"]] == [503, 503, 200]
    assert run["attempts"][0]["error"]
    assert (run["status"], run["excerpt"]) == ("succeeded", "at last")
    compare(target.calls, world.runs())


def test_a_call_is_not_made_more_often_than_declared(small_world, target):
    declare(small_world, {"name": "stock", "retry": RETRY, "request": {"path": "/stock"}})
    target.say("/stock", Answer(500, b"broken"))
    run = trigger(small_world, "shop/stock", 1)
    assert [attempt["status"] for attempt in run["attempts"]] == [500, 500, 500]
    assert (run["status"], run["excerpt"]) == ("failed", "broken")
    assert "500" in run["reason"]
    assert len(target.calls) == 3


def test_retry_after_is_honoured_and_bounded(small_world, target):
    retry = RETRY | {"maxDelay": "1500ms"}
    declare(small_world, {"name": "stock", "retry": retry, "request": {"path": "/stock"}})
    target.say(
        "/stock", Answer(429, headers={"Retry-After": "1"}), Answer(503, headers={"Retry-After": "3600"}), Answer()
    )
    assert trigger(small_world, "shop/stock")["status"] == "succeeded"
    pauses = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(target.calls)]
    assert 1.0 <= pauses[0] < 1.5
    assert 1.5 <= pauses[1] < 2.2


def test_a_post_is_not_sent_again_after_an_answer(small_world, target):
    request = {"method": "POST", "path": "/orders", "json": {}}
    declare(small_world, {"name": "order", "retry": RETRY, "request": request})
    target.say("/orders", Answer(503))
    run = trigger(small_world, "shop/order", 1)
    assert len(target.calls) == 1
    assert (run["status"], len(run["attempts"]), run["delivery"]) == ("failed", 1, "atMostOnce")


def test_a_refused_connection_is_tried_again_even_for_a_post(small_world):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    declare(small_world, {"name": "order", "retry": RETRY, "request": {"method": "POST", "url": url}})
    run = trigger(small_world, "shop/order", 1)
    assert [(attempt["sent"], attempt["status"]) for attempt in run["attempts"]] == [(False, None)] * 3
    assert "refused" in run["reason"]


def test_an_answer_that_does_not_come_in_time_is_a_recorded_failure(small_world, target):
    declare(small_world, {"name": "slow", "timeout": "300ms", "request": {"path": "/slow"}})
    target.say("/slow", hang(target))
    run = trigger(small_world, "shop/slow", 1)
    assert run["status"] == "failed"
    assert "timed out after 300ms" in run["reason"]
    assert 290 <= run["latencyMs"] < 900
    assert run["attempts"][0]["sent"] is True


@pytest.mark.parametrize(
    ("expect", "answer", "reason"),
    [
        ({}, Answer(204, b""), ""),
        ({}, Answer(404), "404"),
        ({"status": [404]}, Answer(404), ""),
        ({"status": ["200-204", "3xx"]}, Answer(302, headers={"Location": "/elsewhere"}), ""),
        ({"status": [201]}, Answer(200), "200"),
        ({"body": {"contains": '"ok": true'}}, Answer(body=b'{"ok": true}'), ""),
        ({"body": {"contains": '"ok": true'}}, Answer(body=b'{"ok": false}'), "does not contain"),
    ],
)
def test_expect_decides_what_is_success(small_world, target, expect, answer, reason):
    declare(small_world, {"name": "page", "expect": expect or {"status": ["2xx"]}, "request": {"path": "/page"}})
    target.say("/page", answer)
    run = trigger(small_world, "shop/page", 1 if reason else 0)
    assert run["status"] == ("failed" if reason else "succeeded")
    assert reason in run["reason"]
    assert len(target.calls) == 1


def test_a_redirect_is_not_followed(small_world, target):
    declare(small_world, {"name": "page", "request": {"path": "/page"}})
    target.say("/page", Answer(302, headers={"Location": f"{target.url}/secret?token=hidden"}))
    run = trigger(small_world, "shop/page", 1)
    assert [call.path for call in target.calls] == ["/page"]
    assert "redirect" in run["reason"]
    assert "hidden" not in json.dumps(run)


BODIES = [
    ({"json": {"dryRun": False, "note": "é", "list": [1, None]}}, "application/json"),
    ({"form": {"level": 2, "dryRun": False, "who": ["a b", "c&d"]}}, "application/x-www-form-urlencoded"),
    ({"text": "plain é"}, "text/plain"),
    ({"text": "<statements/>\n", "contentType": "application/xml"}, "application/xml"),
]


@pytest.mark.parametrize(("body", "kind"), BODIES, ids=["json", "form", "text", "xml"])
def test_a_body_arrives_as_declared(small_world, target, body, kind):
    declare(small_world, {"name": "send", "request": {"method": "PUT", "path": "/send", **body}})
    trigger(small_world, "shop/send")
    (call,) = target.calls
    assert call.method == "PUT"
    assert call.headers["content-type"].split(";")[0] == kind
    if "json" in body:
        assert json.loads(call.body) == body["json"]
    elif "form" in body:
        assert parse_qs(call.body.decode()) == {"level": ["2"], "dryRun": ["false"], "who": ["a b", "c&d"]}
    else:
        assert call.body.decode() == body["text"]


def test_query_and_headers_arrive_as_declared(small_world, target):
    query = {"active": True, "page": 2, "name": "a b&c=d/é", "tag": ["x", "z"]}
    declare(
        small_world,
        {"name": "find", "request": {"path": "/find", "query": query, "headers": {"X-Team": "payments"}}},
        defaults={"headers": {"Accept": "application/json", "X-Team": "nobody"}, "query": {"page": 1, "from": "all"}},
    )
    trigger(small_world, "shop/find")
    (call,) = target.calls
    assert sorted(call.query) == sorted(
        [("active", "true"), ("page", "2"), ("name", "a b&c=d/é"), ("tag", "x"), ("tag", "z"), ("from", "all")]
    )
    assert call.target.isascii()
    assert call.headers["accept"] == "application/json"
    assert call.headers["x-team"] == "payments"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_sent(small_world, target, method):
    declare(small_world, {"name": "any", "request": {"method": method, "path": "/any"}})
    assert trigger(small_world, "shop/any")["attempts"][0]["status"] == 200
    assert [call.method for call in target.calls] == [method]


def test_a_slot_whose_predecessor_still_runs_is_recorded_as_skipped(world, target):
    world.declare("shop", {"name": "slow", "request": {"path": "/slow"}})
    target.say("/slow", Answer(after=2.5))
    reconciler = world.start()
    eventually(lambda: len(target.calls) >= 2)
    assert reconciler.end() == 0
    runs = world.runs()
    compare(target.calls, runs)
    slots = [run["slot"] for run in runs]
    assert len(set(slots)) == len(slots) >= 4
    skipped = [run for run in runs if run["status"] == "skipped"]
    assert len(skipped) >= 2
    for run in skipped:
        assert run["attempts"] == []
        assert "still runs" in run["reason"]
        assert any(other["id"] in run["reason"] for other in runs if other["attempts"])
    assert target.most_in_flight == 1


def test_an_application_never_has_more_calls_in_flight_than_its_limit(world, target):
    apis = [{"name": f"job{number}", "request": {"path": "/slow"}} for number in range(6)]
    world.declare("shop", *apis, limits={"concurrency": 2})
    target.say("/slow", Answer(after=0.2))
    reconciler = world.start()
    eventually(lambda: len(target.calls) >= 12)
    assert reconciler.end() == 0
    assert target.most_in_flight == 2
    compare(target.calls, world.runs())
    assert {run["status"] for run in world.runs()} == {"succeeded"}
