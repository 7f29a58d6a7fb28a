import pytest
from starlette.requests import ClientDisconnect

from reconciler.web.guard import Guard


async def test_every_answer_carries_the_headers_that_keep_browsers_calm(world):
    for address in ("/healthz", "/api/v1/runs", "/nothing", "/docs", "/openapi.json", "/metrics"):
        answer = await world.ask(address)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "content-security-policy" in answer.headers
        assert answer.headers["cache-control"] == ("no-cache" if address == "/docs" else "no-store")
        assert "access-control-allow-origin" not in answer.headers


async def test_no_page_of_another_origin_may_ask(world):
    headers = {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"}
    answer = await world.ask("/api/v1/cronjobs/billing/nightly/trigger", "OPTIONS", headers=headers)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("length", ["65537", "9" * 30, "-1", "1e3", "\xb2"])
async def test_a_declared_body_over_the_cap_is_refused_at_every_address(world, length):
    for address in ("/healthz", "/api/v1/runs"):
        answer = await world.ask(address, headers={"Content-Length": length.encode("latin-1")})
        assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


async def test_an_address_over_the_cap_is_refused(world):
    answer = await world.ask("/api/v1/runs?application=" + "x" * 9000)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")


async def test_an_address_may_have_a_cap_of_its_own():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def status_of(path, length):
        sent = []

        async def send(message):
            sent.append(message)

        headers = [(b"content-length", str(length).encode())]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
        await Guard(app, {"/large": 100_000, "/small": 10})(scope, None, send)
        return sent[0]["status"]

    assert [await status_of("/large", length) for length in (100_000, 100_001)] == [200, 413]
    assert [await status_of("/small", length) for length in (10, 11)] == [200, 413]
    assert [await status_of("/large/", length) for length in (65_536, 65_537)] == [200, 413]


async def test_a_refused_body_is_logged_with_a_path_that_can_be_shown(world, logged):
    await world.ask("/a%1B%0A" + "x" * 300, headers={"Content-Length": "9999999"})
    assert [line["event"] for line in logged] == ["request_refused"]
    assert logged[0]["path"] == "/a\u241b\u240a" + "x" * 196


async def asked(app) -> list:
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.disconnect"}

    await Guard(app)({"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}, receive, send)
    return sent


async def test_a_client_that_goes_away_is_no_bug(logged):
    async def app(scope, receive, send):
        raise ClientDisconnect

    assert await asked(app) == []
    assert logged == []


async def test_a_bug_after_the_answer_began_is_logged_and_the_answer_left_alone(logged):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("halfway")

    assert [message["type"] for message in await asked(app)] == ["http.response.start"]
    assert logged[0]["event"] == "request_failed"


async def test_what_is_not_http_passes_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    await Guard(app)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
