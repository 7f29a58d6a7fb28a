"""What is looked at before any address is: Host, source, origin; and the headers of every answer."""

import pytest

from reconciler.core.sources import parse_networks, parse_origins
from reconciler.web.door import Door
from tests.unit.web.conftest import World

PAGE = "https://status.example.com"


def world(**door):
    made = World(door=Door(**{"hosts": ("reconciler", "*.internal.example.com")} | door))
    made.fill()
    return made


@pytest.mark.parametrize("host", ["evil.example.com", "reconciler.evil.example.com", "localhost.evil.example.com", ""])
@pytest.mark.parametrize("address", ["/healthz", "/api/v1/runs", "/docs", "/nothing"])
async def test_a_host_that_is_not_ours_is_refused_everywhere(address, host, logged):
    answer = await world().client.get(address, headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "host-not-allowed")
    assert [line["event"] for line in logged] == ["host_refused"]


@pytest.mark.parametrize("host", ["reconciler:8080", "LOCALHOST", "127.0.0.1:1", "[::1]", "a.internal.example.com"])
async def test_ours_is_served(host):
    assert (await world().client.get("/api/v1/runs", headers={"Host": host})).status_code == 200


async def test_two_hosts_are_none():
    answer = await world().client.get("/healthz", headers=[("Host", "reconciler"), ("Host", "reconciler")])
    assert answer.status_code == 421


async def source_seen_by(made, logged, forwarded):
    await made.client.get("/api/v1/runs", headers=[("Authorization", "Bearer x"), *forwarded])
    return logged[-1]["source"]


async def test_forwarded_headers_are_ignored(logged):
    forwarded = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9"), ("X-Real-IP", "203.0.113.9")]
    assert await source_seen_by(world(), logged, forwarded) == "127.0.0.1"


async def test_a_trusted_proxy_is_looked_behind(logged):
    made = world(proxies=parse_networks("127.0.0.0/8"))
    assert await source_seen_by(made, logged, [("X-Forwarded-For", "10.0.0.1, 203.0.113.9")]) == "203.0.113.9"


async def test_a_forwarded_host_or_scheme_is_never_believed():
    made = world(proxies=parse_networks("127.0.0.0/8"))
    headers = {"X-Forwarded-Host": "reconciler", "X-Forwarded-Proto": "https", "Host": "evil.example.com"}
    answer = await made.client.get("/healthz", headers=headers)
    assert answer.status_code == 421
    assert "strict-transport-security" not in answer.headers


ADDRESSES = ["/healthz", "/api/v1/runs", "/docs", "/openapi.json", "/metrics", "/nothing", "/api/v1/runs?limit=x"]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_every_answer_has_security_headers(address):
    answer = await world().client.get(address, headers={"Origin": "https://evil.example.com"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert answer.headers["cache-control"] == ("no-cache" if address == "/docs" else "no-store")
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "server" not in answer.headers


@pytest.mark.parametrize("address", ADDRESSES)
async def test_with_tls_every_answer_says_that_it_stays_so(address):
    answer = await world(tls=True).client.get(address)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


class TestOrigins:
    async def ask(self, method="GET", origin=PAGE, **headers):
        sent = {"Origin": origin} | {name.replace("_", "-"): value for name, value in headers.items()}
        return await world(origins=parse_origins(PAGE)).client.request(method, "/api/v1/runs", headers=sent)

    async def test_exactly_those_that_are_named_are_let_in(self):
        answer = await self.ask()
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["vary"] == "Origin"

    @pytest.mark.parametrize(
        "origin",
        ["https://evil.example.com", "null", "", f"{PAGE}.evil", f"{PAGE}:443", "*"],
    )
    async def test_no_other_is(self, origin):
        for method in ("GET", "OPTIONS"):
            answer = await self.ask(method, origin, Access_Control_Request_Method="GET")
            assert not [name for name in answer.headers if name.startswith("access-control-")]
            assert answer.headers["vary"] == "Origin"

    async def test_a_page_may_ask_first_what_it_may_send(self):
        answer = await self.ask("OPTIONS", Access_Control_Request_Method="POST")
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-methods"] == "GET, POST"
        assert answer.headers["access-control-allow-headers"] == "Authorization, Content-Type, Idempotency-Key"

    async def test_an_error_can_be_read_too(self):
        answer = await world(origins=parse_origins(PAGE), hosts=()).client.get("/healthz", headers={"Origin": PAGE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (421, PAGE)
