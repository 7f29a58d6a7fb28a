"""What jobs are called now: one may be renamed while a run of it is under way.

Forbidden here: knowing why a job was renamed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.core.model import JobKey, Run, StoredJob

_MOST_RENAMES = 100  # one after the other, in the life of one process


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
