"""The target of all calls, in a process of its own, whose append-only log is what the campaign is judged by.

``python -m tests.faults.target LOG`` prints its port and ends when its standard input does. What a path answers is said
in the path itself, so that manifests alone decide: ``/fast``, ``/slow/300`` (milliseconds), ``/hang``, ``/flaky/20``
(percent of the attempts that get a 500, drawn from the run and the attempt, so that every campaign is alike).

A request that carries ``X-Faults-Kill`` is logged, and then its sender, who asked for it, is killed: the request has
been received, and nobody will read the answer. Forbidden here: knowing what the product promises.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

REPLICA = "tests.faults.replica"  # nothing else is ever killed


class Log:
    """Lines written at once, so that a reader sees all that has happened."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._calls = 0

    def call(self, method: str, headers: dict[bytes, bytes]) -> int:
        """Note an arrival; returns its number."""
        self._calls += 1
        names = (b"idempotency-key", b"x-reconciler-job", b"x-reconciler-scheduled-at", b"x-reconciler-attempt")
        said = [headers.get(name, b"-").decode("latin-1") for name in (*names, b"x-faults-sender")]
        self._write("call", str(self._calls), f"{time.time():.6f}", method, *said)
        return self._calls

    def answer(self, number: int, status: int) -> None:
        """Note that the answer to a call has been sent."""
        self._write("answer", str(number), f"{time.time():.6f}", str(status))

    def _write(self, *fields: str) -> None:
        os.write(self._file, ("\t".join(fields) + "\n").encode())


class Connection(asyncio.Protocol):
    """One connection, whose requests come one after the other."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._buffer = b""
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport) -> None:
        self._transport = transport

    def connection_lost(self, _) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take()

    def _take(self) -> None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if self._busy or not end:
            return
        first, *lines = head.split(b"\r\n")
        pairs = (line.partition(b":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get(b"content-length", b"0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, path, _ = first.decode("latin-1").split(" ", 2)
        self._serve(method, path, headers)

    def _serve(self, method: str, path: str, headers: dict[bytes, bytes]) -> None:
        number = self._log.call(method, headers)
        self._busy = True
        if b"x-faults-kill" in headers:
            kill(int(headers[b"x-faults-kill"]))
            return
        kind, _, figure = path.strip("/").partition("/")
        if kind == "hang":
            return
        seed = headers.get(b"idempotency-key", b"") + headers.get(b"x-reconciler-attempt", b"")
        status = 500 if kind == "flaky" and zlib.crc32(seed) % 100 < int(figure) else 200
        delay = int(figure) / 1000 if kind == "slow" else 0
        asyncio.get_running_loop().call_later(delay, self._answer, number, status)

    def _answer(self, number: int, status: int) -> None:
        if self._transport is None:  # the client has gone away
            return
        body = b"{}"
        self._transport.write(
            b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(body), body)
        )
        self._log.answer(number, status)
        self._busy = False
        self._take()


def kill(process: int) -> None:
    """Kill a replica that has asked for it."""
    with suppress(OSError):
        if REPLICA in Path(f"/proc/{process}/cmdline").read_text():
            os.kill(process, signal.SIGKILL)


async def serve(path: Path) -> None:
    """Serve on a free port of the loopback until the standard input ends."""
    loop = asyncio.get_running_loop()
    log = Log(path)
    server = await loop.create_server(lambda: Connection(log), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - whoever started it reads this
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
