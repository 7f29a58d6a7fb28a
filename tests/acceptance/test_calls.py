"""What a call looks like when it arrives, which answers are good, and when it is made again."""

import json
import socket
from itertools import count, pairwise
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.acceptance.command import eventually
from tests.acceptance.conftest import World, compare
from tests.acceptance.target import Answer, Target, hang

NEVER = {"at": "2099-01-01T00:00:00"}
RETRY = {"limit": 2, "initialDelay": "100ms", "factor": 1}


class Bench:
    """A running reconciler in which a test declares one job, due never, and triggers it."""

    def __init__(self, path: Path) -> None:
        self.target = Target()  # a test says which one its job calls
        self.world = World(path, f"sqlite:///{path}/state.db", self.target)
        self.reconciler = self.world.run(env={"RECONCILER_TRIGGER_TOKEN": "made-up"})
        self.numbers = count(1)

    def call(self, target: Target, api: dict, **spec) -> dict:
        """Declare it, make one run, wait for its end; the run."""
        name = f"shop{next(self.numbers)}"
        self.world.declare(name, {"name": "job", "schedule": NEVER} | api, baseUrl=target.url, **spec)
        job = f"/api/v1/cronjobs/{name}/job"
        eventually(lambda: self.reconciler.get(job).status_code == 200, what=self.reconciler.output)
        started = self.reconciler.post(f"{job}/trigger", headers={"Authorization": "Bearer made-up"})
        assert started.status_code == 202, started.text

        def ended() -> dict:
            run = self.reconciler.get(started.headers["location"]).json()
            return run if run["status"] != "running" else {}

        return eventually(ended)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory):
    made = Bench(tmp_path_factory.mktemp("bench"))
    yield made
    made.reconciler.put_away()
    made.target.close()


def test_a_call_that_fails_twice_is_made_three_times_under_one_key(world, target):
    world.declare("shop", {"name": "stock", "schedule": {"every": "2s"}, "request": {"path": "/stock"}, "retry": RETRY})
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


def test_a_call_is_not_made_more_often_than_declared(bench, target):
    target.say("/stock", Answer(500, b"broken"))
    run = bench.call(target, {"retry": RETRY, "request": {"path": "/stock"}})
    assert [attempt["status"] for attempt in run["attempts"]] == [500, 500, 500]
    assert (run["status"], run["excerpt"]) == ("failed", "broken")
    assert "500" in run["reason"]
    assert len(target.calls) == 3


def test_retry_after_is_honoured_and_bounded(bench, target):
    retry = RETRY | {"maxDelay": "1500ms"}
    target.say(
        "/stock", Answer(429, headers={"Retry-After": "1"}), Answer(503, headers={"Retry-After": "3600"}), Answer()
    )
    run = bench.call(target, {"retry": retry, "request": {"path": "/stock"}})
    assert run["status"] == "succeeded"
    pauses = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(target.calls)]
    assert 1.0 <= pauses[0] < 1.5
    assert 1.5 <= pauses[1] < 2.2


def test_a_post_is_not_sent_again_after_an_answer(bench, target):
    request = {"method": "POST", "path": "/orders", "json": {}}
    target.say("/orders", Answer(503))
    run = bench.call(target, {"retry": RETRY, "request": request})
    assert len(target.calls) == 1
    assert (run["status"], len(run["attempts"]), run["delivery"]) == ("failed", 1, "atMostOnce")


def test_a_refused_connection_is_tried_again_even_for_a_post(bench, target):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    run = bench.call(target, {"retry": RETRY, "request": {"method": "POST", "url": url}})
    assert [(attempt["sent"], attempt["status"]) for attempt in run["attempts"]] == [(False, None)] * 3
    assert "refused" in run["reason"]


def test_an_answer_that_does_not_come_in_time_is_a_recorded_failure(bench, target):
    target.say("/slow", hang(target))
    run = bench.call(target, {"timeout": "300ms", "request": {"path": "/slow"}})
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
def test_expect_decides_what_is_success(bench, target, expect, answer, reason):
    target.say("/page", answer)
    run = bench.call(target, {"expect": expect or {"status": ["2xx"]}, "request": {"path": "/page"}})
    assert run["status"] == ("failed" if reason else "succeeded")
    assert reason in run["reason"]
    assert len(target.calls) == 1


def test_a_redirect_is_not_followed(bench, target):
    target.say("/page", Answer(302, headers={"Location": f"{target.url}/secret?token=hidden"}))
    run = bench.call(target, {"request": {"path": "/page"}})
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
def test_a_body_arrives_as_declared(bench, target, body, kind):
    bench.call(target, {"request": {"method": "PUT", "path": "/send", **body}})
    (call,) = target.calls
    assert call.method == "PUT"
    assert call.headers["content-type"].split(";")[0] == kind
    if "json" in body:
        assert json.loads(call.body) == body["json"]
    elif "form" in body:
        assert parse_qs(call.body.decode()) == {"level": ["2"], "dryRun": ["false"], "who": ["a b", "c&d"]}
    else:
        assert call.body.decode() == body["text"]


def test_query_and_headers_arrive_as_declared(bench, target):
    query = {"active": True, "page": 2, "name": "a b&c=d/é", "tag": ["x", "z"]}
    bench.call(
        target,
        {"request": {"path": "/find", "query": query, "headers": {"X-Team": "payments"}}},
        defaults={"headers": {"Accept": "application/json", "X-Team": "nobody"}, "query": {"page": 1, "from": "all"}},
    )
    (call,) = target.calls
    assert sorted(call.query) == sorted(
        [("active", "true"), ("page", "2"), ("name", "a b&c=d/é"), ("tag", "x"), ("tag", "z"), ("from", "all")]
    )
    assert call.target.isascii()
    assert call.headers["accept"] == "application/json"
    assert call.headers["x-team"] == "payments"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_sent(bench, target, method):
    run = bench.call(target, {"request": {"method": method, "path": "/any"}})
    assert run["attempts"][0]["status"] == 200
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
    assert "failed" not in {run["status"] for run in world.runs()}
