"""Our own copy of a remote repository: bare, without work tree, a cache that may be thrown away at any time.

The first fetch is shallow. From a server that can leave contents out (``uploadpack.allowFilter``), none over a
manifest's cap ever comes; from any other all of them do, and the copy is made anew where it grows too large. That a
part is missing is told to git for the fetch alone: to every other command a missing object is simply missing, where git
would otherwise fetch it, one connection for each. Forbidden here: reading objects.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from reconciler.adapters.git import complaints
from reconciler.adapters.git.address import GitAddress
from reconciler.adapters.git.command import Git
from reconciler.adapters.git.place import Place, boundary_of, id_in
from reconciler.adapters.git.refs import full_names
from reconciler.core.files import MAX_FILE_BYTES
from reconciler.errors import SourceError, SourceUnavailableError

_FILTER = f"blob:limit={MAX_FILE_BYTES + 1}"
_OTHER_FORMAT = re.compile(r"mismatched algorithms: client \w+; server (sha\d+)")
_MOST_SAID = 16 << 20  # bytes of talk that a server may make of its progress
_UNFILTERED = "filtering not recognized by server"
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
        largest: bytes that a fetch may bring, and beyond which the copy is made anew: it never holds twice as many.
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
        self._place = Place(self.path, largest)
        self.git = Git(("--git-dir", str(self.path)), url=address.url, token=token)
        self._within = within
        self._largest = largest
        self._depth = depth
        self._silence = None if urlsplit(address.url).scheme in ("http", "https") else silence
        self._lock: int | None = None
        self._name = ""  # what the ref was taken for; so it stays
        self.takes_all = False
        """Whether the server leaves nothing out, however large."""
        self.former = ""
        """What the ref stood at before the last fetch, also that of an earlier process."""

    def fetch(self) -> str:
        """Fetch what is new; returns the id that the ref has now, of a commit or an annotated tag.

        Raises:
            SourceError: there is no such ref, or the repository is too large.
            SourceUnavailableError: the repository cannot be reached, or not be read, for now.
        """
        with self._place.locked(self._within, lambda: self.git.is_stopped) as self._lock:
            self._place.make()
            try:
                said = self._fetch_named()
                if complaints.may_be_damage(said):
                    said = self._fetch_anew()
            except SourceUnavailableError as error:  # it was ended
                raise self._given_up(str(error)) from None
            if said:
                raise self._worded(said)
            return self._fetched()

    def boundary(self) -> frozenset[str]:
        """The commits at which our copy of the history ends."""
        return boundary_of(self.path)

    def size(self) -> int:
        """The bytes that the copy holds."""
        return self._place.size()

    def remove(self) -> None:
        """Throw the copy away; the next fetch makes it anew."""
        self._place.remove()

    def _fetch_named(self) -> str:
        """Fetch the ref, and find out once what it stands for: no tag takes the place of a branch that is followed.

        Returns:
            What git complains of; nothing where it came.
        """
        names = full_names(self._address.ref)
        self._name = self._name or next((name for name in names if id_in(self._own(name))), "")
        self.former = id_in(self._own(self._name)) if self._name else ""
        said = ""
        for name in (self._name,) if self._name else names:
            said = self._fetch_in_its_format(name)
            if not said:
                self._name = name
            if not complaints.is_missing(said):
                break
        return said

    def _fetch_anew(self) -> str:
        """Fetch into a fresh copy: where that fails too, the damage is not ours, and the old one is kept."""
        former = self.former
        with self._place.anew() as keep:
            self._place.make()
            said = self._fetch_named()
            if not said:
                keep()
        self.former = former
        return said

    def _own(self, name: str) -> Path:
        """Our own ref, which keeps what one of the repository stood at."""
        return self.path / "refs" / "reconciler" / hashlib.blake2b(name.encode(), digest_size=6).hexdigest()

    def _fetch_in_its_format(self, name: str) -> str:
        """The first fetch finds out how the repository names its objects; so does one of a repository made anew."""
        said = self._fetch(name)
        other = _OTHER_FORMAT.search(said)
        if other is None:
            return said
        self.remove()
        self._place.make(other[1])
        return self._fetch(name)

    def _fetch(self, name: str) -> str:
        plain = self.path / _PLAIN
        known = any(id_in(ref) for ref in self.path.glob("refs/reconciler/*"))
        if plain.exists():
            self.takes_all = True
            return self._fetch_with(name)
        partial = {"remote.source.promisor": "true", "remote.source.partialCloneFilter": _FILTER}
        depth = () if known else (f"--depth={1 if self._place.has_outgrown else self._depth}",)
        said = self._fetch_with(name, f"--filter={_FILTER}", *depth, partial=partial)
        if not depth or _NOT_SHALLOW not in said:
            return said
        plain.touch()
        self.takes_all = True
        return self._fetch_with(name)

    def _fetch_with(self, name: str, *options: str, partial: Mapping[str, str] | None = None) -> str:
        network = {"remote.source.url": self._address.url, **(partial or {})}
        told = "--quiet" if self._silence is None else "--progress"
        arguments = ["fetch", told, "--no-tags", "--force", "--no-recurse-submodules", *options]
        refspec = f"+{name}:{self._own(name).relative_to(self.path)}"
        code, _, said = self.git.run(
            *arguments,
            "source",
            refspec,
            within=self._within,
            network=network,
            watch=self._watch(),
            allowed=None,
            lock=self._lock,
        )
        self.takes_all = self.takes_all or _UNFILTERED in said
        return (said or f"git fetch ended with code {code}") if code else ""

    def _fetched(self) -> str:
        """What the fetch has written down (gitrevisions(7), FETCH_HEAD)."""
        found = id_in(self.path / "FETCH_HEAD")
        if found:
            return found
        self.remove()
        raise SourceUnavailableError(f"{self._address.name}: the fetch left nothing; the copy is made anew")

    def _given_up(self, why: str) -> SourceUnavailableError:
        asked = "; is the host right, and does it answer?" if "git did not end" in why else ""
        return SourceUnavailableError(f"{self._address.name}: {why}{asked}")

    def _worded(self, said: str) -> SourceError:
        name, shown = self._address.name, complaints.shown(said)
        if complaints.is_missing(said):
            return SourceError(f"{name}: {self._missing()} ({shown})")
        advice = complaints.advice(said)
        return SourceUnavailableError(
            f"{name}: {advice} ({shown})" if advice else f"{name}: cannot be fetched: {shown}"
        )

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

    def _watch(self) -> Callable[[int], str]:
        """What looks after a fetch: its size, and that anything comes at all."""
        last, since = (-1, -1), monotonic()
        before = self._place.size()

        def watch(said: int) -> str:
            nonlocal last, since
            brought = self._place.size() - before
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
