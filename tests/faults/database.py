"""A MongoDB of the campaign's own, which can be killed and comes back with its data.

Forbidden here: deciding when. A server that somebody else runs is never touched.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from tests.faults.proxy import Address
from tests.services.mongodb import CACHE, SCRIPT


class Database:
    """The engine that the tests use, in a folder that stays over restarts.

    Args:
        folder: for its data, log and socket; the path must be short enough for a socket.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.uri = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_) -> None:
        if self.uri:
            await self.kill()  # what it holds goes with the folder

    async def start(self) -> None:
        """Start it, or start it again on the same data; returns when it answers."""
        self.uri = (await self._run("start")).strip()

    async def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        process = int((self._folder / "pid").read_text())
        os.kill(process, signal.SIGKILL)
        while not _is_dead(process):  # noqa: ASYNC110 - it is no child of ours
            await asyncio.sleep(0.01)
        for name in ("pid", "uri"):  # or a body that nobody has buried would count as running
            (self._folder / name).unlink()
        self._bury()
        self.uri = ""

    def _bury(self) -> None:
        """Remove what a dead engine leaves behind: its socket, in a folder of the engine's own."""
        place, port = self.address()
        if port is None:
            Path(place).unlink(missing_ok=True)
            with suppress(OSError):
                Path(place).parent.rmdir()

    def address(self) -> Address:
        """Where it listens at this moment.

        Raises:
            OSError: nowhere.
        """
        if not self.uri:
            raise ConnectionRefusedError("the database is down")
        place = self.uri.partition("://")[2].partition("/")[0]
        if place.startswith("%2F"):
            return unquote(place), None
        host, _, port = place.partition(":")
        return host, int(port)

    async def _run(self, action: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(SCRIPT),
            action,
            str(self._folder),
            str(CACHE),
            env=os.environ | {"OWNER": str(os.getpid())},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaint = await asyncio.wait_for(process.communicate(), 110)
        if process.returncode:
            raise RuntimeError(f"mongodb {action}: {complaint.decode().strip()}")
        return out.decode()


def _is_dead(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True
