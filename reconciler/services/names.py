"""What jobs are called now: one may be renamed while a run of it is under way, or is being claimed.

Forbidden here: knowing why a job was renamed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from reconciler.core.model import JobKey, Run, StoredJob

_MOST_RENAMES = 100  # one after the other, in the life of one process


class Renaming:
    """Keeps claims and renamings apart: a claim that was named before a renaming and written after it would be lost.

    Who renames waits for the claims that are being written, and holds up the next ones until it is over, however it
    ends. Claims do not wait for each other, and where nothing is renamed for nobody.
    """

    def __init__(self) -> None:
        self._closed = asyncio.Lock()
        self._done = 0
        self._inside = 0
        self._left = asyncio.Event()
        self._left.set()

    @asynccontextmanager
    async def claiming(self) -> AsyncIterator[None]:
        """Names stay as they are in here, for one try of one claim: whoever renames waits for its end."""
        while self._closed.locked():
            async with self._closed:
                pass
        self._inside += 1
        self._left.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._left.set()

    @asynccontextmanager
    async def renaming(self) -> AsyncIterator[None]:
        """Nothing is claimed in here; to be left once everybody can be told the new names."""
        async with self._closed:
            await self._left.wait()
            try:
                yield
            finally:
                self._done += 1

    @property
    def names(self) -> int | None:
        """The same number for as long as every job keeps its name; ``None`` while that is being changed."""
        return None if self._closed.locked() else self._done


class Names:
    """Follows renames.

    Args:
        jobs: the job as it stands now, ``None`` where there is none.
        successor: what a job was renamed to since this process began; the key itself where it was not.
    """

    def __init__(self, jobs: Callable[[JobKey], StoredJob | None], successor: Callable[[JobKey], JobKey]) -> None:
        self._jobs = jobs
        self._successor = successor

    def current(self, key: JobKey) -> JobKey:
        """What a job is called now. A name that was given away and taken by another job since is that one's."""
        for _ in range(_MOST_RENAMES):
            if self._jobs(key) is not None or (new := self._successor(key)) == key:
                break
            key = new
        return key

    def job(self, key: JobKey) -> StoredJob | None:
        """A job, asked for by the name that it has or had."""
        return self._jobs(self.current(key))

    def named(self, run: Run) -> Run:
        """A run under the name that its job has now: the store has carried the others over."""
        key = self.current(run.key)
        return run if key == run.key else replace(run, key=key)
