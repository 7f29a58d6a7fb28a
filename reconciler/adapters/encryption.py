"""Encryption at rest: Fernet (AES-128-CBC and HMAC-SHA256) from ``cryptography``, with one key or several.

The newest key encrypts, all of them decrypt. Forbidden here: files, settings, and a key or a plaintext in an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from reconciler.errors import SealingError


class FernetEncryption:
    """Encrypts and decrypts; see ``ports.Encryption``.

    Args:
        keys: the newest first, each 32 bytes in URL-safe base64, as ``new_key`` makes them.

    Raises:
        ValueError: one of them is of another form.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        fernets = [Fernet(key) for key in keys]
        self._newest = fernets[0]
        self._all = MultiFernet(fernets)

    def encrypt(self, plain: bytes) -> str:
        """Encrypt with the newest key."""
        return self._newest.encrypt(plain).decode("ascii")

    def decrypt(self, encrypted: str) -> bytes:
        """Decrypt with whichever key fits.

        Raises:
            SealingError: none does, or something was changed.
        """
        try:
            return self._all.decrypt(encrypted)
        except (InvalidToken, UnicodeEncodeError):
            raise SealingError("no key of RECONCILER_ENCRYPTION_KEYS decrypts it, or something was changed") from None

    def is_newest(self, encrypted: str) -> bool:
        """Whether it was encrypted with the newest key."""
        try:
            self._newest.decrypt(encrypted)
        except (InvalidToken, UnicodeEncodeError):
            return False
        return True


def new_key() -> str:
    """A new key."""
    return Fernet.generate_key().decode("ascii")
