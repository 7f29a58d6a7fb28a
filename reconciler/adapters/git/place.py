"""The folder that our own copy of a repository stands in: its layout, its size, and who may work on it.

A cache: whatever is wrong with it, it may be thrown away. Forbidden here: starting git, and reading objects.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from reconciler.errors import SourceError, SourceUnavailableError

_MOST_PARTS = 2000  # loose objects and packs; beyond, a fresh copy is quicker to read
_PACK = 10  # a pack is looked through for each object
_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
# What git writes for a repository of another object format; see git-config(1), extensions.objectFormat.
_CONFIG_OF_FORMAT = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = {format}\n"
_USUAL_FORMAT = "sha1"
_FORMAT = "format"  # the file in which the copy keeps its own
_HIGH = 100  # a descriptor that no shell uses for itself
_LEFT = ("*.lock", "refs/reconciler/*.lock", "objects/pack/tmp_*", "objects/tmp_*", "objects/??/tmp_*")


class Place:
    """The folder of one copy, bare and without work tree.

    Args:
        path: of the folder; beside it stand its lock, and the old copy while a new one is tried.
        largest: bytes beyond which the copy is made anew.
    """

    def __init__(self, path: Path, largest: int) -> None:
        self.path = path
        self._largest = largest
        self.has_outgrown = False
        """Whether it had to be made anew because it held too much; then its history is to be kept short."""
        self._aside = path.with_suffix(".old")

    def make(self, object_format: str = "") -> None:
        """A bare repository, or what is left of an earlier one, made fit to be used.

        Args:
            object_format: how a new one names its objects; one that is here keeps its own.

        Raises:
            SourceError: nothing can be kept there.
        """
        try:
            try:
                self._make(object_format)
            except (FileExistsError, IsADirectoryError, NotADirectoryError):  # something else stands in its place
                self.remove()
                self._make(object_format)
        except OSError as error:
            raise SourceError(f"{self.path}: the copy of the repository cannot be kept: {error.strerror}") from error

    def _make(self, object_format: str) -> None:
        if self.size() > self._largest:
            self.has_outgrown = True
            self.remove()
        if self._parts() > _MOST_PARTS:
            self.remove()
        if not (self.path / "HEAD").is_file() or not (self.path / "objects").is_dir():
            self.remove()
            for folder in ("objects/info", "objects/pack", "refs/heads"):
                (self.path / folder).mkdir(parents=True)
            (self.path / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
            (self.path / _FORMAT).write_text(object_format or _USUAL_FORMAT, encoding="ascii")
        (self.path / "config").write_text(self._config(), encoding="ascii")
        for ref in self.path.glob("refs/reconciler/*"):
            if not id_in(ref):  # half written when the machine stopped
                ref.unlink()
        for pattern in _LEFT:
            for left in self.path.glob(pattern):  # by a fetch that was killed: we hold the lock, so nobody works
                left.unlink(missing_ok=True)

    def remove(self) -> None:
        """Throw the copy away; the next fetch makes it anew."""
        _remove(self.path)

    @contextmanager
    def anew(self) -> Iterator[Callable[[], None]]:
        """Set the copy aside to try another; the old one comes back, unless what this yields is called."""
        kept = False

        def keep() -> None:
            nonlocal kept
            kept = True

        _remove(self._aside)
        self.path.rename(self._aside)
        try:
            yield keep
        finally:
            if kept:
                _remove(self._aside)
            else:
                self.remove()
                self._aside.rename(self.path)

    def _parts(self) -> int:
        objects = self.path / "objects"
        return sum(_PACK for _ in objects.glob("pack/*.pack")) + sum(32 for _ in objects.glob("0[0-7]/*"))

    def _config(self) -> str:
        kept = self.path / _FORMAT
        own = kept.read_text(encoding="ascii", errors="replace") if kept.exists() else _USUAL_FORMAT
        return _CONFIG_OF_FORMAT.format(format=own) if re.fullmatch(r"sha(?!1\b)\d+", own) else _CONFIG

    def size(self) -> int:
        """The bytes of all its objects, those included that a fetch is bringing."""
        size = 0
        for pattern in ("pack/*", "??/*"):
            for part in (self.path / "objects").glob(pattern):
                with suppress(OSError):
                    size += part.stat().st_size
        return size

    @contextmanager
    def locked(self, within: float, is_stopped: Callable[[], bool]) -> Iterator[int]:
        """One fetch at a time, also among processes.

        Args:
            within: seconds to wait for another one.
            is_stopped: whether to wait no longer.

        Yields:
            The lock's descriptor, for processes that work on the copy: where they outlive us, nobody else begins.

        Raises:
            SourceError: nothing can be written there.
            SourceUnavailableError: the other one takes too long.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w", encoding="ascii") as file:
                end = monotonic() + within
                while True:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if is_stopped() or monotonic() > end:
                            raise SourceUnavailableError(f"{self.path}: another process fetches for too long") from None
                        sleep(0.02)
                lent = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _HIGH)
                try:
                    yield lent
                finally:
                    fcntl.flock(file, fcntl.LOCK_UN)  # also for what git leaves behind, as a cache of credentials
                    os.close(lent)
        except OSError as error:
            raise SourceError(f"{self.path.parent}: cannot be written: {error.strerror}") from error


def boundary_of(repository: Path) -> frozenset[str]:
    """The commits at which a repository's history was cut off; see gitrepository-layout(5), shallow."""
    try:
        return frozenset((_shared(repository) / "shallow").read_text(encoding="ascii").split())
    except (OSError, UnicodeError):
        return frozenset()


def _shared(repository: Path) -> Path:
    """The folder of git's own files: of a bare repository, a work tree, or one linked to another."""
    folder = repository / ".git" if (repository / ".git").exists() else repository
    if folder.is_file():
        folder = repository / folder.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")
    linked = folder / "commondir"
    return folder / linked.read_text(encoding="utf-8").strip() if linked.exists() else folder


def id_in(file: Path) -> str:
    """The object's name that a file begins with; empty where there is none."""
    with suppress(OSError):
        match = re.match(r"[0-9a-f]{40,64}\b", file.read_text(encoding="utf-8", errors="replace"))
        return match[0] if match else ""
    return ""


def _remove(path: Path) -> None:
    """Remove a folder, or whatever else stands there."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
