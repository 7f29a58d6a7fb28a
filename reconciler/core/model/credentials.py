"""What authenticates a call. Forbidden here: decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.model.requests import HttpRequest
from reconciler.core.model.secrets import SecretUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How calls authenticate, with nothing left to resolve but its secrets, whose values stand nowhere in it.

    Attributes:
        kind: ``basic``, ``bearer``, ``header``, ``oauth2``, ``hmac`` or ``handshake``.
        username: of ``basic``, the client's id of ``oauth2``; empty where it is a secret.
        header: the name of the header, of ``header``.
        request: what fetches a credential, of ``oauth2`` and ``handshake``, but for what is put in before it is sent.
        scopes, audience, style: of ``oauth2``.
        secrets: each at ``auth:FIELD``; of a handshake also ``auth:header:NAME``, ``auth:query:NAME``,
            ``auth:body:/json/pointer``. Two at ``auth:secret``, the present one first, while one replaces the other.
    """

    kind: str
    username: str = ""
    header: str = ""
    request: HttpRequest | None = None
    scopes: tuple[str, ...] = ()
    audience: str = ""
    style: str = ""
    secrets: tuple[SecretUse, ...] = ()

    @property
    def is_fetched(self) -> bool:
        """Whether its credentials are asked for, expire, and are fetched once more when they are refused."""
        return self.request is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a target or a token endpoint has given, in plain: it is held in memory, and stands nowhere else.

    Attributes:
        kind: ``Basic`` or ``BearerToken``.
        username: of ``Basic``.
        secret: the password, the token.
        obtained_at: when it was asked for.
        expires_at: it is not used from then on; ``None`` where that was not said.
    """

    kind: str
    username: str = field(default="", repr=False)
    secret: str = field(repr=False)
    obtained_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCredential:
    """A credential as it stands in the store: encrypted.

    Attributes:
        id: ``application/digest``.
        digest: of the ``auth`` that it was fetched by; another ``auth`` never uses it.
        sealed: the credential, encrypted together with its id.
        obtained_at, expires_at: as in the credential; those within are what counts.
    """

    id: str
    application: str
    kind: str
    digest: str
    sealed: str = field(repr=False)
    obtained_at: datetime
    expires_at: datetime | None = None
