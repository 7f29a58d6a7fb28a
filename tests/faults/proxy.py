"""A network between one replica and the database, that fails as it is told: a TCP port before a server.

Forbidden here: knowing when to fail, and understanding more of what goes through than the name of a command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Self

Address = tuple[str, int | None]  # host and port; a path and no port for a Unix socket

WRITES = frozenset({b"insert", b"update", b"delete", b"aggregate", b"findAndModify"})
_COMMAND = slice(26, 46)  # of an OP_MSG: header 16, flags 4, section 1, document's length 4, element's type 1


class Mode(StrEnum):
    """How the network is."""

    PASSING = "passing"
    STALLED = "stalled"  # nothing moves, and nobody is told
    TRICKLING = "trickling"  # a byte a second each way
    LOSING = "losing"  # what is written arrives, and the line is cut at the answer
    REFUSING = "refusing"  # every connection is reset, and none is accepted


class Proxy:
    """A port that stays the same whatever happens behind it.

    Args:
        far: where the server is at this moment.
    """

    def __init__(self, far: Callable[[], Address]) -> None:
        self._far = far
        self.port = 0
        self._mode = Mode.PASSING
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        self._mode = Mode.PASSING  # or what waits would wait for ever
        self._changed.set()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def turn(self, mode: Mode) -> None:
        """Change how the network is, also for connections that stand."""
        before, self._mode = self._mode, mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.REFUSING:
            self._server.close()
            self.cut()
        elif before is Mode.REFUSING:
            await self._listen()

    def cut(self) -> None:
        """Reset every connection that stands."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self._ends.add(writer)
        try:
            await self._join(reader, writer)
        except OSError:  # the server is away, or either side has gone
            pass
        finally:
            writer.transport.abort()
            self._ends.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._far()
        far_reader, far_writer = await (
            asyncio.open_connection(host, port) if port else asyncio.open_unix_connection(host)
        )
        line = _Line()
        self._ends.add(far_writer)
        pumps = [
            asyncio.create_task(self._pass_on(reader, far_writer, line, asks=True)),
            asyncio.create_task(self._pass_on(far_reader, writer, line, asks=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.transport.abort()
            self._ends.discard(far_writer)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line, *, asks: bool
    ) -> None:
        """Pass bytes on in one direction, until an end or a cut."""
        while chunk := await reader.read(65_536):
            if asks:
                line.command = chunk[_COMMAND].partition(b"\0")[0] or line.command
            elif self._mode is Mode.LOSING and line.command in WRITES:
                return
            await self._send(chunk, writer)

    async def _send(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        while chunk:
            changed = self._changed
            if self._mode is Mode.STALLED:
                await changed.wait()
                continue
            part = chunk[:1] if self._mode is Mode.TRICKLING else chunk
            writer.write(part)
            await writer.drain()
            chunk = chunk[len(part) :]
            if chunk:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), 1)


class _Line:
    """What is known of one connection: the last command that was asked."""

    command = b""
