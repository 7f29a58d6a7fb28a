"""Sealing and opening: HPKE (RFC 9180) in base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305, from ``cryptography``.

Anybody with the public key can seal; only the private one opens, and only for the Application and the field that the
value was sealed for. Forbidden here: files, and a value in an error's text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from reconciler.core.sealed import PRIVATE, PUBLIC, KeyText, Sealed, bound_to
from reconciler.errors import SealingError

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _id(public: X25519PublicKey) -> str:
    return sha256(public.public_bytes_raw()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Seals."""

    key: X25519PublicKey

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read one from its file's text.

        Raises:
            SealingError: it is none.
        """
        written = KeyText.parse(text, PUBLIC)
        found = cls(X25519PublicKey.from_public_bytes(written.data))
        if found.id != written.key_id:
            raise SealingError("the key does not fit its id: something was changed in it")
        return found

    @property
    def id(self) -> str:
        """What sealed values name it by."""
        return _id(self.key)

    def __str__(self) -> str:
        return str(KeyText(PUBLIC, self.id, self.key.public_bytes_raw()))

    def seal(self, value: str, *, application: str, field: str) -> str:
        """Seal a value for one field of one Application.

        Raises:
            SealingError: it has no UTF-8.
        """
        try:
            data = _SUITE.encrypt(value.encode(), self.key, info=bound_to(application, field))
        except UnicodeEncodeError:
            raise SealingError("the value is no text in UTF-8") from None
        return str(Sealed(self.id, data))


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Opens what was sealed with its public key."""

    key: X25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new one."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> PrivateKey:
        """Read one from its file's text.

        Raises:
            SealingError: it is none.
        """
        written = KeyText.parse(text, PRIVATE)
        found = cls(X25519PrivateKey.from_private_bytes(written.data))
        if found.id != written.key_id:
            raise SealingError("the key does not fit its id: something was changed in it")
        return found

    @property
    def public(self) -> PublicKey:
        """Its public key."""
        return PublicKey(self.key.public_key())

    @property
    def id(self) -> str:
        """What sealed values name it by."""
        return _id(self.key.public_key())

    def text(self) -> str:
        """The line for its file."""
        return str(KeyText(PRIVATE, self.id, self.key.private_bytes_raw()))

    def open(self, text: str, *, application: str, field: str) -> str:
        """Open a sealed value.

        Raises:
            SealingError: it was sealed with another key, for another field, or is not whole.
        """
        sealed = Sealed.parse(text)
        if sealed.key_id != self.id:
            raise SealingError(f"it was sealed with key {sealed.key_id}, not with {self.id}")
        try:
            return _SUITE.decrypt(sealed.data, self.key, info=bound_to(application, field)).decode()
        except (InvalidTag, ValueError):
            raise SealingError(
                f"it does not open: it was sealed for something else than {field} of {application}, "
                "or its end is missing, or something was changed in it"
            ) from None
