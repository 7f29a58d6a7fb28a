"""The files of sealing keys. Forbidden here: opening anything with a key that others could have read."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from reconciler.adapters.secrets.sealing import PrivateKey, PublicKey
from reconciler.errors import SealingError

_MOST_BYTES = 4096


def read_public(path: Path) -> PublicKey:
    """A public key from its file.

    Raises:
        SealingError: naming the file, where it cannot be read or holds none.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES)
    except OSError as error:
        raise SealingError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return PublicKey.parse(text.decode("ascii", "replace"))
    except SealingError as error:
        raise SealingError(f"{path}: {error}") from None


def read_private(path: Path) -> PrivateKey:
    """A private key from its file.

    Raises:
        SealingError: naming the file, where it cannot be read, holds none, or others can read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise SealingError(f"{path}: is no regular file")
            if is_open_to_others(info):
                raise SealingError(f"{path}: others can read it; `chmod 600 {path}`, or better make a new key")
            text = file.read(_MOST_BYTES)
    except OSError as error:
        raise SealingError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return PrivateKey.parse(text.decode("ascii", "replace"))
    except SealingError as error:
        raise SealingError(f"{path}: {error}") from None


def is_open_to_others(info: os.stat_result) -> bool:
    """Whether anybody but us can read or write a file.

    Its group may read it where it is not ours: that is how a container is given a file that belongs to root.
    """
    ours = info.st_uid == os.geteuid()
    allowed = stat.S_IRWXU if ours else stat.S_IRWXU | stat.S_IRGRP
    return bool(stat.S_IMODE(info.st_mode) & ~allowed)


def write_pair(path: Path, key: PrivateKey) -> tuple[Path, Path]:
    """Write a private key, for us alone, and its public key beside it; nothing is ever overwritten.

    Returns:
        Both files.

    Raises:
        SealingError: one of them is there already, or cannot be written.
    """
    public = path.with_name(f"{path.name.removesuffix('.key')}.pub")
    if public.exists():
        raise SealingError(f"{public}: is there already; nothing was written")
    _write(path, key.text(), 0o600)
    try:
        _write(public, str(key.public), 0o644)
    except SealingError:
        path.unlink()
        raise
    return path, public


def _write(path: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise SealingError(f"{path}: is there already; nothing was written") from None
    except OSError as error:
        raise SealingError(f"{path}: cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{text}\n")


class KeyRing:
    """Private keys from their files, newest first; a file that changes, or comes later, is read anew.

    One that cannot be used disturbs none of the others.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._stamps: tuple[object, ...] | None = None
        self._keys: dict[str, PrivateKey] = {}
        self.complaints: tuple[str, ...] = ()

    def refresh(self) -> bool:
        """Read what has changed; says whether anything has."""
        stamps = tuple(_stamp(path) for path in self._paths)
        if stamps == self._stamps:
            return False
        keys: dict[str, PrivateKey] = {}
        complaints = []
        for path in self._paths:
            try:
                key = read_private(path)
            except SealingError as error:
                complaints.append(str(error))
            else:
                keys.setdefault(key.id, key)
        self._stamps, self._keys, self.complaints = stamps, keys, tuple(complaints)
        return True

    def open(self, text: str, key_id: str, *, application: str, field: str) -> str:
        """Open a sealed value with the key that it names.

        Raises:
            SealingError: there is no such key, or it does not open.
        """
        key = self._keys.get(key_id)
        if key is not None:
            return key.open(text, application=application, field=field)
        if not self._paths:
            raise SealingError("RECONCILER_SEALING_KEYS names no key")
        known = f"only {', '.join(self._keys)}" if self._keys else "none at all"
        raise SealingError("; ".join([f"there is no key {key_id} here, {known}", *self.complaints]))


def _stamp(path: Path) -> object:
    try:
        info = path.stat()
    except OSError as error:
        return error.errno
    return info.st_ino, info.st_mtime_ns, info.st_size, info.st_mode, info.st_uid
