"""From ``auth`` as it is declared to how a job's calls authenticate; and how that is told apart, and shown.

Forbidden here: a value of a secret, asking for a credential, and applying one (``core.credentials``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from reconciler.core.model import Auth, HttpRequest, SecretUse
from reconciler.core.requests import address_fault, compose, use
from schemas.auth import (
    HANDSHAKE_PATH,
    OFF,
    BasicAuth,
    BearerAuth,
    HandshakeAuth,
    HeaderAuth,
    HmacAuth,
    OAuth2Auth,
)
from schemas.auth import Auth as DeclaredAuth
from schemas.request import Request
from schemas.secret import SecretRef

# Which headers each way sets (RFC 9110, section 11.6.2; Standard Webhooks); ``header`` names its own.
_SETS: Final = {
    "basic": ("authorization",),
    "bearer": ("authorization",),
    "oauth2": ("authorization",),
    "handshake": ("authorization",),
    "hmac": ("webhook-id", "webhook-timestamp", "webhook-signature"),
}
_FORM: Final = "application/x-www-form-urlencoded"
_OF_HANDSHAKE: Final = frozenset({"url", "path", "query", "headers", "json_body"})


def resolve(declared: DeclaredAuth, *, base_url: str | None, shared: bool) -> Auth | str | None:
    """Make a declared way explicit.

    Args:
        declared: as the manifest has it.
        base_url: the Application's.
        shared: whether the Application declares it, for all its Apis.

    Returns:
        ``None`` where it is switched off; why it cannot be used, as a sentence.
    """
    if declared.kind == OFF:
        return None
    way = declared.way
    if isinstance(way, HandshakeAuth):
        return _handshake(way, base_url, shared=shared)
    fields, secrets = _plain(way)
    uses = tuple(use(f"auth:{name}", ref, shared=shared) for name, ref in secrets)
    return Auth(kind=declared.kind, secrets=uses, **fields)


def _plain(way: Any) -> tuple[dict[str, Any], list[tuple[str, SecretRef]]]:
    """What every way but a handshake says: what is no secret, and what is one."""
    match way:
        case BasicAuth():
            username, secret = _user(way.username, "username")
            return {"username": username}, [*secret, ("password", way.password)]
        case BearerAuth():
            return {}, [("token", way.token)]
        case HeaderAuth():
            return {"header": way.name}, [("value", way.value)]
        case HmacAuth():
            return {}, [("secret", each) for each in way.secrets or (way.secret,) if each is not None]
        case OAuth2Auth():
            client, secret = _user(way.client_id, "clientId")
            fields = {"username": client, "scopes": way.scopes, "audience": way.audience or "", "style": way.style}
            return fields | {"request": _token_request(way)}, [*secret, ("clientSecret", way.client_secret)]
    raise AssertionError(way)  # pragma: no cover - there is no other


def _user(declared: str | SecretRef, name: str) -> tuple[str, list[tuple[str, SecretRef]]]:
    return ("", [(name, declared)]) if isinstance(declared, SecretRef) else (declared, [])


def _token_request(way: OAuth2Auth) -> HttpRequest:
    request = compose(Request(method="POST", url=way.token_url), base_url=None, headers={}, query={})
    return replace(request, headers={"Content-Type": _FORM, "Accept": "application/json"})


def _handshake(way: HandshakeAuth, base_url: str | None, *, shared: bool) -> Auth | str:
    said = {name: getattr(way, name) for name in way.model_fields_set & _OF_HANDSHAKE} | {"method": way.method}
    if way.url is None:
        said["path"] = way.path or HANDSHAKE_PATH
    request = Request.model_construct(**said, _fields_set=set(said))
    if address_fault(request, base_url) is not None:
        return "the `path` of a handshake needs the Application's `baseUrl`; give that, or a `url`"
    composed = compose(request, base_url=base_url, headers={"Accept": "application/json"}, query={})
    uses = tuple(
        replace(each, place=f"auth:{each.place}", shared=shared and each.ref.kind == "sealed")
        for each in composed.secrets
    )
    return Auth(kind="handshake", request=replace(composed, secrets=()), secrets=uses)


def headers_set(auth: Auth) -> tuple[str, ...]:
    """The headers that it sets, in lower case."""
    return (auth.header.lower(),) if auth.header else _SETS[auth.kind]


def header_fault(auth: Auth, request: HttpRequest) -> str | None:
    """Why a request cannot authenticate so: it declares one of the headers itself."""
    own = {name.lower() for name in request.headers}
    own |= {each.place.partition(":")[2].lower() for each in request.secrets if each.place.startswith("header:")}
    twice = next((name for name in headers_set(auth) if name in own), None)
    if twice is None:
        return None
    return f"the header `{twice}` is declared among `headers` too; remove it there, or write `auth: {{none: true}}`"


def digest(auth: Auth, api: str) -> str:
    """Of everything that a credential depends on: 32 hexadecimal digits, the same on every machine.

    Sealed values of an Api are bound to it, and so is what they fetch.
    """
    content: list[Any] = [
        auth.kind,
        auth.username,
        auth.header,
        auth.scopes,
        auth.audience,
        auth.style,
        _request(auth.request),
    ]
    content += [(*_secret(each), each.field(api) if each.ref.kind == "sealed" else "") for each in auth.secrets]
    return sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:32]


def content(auth: Auth) -> list[Any]:
    """Everything that it says, for a job's digest."""
    plain = (auth.username, auth.header, auth.scopes, auth.audience, auth.style)
    return [auth.kind, plain, _request(auth.request), [_secret(each) for each in auth.secrets]]


def _request(request: HttpRequest | None) -> list[Any] | None:
    if request is None:
        return None
    return [request.method, request.url, sorted(request.headers.items()), request.body]


def _secret(each: SecretUse) -> tuple[str, str, str, bool]:
    return each.place, each.ref.kind, each.ref.name, each.shared


def plain_fields(auth: Auth) -> Iterator[tuple[str, str]]:
    """What it says that is no secret, in the words of a manifest, each under its field."""
    yield "auth", auth.kind
    named = "auth clientId" if auth.kind == "oauth2" else "auth username"
    for name, value in ((named, auth.username), ("auth name", auth.header), ("auth audience", auth.audience)):
        if value:
            yield name, value
    if auth.scopes:
        yield "auth scopes", ", ".join(auth.scopes)
    if auth.style:
        yield "auth style", auth.style
    if auth.request is not None:
        yield "auth request", f"{auth.request.method} {auth.request.url}"
        if auth.kind == "handshake":
            yield from ((f"auth header {name}", value) for name, value in auth.request.headers.items())
            if auth.request.body is not None:
                yield "auth body", auth.request.body
