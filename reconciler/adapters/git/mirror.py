"""Our own copy of a remote repository: bare, without work tree, a cache that may be thrown away at any time.

The first fetch is shallow, and no content over a manifest's cap ever comes. That a part is missing is told to git for
the fetch alone: to every other command a missing object is simply missing, where git would otherwise fetch it, one
connection for each. Forbidden here: reading objects.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from reconciler.adapters.git.address import GitAddress
from reconciler.adapters.git.command import Git
from reconciler.adapters.git.refs import full_names
from reconciler.core.files import MAX_FILE_BYTES
from reconciler.errors import SourceError, SourceUnavailableError

_FILTER = f"blob:limit={MAX_FILE_BYTES + 1}"
_MOST_PARTS = 2000  # loose objects and packs; beyond, a fresh copy is quicker to read
_PACK = 10  # a pack is looked through for each object
_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
# What git writes for a repository of another object format; see git-config(1), extensions.objectFormat.
_CONFIG_OF_FORMAT = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = {format}\n"
_USUAL_FORMAT = "sha1"
_FORMAT = "format"  # the file in which the copy keeps its own
_OTHER_FORMAT = re.compile(r"mismatched algorithms: client \w+; server (sha\d+)")
_MOST_SAID = 16 << 20  # bytes of talk that a server may make of its progress
_DAMAGE = re.compile(
    r"corrupt|bad object|unable to read|loose object|packfile|did not send all necessary|object file|truncated"
    r"|index file|bad tree|broken|shallow file|invalid sha1|not a git repository: '",
    re.IGNORECASE,
)
_NO_REF = re.compile(r"couldn't find remote ref|no such ref|unadvertised object|not our ref")
_NO_LOGIN = re.compile(
    r"authentication failed|permission denied|could not read (username|password)|403|401", re.IGNORECASE
)
_NOT_SHALLOW = "does not support shallow"
# Marks the copy of a server of plain files. Asked for a part only, git would look for what is missing with a process
# that misses it in turn, and so on without end.
_PLAIN = "plain"


class Mirror:
    """The copy of one repository.

    Args:
        address: what it is a copy of.
        data_dir: where copies are kept.
        token: for the login.
        within: seconds that a fetch may take.
        largest: bytes that a fetch may bring.
        depth: commits of history that the first fetch brings.
        silence: seconds without anything new after which a server is given up. Over HTTP, curl itself does that.
    """

    def __init__(  # noqa: PLR0913 - named where it is made
        self,
        address: GitAddress,
        data_dir: Path,
        token: str | None,
        *,
        within: float,
        largest: int,
        depth: int,
        silence: float,
    ) -> None:
        self._address = address
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", address.url.partition("://")[2]).strip("-.")[-60:]
        digest = hashlib.blake2b(address.url.encode(), digest_size=6).hexdigest()
        self.path = (data_dir / "git" / f"{slug}-{digest}.git").absolute()
        self.git = Git(("--git-dir", str(self.path)), url=address.url, token=token)
        self._within = within
        self._largest = largest
        self._depth = depth
        self._silence = None if urlsplit(address.url).scheme in ("http", "https") else silence
        self._name = ""  # what the ref was taken for; so it stays
        self.former = ""
        """What the ref stood at before the last fetch, also that of an earlier process."""

    def fetch(self) -> str:
        """Fetch what is new; returns the id that the ref has now, of a commit or an annotated tag.

        Raises:
            SourceError: there is no such ref, or the repository is too large.
            SourceUnavailableError: the repository cannot be reached, or not be read, for now.
        """
        with self._locked():
            self._make()
            try:
                self._fetch_named()
            except SourceUnavailableError as error:
                raise self._worded(str(error)) from None
            return self._fetched()

    def boundary(self) -> frozenset[str]:
        """The commits at which our copy of the history ends."""
        return boundary_of(self.path)

    def remove(self) -> None:
        """Throw the copy away; the next fetch makes it anew."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _fetch_named(self) -> None:
        """Fetch the ref, and find out once what it stands for: no tag takes the place of a branch that is followed."""
        names = full_names(self._address.ref)
        self._name = self._name or next((name for name in names if _id_in(self._own(name))), "")
        self.former = _id_in(self._own(self._name)) if self._name else ""
        for name in (self._name,) if self._name else names:
            try:
                self._fetch_in_its_format(name)
            except SourceUnavailableError as error:
                if name == names[-1] or self._name or not _NO_REF.search(str(error)):
                    raise
            else:
                self._name = name
                return

    def _own(self, name: str) -> Path:
        """Our own ref, which keeps what one of the repository stood at."""
        return self.path / "refs" / "reconciler" / hashlib.blake2b(name.encode(), digest_size=6).hexdigest()

    def _fetch_in_its_format(self, name: str) -> None:
        """The first fetch finds out how the repository names its objects; so does one of a repository made anew."""
        try:
            self._fetch(name)
        except SourceUnavailableError as error:
            other = _OTHER_FORMAT.search(str(error))
            if other is None:
                raise
            self.remove()
            self._make(other[1])
            self._fetch(name)

    def _fetch(self, name: str) -> None:
        plain = self.path / _PLAIN
        known = any(_id_in(ref) for ref in self.path.glob("refs/reconciler/*"))
        if plain.exists():
            self._fetch_with(name)
            return
        partial = {"remote.source.promisor": "true", "remote.source.partialCloneFilter": _FILTER}
        depth = () if known else (f"--depth={self._depth}",)
        try:
            self._fetch_with(name, f"--filter={_FILTER}", *depth, partial=partial)
        except SourceUnavailableError as error:
            if not depth or _NOT_SHALLOW not in str(error):
                raise
            plain.touch()
            self._fetch_with(name)

    def _fetch_with(self, name: str, *options: str, partial: Mapping[str, str] | None = None) -> None:
        network = {"remote.source.url": self._address.url, **(partial or {})}
        told = "--quiet" if self._silence is None else "--progress"
        arguments = ["fetch", told, "--no-tags", "--force", "--no-recurse-submodules", *options]
        refspec = f"+{name}:{self._own(name).relative_to(self.path)}"
        self.git.run(*arguments, "source", refspec, within=self._within, network=network, watch=self._watch())

    def _fetched(self) -> str:
        """What the fetch has written down (gitrevisions(7), FETCH_HEAD)."""
        found = _id_in(self.path / "FETCH_HEAD")
        if found:
            return found
        self.remove()
        raise SourceUnavailableError(f"{self._address.name}: the fetch left nothing; the copy is made anew")

    def _worded(self, said: str) -> SourceError:
        name = self._address.name
        if _NO_REF.search(said):
            return SourceError(f"{name}: {self._missing()}")
        if "within" in said and "git did not end" in said:
            return SourceUnavailableError(f"{name}: {said}; is the host right, and does it answer?")
        if _NO_LOGIN.search(said):
            return SourceUnavailableError(
                f"{name}: the login was refused; set RECONCILER_GIT_TOKEN, or a key or helper of git ({said})"
            )
        if _DAMAGE.search(said):
            self.remove()
            return SourceUnavailableError(f"{name}: the copy was damaged and is made anew ({said})")
        return SourceUnavailableError(f"{name}: cannot be fetched: {said}")

    def _missing(self) -> str:
        ref, names = self._address.ref, full_names(self._address.ref)
        if len(names) == 1:
            return f"there is no {ref} in this repository"
        if not self._name:
            return f"there is no branch and no tag {ref} in this repository"
        return (
            f"there is no {self._name} in this repository any more, as which {ref} was read so far; "
            f"if anything else of this name is meant, write it out, such as refs/tags/{ref}"
        )

    def _make(self, object_format: str = "") -> None:
        """A bare repository, or what is left of an earlier one, made fit to be used.

        Args:
            object_format: how a new one names its objects; one that is here keeps its own.
        """
        try:
            if self._parts() > _MOST_PARTS:
                self.remove()
            if not (self.path / "HEAD").exists():
                self.remove()
                for folder in ("objects/info", "objects/pack", "refs/heads"):
                    (self.path / folder).mkdir(parents=True)
                (self.path / "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
                (self.path / _FORMAT).write_text(object_format or _USUAL_FORMAT, encoding="ascii")
            (self.path / "config").write_text(self._config(), encoding="ascii")
            for ref in self.path.glob("refs/reconciler/*"):
                if not _id_in(ref):  # half written when the machine stopped
                    ref.unlink()
            for pattern in ("*.lock", "refs/reconciler/*.lock", "objects/pack/tmp_*", "objects/tmp_*"):
                for left in self.path.glob(pattern):  # by a fetch that was killed: we hold the lock, so nobody works
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(f"{self.path}: the copy of the repository cannot be kept: {error.strerror}") from error

    def _parts(self) -> int:
        objects = self.path / "objects"
        return sum(_PACK for _ in objects.glob("pack/*.pack")) + sum(32 for _ in objects.glob("0[0-7]/*"))

    def _config(self) -> str:
        kept = self.path / _FORMAT
        own = kept.read_text(encoding="ascii", errors="replace") if kept.exists() else _USUAL_FORMAT
        return _CONFIG_OF_FORMAT.format(format=own) if re.fullmatch(r"sha(?!1\b)\d+", own) else _CONFIG

    def _watch(self) -> Callable[[int], str]:
        """What looks after a fetch: its size, and that anything comes at all."""
        last, since = (-1, -1), monotonic()

        def watch(said: int) -> str:
            nonlocal last, since
            brought = self._brought()
            if brought > self._largest:
                return f"the repository is too large: over {self._largest >> 20} MiB"
            if said > _MOST_SAID:
                return "the server talks without end"
            if last != (brought, said):
                last, since = (brought, said), monotonic()
            if self._silence is not None and monotonic() - since >= self._silence:
                return f"the server went silent: nothing has come for {self._silence:g} s"
            return ""

        return watch

    def _brought(self) -> int:
        brought = 0
        for part in self.path.glob("objects/pack/tmp_*"):
            with suppress(OSError):
                brought += part.stat().st_size
        return brought

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One fetch at a time, also among processes."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w", encoding="ascii") as file:
                end = monotonic() + self._within
                while True:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if self.git.is_stopped or monotonic() > end:
                            raise SourceUnavailableError(f"{self.path}: another process fetches for too long") from None
                        sleep(0.02)
                yield
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


def _id_in(file: Path) -> str:
    """The object's name that a file begins with; empty where there is none."""
    with suppress(OSError):
        match = re.match(r"[0-9a-f]{40,64}\b", file.read_text(encoding="utf-8", errors="replace"))
        return match[0] if match else ""
    return ""
