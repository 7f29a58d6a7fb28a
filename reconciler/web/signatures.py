"""Whether who delivers knows the secret: every form of signature that forges send, compared in constant time.

Whatever signature a request carries must be right. Were one enough, a weaker form could stand in for a stronger one
that was tampered with, and a forge set up with two secrets would seem to work until one of them was taken away.
A SHA-1 signature proves nothing: beside another it is passed over, alone it is refused.
Forbidden here: the meaning of a body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers

from reconciler.core.deliveries import Forge, signing_key
from reconciler.web.problems import refuse

SECRET_VARIABLE: Final = "RECONCILER_HOOK_SECRET"  # noqa: S105 - the variable's name
TOLERANCE: Final = timedelta(minutes=5)  # between the clocks of forge and reconciler, either way

_PREFIXED: Final = re.compile(r"sha256=([0-9a-fA-F]{64})")
_BARE: Final = re.compile(r"([0-9a-fA-F]{64})")
_STANDARD: Final = re.compile(r"v1,([A-Za-z0-9+/]{43}=)")
_STANDARD_ID: Final = re.compile(r"[!-\-/-~]{1,256}")  # visible ASCII without the full stop, which is what divides
_SECONDS: Final = re.compile(r"[0-9]{1,11}")

# In this order a request is told to be of a forge: Gitea's also carry GitHub's headers, Forgejo's also Gitea's.
_DIGESTS: Final[Mapping[str, tuple[Forge, re.Pattern[str]]]] = {
    "X-Forgejo-Signature": (Forge.FORGEJO, _BARE),
    "X-Gitea-Signature": (Forge.GITEA, _BARE),
    "X-Hub-Signature-256": (Forge.GITHUB, _PREFIXED),
    "X-Hub-Signature": (Forge.BITBUCKET, _PREFIXED),
    "X-Signature-256": (Forge.GENERIC, _PREFIXED),
}
_FORMS: Final = {_BARE: "64 hexadecimal digits", _PREFIXED: "sha256= and 64 hexadecimal digits"}
_TOKEN: Final = "X-Gitlab-Token"  # noqa: S105 - the header's name
_TOKEN_IDS: Final = ("Idempotency-Key", "X-Gitlab-Event-UUID")  # GitLab's; the first stays when it tries again
_STANDARD_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """What a request's headers claim, as far as that can be seen without its body.

    Attributes:
        forge: by whose form it is signed.
        digests: each the HMAC-SHA256 of the body, by the name of its header.
        standard: what is signed besides the body, and of the HMAC-SHA256 of both every one that is given.
        identity: the delivery's id, where it is signed, or where the secret itself was shown and nothing is signed.
    """

    forge: Forge
    digests: Mapping[str, bytes]
    standard: tuple[bytes, tuple[bytes, ...]] | None
    identity: bytes


def read_signatures(headers: Headers, secret: str, now: datetime) -> Signatures:
    """What the headers claim; what is wrong without a look at the body is refused without one."""
    given = [name for name in _DIGESTS if _one(headers, name) is not None and not _is_sha1(headers, name)]
    digests = {name: _digest(headers, name) for name in given}
    token, standard = _one(headers, _TOKEN), _standard(headers, now)
    if token is not None and not hmac.compare_digest(token.encode("latin-1"), secret.encode()):
        raise _refused(f"{_TOKEN} is not the secret that is set here.")
    if not (digests or token is not None or standard):
        raise _refused(_why_none(headers))
    by_gitlab = token is not None or (standard and "x-gitlab-event" in headers)
    forge = Forge.GITLAB if by_gitlab else _DIGESTS[given[0]][0] if given else Forge.GENERIC
    identity = _identity(headers, is_signed=standard is not None, by_token=not digests)
    return Signatures(forge=forge, digests=digests, standard=standard, identity=identity)


def _identity(headers: Headers, *, is_signed: bool, by_token: bool) -> bytes:
    names = _STANDARD_HEADERS[:1] if is_signed else _TOKEN_IDS if by_token else ()
    return next((headers[name].encode("latin-1") for name in names if headers.get(name)), b"")


def check_signatures(signatures: Signatures, secret: str, body: bytes) -> None:
    """Refuse a body of which any signature is wrong."""
    right = hmac.digest(secret.encode(), body, hashlib.sha256)
    wrong = [name for name, claimed in signatures.digests.items() if not hmac.compare_digest(claimed, right)]
    if signatures.standard:
        prefix, claims = signatures.standard
        right = hmac.digest(signing_key(secret), prefix + body, hashlib.sha256)
        if not any([hmac.compare_digest(claimed, right) for claimed in claims]):  # noqa: C419 - each in the same time
            wrong.append("webhook-signature")
    if wrong:
        raise _refused(f"Not made of this body with the secret that is set here: {', '.join(wrong)}.")


def _refused(detail: str) -> HTTPException:
    return refuse("signature-invalid", detail)


def _one(headers: Headers, name: str) -> str | None:
    """The header's value; two of one name are not chosen from."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise _refused(f"{name} must stand there once.")
    return values[0] if values else None


def _is_sha1(headers: Headers, name: str) -> bool:
    return name == "X-Hub-Signature" and headers[name].lower().startswith("sha1=")


def _digest(headers: Headers, name: str) -> bytes:
    form = _DIGESTS[name][1]
    if match := form.fullmatch(headers[name]):
        return bytes.fromhex(match[1])
    hint = (
        "" if headers[name].removeprefix("sha256=") else f" It is empty: give the forge the secret {SECRET_VARIABLE}."
    )
    raise _refused(f"{name} must be {_FORMS[form]}.{hint}")


def _standard(headers: Headers, now: datetime) -> tuple[bytes, tuple[bytes, ...]] | None:
    """The form of Standard Webhooks 1.0.0; several signatures stand there while a secret is exchanged."""
    identity, timestamp, signature = (_one(headers, name) for name in _STANDARD_HEADERS)
    if signature is None:
        return None
    if not _STANDARD_ID.fullmatch(identity or ""):
        raise _refused("webhook-id must go with webhook-signature: visible ASCII without a full stop.")
    if not _SECONDS.fullmatch(timestamp or ""):
        raise _refused("webhook-timestamp must go with webhook-signature: whole seconds since 1970.")
    if abs(now.timestamp() - int(timestamp or "")) > TOLERANCE.total_seconds():
        raise _refused("webhook-timestamp is more than 5 minutes from the reconciler's clock.")
    claims = [match[1] for match in map(_STANDARD.fullmatch, signature.split(" ")) if match]
    if not claims:
        raise _refused("webhook-signature must be v1, and the HMAC-SHA256 in Base64.")
    return f"{identity}.{timestamp}.".encode(), tuple(base64.b64decode(claim) for claim in claims)


def _why_none(headers: Headers) -> str:
    if "x-hub-signature" in headers:
        return "A SHA-1 signature is not enough: SHA-256 is needed, as in X-Hub-Signature-256."
    return f"The request is not signed. Give the forge the secret that {SECRET_VARIABLE} has here."
