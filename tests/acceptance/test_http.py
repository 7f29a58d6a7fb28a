"""HTTP beside the running reconciler: reading, and the trigger."""

from datetime import datetime

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.command import eventually
from tests.acceptance.conftest import compare
from tests.acceptance.target import Answer

TOKEN = "made-up-token-of-a-test"
NEVER = {"at": "2099-01-01T00:00:00"}


@pytest.fixture
def world(small_world):
    """On SQLite alone: what the stores make of it is shown by the contract tests, and by those of replicas."""
    return small_world


@pytest.fixture
def running(world, target):
    world.declare(
        "shop", {"name": "stock", "request": {"path": "/stock"}}, {"name": "bad", "request": {"path": "/bad"}}
    )
    world.declare(
        "crm",
        {"name": "send", "schedule": NEVER, "request": {"path": "/send", "method": "POST", "json": {"all": True}}},
        {
            "name": "find",
            "schedule": NEVER,
            "suspend": True,
            "request": {"path": "/find", "query": {"page": 1, "of": 9}},
        },
    )
    target.say("/bad", Answer(500))
    return world.start(env={"RECONCILER_TRIGGER_TOKEN": TOKEN})


def bearer(token: str = TOKEN, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | more


def ended(reconciler, href: str) -> dict:
    def run() -> dict:
        found = reconciler.get(href).json()
        return found if found["status"] != "running" else {}

    return eventually(run)


def test_what_is_read_over_http_is_what_happened(running, world, target):
    eventually(lambda: len(running.events("run")) >= 4)
    assert running.get("/healthz").json() == {"status": "ok"}
    assert running.get("/readyz").status_code == 200

    status = running.get("/api/v1/status").json()
    assert (status["ready"], status["jobs"]["total"], status["jobs"]["suspended"]) == (True, 4, 1)
    assert status["revision"].startswith(running.wait_for("ready").event["revision"])
    (process,) = status["processes"]
    assert (process["pid"], process["role"]) == (running.process.pid, "run")
    assert f"http://{process['listen']}" == running.address

    applications = running.get("/api/v1/applications").json()["items"]
    assert [(one["name"], one["jobs"], one["held"]) for one in applications] == [("crm", 2, False), ("shop", 2, False)]
    jobs = {job["key"]: job for job in running.get("/api/v1/cronjobs").json()["items"]}
    assert set(jobs) == {"shop/stock", "shop/bad", "crm/send", "crm/find"}
    assert jobs["shop/stock"]["nextDue"] is not None
    assert jobs["crm/find"]["nextDue"] is None
    (sync,) = running.get("/api/v1/syncs").json()["items"][-1:]
    assert (sync["result"], sync["added"]) == ("applied", 4)

    stats = running.get("/api/v1/stats", params={"application": "shop", "api": "bad"}).json()
    assert stats["outcomes"]["failed"] == stats["total"] >= 1
    assert stats["successRate"] == 0
    assert len(stats["hours"]) == 24
    assert sum(day["total"] for day in stats["days"]) == stats["total"]
    failed = running.get("/api/v1/runs", params={"status": "failed", "limit": 500}).json()["items"]
    assert {run["job"] for run in failed} == {"shop/bad"}
    history = running.get("/api/v1/cronjobs/shop/stock/history").json()["items"]
    assert {run["status"] for run in history} <= {"succeeded", "running"}
    assert running.end() == 0
    compare(target.calls, world.runs())


def test_metrics_are_prometheus_and_agree_with_the_record(running, world):
    eventually(lambda: len(running.events("run")) >= 4)
    families = {family.name: family for family in text_string_to_metric_families(running.get("/metrics").text)}
    outcomes = {
        (sample.labels["application"], sample.labels["outcome"]): sample.value
        for sample in families["reconciler_runs"].samples
        if sample.name.endswith("_total")
    }
    assert outcomes["shop", "succeeded"] >= 1
    assert outcomes["shop", "failed"] >= 1
    jobs = {sample.labels["state"]: sample.value for sample in families["reconciler_jobs"].samples}
    assert jobs == {"active": 3, "suspended": 1}
    assert [sample.value for sample in families["reconciler_store_up"].samples] == [1]
    assert running.end() == 0


def test_the_openapi_document_names_every_address(running):
    document = running.get("/openapi.json").json()
    jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"])
    assert {
        "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/applications",
        "/api/v1/applications/{application}",
        "/api/v1/applications/{application}/apis", "/api/v1/cronjobs", "/api/v1/cronjobs/{application}/{api}",
        "/api/v1/cronjobs/{application}/{api}/history", "/api/v1/runs", "/api/v1/runs/{run_id}", "/api/v1/syncs",
        "/api/v1/stats", "/api/v1/cronjobs/{application}/{api}/trigger",
    } <= set(document["paths"])  # fmt: skip
    assert "text/html" in running.get("/docs").headers["content-type"]
    missing = running.get("/api/v1/cronjobs/shop/stok")
    assert (missing.status_code, missing.json()["code"]) == (404, "job-not-found")
    assert missing.headers["content-type"] == "application/problem+json"


def test_a_trigger_without_the_token_makes_no_call(running, target):
    where = "/api/v1/cronjobs/crm/send/trigger"
    assert running.post(where).status_code == 401
    assert running.post(where, headers=bearer("wrong")).status_code == 401
    assert running.post("/api/v1/cronjobs/crm/none/trigger", headers=bearer()).status_code == 404
    refused = running.post(where, headers=bearer(), json={"headers": {"Host": "evil"}})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid-request")
    refused = running.post("/api/v1/cronjobs/crm/find/trigger", headers=bearer(), json={"json": {}})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-overrides")
    assert running.end() == 0
    assert not target.of("crm/send")
    assert TOKEN not in running.output


def test_triggering_is_off_until_a_token_is_set(small_world, target):
    small_world.declare("crm", {"name": "send", "schedule": NEVER})
    reconciler = small_world.start()
    refused = reconciler.post("/api/v1/cronjobs/crm/send/trigger", headers=bearer())
    assert refused.status_code == 403
    assert "RECONCILER_TRIGGER_TOKEN" in refused.json()["detail"]
    assert target.calls == []


def test_a_trigger_makes_one_run_with_what_it_overrides(running, world, target):
    answer = running.post(
        "/api/v1/cronjobs/crm/send/trigger",
        headers=bearer(),
        json={"query": {"only": "one two"}, "headers": {"X-Why": "incident"}, "json": {"all": False}},
    )
    assert answer.status_code == 202
    href = answer.headers["location"]
    run = ended(running, href)
    assert (run["status"], run["cause"], run["overrides"]) == ("succeeded", "manual", ["query", "headers", "json"])
    (call,) = target.of("crm/send")
    assert call.run == run["id"] == href.rpartition("/")[2]
    assert call.query == [("only", "one two")]
    assert call.headers["x-why"] == "incident"
    assert call.body == b'{"all": false}'
    assert abs((call.at - datetime.fromisoformat(run["slot"])).total_seconds()) < 1

    suspended = running.post("/api/v1/cronjobs/crm/find/trigger", headers=bearer(), json={"query": {"page": "7"}})
    assert ended(running, suspended.headers["location"])["status"] == "succeeded"
    assert sorted(target.of("crm/find")[0].query) == [("of", "9"), ("page", "7")]
    assert running.end() == 0
    compare(target.calls, world.runs())


def test_one_idempotency_key_makes_one_run(running, target):
    where = "/api/v1/cronjobs/crm/send/trigger"
    headers = bearer(**{"Idempotency-Key": "incident-42"})
    answers = [running.post(where, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1
    ended(running, answers[0].headers["location"])
    other = running.post(where, headers=headers, json={"json": {}})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-conflict")
    assert running.end() == 0
    assert len(target.of("crm/send")) == 1
