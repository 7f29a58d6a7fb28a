"""The world of a campaign: database, target, and replicas with a network each. Started in order, ended in reverse.

Forbidden here: deciding what goes wrong and when.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from typing import Self

from tests.faults.database import Database
from tests.faults.jobs import Declared, manifests, renamed, root
from tests.faults.proxy import Proxy

_MEND = 0.5  # seconds
_PATIENCE = 30.0  # seconds for a process to end
NAME = "campaign"


class Replica:
    """A place where one ``reconciler run`` lives, again and again."""

    def __init__(self, number: int, folder: Path, store: str, settings: Mapping[str, str]) -> None:
        self.number = number
        self.busy = asyncio.Lock()  # one fault at a time
        self._log = folder / f"replica-{number}.log"
        self._environment = _environment(settings) | {
            "RECONCILER_STORE": store,
            "RECONCILER_SOURCE": str(folder / "manifests"),
            "RECONCILER_DATA_DIR": str(folder / f"data-{number}"),
        }
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the present process, or of the last one."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.faults.replica",
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
            )

    def send(self, number: signal.Signals) -> None:
        if self.runs:
            self._process.send_signal(number)

    def tell(self, line: str) -> None:
        """Say something to the traps."""
        if self.runs:
            self._process.stdin.write(f"{line}\n".encode())

    async def ended(self, within: float = _PATIENCE) -> float | None:
        """Wait for its end; when that was, or ``None``."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), within)
            return time.time()
        return None

    async def stop(self) -> None:
        """Let it end in good order, or else kill it."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        if await self.ended() is None:
            self.send(signal.SIGKILL)
            await self.ended()


class World:
    """Everything that runs.

    Attributes:
        jobs: what is declared now.
        since: from when on slots of jobs count that were renamed, by their first names.
        renames: how many there have been.

    Args:
        folder: for everything that is written.
        jobs: what is declared at first.
        replicas: how many.
        settings: further ``RECONCILER_*`` variables, and FAULTS_WITHOUT.
        sqlite: a file, where all share that instead of a MongoDB; there is no network then.
    """

    def __init__(
        self,
        folder: Path,
        jobs: Sequence[Declared],
        *,
        replicas: int,
        settings: Mapping[str, str] | None = None,
        sqlite: Path | None = None,
    ) -> None:
        self.folder = folder
        self.jobs = list(jobs)
        self.since: dict[str, float] = {}
        self.renames = 0
        self.database = Database(folder / "mongodb")
        self.proxies: list[Proxy] = []
        self.replicas: list[Replica] = []
        self.crashes: list[str] = []
        self._wanted = replicas
        self._settings = dict(settings or {})
        self._sqlite = sqlite
        self._stack = AsyncExitStack()
        self._looking: Proxy | None = None
        self._target_url = ""
        self._old_names: dict[str, str] = {}

    def _declare(self) -> None:
        """Write the manifests, so that nobody reads half of them."""
        fresh = self.folder / "all.yaml"
        fresh.write_text(manifests(self.jobs, self._target_url, self._old_names))
        fresh.replace(self.folder / "manifests" / "all.yaml")

    def rename(self, stored: Mapping[str, float], most: int, random: Random) -> None:
        """Give some jobs other names: those of which it is known that they are stored under the ones that they have.

        Args:
            stored: since when their slots count, by key.
            most: so many at once.
            random: which.
        """
        known = [place for place, job in enumerate(self.jobs) if job.key in stored]
        for place in random.sample(known, min(most, len(known))):
            old = self.jobs[place]
            self.since.setdefault(root(old.key), stored[old.key])
            self.renames += 1
            new = self.jobs[place] = renamed(old, self.renames)
            self._old_names[new.key] = old.key
        self._declare()

    @property
    def calls(self) -> Path:
        """The target's log."""
        return self.folder / "calls.log"

    @property
    def store(self) -> str:
        """The store's URL for whoever looks on, through a network that never fails; it outlasts the database's own."""
        return f"sqlite:///{self._sqlite}" if self._looking is None else _through(self._looking)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        if self._sqlite is None:
            await self._stack.enter_async_context(self.database)
            self._looking = await self._network()
        port = await self._target()
        (self.folder / "manifests").mkdir()
        self._target_url = f"http://127.0.0.1:{port}"
        self._declare()
        for number in range(self._wanted):
            replica = Replica(number, self.folder, await self._store_of_one(), self._settings)
            self.replicas.append(replica)
            self._stack.push_async_callback(replica.stop)
            await replica.start()

    async def _store_of_one(self) -> str:
        """The store's URL for the next replica."""
        if self._sqlite is not None:
            return self.store
        self.proxies.append(await self._network())
        return _through(self.proxies[-1])

    async def _network(self) -> Proxy:
        return await self._stack.enter_async_context(Proxy(self.database.address))

    async def _target(self) -> int:
        target = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.target",
            str(self.calls),
            env=_environment({}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

        async def end() -> None:
            target.stdin.close()
            await asyncio.wait_for(target.wait(), _PATIENCE)

        self._stack.push_async_callback(end)
        return int(await asyncio.wait_for(target.stdout.readline(), _PATIENCE))

    async def mend(self) -> None:
        """Start again what has ended though nothing was done to it; never ends by itself."""
        while True:
            await asyncio.sleep(_MEND)
            for replica in self.replicas:
                if not replica.busy.locked() and not replica.runs:
                    self.crashes.append(f"replica {replica.number} ended by itself")
                    await replica.start()

    def troubles(self) -> Sequence[str]:
        """Replicas that have ended by themselves, and every error that one has logged."""
        logs = sorted(self.folder.glob("replica-*.log"))
        return [*self.crashes, *(f"{path.name}: {line}" for path in logs for line in errors_in(path.read_text()))]

    async def settle(self) -> None:
        """End every replica in good order, all at once, so that nothing more is written."""
        await asyncio.gather(*(replica.stop() for replica in self.replicas))


def errors_in(text: str) -> Iterator[str]:
    """Of what a process has printed: errors that it logged, and what it ended by, with the place of either."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if '"level": "error"' in line:
            yield line
        elif line.startswith("Traceback"):
            raised = itertools.takewhile(lambda each: each.startswith(" "), lines[number + 1 :])
            frames = [each.strip() for each in raised]
            ending = lines[number + 1 + len(frames) : number + 2 + len(frames)]
            yield " | ".join(["Traceback", *frames[-2:], *ending])


def _through(proxy: Proxy) -> str:
    return f"mongodb://127.0.0.1:{proxy.port}/{NAME}?directConnection=true"


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's, without its own settings of a reconciler; modules are found as here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RECONCILER_", "FAULTS_"))}
    root = str(Path(__file__).parents[2])
    return (
        kept
        | {
            "PYTHONPATH": root,
            "PYTHONUNBUFFERED": "1",
            "RECONCILER_LISTEN": "127.0.0.1:0",
            "RECONCILER_KEEP_RUNS_PER_JOB": "1000000",
        }
        | dict(more)
    )
