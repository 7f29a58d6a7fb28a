"""The real caller against a target on loopback that does everything a target should not."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

import httpx
import psutil
import pytest
import respx

from reconciler.adapters.caller import HttpCaller, _parsed
from reconciler.core.model import HttpRequest, Reply

DEADLINE = timedelta(milliseconds=400)
LENIENT = timedelta(seconds=10)
MIB = 1024 * 1024

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Target:
    """A server that behaves as it is told; notes every connection and the head of every request."""

    def __init__(self, behaviour: Callable[[Target], Behaviour]) -> None:
        self._behaviour = behaviour(self)
        self.called = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        try:
            await self._behaviour(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the end of a client, or of the test
        finally:
            writer.close()

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        self.called.set()
        return head

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/path?token=secret"

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def target(behaviour: Callable[[Target], Behaviour]):
    here = Target(behaviour)
    server = await asyncio.start_server(here.serve, "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        await here.stop()
        await server.wait_closed()


def answering(*pieces: bytes, close: bool = True) -> Callable[[Target], Behaviour]:
    """Read the request's head, write these pieces, then close or wait."""

    def behaviour(here: Target) -> Behaviour:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await here.head(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if not close:
                await asyncio.sleep(60)

        return serve

    return behaviour


def endless(first: bytes, again: bytes, pause: float = 0.0) -> Callable[[Target], Behaviour]:
    """Read the request's head, write ``first``, then ``again`` for ever."""

    def behaviour(here: Target) -> Behaviour:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await here.head(reader)
            writer.write(first)
            while True:
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(pause)

        return serve

    return behaviour


def resetting(*, after_reading: bool) -> Callable[[Target], Behaviour]:
    def behaviour(here: Target) -> Behaviour:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if after_reading:
                await here.head(reader)
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )

        return serve

    return behaviour


def hanging(here: Target) -> Behaviour:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await here.head(reader)
        await asyncio.sleep(60)

    return serve


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture
async def caller():
    made = HttpCaller()
    yield made
    await made.close()


async def call(caller: HttpCaller, url: str, method: str = "GET", within: timedelta = DEADLINE, **request) -> Reply:
    return await caller.call(HttpRequest(method=method, url=url, **request), within)


BOMB = gzip.compress(b"\0" * (200 * MIB), 9)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HOSTILE = {
    "hangs": (hanging, "timed out after 400ms"),
    "drips a body past the deadline": (
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 0.05),
        "timed out after 400ms",
    ),
    "drips a header past the deadline": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05), "timed out after 400ms"),
    "sends interim answers for ever": (
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
        "timed out after 400ms",
    ),
    "resets before reading": (resetting(after_reading=False), None),
    "resets after reading": (resetting(after_reading=True), None),
    "closes without an answer": (answering(), "the server closed the connection without an answer"),
    "closes in the middle of the body": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        "the answer broke off",
    ),
    "closes in the middle of a chunk": (answering(CHUNKED + b"a\r\nhalf"), "the answer broke off"),
    "sends a gigabyte": (
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", b"x" * 65536),
        "answer longer than 1 MiB",
    ),
    "sends chunks without end": (endless(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"), "answer longer than 1 MiB"),
    "sends until it closes, which it never does": (
        endless(b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 65536),
        "answer longer than 1 MiB",
    ),
    "sends a gzip bomb": (
        answering(answer(BOMB, "200 OK", "Content-Encoding: gzip")),
        "answer unpacks to more than 1 MiB",
    ),
    "sends a deflate bomb": (
        answering(answer(zlib.compress(b"\0" * (200 * MIB), 9), "200 OK", "Content-Encoding: deflate")),
        "answer unpacks to more than 1 MiB",
    ),
    "sends a broken gzip": (
        answering(answer(b"not gzip at all", "200 OK", "Content-Encoding: gzip")),
        "answer says it is gzip but cannot be unpacked",
    ),
    "sends half a gzip": (
        answering(answer(gzip.compress(b"hello" * 99, mtime=0)[:-9], "200 OK", "Content-Encoding: gzip")),
        "answer's gzip content breaks off",
    ),
    "sends something that is no HTTP": (answering(b"SSH-2.0-OpenSSH_9.6\r\n"), "the answer is not valid HTTP"),
    "sends binary": (answering(b"\x16\x03\x01\x00\xff" * 500), "the answer is not valid HTTP"),
    "sends one endless header": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536), "the answer is not valid HTTP"),
    "sends headers without end": (endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000), "the answer is not valid HTTP"),
    "sends a status line that never ends": (endless(b"HTTP/1.1 200 ", b"x" * 65536), "the answer is not valid HTTP"),
    "contradicts itself about the length": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        "the answer is not valid HTTP",
    ),
    "sends a chunk size that is no number": (answering(CHUNKED + b"zz\r\nhello\r\n"), None),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_target_is_a_failure_in_time_with_flat_memory(name, caller):
    behaviour, error = HOSTILE[name]
    async with target(behaviour) as here:
        await call(caller, here.url)  # once before measuring, for what is loaded on first use
        gc.collect()
        before = psutil.Process().memory_info().rss
        started = time.monotonic()
        replies = [await call(caller, here.url) for _ in range(3)]
        assert time.monotonic() - started < 3 * (DEADLINE.total_seconds() + 0.5)
        assert psutil.Process().memory_info().rss - before < 30 * MIB
    for reply in replies:
        assert reply.status is None
        assert reply.error
        assert reply.error == (error or reply.error)
        assert reply.sent
        assert "secret" not in reply.error
        assert reply.latency_ms < 900


async def test_a_status_line_of_strange_bytes_is_no_crash(caller):
    async with target(answering(b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 0\r\n\r\n")) as here:
        reply = await call(caller, here.url)
    assert reply.status == 200 or reply.error


async def test_an_answer_that_would_be_the_same_again_is_not_transient(caller):
    async with target(endless(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n")) as here:
        assert not (await call(caller, here.url)).transient


async def test_a_redirect_is_answered_with_and_not_followed(caller):
    async with target(answering(answer(b"", "302 Found", "Location: http://169.254.169.254/"))) as here:
        reply = await call(caller, here.url)
    assert (reply.status, reply.location, here.connections) == (302, "http://169.254.169.254/", 1)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_an_answer_is_read_whole(method, caller):
    body = bytes(range(256)) * 4096  # exactly 1 MiB
    lines = ("Content-Type: application/x", "Retry-After: 7")
    async with target(answering(answer(body, "429 Slow down", *lines))) as here:
        reply = await call(caller, here.url, method, LENIENT)
    assert (reply.status, reply.body, reply.error) == (429, body, None)
    assert (reply.content_type, reply.retry_after, reply.sent) == ("application/x", "7", True)
    assert reply.latency_ms > 0


@pytest.mark.parametrize(
    ("method", "piece", "expected"),
    [
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", (304, b"")),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nContent-Encoding: gzip\r\n\r\n", (200, b"")),
        ("GET", b"HTTP/1.0 200 OK\r\n\r\nuntil closed", (200, b"until closed")),
        ("GET", CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", (200, b"abcde")),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"ok"), (200, b"ok")),
    ],
)
async def test_every_way_of_ending_an_answer_is_understood(method, piece, expected, caller):
    async with target(answering(piece)) as here:
        reply = await call(caller, here.url, method)
    assert (reply.status, reply.body, reply.error) == (*expected, None)


@pytest.mark.parametrize(
    ("coding", "sent", "read"),
    [
        ("gzip", gzip.compress(b"hello", mtime=0), b"hello"),
        ("X-GZIP", gzip.compress(b"hello", mtime=0), b"hello"),
        ("deflate", zlib.compress(b"hello"), b"hello"),
        ("deflate", zlib.compress(b"hello", wbits=-15), b"hello"),
        ("br", b"\x0b\x02\x80hello\x03", b"\x0b\x02\x80hello\x03"),
        ("identity", b"hello", b"hello"),
    ],
)
async def test_a_coding_that_was_not_asked_for_is_undone_where_it_can_be_bounded(coding, sent, read, caller):
    async with target(answering(answer(sent, "200 OK", f"Content-Encoding: {coding}"))) as here:
        assert (await call(caller, here.url)).body == read


async def test_the_request_carries_what_is_declared_and_little_else(caller):
    async with target(answering(answer(b""))) as here:
        headers = {"accept": "text/csv", "X-Name": "Grüße"}
        await call(caller, here.url, "POST", headers=headers, body="ä")
        lines = here.heads[0].decode().split("\r\n")
    assert lines[0] == "POST /path?token=secret HTTP/1.1"
    assert {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)} == {
        "host": f"127.0.0.1:{here.port}",
        "accept": "text/csv",
        "x-name": "Grüße",
        "accept-encoding": "identity",
        "user-agent": f"cron-reconciler/{version('cron-reconciler')}",
        "content-length": "2",
    }


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
async def test_proxies_of_the_environment_are_ignored(variable, caller, monkeypatch):
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    async with target(answering(answer(b"direct"))) as here:
        assert (await call(caller, here.url)).body == b"direct"


async def test_a_netrc_is_ignored(caller, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with target(answering(answer(b""))) as here:
        await call(caller, here.url)
        assert b"authorization" not in here.heads[0].lower()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def keeping(reply: bytes, *, answers: int | None = None) -> Callable[[Target], Behaviour]:
    """Answer each request on a kept connection; after so many answers, read one more request and close."""

    def behaviour(here: Target) -> Behaviour:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served = 0
            while True:
                await here.head(reader)
                if served == answers:
                    return
                writer.write(reply)
                served += 1

        return serve

    return behaviour


async def test_connections_are_kept_and_cookies_are_not(caller):
    async with target(keeping(OK[:-2] + b"Set-Cookie: session=abc\r\n\r\n")) as here:
        for _ in range(5):
            await call(caller, here.url)
        assert (here.connections, len(here.heads)) == (1, 5)
        assert not any(b"cookie" in head.lower() for head in here.heads)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_a_kept_connection_that_dies_is_one_failed_attempt_and_not_silently_repeated(method, caller):
    async with target(keeping(OK, answers=1)) as here:
        assert (await call(caller, here.url, method)).status == 200
        reply = await call(caller, here.url, method)
        assert reply.error == "the server closed the connection without an answer"
        assert reply.sent
        assert len(here.heads) == 2


async def test_no_more_connections_than_allowed_are_open_at_once():
    open_now = most = 0

    def behaviour(here: Target) -> Behaviour:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal open_now, most
            await here.head(reader)
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0.01)
            open_now -= 1
            writer.write(answer(b""))

        return serve

    caller = HttpCaller(max_in_flight=1)
    async with target(behaviour) as here:
        replies = await asyncio.gather(*(call(caller, here.url, within=LENIENT) for _ in range(40)))
    await caller.close()
    assert [reply.status for reply in replies] == [200] * 40
    assert most == 10


async def test_a_call_that_waited_for_a_connection_in_vain_was_never_sent():
    caller = HttpCaller(max_in_flight=1)
    async with target(hanging) as here:
        first = [asyncio.create_task(call(caller, here.url, within=LENIENT)) for _ in range(10)]
        while len(here.heads) < 10:
            here.called.clear()
            await here.called.wait()
        second = await call(caller, here.url)
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)
    await caller.close()
    assert (second.error, second.sent) == ("timed out after 400ms while connecting", False)


async def test_a_refused_connection_was_never_sent(caller):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        reply = await call(caller, f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (reply.error, reply.sent, reply.transient) == ("connection refused", False, True)


async def test_a_name_that_does_not_exist_was_never_sent(caller, monkeypatch):
    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    reply = await call(caller, "http://billing.example/?token=secret")
    assert (reply.error, reply.sent) == ("the name billing.example was not found", False)


async def test_a_name_server_that_hangs_is_a_timeout_and_holds_up_nobody(caller, monkeypatch):
    looked_up = []

    def slow(host, *_args, **_options):
        looked_up.append(host)
        time.sleep(0.6)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    names = [f"http://host{number}.example/" for number in range(20)]
    started = time.monotonic()
    replies = await asyncio.gather(*(call(caller, name) for name in names))
    assert time.monotonic() - started < 0.9
    assert len(looked_up) == 20
    assert {(reply.error, reply.sent) for reply in replies} == {("timed out after 400ms while connecting", False)}


async def test_a_failed_handshake_was_never_sent(caller):
    async with target(answering(b"not TLS\r\n\r\n", close=True)) as here:
        reply = await call(caller, here.url.replace("http:", "https:"))
    assert reply.error
    assert not reply.sent


async def test_a_handshake_that_hangs_was_never_sent(caller):
    def silent(_here: Target) -> Behaviour:
        async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(60)

        return serve

    async with target(silent) as here:
        reply = await call(caller, here.url.replace("http:", "https:"))
    assert (reply.error, reply.sent) == ("timed out after 400ms while connecting", False)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.0.1/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
    ],
)
async def test_metadata_and_link_local_addresses_are_refused(url, caller):
    reply = await call(caller, url)
    assert reply.error.startswith("address ")
    assert " is refused: " in reply.error
    assert reply.error.endswith("; see --egress-allow")
    assert (reply.sent, reply.transient) == (False, False)


async def test_a_name_that_leads_to_a_refused_address_is_refused(caller, monkeypatch):
    def rebound(_host, port, **_options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    reply = await call(caller, "http://innocent.example/")
    assert (reply.error, reply.sent) == (
        "address 169.254.169.254 is refused: link-local; see --egress-allow",
        False,
    )


@pytest.mark.parametrize("url", ["http://2852039166/", "http://0xa9fea9fe/", "http://169.254.43518/"])
async def test_other_spellings_of_an_address_do_not_get_round_the_refusal(url, caller):
    reply = await call(caller, url)
    assert reply.status is None
    assert not reply.sent


async def test_a_cancelled_call_closes_its_connection(caller):
    gone = asyncio.Event()

    def behaviour(here: Target) -> Behaviour:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await here.head(reader)
            await reader.read()
            gone.set()

        return serve

    async with target(behaviour) as here:
        task = asyncio.create_task(call(caller, here.url, within=LENIENT))
        await here.called.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 2)


@pytest.mark.filterwarnings("ignore:Sending a large body")  # larger than what the sockets' buffers swallow
async def test_an_answer_before_the_request_was_read_spoils_no_later_call(caller):
    """The connection still has half a body to send: it must not be used again."""
    async with target(answering(OK.replace(b"200", b"413"), close=False)) as here:
        first = await call(caller, here.url, "POST", LENIENT, body="x" * (20 * MIB))
        second = await call(caller, here.url, "POST", LENIENT, body="x")
        assert (first.status, second.status) == (413, 413)
        assert here.connections == 2


class TestWithoutANetwork:
    """What can be shown with a transport that is none."""

    @pytest.fixture
    def router(self):
        return respx.MockRouter(assert_all_called=False)

    @pytest.fixture
    def caller(self, router):
        return HttpCaller(transport=httpx.MockTransport(router.async_handler))

    async def test_the_answer_is_given_as_it_came(self, router, caller):
        route = router.get("https://api.example/users", params={"active": "true"})
        route.respond(201, headers={"Retry-After": "9", "Location": "/x"}, json={"ok": True})
        reply = await call(caller, "https://api.example/users?active=true")
        assert (reply.status, reply.retry_after, reply.location) == (201, "9", "/x")
        assert reply.content_type == "application/json"
        assert b'"ok"' in reply.body
        assert route.calls.last.request.headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize(
        ("error", "text", "sent"),
        [
            (httpx.ConnectError, "connection failed", False),
            (httpx.ReadTimeout, "timed out", True),
            (httpx.ReadError, "connection failed", True),
            (httpx.RemoteProtocolError, "the answer is not valid HTTP", True),
            (RuntimeError, "no usable answer (RuntimeError)", True),
        ],
    )
    async def test_an_error_is_a_reply_in_few_words(self, error, text, sent):
        def fail(_request: httpx.Request) -> httpx.Response:
            raise error("token=secret")

        reply = await call(HttpCaller(transport=httpx.MockTransport(fail)), "https://api.example/?token=secret")
        assert (reply.status, reply.error, reply.sent) == (None, text, sent)

    async def test_the_cap_can_be_set(self, router):
        caller = HttpCaller(transport=httpx.MockTransport(router.async_handler), max_body=1500)
        router.get("https://api.example/").respond(200, content=b"x" * 1501)
        assert (await call(caller, "https://api.example/")).error == "answer longer than 1500 bytes"


async def test_addresses_are_taken_apart_beforehand_and_a_bad_one_harms_nobody():
    _parsed.cache_clear()
    caller = HttpCaller()
    await caller.prepare(["http://127.0.0.1:1/a", "http://127.0.0.1:port/", "http://127.0.0.1:1/b"])
    assert _parsed.cache_info().currsize == 2
    await caller.close()
