"""Calls to a target that demands credentials: each way of giving them, their renewal, and that none of them leaks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from reconciler.adapters.encryption import new_key
from tests.acceptance.command import eventually
from tests.acceptance.conftest import World
from tests.acceptance.target import Answer, Behaviour, Call, Target

NEVER = {"at": "2099-01-01T00:00:00"}
PASSWORD = "made-up-password-7c1f"
GIVEN = "made-up-token-given-by-the-target"
SIGNING = ["whsec_" + base64.b64encode(b"made-up-signing-key-of-32-bytes!").decode(), "made-up-signing-key-as-text"]


def closing(behave: Behaviour) -> Behaviour:
    """Say that the connection is not used again, as the target does after a behaviour."""

    def behave_and_close(call: Call, connection: Any) -> Answer:
        said = behave(call, connection)
        assert said is not None
        return replace(said, headers={**said.headers, "Connection": "close"})

    return behave_and_close


class Guard:
    """A target's side: gives tokens out, lets calls in that carry one it knows, and says 401 to the others."""

    def __init__(self, target: Target, *, life: float | None = None) -> None:
        self.given = 0
        self.known: set[str] = set()
        self.life = life
        self.failing = 0
        self.asked: list[Call] = []
        self._lock = threading.Lock()
        target.say("/auth/handshake", closing(self.handshake))
        target.say("/token", closing(self.token))
        target.say("/data", closing(self.data))

    def handshake(self, call: Call, _connection: Any) -> Answer:
        token = self._next(call)
        if token is None:
            return Answer(503, b"busy")
        body: dict[str, Any] = {"authType": "BearerToken", "token": token}
        return Answer(body=json.dumps(body | ({"expiresIn": self.life} if self.life else {})).encode())

    def token(self, call: Call, _connection: Any) -> Answer:
        token = self._next(call)
        return Answer(body=json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).encode())

    def _next(self, call: Call) -> str | None:
        with self._lock:
            self.asked.append(call)
            if self.failing:
                self.failing -= 1
                return None
            self.given += 1
            self.known.add(f"{GIVEN}-{self.given}")
            return f"{GIVEN}-{self.given}"

    def data(self, call: Call, _connection: Any) -> Answer:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        with self._lock:
            return Answer() if scheme == "Bearer" and token in self.known else Answer(401, b"who are you?")

    def forget(self) -> None:
        with self._lock:
            self.known.clear()


@pytest.fixture
def guard(target: Target) -> Guard:
    return Guard(target)


def secret(world: World, name: str, value: str) -> dict[str, str]:
    path = world.path / name
    path.write_text(value, encoding="utf-8")
    return {"file": str(path)}


def declare(world: World, auth: dict[str, Any], *names: str, own: dict[str, Any] | None = None, **api: Any) -> None:
    made = {"schedule": NEVER, "request": {"path": "/data"}} | api | ({"auth": own} if own else {})
    world.declare("shop", *({"name": name} | made for name in names or ("stock",)), auth=auth)


def trigger(world: World, job: str = "shop/stock") -> dict[str, Any]:
    ended = world.command("trigger", job, "--output", "json")
    assert ended.code in (0, 1), ended.text
    return ended.json


def ran(world: World, auth: dict[str, Any], **api: Any) -> Call:
    """Sync, trigger once, and give the call that came to the target last."""
    declare(world, auth, **api)
    synced = world.command("sync")
    assert synced.code == 0, synced.text
    run = trigger(world)
    assert run["status"] == "succeeded", run
    return world.target.of("shop/stock")[-1]


class TestEachWay:
    def test_basic(self, small_world: World):
        call = ran(small_world, {"basic": {"username": "me", "password": secret(small_world, "p", PASSWORD)}})
        assert call.headers["authorization"] == f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"

    def test_bearer_and_header(self, small_world: World):
        call = ran(small_world, {"bearer": {"token": secret(small_world, "p", PASSWORD)}}, request={"path": "/"})
        assert call.headers["authorization"] == f"Bearer {PASSWORD}"
        auth = {"header": {"name": "X-Api-Key", "value": secret(small_world, "p", PASSWORD)}}
        call = ran(small_world, auth, request={"path": "/"})
        assert (call.headers["x-api-key"], "authorization" in call.headers) == (PASSWORD, False)

    def test_none_switches_it_off_for_one_api(self, small_world: World):
        auth = {"bearer": {"token": secret(small_world, "p", PASSWORD)}}
        call = ran(small_world, auth, request={"path": "/"}, own={"none": True})
        assert "authorization" not in call.headers

    def test_signed_by_standard_webhooks_with_two_secrets_and_one_id_over_all_attempts(
        self, small_world: World, target: Target
    ):
        secrets = [secret(small_world, f"s{number}", each) for number, each in enumerate(SIGNING)]
        target.say("/data", Answer(503), Answer())
        retry = {"limit": 1, "initialDelay": "10ms"}
        request = {"method": "PUT", "path": "/data", "json": {"a": "ü"}}
        ran(small_world, {"hmac": {"secrets": secrets}}, request=request, retry=retry)
        first, second = target.of("shop/stock")
        for call in (first, second):
            headers = call.headers
            assert headers["webhook-id"] == call.run
            content = f"{call.run}.{headers['webhook-timestamp']}.".encode() + call.body
            keys = [b"made-up-signing-key-of-32-bytes!", SIGNING[1].encode()]
            signatures = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
            assert headers["webhook-signature"] == " ".join(f"v1,{each}" for each in signatures)
        assert first.headers["webhook-id"] == second.headers["webhook-id"]

    @pytest.mark.parametrize("style", ["basic", "body"])
    def test_client_credentials(self, small_world: World, target: Target, guard: Guard, style: str):
        client = {"clientId": "me", "clientSecret": secret(small_world, "p", PASSWORD), "style": style}
        auth = {"oauth2": client | {"tokenUrl": f"{target.url}/token", "scopes": ["a", "b"], "audience": "them"}}
        assert ran(small_world, auth).headers["authorization"] == f"Bearer {GIVEN}-1"
        (asked,) = guard.asked
        form = parse_qs(asked.body.decode())
        assert (form["grant_type"], form["scope"], form["audience"]) == (["client_credentials"], ["a b"], ["them"])
        if style == "basic":
            assert asked.headers["authorization"] == f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"
            assert "client_secret" not in form
        else:
            assert (form["client_id"], form["client_secret"]) == (["me"], [PASSWORD])

    def test_a_handshake_with_secrets_of_its_own(self, small_world: World, guard: Guard):
        password = secret(small_world, "p", PASSWORD)
        asking = {"headers": {"X-Setup": password}, "query": {"a": "b"}, "json": {"password": {"$secret": password}}}
        assert ran(small_world, {"handshake": asking}).headers["authorization"] == f"Bearer {GIVEN}-1"
        (asked,) = guard.asked
        assert (asked.method, asked.target) == ("POST", "/auth/handshake?a=b")
        assert (asked.headers["x-setup"], json.loads(asked.body)) == (PASSWORD, {"password": PASSWORD})

    def test_a_handshake_that_gives_a_user_and_a_password(self, small_world: World, target: Target):
        answer = {"authType": "Basic", "username": "me", "password": PASSWORD}
        target.say("/hello", Answer(body=json.dumps(answer).encode()))
        call = ran(small_world, {"handshake": {"path": "/hello"}})
        assert call.headers["authorization"] == f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"


JOBS = [f"job-{number}" for number in range(50)]


def test_fifty_jobs_due_at_once_make_one_handshake(small_world: World, target: Target, guard: Guard):
    declare(small_world, {"handshake": {}}, *JOBS, schedule={"every": "2s"})
    reconciler = small_world.start()
    eventually(lambda: len({call.job for call in target.calls if call.path == "/data"}) == len(JOBS))
    assert reconciler.end() == 0
    assert len(guard.asked) == 1
    assert {run["status"] for run in small_world.runs()} == {"succeeded"}


def test_a_credential_that_ends_is_renewed_before_it_does(small_world: World, target: Target, guard: Guard):
    guard.life = 1.5
    declare(small_world, {"handshake": {}}, schedule={"every": "1s"})
    reconciler = small_world.start()
    eventually(lambda: len(target.of("shop/stock")) >= 5)
    assert reconciler.end() == 0
    assert 2 <= len(guard.asked) <= len(target.of("shop/stock"))
    assert all(len(run["attempts"]) == 1 and run["status"] == "succeeded" for run in small_world.runs())


def test_a_credential_that_the_target_refuses_is_fetched_once_more_and_the_call_repeated(
    small_world: World, target: Target, guard: Guard
):
    request = {"method": "POST", "path": "/data"}  # of which at most one call may be made, but for a 401
    declare(small_world, {"handshake": {}}, *JOBS, schedule={"every": "3s"}, request=request)
    reconciler = small_world.start()
    eventually(lambda: len(target.calls) == len(JOBS) + 1)
    guard.forget()
    eventually(lambda: len(small_world.runs()) >= 2 * len(JOBS))
    assert reconciler.end() == 0
    runs = small_world.runs()[: 2 * len(JOBS)]
    assert {run["status"] for run in runs} == {"succeeded"}
    statuses = [[attempt["status"] for attempt in run["attempts"]] for run in runs]
    assert statuses[: len(JOBS)] == [[200]] * len(JOBS)
    assert [401, 200] in statuses[len(JOBS) :]
    assert {tuple(each) for each in statuses[len(JOBS) :]} <= {(401, 200), (200,)}
    assert len(guard.asked) == 2


def test_a_target_that_refuses_every_credential_is_called_twice_and_no_more(small_world: World, target: Target):
    Guard(target)
    target.say("/data", Answer(401))
    declare(small_world, {"handshake": {}}, retry={"limit": 5, "initialDelay": "10ms"})
    assert small_world.command("sync").code == 0
    run = trigger(small_world)
    assert (run["status"], run["reason"]) == ("failed", "status 401, expected 2xx")
    assert [attempt["status"] for attempt in run["attempts"]] == [401, 401]


def test_a_handshake_that_fails_fails_the_runs_and_comes_back_by_itself(
    small_world: World, target: Target, guard: Guard
):
    guard.failing = 2
    declare(small_world, {"handshake": {}}, *JOBS[:10], schedule={"every": "1s"})
    reconciler = small_world.start()
    eventually(lambda: [call for call in target.calls if call.path == "/data"])
    assert reconciler.end() == 0
    failed = [run for run in small_world.runs() if run["status"] == "failed"]
    assert failed
    assert {run["reason"].partition(";")[0] for run in failed} == {"handshake of shop failed: status 503"}
    assert all(run["attempts"] == [] for run in failed)
    assert len(guard.asked) == 3


def test_the_handshake_counts_for_the_timeout(small_world: World, target: Target):
    target.say("/auth/handshake", Answer(after=5.0))
    declare(small_world, {"handshake": {}}, timeout="300ms")
    assert small_world.command("sync").code == 0
    assert trigger(small_world)["reason"] == "handshake of shop failed: no answer within 300ms"
    assert target.of("shop/stock") == []


def test_handshakes_keep_to_the_rules_on_where_calls_may_go(small_world: World, target: Target, guard: Guard):
    declare(small_world, {"handshake": {}})
    assert small_world.command("sync").code == 0
    small_world.env["RECONCILER_EGRESS"] = "public"
    assert "handshake of shop failed: address 127.0.0.1 is refused" in trigger(small_world)["reason"]
    assert target.calls == []
    assert guard.asked == []


BAD = {
    "html": (Answer(body=b"<!doctype html><p>log in", headers={"Content-Type": "text/html"}), "the answer is HTML"),
    "nothing": (Answer(body=b"{}"), "the answer has no `authType`"),
    "an error": (Answer(body=b'{"error": "made-up-detail"}'), "the answer has no `authType`; it holds an error"),
    "10 MB": (
        Answer(body=json.dumps({"authType": "BearerToken", "token": "x" * 10_000_000}).encode()),
        "answer longer than 1 MiB",
    ),
    "a long token": (
        Answer(body=json.dumps({"authType": "BearerToken", "token": "x" * 100_000}).encode()),
        "the answer's `token` is longer than 16 KiB",
    ),
    "a negative end": (
        Answer(body=json.dumps({"authType": "BearerToken", "token": "made-up-detail", "expiresIn": -5}).encode()),
        "the answer's `expiresIn` is not positive",
    ),
}


@pytest.mark.parametrize(("answer", "reason"), BAD.values(), ids=BAD)
def test_an_answer_that_is_no_credential_is_refused_with_a_reason(
    small_world: World, target: Target, answer: Answer, reason: str
):
    target.say("/auth/handshake", answer)
    declare(small_world, {"handshake": {}})
    assert small_world.command("sync").code == 0
    run = trigger(small_world)
    assert run["status"] == "failed"
    assert run["reason"].startswith(f"handshake of shop failed: {reason}")
    assert "made-up-detail" not in json.dumps(run)
    assert target.of("shop/stock") == []


class TestStored:
    def test_every_process_uses_what_one_was_given_and_a_new_key_takes_over(self, world: World, guard: Guard):
        old, new = new_key(), new_key()
        world.env["RECONCILER_ENCRYPTION_KEYS"] = old
        declare(world, {"handshake": {}})
        assert world.command("sync").code == 0
        assert [trigger(world)["status"] for _ in range(2)] == ["succeeded"] * 2
        assert len(guard.asked) == 1
        world.env["RECONCILER_ENCRYPTION_KEYS"] = f"{new},{old}"
        assert world.command("auth", "rotate", "--output", "json").json == {"encrypted": 1, "kept": 0, "dropped": {}}
        assert world.command("auth", "rotate").out == "0 credentials encrypted anew, 1 had the newest key already\n"
        world.env["RECONCILER_ENCRYPTION_KEYS"] = new
        assert trigger(world)["status"] == "succeeded"
        assert len(guard.asked) == 1
        world.env["RECONCILER_ENCRYPTION_KEYS"] = old
        dropped = world.command("auth", "rotate")
        assert (dropped.code, "dropped, and asked for anew: no key of" in dropped.err) == (0, True)

    def test_without_a_key_nothing_is_stored_and_that_is_said(self, small_world: World, guard: Guard):
        declare(small_world, {"handshake": {}}, *JOBS[:3], schedule={"every": "1s"})
        reconciler = small_world.start()
        eventually(lambda: guard.asked)
        eventually(lambda: "kept in memory only" in reconciler.output)
        assert reconciler.end() == 0
        assert reconciler.output.count("kept in memory only") == 1
        assert GIVEN.encode() not in stored(small_world)

    @pytest.mark.parametrize(
        "keys",
        ["short", f"{new_key()},also-short", f"{new_key()},"],
        ids=["short", "one of two is short", "an empty one"],
    )
    def test_a_key_of_another_form_ends_the_command_with_what_to_do(self, small_world: World, keys: str):
        small_world.env["RECONCILER_ENCRYPTION_KEYS"] = keys
        ended = small_world.command("sync")
        assert ended.code == 2
        assert "RECONCILER_ENCRYPTION_KEYS: " in ended.err
        assert "`reconciler auth keygen` prints one" in ended.err
        assert "short" not in ended.err

    def test_keygen_prints_a_key_that_can_be_used(self, small_world: World, guard: Guard):
        made = small_world.command("auth", "keygen")
        small_world.env["RECONCILER_ENCRYPTION_KEYS"] = made.out.strip()
        declare(small_world, {"handshake": {}})
        assert small_world.command("sync").code == 0
        assert [trigger(small_world)["status"] for _ in range(2)] == ["succeeded"] * 2
        assert len(guard.asked) == 1


def stored(world: World) -> bytes:
    """Every byte of the store's files."""
    path = Path(world.store.removeprefix("sqlite:///"))
    return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))


def test_no_credential_stands_in_log_store_answers_or_arguments(small_world: World, target: Target, guard: Guard):
    def echo(call: Call, connection: Any) -> Answer:
        answer = guard.data(call, connection)
        return Answer(answer.status, json.dumps(call.headers).encode())

    target.say("/data", closing(echo))
    small_world.env["RECONCILER_ENCRYPTION_KEYS"] = new_key()
    password = secret(small_world, "p", PASSWORD)
    declare(
        small_world,
        {"handshake": {"headers": {"X-Setup": password}}},
        "stock",
        "prices",
        schedule={"every": "1s"},
    )
    small_world.declare(
        "tills", {"name": "sums"}, auth={"basic": {"username": "me", "password": password}}, file="tills.yaml"
    )
    reconciler = small_world.start("--log-format", "json")
    for job in ("shop/stock", "shop/prices", "tills/sums"):
        reconciler.wait_for("run", job=job, outcome="succeeded")
    eventually(
        lambda: reconciler.get("/api/v1/runs").content.count(b"***") >= 2, what="what was sent is echoed, masked"
    )
    arguments = Path(f"/proc/{reconciler.process.pid}/cmdline").read_bytes()
    answers = [
        reconciler.get(path).content
        for path in ("/api/v1/runs", "/api/v1/cronjobs", "/api/v1/applications", "/api/v1/status", "/metrics")
    ]
    assert reconciler.end() == 0
    shown = small_world.command("show", "shop/stock")
    assert "handshake" in shown.out
    text = b"\n".join([arguments, *answers, reconciler.output.encode(), stored(small_world), shown.text.encode()])
    pair = base64.b64encode(f"me:{PASSWORD}".encode())
    found = [
        each for each in (PASSWORD.encode(), GIVEN.encode(), base64.b64encode(GIVEN.encode()), pair) if each in text
    ]
    assert found == []


class TestTryingOut:
    def test_it_says_what_came_back_but_not_its_values(self, small_world: World, guard: Guard):
        guard.life = 3600
        declare(small_world, {"handshake": {"headers": {"X-Setup": secret(small_world, "p", PASSWORD)}}})
        text = small_world.command("auth", "test", "shop")
        assert text.code == 0, text.text
        for said in ("status 200", "BearerToken", "expires ", "POST http://127.0.0.1", "a credential came back"):
            assert said in text.out
        (item,) = small_world.command("auth", "test", "shop", "--output", "json").json["items"]
        assert (item["works"], item["status"], item["credential"], item["apis"]) == (
            True,
            200,
            "BearerToken",
            ["stock"],
        )
        assert GIVEN not in text.text
        assert PASSWORD not in text.text
        assert (len(guard.asked), len(small_world.target.of("shop/stock"))) == (2, 0)

    def test_what_fails_is_told_with_its_status(self, small_world: World, guard: Guard):
        guard.failing = 2
        declare(small_world, {"handshake": {}})
        text = small_world.command("auth", "test", "shop")
        assert (text.code, "handshake of shop failed: status 503" in text.out) == (1, True)
        (item,) = small_world.command("auth", "test", "shop", "--output", "json").json["items"]
        assert (item["works"], item["status"]) == (False, 503)

    def test_ways_that_ask_for_nothing_are_tried_as_far_as_that_goes(self, small_world: World):
        declare(small_world, {"basic": {"username": "me", "password": {"env": "NOT_SET_HERE"}}})
        failed = small_world.command("auth", "test", "shop")
        assert (failed.code, "secret env NOT_SET_HERE: not set" in failed.out) == (1, True)
        small_world.env["NOT_SET_HERE"] = PASSWORD
        good = small_world.command("auth", "test", "shop")
        assert (good.code, "every secret can be read" in good.out, PASSWORD in good.text) == (0, True, False)

    def test_an_application_that_is_not_declared_is_told(self, small_world: World):
        declare(small_world, {"handshake": {}})
        ended = small_world.command("auth", "test", "shpo")
        assert (ended.code, "declares no valid Application shpo (did you mean `shop`?)" in ended.err) == (1, True)

    def test_one_without_auth_is_said_to_have_none(self, small_world: World):
        small_world.declare("shop", {"name": "stock", "schedule": NEVER})
        ended = small_world.command("auth", "test", "shop")
        assert (ended.code, ended.out) == (0, "the calls of shop do not authenticate\n")
