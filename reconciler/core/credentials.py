"""Credentials for targets: asking for one, reading the answer, putting it into a call, signing.

What a target or a token endpoint answers may be anything, and may hold what nobody should see: no reason that is given
here quotes a value of it. Forbidden here: sending, keeping and encrypting; the time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from reconciler.core.auth import headers_set
from reconciler.core.deliveries import signing_key
from reconciler.core.model import Auth, Credential, HttpRequest, Reply, SecretUse, whole_milliseconds
from reconciler.core.secrets import filled, header_value
from reconciler.errors import SecretError
from schemas.request import check_header_value

Found = Sequence[tuple[SecretUse, str]]  # every reference with its value

LONGEST_SECRET: Final = 16 * 1024  # bytes; servers take no longer headers
_LONGEST_LIFE: Final = timedelta(days=3650)
_EARLY: Final = timedelta(seconds=30)
_EARLY_PART: Final = 10  # a tenth of its life, where that is shorter
_NUMBER: Final = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_OK: Final = range(200, 300)
# RFC 6749, section 5.2. Nothing else of an error is shown: descriptions quote what was sent.
_OAUTH_ERRORS: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
    | {"invalid_scope", "access_denied", "temporarily_unavailable", "server_error", "slow_down"}
)
_KINDS: Final = {"basic": "Basic", "bearertoken": "BearerToken", "bearer": "BearerToken"}


class RefusedError(ValueError):
    """An answer that gives no credential; the text says why, without any of its values."""


# --- asking --------------------------------------------------------------------------------------------------------


def fetching(auth: Auth, found: Found) -> HttpRequest:
    """The request that asks for a credential.

    Raises:
        SecretError: a value cannot stand where it is meant to.
    """
    if auth.request is None:
        raise ValueError(f"nothing is fetched for {auth.kind}")
    if auth.kind == "oauth2":
        return _token_request(auth, auth.request, found)
    secrets = tuple(replace(use, place=use.place.removeprefix("auth:")) for use, _ in found)
    values = {use.place.removeprefix("auth:"): value for use, value in found}
    return filled(replace(auth.request, secrets=secrets), values)


def _token_request(auth: Auth, request: HttpRequest, found: Found) -> HttpRequest:
    """RFC 6749, section 4.4.2; the client is named as section 2.3.1 says: each part is form-encoded first."""
    values = _by_field(found)
    client, secret = values.get("clientId", auth.username), values["clientSecret"]
    form = {"grant_type": "client_credentials"}
    if auth.scopes:
        form["scope"] = " ".join(auth.scopes)
    if auth.audience:
        form["audience"] = auth.audience
    headers = dict(request.headers)
    if auth.style == "body":
        form |= {"client_id": client, "client_secret": secret}
    else:
        headers["Authorization"] = _basic(quote_plus(client), quote_plus(secret))
    return replace(request, headers=headers, body=urlencode(form))


def _by_field(found: Found) -> dict[str, str]:
    return {use.place.removeprefix("auth:"): value for use, value in found}


# --- reading -------------------------------------------------------------------------------------------------------


def read_answer(auth: Auth, reply: Reply, now: datetime) -> Credential:
    """The credential that an answer gives.

    Args:
        auth: by which it was asked for.
        reply: what came.
        now: when it was asked for: lifetimes count from then.

    Raises:
        RefusedError: it gives none that can be used.
    """
    if reply.error is not None:
        raise RefusedError(reply.error)
    answer = _object(reply)
    if reply.status is None or reply.status not in _OK:
        code = answer.get("error") if answer is not None else None
        known = auth.kind == "oauth2" and isinstance(code, str) and code in _OAUTH_ERRORS
        raise RefusedError(f"status {reply.status}, {code}" if known else f"status {reply.status}")
    if answer is None:
        raise RefusedError(_no_object(reply))
    read = _token_answer if auth.kind == "oauth2" else _handshake_answer
    return read(answer, whole_milliseconds(now))


def _object(reply: Reply) -> dict[str, Any] | None:
    try:
        answer = json.loads(reply.body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _no_number(_: str) -> None:
    raise ValueError("JSON has no such number")


def _no_object(reply: Reply) -> str:
    if not reply.body.strip():
        return "the answer is empty"
    is_html = "html" in (reply.content_type or "").lower() or reply.body.lstrip()[:1] == b"<"
    return f"the answer is {'HTML, not JSON' if is_html else 'no JSON object'}"


def _handshake_answer(answer: Mapping[str, Any], now: datetime) -> Credential:
    given = answer.get("authType")
    if given is None:
        error = "; it holds an error" if any(answer.get(name) for name in ("error", "errors", "message")) else ""
        raise RefusedError(f"the answer has no `authType`{error}")
    kind = _KINDS.get(given.lower()) if isinstance(given, str) else None
    if kind is None:
        raise RefusedError("the answer's `authType` is neither Basic nor BearerToken")
    expires = _earliest(_after(answer, "expiresIn", now), _at(answer, "expiresAt"), now)
    if kind == "BearerToken":
        return Credential(kind=kind, secret=_token(answer, "token"), obtained_at=now, expires_at=expires)
    username, password = _text(answer, "username"), _text(answer, "password")
    if ":" in username:
        raise RefusedError("the answer's `username` has a colon in it")
    if not (username.isprintable() and password.isprintable()):
        raise RefusedError("the answer's `username` or `password` has control characters in it")
    return Credential(kind=kind, username=username, secret=password, obtained_at=now, expires_at=expires)


def _token_answer(answer: Mapping[str, Any], now: datetime) -> Credential:
    """RFC 6749, section 5.1; a missing ``expires_in`` is allowed, and so are others' digits in quotes."""
    if answer.get("access_token") is None:
        error = answer.get("error")
        known = f": {error}" if isinstance(error, str) and error in _OAUTH_ERRORS else ""
        said = f"; it holds an error{known}" if error else ""
        raise RefusedError(f"the answer has no `access_token`{said}")
    kind = answer.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise RefusedError("the answer's `token_type` is not Bearer")
    expires = _earliest(_after(answer, "expires_in", now), None, now)
    token = _token(answer, "access_token")
    return Credential(kind="BearerToken", secret=token, obtained_at=now, expires_at=expires)


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise RefusedError(f"the answer has no `{name}`, or it is no text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise RefusedError(f"the answer's `{name}` is no text") from None
    if size > LONGEST_SECRET:
        raise RefusedError(f"the answer's `{name}` is longer than {LONGEST_SECRET // 1024} KiB")
    return value


def _token(answer: Mapping[str, Any], name: str) -> str:
    token = _text(answer, name)
    try:
        check_header_value(token)
    except ValueError as error:
        raise RefusedError(f"the answer's `{name}` cannot be sent: {error}") from None
    if token != token.strip():
        raise RefusedError(f"the answer's `{name}` begins or ends with a blank")
    return token


def _after(answer: Mapping[str, Any], name: str, now: datetime) -> datetime | None:
    value = answer.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(f"the answer's `{name}` is no number of seconds")
    if value <= 0:
        raise RefusedError(f"the answer's `{name}` is not positive: the credential has expired already")
    return whole_milliseconds(now + timedelta(seconds=min(value, _LONGEST_LIFE.total_seconds())))


def _at(answer: Mapping[str, Any], name: str) -> datetime | None:
    value = answer.get(name)
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
        return whole_milliseconds(instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant)
    except (TypeError, ValueError, OverflowError):
        raise RefusedError(f"the answer's `{name}` is no instant, such as 2026-03-01T12:00:00Z") from None


def _earliest(one: datetime | None, other: datetime | None, now: datetime) -> datetime | None:
    expires = min(each for each in (one, other) if each is not None) if one or other else None
    if expires is not None and expires <= now:
        raise RefusedError("the credential has expired already")
    return expires


def is_fresh(credential: Credential, now: datetime) -> bool:
    """Whether it need not be renewed yet: that is done 30 s before its end, or a tenth of its life where that is less.

    One that was obtained in the future, by a clock that was wrong, is not.
    """
    if credential.obtained_at > now + _EARLY:
        return False
    if credential.expires_at is None:
        return True
    life = credential.expires_at - credential.obtained_at
    return now < credential.expires_at - min(_EARLY, life / _EARLY_PART)


def is_alive(credential: Credential, now: datetime) -> bool:
    """Whether it can still be used."""
    return credential.expires_at is None or now < credential.expires_at


# --- putting in ----------------------------------------------------------------------------------------------------


def authenticated(request: HttpRequest, auth: Auth, found: Found) -> HttpRequest:
    """The request with the header of ``basic``, ``bearer`` or ``header``.

    Raises:
        SecretError: a value cannot be sent.
    """
    values = _by_field(found)
    use = next(use for use, _ in found if use.place in ("auth:password", "auth:token", "auth:value"))
    if auth.kind == "basic":
        return _with(request, use, "Authorization", _basic(_user(auth, found), values["password"]))
    value = header_value(use, values["token" if auth.kind == "bearer" else "value"])
    name, value = ("Authorization", f"Bearer {value}") if auth.kind == "bearer" else (auth.header, value)
    return _with(request, use, name, value)


def _user(auth: Auth, found: Found) -> str:
    for use, value in found:
        if use.place == "auth:username":
            if ":" in value:
                raise SecretError(use.ref, "it is a user name and has a colon in it")
            return value
    return auth.username


def with_credential(request: HttpRequest, auth: Auth, credential: Credential) -> HttpRequest:
    """The request with what was fetched."""
    return _with(request, auth.secrets[0] if auth.secrets else None, "Authorization", header_of(credential))


def header_of(credential: Credential) -> str:
    """What it is sent as."""
    if credential.kind == "Basic":
        return _basic(credential.username, credential.secret)
    return f"Bearer {credential.secret}"


def _with(request: HttpRequest, use: SecretUse | None, name: str, value: str) -> HttpRequest:
    """With a header that a redirect takes nowhere else."""
    secrets = request.secrets if use is None else (*request.secrets, replace(use, place=f"header:{name}"))
    return replace(request, headers={**request.headers, name: value}, secrets=secrets)


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def pair_of(credential: Credential) -> str:
    """User and password, joined as they are sent: what is masked as one; empty for a token."""
    return f"{credential.username}:{credential.secret}" if credential.kind == "Basic" else ""


def pair_in(request: HttpRequest) -> str:
    """The same of a request that authenticates so; empty where it does not."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    try:
        return base64.b64decode(text, validate=True).decode() if scheme == "Basic" else ""
    except ValueError:  # declared by hand
        return ""


def signed(request: HttpRequest, found: Found, *, run_id: str, now: datetime) -> HttpRequest:
    """The request with the headers of Standard Webhooks (https://www.standardwebhooks.com), one signature per secret.

    Raises:
        SecretError: a secret begins like one of theirs, and is no base64 from there on, or is empty.
    """
    timestamp = str(int(now.timestamp()))
    content = f"{run_id}.{timestamp}.{request.body or ''}".encode()
    signatures = " ".join(_signature(use, value, content) for use, value in found)
    headers = {"webhook-id": run_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
    return replace(request, headers={**request.headers, **headers})


def _signature(use: SecretUse, value: str, content: bytes) -> str:
    try:
        key = signing_key(value)
    except ValueError as error:
        raise SecretError(use.ref, str(error)) from None
    if not key:
        raise SecretError(use.ref, "it is empty")
    return f"v1,{base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()}"


def is_replaced(request: HttpRequest, auth: Auth) -> bool:
    """Whether whoever triggered this run has put a header of their own in the place of the credential."""
    own = {name.lower() for name in request.headers}
    return any(name in own for name in headers_set(auth))


# --- at rest -------------------------------------------------------------------------------------------------------


def plaintext(credential_id: str, credential: Credential) -> bytes:
    """What is encrypted: the credential, and whose it is, so that no other record can hold it."""
    expires = credential.expires_at
    content = {
        "id": credential_id,
        "kind": credential.kind,
        "username": credential.username,
        "secret": credential.secret,
        "obtainedAt": credential.obtained_at.isoformat(),
        "expiresAt": None if expires is None else expires.isoformat(),
    }
    return json.dumps(content).encode()


def from_plaintext(credential_id: str, plain: bytes) -> Credential:
    """Read back what was encrypted for this record.

    Raises:
        ValueError: it is another record's, or not what ``plaintext`` writes.
    """
    try:
        content = json.loads(plain)
        whose, expires = content["id"], content["expiresAt"]
        if whose != credential_id:
            raise RefusedError("it was encrypted for another record")  # noqa: TRY301 - one of two reasons
        return Credential(
            kind=str(content["kind"]),
            username=str(content["username"]),
            secret=str(content["secret"]),
            obtained_at=datetime.fromisoformat(content["obtainedAt"]),
            expires_at=None if expires is None else datetime.fromisoformat(expires),
        )
    except RefusedError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("it is not what was encrypted") from error
