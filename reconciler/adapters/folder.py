"""A folder of manifests as a source: read by content, watched for changes.

Symlinks that leave the folder are refused, hidden names are passed over. Forbidden here: looking into a manifest.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import aclosing
from operator import attrgetter
from pathlib import Path
from time import monotonic, time_ns
from types import MappingProxyType

import watchfiles

from reconciler.core.files import MAX_FILE_BYTES, SUFFIXES
from reconciler.core.model import Commit, Problem, Snapshot
from reconciler.core.visible import escaped
from reconciler.errors import SourceError, SourceUnavailableError

_TICK_MS = 400  # how often the watch looks up where nothing happens
_RACY_NS = 2_000_000_000  # a file written this recently may change again within one tick of its timestamp


class _RefusedError(Exception):
    """A link that must not be followed, or a name that cannot be shown."""


_by_name = attrgetter("name")
_Seen = tuple[int, int, int, str]  # a file's mtime, size and inode when it was read, and its content id
_Found = tuple[str, str, os.stat_result]  # name within the source, path, metadata


class FolderSource:
    """A folder, or a single file, of manifests."""

    def __init__(self, path: Path, *, interval: float = 60.0) -> None:
        """Name the folder or file, and the seconds after which it is read again unasked (network file systems)."""
        self._path = path
        self._interval = interval
        self._seen: dict[str, _Seen] = {}
        self._last: tuple[dict[str, str], tuple[Problem, ...], str] | None = None

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self._path)

    async def fetch(self, known: Mapping[str, str]) -> Snapshot:
        """Read every manifest file; see ``ports.Source``."""
        return await asyncio.to_thread(self.read, known)

    def read(self, known: Mapping[str, str] = MappingProxyType({})) -> Snapshot:
        """Read at once, in the calling thread.

        Raises:
            SourceError: it is neither a folder nor a file.
            SourceUnavailableError: it does not exist or cannot be read at present.
        """
        self._must_be_readable()
        files: dict[str, str] = {}
        texts: dict[str, bytes] = {}
        problems: list[Problem] = []
        for name, path, info in self._walk(problems):
            try:
                content_id, text = self._content(name, path, info, known.get(name))
            except OSError as error:
                problems.append(_problem(name, f"cannot be read: {error.strerror}"))
                continue
            files[name] = content_id
            if text is not None:
                texts[name] = text
        revision = self._revision_of(files, tuple(problems))
        return Snapshot(revision=revision, files=files, texts=texts, problems=tuple(problems))

    def _revision_of(self, files: dict[str, str], problems: tuple[Problem, ...]) -> str:
        """The revision; computed anew only where anything differs from the last time."""
        if self._last is None or self._last[0] != files or self._last[1] != problems:
            self._last = (files, problems, _revision(files, problems))
            self._seen = {name: seen for name, seen in self._seen.items() if name in files}
        return self._last[2]

    def _must_be_readable(self) -> None:
        try:
            mode = self._path.stat().st_mode
            if stat.S_ISDIR(mode):
                os.scandir(self._path).close()
            elif not stat.S_ISREG(mode):
                raise SourceError(f"the source {self._path} is neither a folder nor a file")
        except FileNotFoundError:
            raise SourceUnavailableError(
                f"the source {self._path} does not exist; name a folder of manifests, or make it"
            ) from None
        except OSError as error:
            raise SourceUnavailableError(f"the source {self._path} cannot be read: {error.strerror}") from error

    def _walk(self, problems: list[Problem]) -> Iterator[_Found]:
        if self._path.is_file():
            return iter([(self._path.name, str(self._path), self._path.stat())])
        root = os.path.realpath(self._path)
        return _scan(root, "", root, frozenset({root}), problems)

    def _content(self, name: str, path: str, info: os.stat_result, known: str | None) -> tuple[str, bytes | None]:
        """The content id, and the content where the reader does not know it yet."""
        if known is not None and self._seen.get(name) == (info.st_mtime_ns, info.st_size, info.st_ino, known):
            return known, None
        if not stat.S_ISREG(info.st_mode):
            raise OSError(0, "it is not a regular file")
        with Path(path).open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        content_id = hashlib.blake2b(text, digest_size=16).hexdigest()
        if time_ns() - info.st_mtime_ns > _RACY_NS:
            self._seen[name] = (info.st_mtime_ns, info.st_size, info.st_ino, content_id)
        else:
            self._seen.pop(name, None)
        return content_id, None if content_id == known else text

    def concerns(self, ref: str) -> bool:  # noqa: ARG002 - a folder does not know what fills it
        """A push to any ref may be what somebody checks out here; reading once too often costs little."""
        return True

    async def origins(self, files: Collection[str]) -> Mapping[str, Commit]:  # noqa: ARG002 - the port's
        """A folder knows of no commits."""
        return {}

    async def changes(self) -> AsyncIterator[None]:
        """Yield when a file was written, and every ``interval`` seconds; survives the folder's removal.

        Also once as soon as the watch stands: what was written just before it began would otherwise go unnoticed.
        """
        while True:
            looked = -math.inf
            standing = self._standing()
            try:
                async with aclosing(self._watch()) as watch:
                    async for changed in watch:
                        gone = standing != self._standing() or _removes(changed, standing)
                        if changed or gone or monotonic() - looked >= self._interval:
                            looked = monotonic()
                            yield
                        if gone:
                            break
            except (OSError, RuntimeError):  # nothing stands there: watchfiles says so in several ways
                yield
            while self._standing() is None:
                if monotonic() - looked >= self._interval:
                    looked = monotonic()
                    yield
                await asyncio.sleep(_TICK_MS / 1000)

    async def _watch(self) -> AsyncGenerator[set[tuple[watchfiles.Change, str]]]:
        """What the system tells of the path, at every tick, which is mostly nothing.

        The system's watch holds on to what stood there when it began. Of a folder that was removed and made anew, of a
        link that now leads elsewhere, of a file that is saved by renaming, it says nothing any more.
        """
        async for changed in watchfiles.awatch(
            self._path,
            debounce=200,
            step=50,
            rust_timeout=_TICK_MS,
            yield_on_timeout=True,
            watch_filter=None,
            recursive=True,
        ):
            yield changed

    def _standing(self) -> tuple[str, int, int] | None:
        """What stands at the path: where it really is, and its identity there; None where there is nothing."""
        try:
            info = self._path.stat()
        except OSError:
            return None
        return os.path.realpath(self._path), info.st_dev, info.st_ino


def _removes(changed: set[tuple[watchfiles.Change, str]], standing: tuple[str, int, int] | None) -> bool:
    """Whether what stood at the path was removed: its successor may have been given the same inode."""
    return standing is not None and (watchfiles.Change.deleted, standing[0]) in changed


def _scan(folder: str, prefix: str, root: str, trail: frozenset[str], problems: list[Problem]) -> Iterator[_Found]:
    """Every manifest file below ``folder``, in order of name; ``trail`` are the folders above, against loops.

    Names are kept as plain text: ten thousand Path objects would cost more than all the rest.
    """
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=_by_name)
    except OSError as error:
        problems.append(_problem(prefix.rstrip("/"), f"cannot be read: {error.strerror}"))
        return
    for entry in entries:
        own = entry.name
        if own.startswith("."):
            continue
        name = prefix + own
        try:
            if not own.isascii():
                own.encode()
            if not entry.is_symlink() and not entry.is_dir():
                if own.endswith(SUFFIXES):
                    yield _seen(name), entry.path, entry.stat()
            else:
                yield from _behind(entry, name, root, trail, problems)
        except UnicodeEncodeError:
            problems.append(_problem(name.encode("utf-8", "replace").decode(), "the file's name is not UTF-8"))
        except _RefusedError as error:
            problems.append(_problem(name, str(error)))
        except OSError as error:
            problems.append(_problem(name, f"cannot be read: {error.strerror}"))


def _behind(
    entry: os.DirEntry[str], name: str, root: str, trail: frozenset[str], problems: list[Problem]
) -> Iterator[_Found]:
    """What a folder or a link comes to.

    Raises:
        _RefusedError: it is a link that leaves the source or leads back, or its name cannot be shown.
    """
    target = _target(entry, root, trail)
    if _is_folder(entry):
        yield from _scan(entry.path, f"{name}/", root, trail | {target}, problems)
    elif name.endswith(SUFFIXES):
        yield _seen(name), entry.path, entry.stat()


def _target(entry: os.DirEntry[str], root: str, trail: frozenset[str]) -> str:
    """Where an entry really stands.

    Raises:
        _RefusedError: it is a link that leaves the source or leads back.
    """
    if not entry.is_symlink():
        return entry.path
    target = os.path.realpath(entry.path)
    if target != root and not target.startswith(root.rstrip("/") + "/"):
        raise _RefusedError("the link leaves the source; it is refused")
    if target in trail:
        raise _RefusedError("the link leads back to where it stands")
    return target


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _revision(files: dict[str, str], problems: tuple[Problem, ...]) -> str:
    """A digest of names and contents: the same files are the same revision, wherever they stand."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\0".encode())
    for problem in problems:
        digest.update(f"{problem}\0".encode("utf-8", "replace"))
    return digest.hexdigest()


def _seen(name: str) -> str:
    """A file's name, as it will stand in records and logs.

    Raises:
        _RefusedError: something in it cannot be seen; a repository's files are refused for it, too.
    """
    if not name.isprintable():
        raise _RefusedError("the file's name holds a character that cannot be seen")
    return name


def _problem(file: str, message: str) -> Problem:
    return Problem(file=escaped(file), line=1, column=1, field="", message=message)
