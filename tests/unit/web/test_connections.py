"""How long a request may take to arrive, and how many connections there may be, on real sockets."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from reconciler.core.sources import parse_networks
from reconciler.web.connections import Bounds
from reconciler.web.server import HttpServer, bind
from tests.unit.web.conftest import TOKEN, World

SOON = 5.0  # seconds; what is bounded by a tenth of one is over by then
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def serving(**bounds):
    made = Bounds(**bounds)
    server = HttpServer(World().app, bind("127.0.0.1", 0), bounds=made)
    await server.start()
    try:
        yield server, made
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
        made = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
        answers = []
        for reader, writer in made:
            writer.write(REQUEST)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                answers.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON))
        assert len(answers) == served
        assert counted.open.total() == served
        for _, writer in made:
            writer.close()
        for _ in range(100):
            if not counted.open:
                break
            await asyncio.sleep(0.02)
        assert not counted.open
        async with connected(server) as (reader, writer):
            writer.write(REQUEST)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert [line["event"] for line in logged] == ["connection_refused"] * (5 - served)
