"""What a source declares, kept from snapshot to snapshot so that only new content is parsed.

Forbidden here: reading the source (a port does), and anything about what is stored.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from reconciler.core.declared import ParsedFile
from reconciler.core.desired import Desired, build
from reconciler.core.manifests import parse
from reconciler.core.model import Problem, Snapshot
from reconciler.core.redaction import Redactor

EMPTY = "there are no manifests here (*.yaml, *.yml)"
OnFile = Callable[[int, int], None]


@contextmanager
def without_collector() -> Iterator[None]:
    """Build many long-lived values without the cyclic collector walking them again and again (five times faster)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Declarations:
    """The parsed files of the latest snapshot, and what they declare together."""

    def __init__(self, source: str, environment: str | None = None, redactor: Redactor | None = None) -> None:
        """Name the source, for what is said of it as a whole, and the Environment whose patches are applied.

        ``redactor`` masks what problems say.
        """
        self._redactor = Redactor() if redactor is None else redactor
        self._source = source
        self._environment = environment
        self._files: Mapping[str, str] = {}
        self._parsed: dict[str, ParsedFile] = {}
        self._desired: Desired | None = None
        self.unread: tuple[Problem, ...] = ()
        self.revision = ""
        self.parsed = 0

    @property
    def known(self) -> Mapping[str, str]:
        """Path -> content id of every file that needs no reading again."""
        return self._files

    def update(self, snapshot: Snapshot, on_file: OnFile | None = None) -> Desired:
        """Parse what is new in a snapshot and merge it with what is known; ``parsed`` says how many files that were.

        Args:
            snapshot: the source at one revision.
            on_file: told after each file how many are done, of how many.
        """
        if self._desired is not None and snapshot.revision == self.revision:
            self.parsed = 0
            return self._desired
        with without_collector():
            parsed = {}
            for done, name in enumerate(snapshot.files, start=1):
                known = name not in snapshot.texts
                parsed[name] = self._parsed[name] if known else parse(name, snapshot.texts[name])
                if on_file is not None:
                    on_file(done, len(snapshot.files))
            desired = self._masked(build(parsed, self._desired, self._environment, self._source))
        self._files, self._parsed, self._desired = snapshot.files, parsed, desired
        self.unread, self.revision, self.parsed = snapshot.problems, snapshot.revision, len(snapshot.texts)
        return desired

    def _masked(self, desired: Desired) -> Desired:
        """A manifest may hold by mistake what somewhere else is a secret's value; problems are stored and shown."""
        if not (self._redactor.knows_any and desired.problems):
            return desired
        held = {name: tuple(map(self._plain, problems)) for name, problems in desired.held.items()}
        return replace(desired, problems=tuple(map(self._plain, desired.problems)), held=held)

    def _plain(self, problem: Problem) -> Problem:
        return self._redactor.masked_fields(problem, "field", "message")

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem of the latest snapshot, by place."""
        found = (*self.unread, *(self._desired.problems if self._desired else ()))
        if not found and not self._files:  # it was read, and it is empty: the brake's concern, if jobs are stored
            return (Problem(file=self._source, line=1, column=1, field="", message=EMPTY),)
        return tuple(sorted(found, key=lambda problem: (problem.file, problem.line, problem.column)))
