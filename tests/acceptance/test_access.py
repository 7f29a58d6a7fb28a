"""Who may read and trigger, with the real command: a token from `token new`, declared, changed and taken back."""

from __future__ import annotations

import json

import httpx
import pytest
import yaml

from tests.acceptance.command import Ended, eventually

JOB = {"name": "job", "schedule": "0 0 1 1 *", "request": {"path": "/"}}
ANYWHERE = ("--listen", "0.0.0.0:0")


def new_token(world, name, *args):
    """A token and its manifest."""
    ended = world.command("token", "new", name, "--output", "json", *args)
    assert ended.code == 0, ended.text
    return ended.json["token"], yaml.safe_dump(ended.json["manifest"])


def ask(address, token="", method="GET"):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, address, headers=headers, trust_env=False, timeout=10)


def refused(world, *args, env=None):
    """The command, which ends by itself."""
    running = world.run(*args, env=env)
    code = running.process.wait(20)
    running.end()
    return Ended(code, running.output, "")


def test_a_public_address_is_refused_until_somebody_has_said_who_may_read(small_world):
    small_world.declare("billing", JOB)
    ended = refused(small_world, *ANYWHERE)
    assert ended.code == 2
    assert "nobody has said who may read" in ended.text
    assert "--open-read" in ended.text
    opened = small_world.start(*ANYWHERE, "--open-read")
    assert ask(f"{opened.address}/api/v1/runs").status_code == 200


def test_tokens_open_close_and_are_limited_as_they_are_declared(world):
    world.declare("billing", JOB)
    world.declare("crm", JOB)
    viewer, manifest = new_token(world, "dashboard", "--role", "viewer")
    operator, limited = new_token(world, "oncall", "--role", "operator", "--application", "crm", "--expires", "90d")
    viewers = world.write("viewer.yaml", manifest)
    world.write("operator.yaml", limited)
    running = world.start(*ANYWHERE, "--interval", "1s")
    runs, job = f"{running.address}/api/v1/runs", f"{running.address}/api/v1/cronjobs/crm/job"
    assert ask(runs).status_code == 401
    assert ask(runs, viewer).status_code == 200
    assert ask(f"{job}/trigger", viewer, "POST").status_code == 403
    assert ask(f"{job}/trigger", operator, "POST").status_code == 202
    assert ask(job.replace("crm", "billing"), operator).status_code == 404
    viewers.unlink()
    (world.folder / "operator.yaml").unlink()
    eventually(lambda: ask(runs, viewer).status_code == 401)
    assert ask(runs).status_code == 401, "it does not open when the last token goes"
    running.end()
    for token in (viewer, operator):
        assert token not in running.output
        assert token.removeprefix("rct_") not in running.output


def test_on_loopback_reading_closes_with_the_first_token_even_a_wrong_one(small_world):
    small_world.declare("billing", JOB)
    running = small_world.start("--interval", "1s")
    assert ask(f"{running.address}/api/v1/runs").status_code == 200
    token, manifest = new_token(small_world, "dashboard", "--role", "viewer")
    small_world.write("token.yaml", manifest.replace("viewer", "viewr"))
    eventually(lambda: ask(f"{running.address}/api/v1/runs").status_code == 401)
    assert ask(f"{running.address}/api/v1/runs", token).status_code == 401
    small_world.write("token.yaml", manifest)
    eventually(lambda: ask(f"{running.address}/api/v1/runs", token).status_code == 200)


def test_a_plan_shows_a_token_without_its_digest(small_world):
    small_world.declare("billing", JOB)
    _, manifest = new_token(small_world, "oncall", "--role", "operator", "--expires", "2099-01-01")
    small_world.write("token.yaml", manifest)
    digest = yaml.safe_load(manifest)["spec"]["sha256"]
    ended = small_world.command("plan")
    assert "+ access token oncall: operator, until 2099-01-01T00:00:00Z" in ended.text
    assert digest not in ended.text
    synced = small_world.command("sync")
    assert "access token oncall added: operator" in synced.text
    assert digest not in synced.text
    assert small_world.command("plan").code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--tls-cert", "a.pem"], "go together"),
        (["--tls-cert", "no.pem", "--tls-key", "no.key"], "cannot be read"),
        (["--trusted-proxy", "10.0.0.1/8"], "--trusted-proxy"),
        (["--cors-origin", "*"], "is no origin"),
        (["--allowed-hosts", "http://x"], "is no host"),
    ],
)
def test_what_cannot_be_set_ends_the_command_with_the_reason(small_world, args, said):
    small_world.declare("billing", JOB)
    ended = refused(small_world, *args)
    assert ended.code == 2
    assert said in ended.text


def test_an_issuer_needs_an_audience(small_world):
    small_world.declare("billing", JOB)
    ended = refused(small_world, env={"RECONCILER_OIDC_ISSUER": "https://login.example.com"})
    assert (ended.code, "RECONCILER_OIDC_AUDIENCE" in ended.text) == (2, True)


def test_a_named_proxy_makes_loopback_public(small_world):
    small_world.declare("billing", JOB)
    ended = refused(small_world, "--trusted-proxy", "127.0.0.0/8")
    assert (ended.code, "nobody has said who may read" in ended.text) == (2, True)


def test_a_token_says_what_is_wrong_with_it(small_world):
    ended = small_world.command("token", "new", "On Call", "--role", "root", "--expires", "soon")
    assert ended.code == 2
    ended = small_world.command("token", "new", "x", "--role", "viewer")
    assert "rct_" not in ended.out
    manifest = yaml.safe_load(ended.out)
    assert manifest["spec"] == {"role": "viewer", "sha256": manifest["spec"]["sha256"]}
    assert json.loads(json.dumps(manifest))["kind"] == "AccessToken"
