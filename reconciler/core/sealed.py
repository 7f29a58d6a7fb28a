"""Sealed values and sealing keys as text, and what a sealed value is bound to.

    v1.<key id>.<base64url of the encapsulated key and the ciphertext>       a sealed value
    reconciler-seal-v1 <key id> <base64>                                     a public key, for the manifests' repository
    reconciler-seal-private-v1 <key id> <base64>                             its private key, for the reconciler alone

A key's id is the beginning of the SHA-256 of the public key. Forbidden here: cryptography beyond that hash.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, NamedTuple

from reconciler.core.model import SecretRef, SecretUse
from reconciler.errors import SealingError

PUBLIC: Final = "reconciler-seal-v1"
PRIVATE: Final = "reconciler-seal-private-v1"
KEY_BYTES: Final = 32  # of X25519

_VERSION: Final = "v1"
_LABEL: Final = b"cron-reconciler/sealed/v1"
_ID: Final = re.compile(r"[0-9a-f]{8}")
_PLACE: Final = re.compile(r"(header|query|form):[^\x00-\x1f]+|body:(/[^\x00-\x1f]*)?|auth:[^\x00-\x1f]+")


class Sealed(NamedTuple):
    """A sealed value: the id of the key that opens it, and the bytes to be opened."""

    key_id: str
    data: bytes

    @classmethod
    def parse(cls, text: str) -> Sealed:
        """Read a sealed value.

        Raises:
            SealingError: it is none, or not a whole one.
        """
        version, _, rest = text.partition(".")
        key_id, dot, data = rest.partition(".")
        if version != _VERSION or not dot or not _ID.fullmatch(key_id):
            raise SealingError("it is no sealed value; `reconciler seal` makes them")
        try:
            sealed = cls(key_id, base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError):
            sealed = None
        if sealed is None or str(sealed) != text:
            raise SealingError("it is not whole: its end is missing, or something was changed in it")
        return sealed

    def __str__(self) -> str:
        return f"{_VERSION}.{self.key_id}.{base64.urlsafe_b64encode(self.data).decode().rstrip('=')}"


class KeyText(NamedTuple):
    """A key as it stands in its file."""

    kind: str
    key_id: str
    data: bytes

    @classmethod
    def parse(cls, text: str, kind: str) -> KeyText:
        """Read a key of this kind, ``PUBLIC`` or ``PRIVATE``.

        Raises:
            SealingError: saying what it is instead.
        """
        found, *rest = text.split() or [""]
        if found != kind:
            raise SealingError(_instead(found, kind))
        try:
            key_id, encoded = rest
            data = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise SealingError("the key is not whole: one line with three words makes one") from None
        if not _ID.fullmatch(key_id) or len(data) != KEY_BYTES:
            raise SealingError("the key is not whole: something is missing, or was changed in it")
        return cls(kind, key_id, data)

    def __str__(self) -> str:
        return f"{self.kind} {self.key_id} {base64.b64encode(self.data).decode()}"


def _instead(found: str, kind: str) -> str:
    if found == PRIVATE:
        return "this is a private key, and the public one is meant; keep it from everybody"
    if found == PUBLIC:
        return "this is a public key, which opens nothing; the private one is meant"
    word = "public" if kind == PUBLIC else "private"
    return f"it holds no {word} sealing key; `reconciler keygen` makes a pair"


def bound_to(application: str, field: str) -> bytes:
    """What a value is sealed for, as HPKE's ``info``: it opens for nothing else (RFC 9180, section 5.1)."""
    return b"\0".join((_LABEL, application.encode(), field.encode()))


def field_of(place: str, api: str | None) -> str:
    """The field that a value for this place is bound to; ``api`` is ``None`` for one of the Application itself.

    Raises:
        SealingError: no secret can stand at such a place.
    """
    if not _PLACE.fullmatch(place):
        raise SealingError(
            f"{place!r} is no place for a secret; write header:NAME, query:NAME, form:NAME, body:/json/pointer "
            "or auth:FIELD"
        )
    where = place.partition(":")[0]
    if api is None and where in ("form", "body"):
        raise SealingError(f"{place!r} stands in the request of an Api; name it with --api")
    return use_at(place, api).field(api or "")


def use_at(place: str, api: str | None, text: str = "") -> SecretUse:
    """A sealed value at a place: of an Api, or of the Application itself."""
    return SecretUse(place=place, ref=SecretRef(kind="sealed", name=text), shared=api is None)
