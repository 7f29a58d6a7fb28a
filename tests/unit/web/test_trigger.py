import asyncio
import json

import pytest

from reconciler.core.model import JobKey, Overrides
from reconciler.errors import OverridesError, StoreUnavailableError
from reconciler.web import bodies
from tests.unit.web.conftest import TOKEN, World

ADDRESS = "/api/v1/cronjobs/billing/nightly/trigger"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


async def post(world, body=b"", *, address=ADDRESS, content_type="application/json", **headers):
    sent = AUTHORIZED | {name.replace("_", "-"): value for name, value in headers.items()}
    if body:
        sent |= {"Content-Type": content_type} if content_type else {}
    return await world.ask(address, "POST", content=body, headers=sent)


async def test_a_trigger_starts_one_run_and_names_it(world):
    answer = await post(world)
    assert answer.status_code == 202
    run_id = answer.json()["runId"]
    assert answer.json() == {"runId": run_id, "href": f"/api/v1/runs/{run_id}", "status": "running"}
    assert answer.headers["location"] == f"/api/v1/runs/{run_id}"
    assert world.triggered == [(JobKey("billing", "nightly"), Overrides(), None)]


async def test_a_trigger_hands_over_what_it_replaces(world):
    body = {"query": {"day": 3, "dry": True}, "headers": {"X-Reason": "incident"}, "json": {"a": [1, None]}}
    assert (await post(world, json.dumps(body).encode())).status_code == 202
    _, overrides, _ = world.triggered[0]
    assert overrides.query == {"day": "3", "dry": "true"}
    assert overrides.headers == {"X-Reason": "incident"}
    assert overrides.json == {"a": [1, None]}
    assert overrides.has_json


async def test_a_json_of_null_is_a_body_and_a_missing_one_is_none(world):
    await post(world, b'{"json": null}')
    await post(world, b"{}")
    assert [overrides.has_json for _, overrides, _ in world.triggered] == [True, False]


async def test_the_same_idempotency_key_is_the_same_run(world):
    first = await post(world, b'{"query": {"a": "1"}}', Idempotency_Key="incident-42")
    second = await post(world, b'{"query":{"a":"1"}}', Idempotency_Key="incident-42")
    assert first.json() == second.json()
    assert len(world.triggered) == 1


async def test_the_same_idempotency_key_for_another_request_is_a_conflict(world):
    await post(world, b'{"query": {"a": "1"}}', Idempotency_Key="incident-42")
    answer = await post(world, b'{"query": {"a": "2"}}', Idempotency_Key="incident-42")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-conflict")
    assert len(world.triggered) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a b", "a\tb"])
async def test_an_idempotency_key_that_cannot_be_is_refused(world, key):
    answer = await post(world, Idempotency_Key=key)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert world.triggered == []


async def test_two_idempotency_keys_are_refused(world):
    headers = [*AUTHORIZED.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await world.ask(ADDRESS, "POST", headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("token", [None, ""])
async def test_without_a_token_set_nobody_may_trigger(token):
    world = World(token=token)
    world.fill()
    for headers in ({}, AUTHORIZED, {"Authorization": "Bearer "}):
        answer = await world.ask(ADDRESS, "POST", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "trigger-disabled")
        assert "RECONCILER_TRIGGER_TOKEN" in answer.json()["detail"]
    assert world.triggered == []


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        b"Bearer \xff\xfe",
    ],
)
async def test_a_missing_or_wrong_token_is_refused(world, sent):
    answer = await world.ask(ADDRESS, "POST", headers={} if sent is None else {"Authorization": sent})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert TOKEN not in answer.text
    assert world.triggered == []


async def test_the_scheme_is_read_without_regard_to_case(world):
    answer = await world.ask(ADDRESS, "POST", headers={"Authorization": f"bearer {TOKEN}"})
    assert answer.status_code == 202


async def test_who_has_no_token_learns_nothing_about_jobs_or_bodies(world):
    for address in (ADDRESS, "/api/v1/cronjobs/no/body/trigger"):
        answer = await world.ask(address, "POST", content=b"{", headers={"Content-Type": "text/html"})
        assert answer.status_code == 401


@pytest.mark.parametrize("name", ["billing/nothing", "nobody/nightly", "billing/%00", "UPPER/x", "a/%FF"])
async def test_an_unknown_job_is_not_found(world, name):
    answer = await post(world, address=f"/api/v1/cronjobs/{name}/trigger")
    assert (answer.status_code, answer.json()["code"]) == (404, "job-not-found")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
async def test_a_body_that_is_not_declared_as_json_is_refused(world, content_type):
    answer = await post(world, b"{}", content_type=content_type)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


async def test_a_compressed_body_is_refused(world):
    answer = await post(world, b"{}", Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "content_type", ["application/json", 'Application/JSON; charset="UTF-8"', "application/x+json"]
)
async def test_json_may_be_declared_in_every_usual_way(world, content_type):
    assert (await post(world, b"{}", content_type=content_type)).status_code == 202


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "line 1, column 2"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"json": NaN}', "NaN is not JSON"),
        (b'{"json": 1e999}', "not JSON"),
        (b'{"json": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"json": "\\ud800"}', "not UTF-8"),
        (b'{"json": 1, "json": 2}', "stands twice"),
        (b'{"json": ' + b"[" * 60_000, "nested too deeply"),
        (b"\x00", "not JSON"),
    ],
)
async def test_a_body_that_is_not_a_json_object_is_refused(world, body, said):
    answer = await post(world, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert said in answer.json()["detail"]
    assert world.triggered == []


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"querry": {}}, "querry", "did you mean `query`?"),
        ({"body": {}}, "body", "no such field"),
        ({"query": []}, "query", "must be a JSON object"),
        ({"query": {"a": ["1", "2"]}}, "query.a", "string"),
        ({"query": {"": "1"}}, "query.", "must not be empty"),
        ({"query": {"a\u0000": "1"}}, "query.a\u0000", "U+0000"),
        ({"headers": {"Host": "evil"}}, "headers.Host", "cannot be declared"),
        ({"headers": {"Content-Length": "1"}}, "headers.Content-Length", "cannot be declared"),
        ({"headers": {"Idempotency-Key": "1"}}, "headers.Idempotency-Key", "cannot be declared"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "headers.X-A", "one line"),
        ({"headers": {"X A": "a"}}, "headers.X A", "not a header name"),
        ({"headers": {"X-A": "\u20ac"}}, "headers.X-A", "Latin-1"),
        ({"headers": {"X-A": 5}}, "headers.X-A", "string"),
    ],
)
async def test_what_cannot_be_replaced_is_refused(world, body, field, said):
    answer = await post(world, json.dumps(body).encode())
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert said in answer.json()["detail"]


async def test_all_faults_of_a_body_are_told_at_once_without_its_values(world):
    body = {"headers": {"Host": "secret-value", "X-A": "secret\nvalue"}, "jsn": "secret-value"}
    answer = await post(world, json.dumps(body).encode())
    assert {one["field"] for one in answer.json()["errors"]} == {"headers.Host", "headers.X-A", "jsn"}
    assert "secret" not in answer.text


async def test_a_body_over_the_cap_is_refused(world):
    answer = await post(world, b" " * (64 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert (await post(world, b'{"json": "' + b"x" * (64 * 1024 - 12) + b'"}')).status_code == 202


async def test_a_body_over_the_cap_that_does_not_say_its_length_is_refused(world):
    read = 0

    async def chunks():
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b" " * 8192

    answer = await world.ask(
        ADDRESS, "POST", content=chunks(), headers=AUTHORIZED | {"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert read < 20, "the rest is not read"


async def test_a_body_that_never_comes_is_not_waited_for(world, monkeypatch):
    monkeypatch.setattr(bodies, "DEADLINE", 0.01)

    async def chunks():
        yield b"{"
        await asyncio.Event().wait()

    answer = await world.ask(ADDRESS, "POST", content=chunks(), headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["code"]) == (408, "request-timeout")
    assert world.triggered == []


async def test_what_the_run_cannot_send_is_refused(world):
    world.error = OverridesError("a GET request carries no body")
    answer = await post(world, b'{"json": 1}')
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-overrides")
    assert answer.json()["detail"] == "a GET request carries no body"


async def test_a_store_that_is_away_is_said_so(world):
    world.error = StoreUnavailableError("away")
    answer = await post(world)
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")


async def test_a_bug_is_a_problem(world, logged):
    world.error = RuntimeError("hunter2")
    answer = await post(world)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "hunter2" not in answer.text
    assert logged[-1]["exc_info"] is world.error


async def test_the_trigger_is_not_for_reading(world):
    answer = await world.ask(ADDRESS)
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
