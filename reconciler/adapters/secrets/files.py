"""Secret values in files: mounted by a container's platform, written by an agent, rotated at any time.

Forbidden here: a value in an error's text.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from reconciler.core.model import SecretRef
from reconciler.errors import SecretError

MOST_BYTES: Final = 64 * 1024
_PATIENCE: Final = 5.0  # seconds: a network's file system may hang


class _Read(NamedTuple):
    """What a file held when it looked like this."""

    stamp: tuple[int, int, int]
    value: str


class Files:
    """Reads values from files, each anew when it has changed; many who ask at once share one look.

    Args:
        folder: what relative paths are relative to; where it is given, everything outside of it is refused.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._read: dict[str, _Read] = {}
        self._looking: dict[str, asyncio.Task[str]] = {}

    async def value(self, ref: SecretRef) -> str:
        """The value in the file that is named.

        Raises:
            SecretError: there is none, or it cannot be used.
        """
        look = self._looking.get(ref.name)
        if look is None:
            look = self._looking[ref.name] = asyncio.create_task(self._look(ref))
            look.add_done_callback(lambda done: self._looked(ref.name, done))
        return await asyncio.shield(look)

    def _looked(self, name: str, look: asyncio.Task[str]) -> None:
        self._looking.pop(name, None)
        if not look.cancelled():
            look.exception()  # whoever asked may have gone, so that nobody else would take note of it

    async def _look(self, ref: SecretRef) -> str:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.to_thread(self._value, ref)
        except TimeoutError:
            raise SecretError(ref, f"its file system did not answer within {_PATIENCE:.0f} s") from None
        except OSError as error:
            raise SecretError(ref, f"cannot be read: {error.strerror}") from None

    def _value(self, ref: SecretRef) -> str:
        path = self._path(ref)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not be waited for
        with os.fdopen(descriptor, "rb") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise SecretError(ref, "it is no regular file")
            stamp = (info.st_ino, info.st_mtime_ns, info.st_size)
            known = self._read.get(ref.name)
            if known is not None and known.stamp == stamp:
                return known.value
            content = file.read(MOST_BYTES + 1)
        value = _text(ref, content)
        self._read[ref.name] = _Read(stamp, value)
        return value

    def _path(self, ref: SecretRef) -> Path:
        path = Path(ref.name)
        if self._folder is None:
            if not path.is_absolute():
                raise SecretError(ref, "a relative path needs RECONCILER_SECRETS_DIR, which is not set")
            return path
        path = (self._folder / path).resolve()  # links within the folder are how platforms swap secrets
        if not path.is_relative_to(self._folder.resolve()):
            raise SecretError(ref, "it lies outside of RECONCILER_SECRETS_DIR")
        return path


def _text(ref: SecretRef, content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise SecretError(ref, "the file is larger than 64 KiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SecretError(ref, "the file is no text in UTF-8") from None
    value = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not value:
        raise SecretError(ref, "the file is empty")
    return value
