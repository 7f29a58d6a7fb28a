"""Every example manifest is executed: validated, synced, run on schedule or, where suspended, triggered."""

import re
import shutil

import pytest
import yaml

from tests.acceptance.conftest import ROOT, compare
from tests.acceptance.target import Answer

EXAMPLES = ROOT / "manifests"
TOKEN = "made-up-token-of-a-test"
OUR_OWN = re.compile(r"baseUrl: \S+")


@pytest.fixture
def examples(world, target):
    """The examples, copied, with every address that of the target."""
    world.folder.rmdir()
    shutil.copytree(EXAMPLES, world.folder)
    for path in world.folder.rglob("*.yaml"):
        path.write_text(OUR_OWN.sub(f"baseUrl: {target.url}", path.read_text(encoding="utf-8")), encoding="utf-8")
    world.env |= {"TREASURY_KEY": "made-up-key-of-a-test", "TREASURY_PIN": "made-up-pin"}
    target.say("/auth/handshake", Answer(body=b'{"authType": "BearerToken", "token": "made-up-token-of-a-target"}'))
    secrets = {"PRICES_SETUP_KEY": "made-up-key-of-a-test", "PRICES_SIGNING_SECRET": "made-up-secret-of-a-test"}
    world.env.update(secrets)
    target.say("/healthz", Answer(body=b'{"status": "ok"}'))
    target.say("/users", Answer(body=b'{"ok": true, "status": "ok"}'))
    return world


def declared() -> int:
    """How many jobs the examples declare, counted without the product."""
    count = 0
    for path in EXAMPLES.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            count += 1 if document["kind"] == "Api" else len(document["spec"].get("apis", ()))
    return count


def test_every_example_is_valid_and_synced(examples):
    valid = examples.command("validate", "--output", "json")
    assert (valid.code, valid.json["problems"], len(valid.json["jobs"])) == (0, [], declared())
    synced = examples.command("sync", "--output", "json")
    assert (synced.code, synced.json["added"], synced.json["held"]) == (0, declared(), [])
    assert examples.command("plan").code == 0


def test_every_example_runs_and_succeeds(examples, target):
    reconciler = examples.start(env={"RECONCILER_TRIGGER_TOKEN": TOKEN})
    jobs = reconciler.get("/api/v1/cronjobs", params={"limit": 500}).json()["items"]
    assert len(jobs) == declared()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for job in jobs:
        answer = reconciler.post(f"/api/v1/cronjobs/{job['key']}/trigger", headers=headers)
        assert answer.status_code == 202, job["key"]
    for job in jobs:
        reconciler.wait_for("run", job=job["key"], outcome="succeeded", cause="manual")
    awake = next(job["key"] for job in jobs if job["key"] == "heartbeat/healthz")
    reconciler.wait_for("run", job=awake, outcome="succeeded", cause="schedule")
    assert reconciler.end() == 0
    handshakes = [call for call in target.calls if call.path == "/auth/handshake"]
    assert [call.headers["x-setup-key"] for call in handshakes] == ["made-up-key-of-a-test"]
    calls = [call for call in target.calls if call not in handshakes]
    assert {call.headers.get("authorization") for call in calls if call.job.startswith("prices/")} == {
        "Bearer made-up-token-of-a-target",
        None,
    }
    compare(calls, examples.runs())
    (closed,) = target.of("treasury/close-day")
    assert closed.headers["x-api-key"] == "made-up-key-of-a-test"
    assert closed.body == b'{"clerk":{"name":"reconciler","pin":"made-up-pin"}}'
    assert "made-up-key" not in reconciler.output
    suspended = {job["key"] for job in jobs if job["suspend"]}
    assert not [run for run in examples.runs() if run["job"] in suspended and run["cause"] == "schedule"]
    assert suspended


def test_the_examples_that_are_awake_call_the_reconciler_itself(small_world):
    folder = small_world.folder
    folder.rmdir()
    shutil.copytree(EXAMPLES, folder)
    files = [path for path in folder.rglob("*.yaml") if "127.0.0.1:8080" not in path.read_text(encoding="utf-8")]
    valid = small_world.command("validate", "--output", "json").json["jobs"]
    elsewhere = [job for job in valid if job["file"] in {path.name for path in files}]
    assert elsewhere
    assert all(job["suspend"] for job in elsewhere)
    assert [job for job in valid if not job["suspend"]]
