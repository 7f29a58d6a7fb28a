"""How long a request may take to arrive, and how many connections there may be, on real sockets."""

import asyncio
import errno
import json
import ssl
from contextlib import asynccontextmanager, suppress

import pytest

from reconciler.core.sources import parse_networks
from reconciler.web.connections import Bounds
from reconciler.web.server import HttpServer, bind
from reconciler.web.tls import tls_context
from tests.unit.web.conftest import TOKEN, World
from tests.unit.web.test_tls import made

SOON = 5.0  # seconds; what is bounded by a tenth of one is over by then
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def serving(**bounds):
    counted = Bounds(**bounds)
    server = HttpServer(World().app, bind("127.0.0.1", 0), bounds=counted)
    await server.start()
    try:
        yield server, counted
    finally:
        await server.stop()


@asynccontextmanager
async def connected(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def hung_up(reader):
    """Everything until the end, which comes soon."""
    try:
        return await asyncio.wait_for(reader.read(), SOON)
    except ConnectionError:
        return b""


async def until(so):
    """Wait until something is so, which is soon."""
    async with asyncio.timeout(SOON):
        while not so():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\n", REQUEST[:-2]])
async def test_a_header_that_does_not_come_in_time_is_waited_for_no_more(sent, logged):
    async with serving(header=0.1) as (server, _), connected(server) as (reader, writer):
        writer.write(sent)
        assert await hung_up(reader) == b""
    assert [line["event"] for line in logged] == ["request_too_slow"]


async def test_a_header_that_comes_byte_by_byte_is_waited_for_no_longer():
    async with serving(header=0.3) as (server, _), connected(server) as (reader, writer):

        async def drip():
            for byte in REQUEST[:-2] * 100:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await hung_up(reader) == b""
        dripping.cancel()


async def test_the_second_request_of_a_connection_is_in_time_too():
    async with serving(header=0.2) as (server, _), connected(server) as (reader, writer):
        writer.write(REQUEST)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.write(REQUEST[:20])
        rest = await hung_up(reader)
        assert rest == b'{"status":"ok"}'


BODY = f"POST /api/v1/cronjobs/billing/nightly/trigger HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
LENGTH = "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


@pytest.mark.parametrize("request_", [BODY + LENGTH, REQUEST.decode()[:-2] + LENGTH])
async def test_a_body_that_does_not_come_in_time_is_waited_for_no_more(request_):
    async with serving(body=0.2) as (server, bounds), connected(server) as (reader, writer):
        writer.write(request_.encode())
        await hung_up(reader)
        for _ in range(100):
            if not bounds.open:
                break
            await asyncio.sleep(0.02)
        assert not bounds.open


async def test_what_is_sent_in_time_is_answered_however_often():
    async with serving(header=0.5, body=0.5) as (server, bounds), connected(server) as (reader, writer):
        for _ in range(20):
            writer.write(REQUEST)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(b'{"status":"ok"}'))
            await asyncio.sleep(0.05)
        assert bounds.open.total() == 1


@pytest.mark.parametrize(
    ("bounds", "served"),
    [
        ({"most": 3}, 3),
        ({"most_of_one": 2}, 2),
        ({"most_of_one": 2, "proxies": parse_networks("127.0.0.0/8")}, 5),
        ({"most": 4, "most_of_one": 2, "proxies": parse_networks("127.0.0.0/8")}, 4),
    ],
)
async def test_so_many_connections_there_may_be_and_no_more(bounds, served, logged):
    async with serving(**bounds) as (server, counted):
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
        answers = []
        for reader, writer in opened:
            writer.write(REQUEST)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                answers.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON))
        assert len(answers) == served
        assert counted.open.total() == served
        for _, writer in opened:
            writer.close()
        for _ in range(100):
            if not counted.open:
                break
            await asyncio.sleep(0.02)
        assert not counted.open
        async with connected(server) as (reader, writer):
            writer.write(REQUEST)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert all(line["event"] == "connection_refused" for line in logged)
    assert len(logged) == (served < 5), "the log is told once a second at most"


async def test_what_does_not_begin_to_shake_hands_counts_and_is_over_in_time(tmp_path, logged):
    """No byte is sent: the connection is there all the same, and takes a descriptor."""
    bounds = Bounds(most_of_one=3, handshake=0.5)
    server = HttpServer(World().app, bind("127.0.0.1", 0), bounds=bounds, tls=tls_context(*made(tmp_path)))
    await server.start()
    try:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
        await until(lambda: bounds.open.total() == 3)
        ended = [await hung_up(reader) for reader, _ in idle]
        assert ended == [b""] * 10
        for _, writer in idle:
            writer.close()
        await until(lambda: not bounds.open)
        trusted = ssl.create_default_context(cafile=str(tmp_path / "a.crt"))
        trusted.check_hostname = False
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusted)
        assert bounds.open.total() == 1
        writer.write(REQUEST)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await until(lambda: not bounds.open)
    finally:
        await server.stop()
    assert {line["event"] for line in logged} == {"connection_refused"}


async def test_what_speaks_no_tls_gives_its_place_back(tmp_path):
    bounds = Bounds()
    server = HttpServer(World().app, bind("127.0.0.1", 0), bounds=bounds, tls=tls_context(*made(tmp_path)))
    await server.start()
    try:
        for sent in (REQUEST, b"\x16\x03\x01\x00\x05hello", b""):
            async with connected(server) as (reader, writer):
                writer.write(sent)
                writer.write_eof()
                await hung_up(reader)
        await until(lambda: not bounds.open)
    finally:
        await server.stop()


async def test_a_stop_waits_for_nobody_who_does_not_shake_hands(tmp_path):
    bounds = Bounds()
    server = HttpServer(World().app, bind("127.0.0.1", 0), bounds=bounds, tls=tls_context(*made(tmp_path)))
    await server.start()
    async with connected(server) as (reader, _):
        await until(lambda: bounds.open.total() == 1)
        await asyncio.wait_for(server.stop(), SOON)
        assert await hung_up(reader) == b""
    assert not bounds.open


class Exhausted:
    """A listening socket on a system that has no descriptor left, until it has."""

    def __init__(self, listening):
        self._listening = listening
        self.tried, self.is_over = 0, False

    def __getattr__(self, name):
        return getattr(self._listening, name)

    def accept(self):
        self.tried += 1
        if self.is_over:
            return self._listening.accept()
        raise OSError(errno.EMFILE, "Too many open files")


async def test_while_there_are_no_descriptors_it_rests_and_says_so_once_a_second(logged, monkeypatch):
    monkeypatch.setattr("reconciler.web.accepting._REST_SECONDS", 0.1)
    listening = Exhausted(bind("127.0.0.1", 0))
    server = HttpServer(World().app, listening)
    await server.start()
    async with connected(server) as (reader, writer):
        writer.write(REQUEST)
        await until(lambda: listening.tried >= 3)
        listening.is_over = True
        assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON)
    await server.stop()
    assert listening.tried < 20
    assert [line["event"] for line in logged] == ["connections_cannot_be_taken"]


ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED, SIX, LAST = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 6\r\n", b"\r\n0\r\n\r\n"
NO_REQUESTS = {
    "garbage": b"GARBAGE\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00 not http\r\n\r\n",
    "two lengths": ASK + SIX + CHUNKED + LAST + REQUEST,
    "the other order": ASK.replace(b"GET", b"POST") + CHUNKED + SIX + LAST + REQUEST,
    "HEAD with two lengths": ASK.replace(b"GET", b"HEAD") + SIX + CHUNKED + LAST + REQUEST,
    "chunks before there were any": ASK.replace(b"1.1", b"1.0") + CHUNKED + LAST + REQUEST,
    "two different lengths": ASK + SIX + SIX.replace(b"6", b"5") + b"\r\n",
    "a chunk that is none": BODY.encode() + CHUNKED + b"\r\nxyz\r\n" + REQUEST,
}


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS)
async def test_what_is_no_request_is_answered_once_as_everything_is_and_the_connection_closed(sent):
    async with serving() as (server, _), connected(server) as (reader, writer):
        writer.write(sent)
        head, _, body = (await hung_up(reader)).partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "http/1.1 400 bad request"
    for field in (
        "connection: close",
        "content-type: application/problem+json",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "cache-control: no-store",
        f"content-length: {len(body)}",
    ):
        assert field in lines
    assert json.loads(body)["code"] == "invalid-request"


async def test_what_is_no_request_any_more_while_it_is_being_answered_closes_the_connection(caplog):
    async def answering(_, __, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.wait_for(told.wait(), SOON)

    told = asyncio.Event()
    server = HttpServer(answering, bind("127.0.0.1", 0))
    await server.start()
    async with connected(server) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"xyz\r\n")
        assert b"HTTP/1.1" not in await hung_up(reader)
        told.set()
    await server.stop()
    assert not [record for record in caplog.records if record.exc_info]
