"""Reading a repository's objects, through one process: commits, listings, files. Forbidden here: the network, writing.

Formats: git-cat-file(1), "BATCH OUTPUT", and the commit object of gitformat-*(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from reconciler.adapters.git.command import Git, Started
from reconciler.adapters.git.complaints import advice, shown
from reconciler.core.model import Commit
from reconciler.errors import SourceUnavailableError

DAMAGED = "the repository is damaged"  # so an error begins that tells of it
_BATCH = 200  # requests on their way at once: less than a pipe holds, so that neither side waits for the other for ever
_LARGEST_COMMIT = 1 << 20
_FAULT = re.compile(r"^(?:error|fatal):", re.MULTILINE)  # warnings are not our concern


class Found(NamedTuple):
    """What stands under a name."""

    id: str
    kind: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A commit and its parents."""

    commit: Commit
    parents: tuple[str, ...]


class Objects:
    """A conversation with ``git cat-file --batch-command``."""

    def __init__(self, started: Started) -> None:
        self._started = started
        self._nodes: dict[str, Node | None] = {}

    @staticmethod
    @contextmanager
    def of(git: Git, within: float) -> Iterator[Objects]:
        """Begin the conversation; it ends with the block.

        Raises:
            SourceUnavailableError: git broke it off: the repository is damaged, or it took too long.
        """
        with git.process("cat-file", "--batch-command", "--buffer", within=within) as started:
            try:
                yield Objects(started)
            except (OSError, EOFError, ValueError):
                broken = True
            else:
                broken = False
        if started.ended:
            raise SourceUnavailableError(started.ended)
        said = git.clean(started.said())
        if advised := advice(said):
            raise SourceUnavailableError(f"{advised} ({shown(said)})")
        if broken or _FAULT.search(said):
            raise SourceUnavailableError(f"{DAMAGED}: {shown(said) or 'git ended'}")

    def info(self, names: Sequence[str]) -> Iterator[Found | None]:
        """What stands under each name (``HEAD^{commit}``, ``abc:path``); ``None`` where nothing does."""
        for begin in range(0, len(names), _BATCH):
            part = names[begin : begin + _BATCH]
            self._ask("info", part)
            for _ in part:
                yield self._head()

    def contents(self, ids: Sequence[str]) -> Iterator[bytes | None]:
        """The content of each object."""
        for begin in range(0, len(ids), _BATCH):
            part = ids[begin : begin + _BATCH]
            self._ask("contents", part)
            for _ in part:
                found = self._head()
                yield None if found is None else self._body(found.size)

    def node(self, name: str) -> Node | None:
        """A commit; ``None`` where there is none, as beyond the end of a shallow history."""
        if name not in self._nodes:
            found = next(self.info([name]))
            if found is None or found.kind != "commit" or found.size > _LARGEST_COMMIT:
                self._nodes[name] = None
            else:
                self._nodes[name] = _node(found.id, next(self.contents([found.id])) or b"")
        return self._nodes[name]

    def _ask(self, verb: str, names: Sequence[str]) -> None:
        self._started.into.write("".join(f"{verb} {name}\n" for name in names).encode() + b"flush\n")
        self._started.into.flush()

    def _head(self) -> Found | None:
        line = self._started.out.readline()
        if not line:
            raise EOFError
        words = line.decode("utf-8", "replace").split(" ")
        if len(words) != 3 or not words[2].strip().isdigit():  # noqa: PLR2004 - id, kind, size
            return None  # "<name> missing", "<name> ambiguous"
        return Found(words[0], words[1], int(words[2]))

    def _body(self, size: int) -> bytes:
        content = self._started.out.read(size + 1)
        if len(content) != size + 1:
            raise EOFError
        return content[:-1]


def _node(commit_id: str, content: bytes) -> Node:
    head, _, message = content.decode("utf-8", "replace").partition("\n\n")
    fields = [line.partition(" ") for line in head.split("\n")]
    author = next((value for name, _, value in fields if name == "author"), "")
    who, _, when = author.rpartition("> ")
    seconds = when.partition(" ")[0]
    try:
        date = datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):  # whatever somebody wrote there
        date = datetime.fromtimestamp(0, UTC)
    return Node(
        commit=Commit(
            id=commit_id,
            author=f"{who}>" if who else author,
            date=date,
            subject=next((line.strip() for line in message.splitlines() if line.strip()), "")[:200],
        ),
        parents=tuple(value for name, _, value in fields if name == "parent"),
    )
