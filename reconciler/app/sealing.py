"""Sealing keys and sealed values of a folder of manifests: making, sealing, checking, sealing anew.

Forbidden here: showing a value.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.folder import FolderSource
from reconciler.adapters.secrets.keys import KeyRing, read_public, write_pair
from reconciler.adapters.secrets.sealing import PrivateKey
from reconciler.app import wiring
from reconciler.core.model import Problem
from reconciler.core.sealed import Sealed, field_of
from reconciler.core.sealed_places import SealedValue, resealed, sealed_values
from reconciler.errors import SealingError
from reconciler.settings import Settings


def make_pair(path: Path) -> tuple[Path, Path, str]:
    """A new pair of keys in files of its own; returns both, and the key's id.

    Raises:
        SealingError: there is something already.
    """
    key = PrivateKey.generate()
    return *write_pair(path, key), key.id


class Seal:
    """Seals one value, for one place of one Application.

    Raises:
        SealingError: the key cannot be used, or no secret can stand there.
    """

    def __init__(self, public: Path, *, application: str, api: str | None, place: str) -> None:
        self._field = field_of(place, api)
        self._application = application
        self._key = read_public(public)

    def of(self, value: str) -> str:
        """The sealed value.

        Raises:
            SealingError: it is empty, or no text.
        """
        if not value:
            raise SealingError("the value is empty")
        return self._key.seal(value, application=self._application, field=self._field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One sealed value, and why it does not open; empty where it does."""

    value: SealedValue
    complaint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What came of sealing anew: how many values, in which files, and how many had the new key already."""

    sealed: int
    files: tuple[str, ...]
    kept: int


class Folder:
    """The sealed values of a folder, or of one file, of manifests.

    Args:
        path: the folder or file.
        settings: which keys open.

    Raises:
        SourceError: it cannot be read.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._ring = KeyRing(wiring.sealing_keys(settings))
        self._ring.refresh()
        snapshot = FolderSource(path).read()
        self._contents = dict(snapshot.texts)
        self.problems: list[Problem] = list(snapshot.problems)
        self.values: list[SealedValue] = []
        for file, content in self._contents.items():
            for found in sealed_values(file, content):
                if isinstance(found, Problem):
                    self.problems.append(found)
                else:
                    self.values.append(found)

    @property
    def complaints_of_keys(self) -> tuple[str, ...]:
        """Why files of keys cannot be used."""
        return self._ring.complaints

    def check(self) -> list[Checked]:
        """Whether each value opens with the keys that there are."""
        return [Checked(value=each, complaint=self._complaint(each)) for each in self.values]

    def _complaint(self, value: SealedValue) -> str:
        try:
            self._open(value)
        except SealingError as error:
            return str(error)
        return ""

    def _open(self, value: SealedValue) -> str:
        if value.fault:
            raise SealingError(value.fault)
        key_id = Sealed.parse(value.text).key_id
        return self._ring.open(value.text, key_id, application=value.application, field=value.bound)

    def rotate(self, public: Path) -> Rotation:
        """Seal every value to another key, in place; nothing is written unless all of it can be.

        Raises:
            SealingError: with every reason at once; nothing was written.
        """
        key = read_public(public)
        reasons = [str(problem) for problem in self.problems]
        written: dict[str, bytes] = {}
        sealed = kept = 0
        for file, content in self._contents.items():
            texts: dict[str, str] = {}
            for value in (each for each in self.values if each.file == file):
                try:
                    if not value.fault and Sealed.parse(value.text).key_id == key.id:
                        kept += 1
                    else:
                        opened = self._open(value)  # also where it stands twice: a copy elsewhere does not open
                        if value.text not in texts:
                            texts[value.text] = key.seal(opened, application=value.application, field=value.bound)
                            sealed += 1
                except SealingError as error:
                    reasons.append(str(value.problem(str(error))))
            if texts:
                reasons += self._rewrite(file, content, texts, written)
        if reasons:
            raise SealingError("\n".join(["nothing was written:", *reasons]))
        for file, content in written.items():
            _replace(self._place(file), content)
        return Rotation(sealed=sealed, files=tuple(written), kept=kept)

    def _rewrite(self, file: str, content: bytes, texts: dict[str, str], written: dict[str, bytes]) -> Iterator[str]:
        new = resealed(content, texts)
        if isinstance(new, bytes):
            written[file] = new
        else:
            value = next(each for each in self.values if each.file == file and each.text == new)
            yield str(value.problem("the value is broken over lines, or escaped; write it in one piece"))

    def _place(self, file: str) -> Path:
        return self._path if self._path.is_file() else self._path / file


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with the rights that it has."""
    path = path.resolve()  # a link stays a link
    try:
        mode = path.stat().st_mode
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode & 0o7777)
        Path(name).replace(path)
    except OSError as error:
        raise SealingError(
            f"{path}: cannot be written: {error.strerror}; run it again, it goes on from there"
        ) from None


def summary(checked: Sequence[Checked]) -> tuple[int, int]:
    """How many open, and how many do not."""
    bad = sum(bool(each.complaint) for each in checked)
    return len(checked) - bad, bad
