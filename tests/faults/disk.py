"""A small disk that can be full: a tmpfs of its own, where this machine lets us mount one.

Forbidden here: filling a disk that anybody else uses.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SIZE = 32 * 1024 * 1024
_CHUNK = bytes(64 * 1024)


class NoDiskError(Exception):
    """This machine lets us mount nothing; says why."""


class Disk:
    """A folder on a disk of 32 MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte."""
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(_CHUNK[: None if file.tell() < _SIZE else 1])

    def free(self) -> None:
        """Give back what was filled."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk at a new folder, gone afterwards.

    Raises:
        NoDiskError: it cannot be mounted here.
    """
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoDiskError(f"no small disk can be mounted: {error}") from None
    try:
        yield Disk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)
