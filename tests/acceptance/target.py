"""A target for calls: a real HTTP server in a thread that logs every request and answers as a test says.

Well-behaved answers are values; the hostile ones are functions that get the raw connection.
"""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

CHUNK = bytes(64 * 1024)


@dataclass(frozen=True)
class Call:
    """One request as it arrived."""

    at: datetime
    method: str
    target: str  # path and query, to the byte
    headers: dict[str, str]  # names in small letters
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def run(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def job(self) -> str:
        return self.headers["x-reconciler-job"]

    @property
    def attempt(self) -> int:
        return int(self.headers["x-reconciler-attempt"])

    @property
    def slot(self) -> datetime:
        return datetime.fromisoformat(self.headers["x-reconciler-scheduled-at"])


@dataclass(frozen=True)
class Answer:
    """What the target says, after how long."""

    status: int = 200
    body: bytes = b'{"done": true}'
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0


Behaviour = Callable[[Call, socket.socket], "Answer | None"]


class Target:
    """A server on loopback; ``say`` sets what a path answers, ``calls`` is its log."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.closing = threading.Event()
        self._behaviours: dict[str, Behaviour | Answer] = {}
        self._queues: dict[str, list[Answer]] = defaultdict(list)
        self._lock = threading.Lock()
        self._in_flight = 0
        self.most_in_flight = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def say(self, path: str, *answers: Answer | Behaviour) -> None:
        """Answer this path so; of several, one after the other, and the last for ever."""
        *first, last = answers
        with self._lock:
            self._queues[path] = [answer for answer in first if isinstance(answer, Answer)]
            self._behaviours[path] = last

    def of(self, job: str) -> list[Call]:
        """The calls of one job, as they came."""
        return [call for call in list(self.calls) if call.headers.get("x-reconciler-job") == job]

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def take(self, call: Call) -> Answer | Behaviour:
        with self._lock:
            self.calls.append(call)
            if self._queues[call.path]:
                return self._queues[call.path].pop(0)
            return self._behaviours.get(call.path, Answer())

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    owner: Target

    def handle_error(self, request, client_address) -> None:  # a client that went away is no news
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_) -> None:
        pass

    def _answer(self) -> None:
        at = datetime.now(UTC)
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(at, self.command, self.path, headers, self.rfile.read(length))
        with self.server.owner.counted():
            said = self.server.owner.take(call)
            if not isinstance(said, Answer):
                self.close_connection = True
                with suppress(OSError):
                    said = said(call, self.connection)
            if isinstance(said, Answer):
                self.server.owner.closing.wait(said.after)
                answer_bytes = render(said, head=self.command == "HEAD")
            else:
                return
        with suppress(OSError):
            self.wfile.write(answer_bytes)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815 - http.server's names


def render(answer: Answer, *, head: bool = False) -> bytes:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))} | answer.headers
    lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head else answer.body)


# Hostile behaviours. Each ends when the client goes away or the target closes.


def hang(target: Target) -> Behaviour:
    """Never answer."""

    def behave(_: Call, connection: socket.socket) -> None:
        _wait_for_the_end(target, connection)

    return behave


def drip(target: Target) -> Behaviour:
    """Answer, a byte of the body every 50 ms, for ever."""

    def behave(_: Call, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not target.closing.wait(0.05):
            connection.sendall(b".")

    return behave


def reset(_: Call, connection: socket.socket) -> None:
    """Reset the connection instead of answering."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def gigabyte(_: Call, connection: socket.socket) -> None:
    """Send a gigabyte, as fast as it is taken."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for _number in range(1024 * 1024 * 1024 // len(CHUNK)):
        connection.sendall(CHUNK)


_BOMB = gzip.compress(bytes(200 * 1024 * 1024), compresslevel=9)


def bomb(_: Call, __: socket.socket) -> Answer:
    """A body of 200 KiB that unpacks to 200 MiB."""
    return Answer(body=_BOMB, headers={"Content-Encoding": "gzip"})


def _wait_for_the_end(target: Target, connection: socket.socket) -> None:
    connection.settimeout(0.1)
    while not target.closing.is_set():
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue
