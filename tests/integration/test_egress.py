"""Spellings of shut addresses, direct, behind a redirect and behind a name that changes: none reaches the canary."""

from __future__ import annotations

import asyncio
import socket
import unicodedata
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from reconciler.adapters.caller import HttpCaller
from reconciler.core.egress import policy_of
from reconciler.core.model import HttpRequest, Reply
from tests.integration.spellings import spelled

WITHIN = timedelta(seconds=5)
DECOY = "127.0.0.2"
NAMES = ("localhost", "LOCALHOST", "LocalHost.", "localhost.", "localhost.localdomain", "ip6-localhost", "%6cocalhost")
GROUPS = {
    "127.0.0.1": spelled("127.0.0.1"),
    "127.1.2.3": spelled("127.1.2.3"),
    "0.0.0.0": spelled("0.0.0.0"),  # noqa: S104 - an address, not a bind
    "::1": spelled("::1"),
    "::": spelled("::"),
    "localhost": list(NAMES),
}
METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe")


def test_the_table_has_the_spellings_that_it_promises():
    assert len({each for group in GROUPS.values() for each in group}) >= 300


def lenient(host: str, port: int, family: int) -> list[Any]:
    """A resolver that understands more than any other, and asks nobody: numbers in every form, and a few names."""
    text = unicodedata.normalize("NFKC", unquote(host)).replace("\N{IDEOGRAPHIC FULL STOP}", ".").rstrip(".").lower()
    if "localhost" in text:
        text = "127.0.0.1"
    return socket.getaddrinfo(text, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


@dataclass
class Names:
    """A resolver whose answers somebody else chooses, one after the other."""

    answers: list[list[str]] = field(default_factory=list)

    def __call__(self, _host: str, port: int, _family: int) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, port, 0, 0))
            if ":" in text
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in self.answers.pop(0)
        ]


class Server:
    """Counts connections, notes the heads of requests and answers all of them alike."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.answer: Callable[[str], str] = lambda _head: "HTTP/1.1 200 OK\r\n"
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next((line for line in head.lower().splitlines() if line.startswith("content-length:")), ":0")
            self.bodies.append(await reader.readexactly(int(length.partition(":")[2])))
            self.heads.append(head)
            writer.write(f"{self.answer(head)}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def redirecting(location: str, status: int = 302) -> Callable[[str], str]:
    return lambda _head: f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\n"


@asynccontextmanager
async def serving(*hosts: str, port: int = 0):
    here = Server()
    servers = []
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        servers.append(await asyncio.start_server(here.serve, host, port, family=family))
        port = here.port = servers[-1].sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()


@asynccontextmanager
async def calling(allow: str = "", *, mode: str = "public", deny: str = "", look_up: Any = lenient):
    caller = HttpCaller(policy_of(mode, allow, deny), look_up=look_up, keep_names=timedelta(0))
    try:
        yield caller
    finally:
        await caller.close()


def canaries():
    return serving("127.0.0.1", "127.1.2.3", "::1")


async def call(caller: HttpCaller, url: str, method: str = "GET", **fields: Any) -> Reply:
    return await caller.call(HttpRequest(method=method, url=url, **fields), WITHIN)


def is_lasting_refusal(reply: Reply) -> bool:
    said = (": address ", "address ", "the URL cannot be called", "redirected to ", "redirect to ")
    found = (reply.error or "").startswith(said) and not reply.transient
    return found or "was not found" in (reply.error or "")


@pytest.mark.parametrize("group", GROUPS)
async def test_no_spelling_of_a_shut_address_reaches_it(group):
    async with canaries() as canary, calling() as caller:
        replies = {each: await call(caller, f"http://{each}:{canary.port}/") for each in GROUPS[group]}
        assert canary.connections == 0
    assert {each: reply for each, reply in replies.items() if not is_lasting_refusal(reply) or reply.sent} == {}


@pytest.mark.parametrize("group", GROUPS)
async def test_no_redirect_leads_to_a_shut_address(group):
    async with canaries() as canary, serving("127.0.0.1") as first, calling(f"127.0.0.1:{first.port}") as caller:
        replies = {}
        for each in GROUPS[group]:
            first.answer = redirecting(f"http://{each}:{canary.port}/")
            replies[each] = await call(caller, f"{first.url}/", follow_redirects=5)
        assert canary.connections == 0
        assert first.connections >= len(replies)
    assert {each: reply for each, reply in replies.items() if not is_lasting_refusal(reply) or not reply.sent} == {}


@pytest.mark.parametrize("group", GROUPS)
async def test_no_name_that_changes_its_address_leads_to_a_shut_one(group):
    names = Names()
    async with canaries() as canary, serving(DECOY, port=canary.port) as decoy:
        async with calling(DECOY, look_up=names) as caller:
            url = f"http://rebinding.example:{canary.port}/"
            for number, each in enumerate(GROUPS[group], 1):
                address = each.strip("[]")
                names.answers = [[DECOY], [address], [address, DECOY], [DECOY, address]]
                assert (await call(caller, url)).status == 200
                refused = await call(caller, url)
                assert refused.error.startswith("address "), each
                assert (refused.sent, refused.transient) == (False, False)
                assert [(await call(caller, url)).status for _ in range(2)] == [200, 200]
                assert decoy.connections == 3 * number
        assert canary.connections == 0


async def test_the_canary_is_reached_where_the_policy_lets_it():
    """So that the tables show something: the very same spellings, and calls, with nothing shut."""
    reached = set()
    async with canaries() as canary, calling(mode="open") as caller:
        for each in [*GROUPS["127.0.0.1"], *GROUPS["::1"], *NAMES]:
            if each.startswith("[") and "7f" in each:
                continue  # what carries it leads outside
            before = canary.connections
            if "::" not in each or each.startswith("[::1"):
                await call(caller, f"http://{each}:{canary.port}/")
            if canary.connections > before:
                reached.add(each)
    assert len(reached) >= 80
    assert {"127.0.0.1", "0x7f.0x0.0x0.0x1", "[::1]", "localhost"} <= reached


@pytest.mark.parametrize("mode", ["open", "public"])
@pytest.mark.parametrize("address", METADATA)
async def test_no_spelling_of_a_metadata_address_is_called_in_any_mode(address, mode):
    async with serving("127.0.0.1") as first, calling(f"127.0.0.1:{first.port}", mode=mode) as caller:
        for each in spelled(address):
            direct = await call(caller, f"http://{each}/latest/meta-data/")
            assert is_lasting_refusal(direct), (each, direct)
            assert not direct.sent
            first.answer = redirecting(f"http://{each}/latest/meta-data/")
            assert is_lasting_refusal(await call(caller, f"{first.url}/", follow_redirects=1)), each


# --- rules ---------------------------------------------------------------------------------------------------------


async def test_a_refusal_is_lasting_and_names_the_address_and_the_rule():
    async with calling(mode="open", deny="10.0.0.0/8,*.internal.example.com:443") as caller:
        linked = await call(caller, "http://169.254.169.254/")
        assert linked.error == "address 169.254.169.254 is refused: link-local; see --egress-allow"
        denied = await call(caller, "http://10.1.2.3:8080/")
        assert denied.error == "address 10.1.2.3 is refused: denied by 10.0.0.0/8; see --egress-deny"
        assert not any((linked.sent, linked.transient, denied.sent, denied.transient))


async def test_a_host_is_shut_and_opened_by_its_name_whatever_it_resolves_to():
    names = Names([["127.0.0.1"]] * 4)
    async with serving("127.0.0.1") as here:
        async with calling(mode="open", deny="*.internal.example.com", look_up=names) as caller:
            for host in (
                "A.Internal.Example.COM",
                "a.b.internal.example.com.",
                "a\N{IDEOGRAPHIC FULL STOP}internal.example.com",
            ):
                reply = await call(caller, f"http://{host}:{here.port}/")
                assert "denied by *.internal.example.com" in (reply.error or ""), host
        assert here.connections == 0
        async with calling(f"billing.example.com:{here.port}", look_up=names) as caller:
            assert (await call(caller, f"http://billing.example.com:{here.port}/")).status == 200


async def test_an_address_that_fails_beside_one_that_is_refused_is_tried_again():
    names = Names([["169.254.169.254", "127.0.0.1"]])
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with calling(mode="open", look_up=names) as caller:
            reply = await call(caller, f"http://both.example:{unused.getsockname()[1]}/")
    assert (reply.error, reply.sent, reply.transient) == ("connection refused", False, True)


# --- redirects -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def caller():
    async with calling(mode="open") as made:
        yield made


async def test_redirects_are_followed_as_far_as_declared(caller):
    async with serving("127.0.0.1") as here:
        here.answer = lambda head: (
            "HTTP/1.1 200 OK\r\n" if head.startswith("GET /3") else redirecting(f"/{int(head[5]) + 1}?token=abc")(head)
        )
        assert (await call(caller, f"{here.url}/0", follow_redirects=3)).status == 200
        reply = await call(caller, f"{here.url}/0", follow_redirects=2)
    assert (reply.status, reply.location, reply.transient) == (302, "/3?token=abc", False)
    assert reply.error == "redirect to /3 is not followed: more than 2 redirects"


@pytest.mark.parametrize(("status", "line", "body"), [(303, "GET", b""), (307, "POST", b"a=1")])
async def test_method_and_body_go_along_as_the_status_says(status, line, body, caller):
    async with serving("127.0.0.1") as here:
        here.answer = lambda head: "HTTP/1.1 200 OK\r\n" if " /end" in head else redirecting("/end", status)(head)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        await call(caller, here.url, "POST", headers=headers, body="a=1", follow_redirects=1)
        assert here.heads[1].startswith(f"{line} /end HTTP/1.1\r\n")
        assert here.bodies == [b"a=1", body]
        assert ("content-type" in here.heads[1].lower()) is (line == "POST")


async def test_credentials_do_not_reach_another_origin(caller):
    headers = {"Authorization": "Bearer abc", "Cookie": "abc", "X-Api-Key": "abc", "X-Env": "staging"}
    async with serving("127.0.0.1") as here, serving("127.0.0.1") as other:
        here.answer = redirecting(f"{other.url}/")
        assert (await call(caller, here.url, headers=headers, follow_redirects=1)).status == 200
        assert here.heads[0].count("abc") == 3
        assert "abc" not in other.heads[0]
        assert "x-env: staging" in other.heads[0].lower()
        assert f"Host: 127.0.0.1:{other.port}" in other.heads[0]


async def test_what_fails_after_a_redirect_says_so_and_was_sent(caller):
    async with serving("127.0.0.1") as here:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            place = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
            here.answer = redirecting(f"{place}?token=abc")
            reply = await call(caller, here.url, follow_redirects=1)
    assert (reply.error, reply.sent, reply.transient) == (f"redirected to {place}: connection refused", True, True)


async def test_one_deadline_holds_for_all_redirects_together(caller):
    with socket.socket() as silent:  # the system accepts for it, and nobody answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        async with serving("127.0.0.1") as here:
            here.answer = redirecting(place)
            request = HttpRequest(method="GET", url=here.url, follow_redirects=5)
            reply = await caller.call(request, timedelta(milliseconds=300))
    assert reply.error == f"redirected to {place}: timed out after 300ms"
    assert reply.latency_ms < 2000


async def test_a_redirect_in_a_circle_ends(caller):
    async with serving("127.0.0.1") as here:
        here.answer = redirecting("/")
        reply = await call(caller, here.url, follow_redirects=5)
        assert here.connections == 6
    assert reply.error == "redirect to / is not followed: more than 5 redirects"
