import asyncio
import errno
import logging
import signal
import socket

import httpx
import pytest

from reconciler.errors import ListenError, SettingsError
from reconciler.web.server import HttpServer, bind, format_listen, parse_listen


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:8080", ("::1", 8080)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("my-host.example.com:1", ("my-host.example.com", 1)),
    ],
)
def test_an_address_is_read_and_written(text, parsed):
    assert parse_listen(text) == parsed
    assert format_listen(*parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "::1:8080",
        "[::1]",
        "a:65536",
        "a:-1",
        "a:b",
        "a b:1",
        "http://a:1",
        "u@a:1",
        "a:99999999",
        "a:1\n",
        "a:\u0661",
    ],
)
def test_what_is_no_address_is_refused_with_the_way_to_write_one(text):
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:8080 or \[::1\]:8080"):
        parse_listen(text)


def test_a_taken_port_is_said_at_once():
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: another process has this port"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "said"),
    [("192.0.2.1", "no such address"), ("no such host", "no address has this name"), ("a" * 70, "no address")],
)
def test_an_address_that_cannot_be_had_is_said_why(host, said):
    with pytest.raises(ListenError, match=said):
        bind(host, 0)


async def app(scope, receive, send):
    if scope["path"] == "/slow":
        await asyncio.sleep(0.15)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def server():
    made = HttpServer(app, bind("127.0.0.1", 0))
    await made.start()
    yield made
    await made.stop()


async def test_it_serves_on_the_real_port_once_started(server):
    assert server.port != 0
    assert server.address == f"127.0.0.1:{server.port}"
    async with httpx.AsyncClient() as client:
        answer = await client.get(server.url)
    assert answer.text == "ok"
    assert "server" not in answer.headers, "the software is nobody's business"


async def test_it_leaves_signals_and_logging_alone():
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), list(logging.getLogger().handlers))
    server = HttpServer(app, bind("127.0.0.1", 0))
    await server.start()
    during = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), list(logging.getLogger().handlers))
    await server.stop()
    assert before == during
    assert not logging.getLogger("uvicorn").handlers


async def test_a_stop_lets_a_request_in_flight_end_and_frees_the_port(server):
    async with httpx.AsyncClient() as client:
        asked = asyncio.create_task(client.get(f"{server.url}/slow"))
        await asyncio.sleep(0.05)
        await server.stop()
        assert (await asked).text == "ok"
        with pytest.raises(httpx.ConnectError):
            await client.get(server.url)
    bind("127.0.0.1", server.port).close()


async def test_a_stop_may_come_twice_and_before_a_start():
    server = HttpServer(app, bind("127.0.0.1", 0))
    await server.stop()
    await server.stop()


def test_a_wildcard_is_told_as_an_address_that_can_be_opened():
    server = HttpServer(app, listening := bind("0.0.0.0", 0))  # noqa: S104 - what is tested
    assert server.url == f"http://127.0.0.1:{server.port}"
    listening.close()


async def test_an_ipv6_address_is_served():
    try:
        listening = bind("::1", 0)
    except ListenError:
        pytest.skip("this machine has no IPv6")
    server = HttpServer(app, listening)
    await server.start()
    async with httpx.AsyncClient() as client:
        assert (await client.get(server.url)).text == "ok"
    assert server.url.startswith("http://[::1]:")
    await server.stop()


async def test_what_is_not_http_gets_an_answer_and_not_a_hang(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01\x00 not http\r\n\r\n")
    await writer.drain()
    assert b"400" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()


def test_the_socket_waits_for_nobody():
    with bind("127.0.0.1", 0) as listening:
        assert not listening.getblocking()
        assert listening.type == socket.SOCK_STREAM


async def test_a_server_that_cannot_start_says_so_and_does_not_hang():
    listening = bind("127.0.0.1", 0)
    server = HttpServer(app, listening)
    listening.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await server.start()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "above 1023"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (OSError("odd"), "OSError"),
    ],
)
def test_the_reason_of_a_refused_address_is_told_in_plain_words(error, said, monkeypatch):
    def refuse(*_arguments):
        raise error

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ListenError, match=said):
        bind("127.0.0.1", 0)
