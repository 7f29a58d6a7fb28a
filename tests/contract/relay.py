"""A network that can be cut, or lose answers: a TCP port in front of a server. Forbidden here: what goes through it."""

from __future__ import annotations

import asyncio


class Relay:
    """A TCP port in front of a Unix socket or of a host and port; it can be torn down and set up again.

    ``loses_answers`` makes it pass on what is asked, and cut the line at the answer.
    """

    def __init__(self, host: str, port: int | None) -> None:
        self._far = (host, port)
        self.port = 0
        self.loses_answers = False
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self._cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self._ends.add(writer)
        host, port = self._far
        connected = asyncio.open_connection(host, port) if port else asyncio.open_unix_connection(host)
        far_reader, far_writer = await connected
        if writer.transport.is_closing():  # cut meanwhile
            far_writer.transport.abort()
            return
        self._ends.add(far_writer)
        await asyncio.gather(
            self._pass_on(reader, far_writer), self._pass_on(far_reader, writer, answers=True), return_exceptions=True
        )

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        while chunk := await reader.read(65_536):
            if answers and self.loses_answers:
                self._cut()
                return
            writer.write(chunk)
            await writer.drain()
        writer.close()
