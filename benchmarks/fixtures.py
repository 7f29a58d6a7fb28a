"""Folders of manifests to measure with, and a target that notes when it is called.

Forbidden here: measuring.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

APIS_OF_AN_APPLICATION = 100

_APPLICATION = """\
apiVersion: reconciler/v1
kind: Application
metadata: {{name: app-{number}}}
spec:
  baseUrl: {base}
  defaults: {{timeout: 10s, headers: {{Accept: application/json}}}}
"""

_API = """\
apiVersion: reconciler/v1
kind: Api
metadata:
  name: api-{number}
  application: app-{application}
  labels:
    tier: gold
    team: payments
spec:
  description: Job number {number}
  schedule: "{schedule}"
  timeZone: {zone}
  request:
    method: GET
    path: /items/{number}
    query:
      active: true
      page: {number}
    headers:
      X-Team: payments
  expect:
    status: [2xx]
  retry:
    limit: 5
    initialDelay: 1s
    maxDelay: 5m
"""


def write_manifests(
    folder: Path, count: int, schedule: str, base: str = "http://127.0.0.1:9", zone: str = "Europe/Berlin"
) -> None:
    """``count`` Apis of 25 lines in a file each, a hundred to an Application, all written a while ago."""
    for number in range(count):
        application = number // APIS_OF_AN_APPLICATION
        text = _API.format(number=number, application=application, schedule=schedule, zone=zone)
        _write(folder / f"app-{application}" / f"api-{number}.yaml", text)
    for application in range((count - 1) // APIS_OF_AN_APPLICATION + 1):
        text = _APPLICATION.format(number=application, base=base)
        _write(folder / f"app-{application}" / "application.yaml", text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))


class Target(asyncio.Protocol):
    """A server that answers 200 to everything and notes the instant and the path of each request."""

    notes: list[tuple[float, str]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            self.notes.append((time.time(), head.split(b" ", 2)[1].decode()))
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")  # type: ignore[attr-defined]


async def _serve(notes_file: Path) -> None:
    """Print the port, serve until standard input closes, then write the notes."""
    notes: list[tuple[float, str]] = []
    protocol = type("Noting", (Target,), {"notes": notes})
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    text = "\n".join(f"{when!r} {path}" for when, path in notes)
    await asyncio.to_thread(notes_file.write_text, text)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
