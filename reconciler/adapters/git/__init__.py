"""The Source port on a git repository, remote or on this machine's disk, read with the git command line.

A poll that finds nothing starts one process, one that finds a commit three: fetch, cat-file, ls-tree. Nothing of a
repository is ever checked out or run. Forbidden here: reading manifests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from reconciler.adapters.git import history
from reconciler.adapters.git.address import GitAddress, check_token
from reconciler.adapters.git.command import Git, in_place
from reconciler.adapters.git.listing import Listing, listing_of
from reconciler.adapters.git.mirror import Mirror
from reconciler.adapters.git.objects import DAMAGED, Node, Objects
from reconciler.adapters.git.place import boundary_of
from reconciler.adapters.git.refs import is_meant, revisions
from reconciler.adapters.git.signatures import Signers
from reconciler.core.files import MAX_FILE_BYTES
from reconciler.core.model import Commit, Problem, Snapshot
from reconciler.errors import PathNotFoundError, SourceError, SourceUnavailableError

_Result = TypeVar("_Result")
_FIRST_RETRY = 2.0  # seconds
_LONGEST_RETRY = 300.0
_JITTER = 0.1  # part of a delay, up or down, so that many reconcilers do not ask one server at once
_FEW_FILES = 64  # up to so many, their history is read along with them
_LARGE = f"is over {MAX_FILE_BYTES >> 20} MiB, or its content is not in the repository; make several files of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a repository may cost: seconds and bytes; ``depth`` is in commits, of the first fetch.

    ``fetched`` is for one fetch, and for what the copy may hold before it is made anew; ``noted`` for what it may hold
    before a note says that the server leaves nothing out. ``silence`` is for how long a server may send nothing at all.
    """

    fetching: float = 600.0
    silence: float = 60.0
    reading: float = 60.0
    fetched: int = 4 << 30
    noted: int = 64 << 20
    listed: int = 64 << 20
    read: int = 512 << 20
    files: int = 200_000
    depth: int = 100


class GitSource:
    """Manifests in a repository at a ref.

    Args:
        address: what is read.
        data_dir: where the copy of a remote repository is kept.
        interval: seconds between polls.
        token: for the login over HTTPS; over plain HTTP only on this machine.
        allowed_signers: only commits that somebody in this file has signed are read; see ssh-keygen(1).
        limits: what it may cost.
        sleep: waits; a test's own does not.

    Raises:
        SettingsError: the file of signers cannot be read, or the token would be sent unencrypted.
    """

    def __init__(  # noqa: PLR0913 - named where it is wired
        self,
        address: GitAddress,
        data_dir: Path,
        *,
        interval: float,
        token: str | None = None,
        allowed_signers: Path | None = None,
        limits: Limits | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if token:
            check_token(address)
        self._address = address
        self._interval = interval
        self._limits = limits or Limits()
        self._sleep = sleep
        self._signers = Signers(allowed_signers) if allowed_signers else None
        self._mirror: Mirror | None = None
        if address.local is None:
            bounds = self._limits
            self._mirror = Mirror(
                address,
                data_dir,
                token,
                within=bounds.fetching,
                largest=bounds.fetched,
                depth=bounds.depth,
                silence=bounds.silence,
            )
            self._git = self._mirror.git
        else:
            self._git = Git(in_place(address.local))
        self._last: Snapshot | None = None
        self._tip = ""
        self._named = ""
        self._is_noted = False
        self._origins: dict[str, tuple[str, Commit]] = {}  # path -> content id, and who gave it that
        self._failures = 0
        self._is_file = False
        self._turn = asyncio.Lock()

    @property
    def name(self) -> str:
        """The repository, its ref and path, without credentials."""
        return self._address.name

    @property
    def started(self) -> int:
        """How many processes have been started."""
        return self._git.started

    def concerns(self, ref: str) -> bool:
        """Whether a push to this ref can change what is read here."""
        return is_meant(self._address.ref, ref)

    async def changes(self) -> AsyncIterator[None]:
        """Yield when it is time to look again: at the interval, or sooner and ever later while it fails."""
        while True:
            await self._sleep(self._delay() * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - no secret
            yield

    def _delay(self) -> float:
        if not self._failures:
            return self._interval
        return float(min(_FIRST_RETRY * 2 ** min(self._failures - 1, 16), max(_LONGEST_RETRY, self._interval)))

    async def fetch(self, known: Mapping[str, str]) -> Snapshot:
        """Read the repository; see the port.

        Raises:
            SourceError: it must be mended by a person: no such ref or path, an unsigned commit, too large.
            SourceUnavailableError: it cannot be reached or read for now.
        """
        try:
            snapshot = await self._threaded(partial(self._fetch, known))
        except SourceError:
            self._failures += 1
            raise
        self._failures = 0
        return snapshot

    async def origins(self, files: Collection[str]) -> Mapping[str, Commit]:
        """The commit that last changed each file, as far as the history is here."""
        last = self._last
        if last is None:
            return {}
        missing = [name for name in files if self._known_origin(name, last) is None and name in last.files]
        if missing:
            await self._threaded(partial(self._look_back, last, missing))
        found = {name: self._known_origin(name, last) for name in files}
        return {name: commit for name, commit in found.items() if commit is not None}

    def _known_origin(self, name: str, last: Snapshot) -> Commit | None:
        blob, commit = self._origins.get(name, ("", None))
        return commit if blob == last.files.get(name) else None

    async def _threaded(self, work: Callable[[], _Result]) -> _Result:
        """Work in a thread; where nobody waits for it any more, its process is ended and it with that."""
        async with self._turn:
            self._git.resume()
            task = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                self._git.stop()
                await asyncio.gather(task, return_exceptions=True)
                raise

    def _fetch(self, known: Mapping[str, str]) -> Snapshot:
        tip = self._mirror.fetch() if self._mirror else ""
        if self._last is not None and tip and tip == self._tip and known == self._last.files:
            return replace(self._last, texts={}, notes=())
        try:
            snapshot = self._read(tip, known)
        except SourceUnavailableError as error:
            if self._mirror and str(error).startswith(DAMAGED):
                self._mirror.remove()
                raise SourceUnavailableError(f"{self.name}: the copy was damaged and is made anew ({error})") from None
            raise SourceUnavailableError(f"{self.name}: {error}") from None
        self._tip = tip
        self._last = replace(snapshot, texts={}, notes=())
        return snapshot

    def _read(self, tip: str, known: Mapping[str, str]) -> Snapshot:
        with Objects.of(self._git, self._limits.reading) as objects:
            name = tip or self._followed(objects)
            node = objects.node(f"{name}^{{commit}}")
            if node is None:
                raise self._no_commit(objects, name)
            commit = node.commit
            if self._last is not None and commit.id == self._last.revision and known == self._last.files:
                return replace(self._last, texts={}, notes=())
            self._check_signature(node)
            listing = self._list(objects, commit.id)
            files, texts, problems = self._contents(objects, listing, known)
            self._origins = {}  # of one revision: a file may be changed and changed back between two looks
            self._remember_origins(objects, commit.id, listing.files, texts)
            notes = (*self._notes(objects, commit.id), *self._note_on_size())
        return Snapshot(
            revision=commit.id,
            files=files,
            texts=texts,
            problems=(*listing.problems, *problems),
            commit=commit,
            notes=notes,
        )

    def _followed(self, objects: Objects) -> str:
        """What the ref stands for in a repository on this machine; what it was once taken for, it stays."""
        if not self._named:
            names = revisions(self._address.ref)
            found = zip(names, [*objects.info(names)], strict=True)  # all are heard, or the next answer is theirs
            self._named = next((name for name, one in found if one is not None), "")
        return self._named or self._address.ref

    def _no_commit(self, objects: Objects, name: str) -> SourceError:
        if next(objects.info([name])) is not None:
            return SourceError(f"{self.name}: {self._address.ref} is no commit; name a branch, a tag or a commit")
        if self._mirror:
            self._mirror.remove()
            return SourceUnavailableError(f"the copy was damaged and is made anew ({name[:12]} is not in it)")
        return SourceError(f"{self._address.local}: there is no branch, tag or commit {name}")

    def _list(self, objects: Objects, commit_id: str) -> Listing:
        path = self._address.path
        found = next(objects.info([f"{commit_id}:{path}"]))
        if found is None:
            what = path or "content"
            raise PathNotFoundError(f"{self.name}: there is no {what} at {self._address.ref} ({commit_id[:12]})")
        self._is_file = found.kind == "blob"
        name = path.rpartition("/")[2]
        tree = found.id if not self._is_file else f"{commit_id}:{path.rpartition('/')[0]}"
        arguments = ("ls-tree", *(() if self._is_file else ("-r",)), "-z", "--full-tree", tree)
        _, listed, _ = self._git.run(*arguments, within=self._limits.reading, most=self._limits.listed)
        if self._is_file:  # what kind of file it is, only its folder tells: a link's content is no manifest
            listed = next((one for one in listed.split(b"\0") if one.partition(b"\t")[2] == name.encode()), b"")
            if not listed.startswith(b"100"):
                raise SourceError(f"{self.name}: {path} is a symbolic link, which is refused; name the file itself")
            return Listing({name: found.id}, ())
        listing = listing_of(listed)
        if len(listing.files) > self._limits.files:
            raise SourceError(f"{self.name}: {len(listing.files)} manifests are too many; at most {self._limits.files}")
        return listing

    def _contents(
        self, objects: Objects, listing: Listing, known: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, bytes], list[Problem]]:
        """The files, the content of those that are new, and what cannot be read."""
        files = listing.files
        new = [name for name, blob in files.items() if known.get(name) != blob]
        blobs = list(dict.fromkeys(files[name] for name in new))  # copies are read once
        found = zip(blobs, objects.info(blobs), strict=True)
        sizes = {blob: one.size for blob, one in found if one is not None and one.size <= MAX_FILE_BYTES}
        if sum(sizes.values()) > self._limits.read:
            raise SourceError(f"{self.name}: the manifests are too large: over {self._limits.read >> 20} MiB in all")
        contents = dict(zip(sizes, objects.contents(list(sizes)), strict=True))
        texts = {name: contents.get(files[name]) for name in new}
        bad = {name for name, text in texts.items() if text is None}
        problems = [Problem(file=name, line=1, column=1, field="", message=_LARGE) for name in sorted(bad)]
        readable = {name: blob for name, blob in files.items() if name not in bad} if bad else files
        return readable, {name: text for name, text in texts.items() if text is not None}, problems

    def _remember_origins(
        self, objects: Objects, commit_id: str, files: Mapping[str, str], texts: Collection[str]
    ) -> None:
        """Who changed what is new, while the conversation lasts; of very much it is asked later, if at all."""
        if len(texts) > _FEW_FILES:
            return
        boundary = self._boundary()
        for name in texts:
            commit = history.origin(objects, commit_id, self._whole(name), boundary)
            if commit is not None:
                self._origins[name] = (files[name], commit)

    def _look_back(self, last: Snapshot, names: Collection[str]) -> None:
        boundary = self._boundary()
        if len(names) <= _FEW_FILES:
            with Objects.of(self._git, self._limits.reading) as objects:
                self._remember_origins(objects, last.revision, last.files, names)
            return
        blobs = {self._whole(name): last.files[name] for name in names}
        found = history.origins(self._git, last.revision, blobs, boundary, self._limits.reading)
        for name in names:
            commit = found.get(self._whole(name))
            if commit is not None:
                self._origins[name] = (last.files[name], commit)

    def _whole(self, name: str) -> str:
        """A file's path from the repository's root."""
        path = self._address.path
        return path if self._is_file else f"{path}/{name}" if path else name

    def _boundary(self) -> frozenset[str]:
        return self._mirror.boundary() if self._mirror else boundary_of(self._address.local or Path())

    def _notes(self, objects: Objects, commit_id: str) -> tuple[str, ...]:
        named = self._last.revision if self._last else self._mirror.former if self._mirror else ""
        before = objects.node(f"{named}^{{commit}}") if named else None
        if before is None or before.commit.id == commit_id:
            return ()
        former = before.commit.id
        if not history.is_rewritten(objects, self._git, former, commit_id, self._limits.reading):
            return ()
        return (f"the history of {self._address.ref} was rewritten: {former[:12]} is no ancestor of {commit_id[:12]}",)

    def _note_on_size(self) -> tuple[str, ...]:
        """Said once, and only where it costs something."""
        if self._is_noted or self._mirror is None or not self._mirror.takes_all:
            return ()
        size = self._mirror.size()
        if size <= self._limits.noted:
            return ()
        self._is_noted = True
        most = f"{self._limits.fetched / (1 << 30):.3g} GiB"
        note = (
            f"the server leaves nothing out: files over {MAX_FILE_BYTES >> 20} MiB are fetched too; the copy in the "
            f"data directory holds {size >> 20} MiB, and is made anew beyond {most}; uploadpack.allowFilter in the "
            "server's git configuration mends it"
        )
        return (note,)

    def _check_signature(self, node: Node) -> None:
        objection = self._signers.objection(self._git, node.commit, self._limits.reading) if self._signers else ""
        if objection:
            raise SourceError(f"{self.name}: {objection}")
