"""``python -m benchmarks.target NOTES [hang]``: a target that notes each request, and answers 200, or never.

Forbidden here: measuring.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
_WANTED = ("x-reconciler-scheduled-at", "x-reconciler-job")


class Target(asyncio.Protocol):
    """One connection. Requests are taken apart at the very end, so that noting them costs next to nothing."""

    notes: list[tuple[float, bytes]]
    answer = _ANSWER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            self.notes.append((time.time(), head))
            if self.answer:
                self._transport.write(self.answer)


def lines(notes: Iterable[tuple[float, bytes]]) -> Iterator[str]:
    """Each request as its instant, its slot and its job, with tabs in between."""
    for at, head in notes:
        pairs = (line.partition(":") for line in head.decode().split("\r\n")[1:])
        fields = {name.lower(): value.strip() for name, _, value in pairs}
        yield "\t".join((f"{at:.6f}", *(fields[name] for name in _WANTED)))


async def _serve(file: Path, *, answers: bool) -> None:
    """Print the port, serve until standard input closes, then write the notes."""
    notes: list[tuple[float, bytes]] = []
    kind = type("Noting", (Target,), {"notes": notes, "answer": _ANSWER if answers else b""})
    server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.to_thread(file.write_text, "\n".join(lines(notes)))


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), answers=sys.argv[2:] != ["hang"]))
