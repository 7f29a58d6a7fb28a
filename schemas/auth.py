"""How calls authenticate to their target: exactly one way for an Application, and another one or none for an Api.

Whatever is secret is a reference. Forbidden here: asking for a credential, and knowing what a target answers.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from schemas.base import LackingError, Strict, clean_text
from schemas.request import HeaderName, Headers, Parameters, Path, Url
from schemas.secret import AsReference, AsText, JsonBody, Secret, is_reference_or_text

KINDS: Final = ("basic", "bearer", "header", "oauth2", "hmac", "handshake")
HANDSHAKE_PATH: Final = "/auth/handshake"
OFF: Final = "none"

_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3
_EXACTLY_ONE: Final = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})


def _user(value: str) -> str:
    if ":" in clean_text(value):
        raise ValueError("a user name has no colon in it: what follows one would be the password (RFC 7617)")
    return value


def _scope(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise ValueError("a scope has no spaces, quotes or backslashes; write several as a list")
    return value


def _true(value: object) -> object:
    if value is not True:
        raise ValueError("write `none: true`, or leave `auth` out")
    return value


_Text = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(clean_text)]
_User = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_user)]
UserOrSecret = Annotated[Annotated[_User, AsText] | Annotated[Secret, AsReference], is_reference_or_text]
TextOrSecret = Annotated[Annotated[_Text, AsText] | Annotated[Secret, AsReference], is_reference_or_text]


class BasicAuth(Strict):
    """A user name and a password (RFC 7617)."""

    username: UserOrSecret = Field(description="As text, or as a secret.")
    password: Secret = Field(description="A secret.")


class BearerAuth(Strict):
    """A token that does not change by itself (RFC 6750)."""

    token: Secret = Field(description="A secret; sent as `Authorization: Bearer`.")


class HeaderAuth(Strict):
    """An API key in a header of its own."""

    name: HeaderName = Field(description="The header.")
    value: Secret = Field(description="A secret.")


class OAuth2Auth(Strict):
    """Client credentials (RFC 6749, section 4.4): a token is fetched, used until it is about to expire, and renewed."""

    token_url: Url = Field(description="The token endpoint.")
    client_id: TextOrSecret = Field(description="As text, or as a secret.")
    client_secret: Secret = Field(description="A secret.")
    scopes: Annotated[tuple[Annotated[str, AfterValidator(_scope)], ...], Field(strict=False)] = Field(
        default=(), description="What is asked for."
    )
    audience: _Text | None = Field(default=None, description="Sent as `audience`, where the endpoint wants it.")
    style: Literal["basic", "body"] = Field(
        default="basic", description="Where id and secret go: an `Authorization` header, or the form."
    )


class HmacAuth(Strict):
    """Requests are signed by Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`."""

    secret: Secret | None = Field(
        default=None, description="A secret: `whsec_` and base64, or any text, which is then the key as it stands."
    )
    secrets: Annotated[tuple[Secret, ...], Field(strict=False, min_length=1, max_length=2)] | None = Field(
        default=None, description="While one secret takes the place of another: both; every call has two signatures."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> HmacAuth:
        if (self.secret is None) == (self.secrets is None):
            raise (LackingError if self.secret is None else ValueError)("give either `secret` or `secrets`")
        return self


class HandshakeAuth(Strict):
    """Before a run the target is asked for a credential, which is used until it expires or is refused."""

    path: Path | None = Field(
        default=None, description=f"Appended to the Application's `baseUrl`; `{HANDSHAKE_PATH}` unless declared."
    )
    url: Url | None = Field(default=None, description="An absolute address, instead of `path`.")
    method: Literal["POST", "GET", "PUT"] = Field(default="POST", description="The HTTP method.")
    headers: Headers = Field(default={}, description="Sent with the handshake alone; a value may be a secret.")
    query: Parameters = Field(default={}, description="Query parameters; a value may be a secret.")
    json_body: JsonBody = Field(
        default=None, alias="json", description="The body, as JSON; `{$secret: {env: NAME}}` stands for a secret."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> HandshakeAuth:
        if self.url is not None and self.path is not None:
            raise ValueError("give either `url` or `path`, not both")
        if "json_body" in self.model_fields_set and self.method == "GET":
            raise ValueError("a GET request carries no body")
        return self


class Auth(Strict):
    """How the calls of an Application authenticate: exactly one of these."""

    model_config = _EXACTLY_ONE

    basic: BasicAuth | None = Field(default=None, description="A user name and a password.")
    bearer: BearerAuth | None = Field(default=None, description="A token that does not change by itself.")
    header: HeaderAuth | None = Field(default=None, description="An API key in a header of its own.")
    oauth2: OAuth2Auth | None = Field(default=None, description="Client credentials: a token endpoint gives a token.")
    hmac: HmacAuth | None = Field(default=None, description="Every request is signed by Standard Webhooks.")
    handshake: HandshakeAuth | None = Field(
        default=None, description="The target itself gives a credential before a run."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Auth:
        if len(given := self._given()) != 1:
            raise (ValueError if given else LackingError)(f"give exactly one of {', '.join(self._choices())}")
        return self

    def _given(self) -> list[str]:
        return [name for name in self._choices() if getattr(self, name) is not None]

    @classmethod
    def _choices(cls) -> tuple[str, ...]:
        return tuple(cls.model_fields)

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return self._given()[0]

    @property
    def way(self) -> Any:
        """What stands there."""
        return getattr(self, self.kind)


class ApiAuth(Auth):
    """How the calls of one Api authenticate, instead of its Application's way: exactly one of these."""

    model_config = _EXACTLY_ONE

    none: Annotated[Literal[True], BeforeValidator(_true)] | None = Field(
        default=None, description="Not at all, whatever the Application says."
    )
