"""What a redirect asks for: the next request, or why there is none.

Credentials stay with the origin for which they are declared: a scheme, a host and a port (RFC 6454). Forbidden here:
sending anything, and saying which addresses may be called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

from reconciler.core.model import HttpRequest
from reconciler.core.visible import visible
from schemas.request import check_url

_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER: Final = 303
_POST_BECOMES_GET: Final = frozenset({301, 302, _SEE_OTHER})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_SHOWN: Final = 200

# By name, for a value does not say what it is. A harmless header that is held back does less harm than the opposite.
_CREDENTIAL: Final = re.compile(
    r"auth|cookie|token|secret|passw|key|sign|session|credential|jwt|csrf|xsrf|saml", re.IGNORECASE
)
_NO_CREDENTIAL: Final = frozenset({"idempotency-key"})


class Refusal(str):
    """Why a redirect is not followed, in a sentence."""

    __slots__ = ()


def follow(request: HttpRequest, status: int, location: str | None, *, followed: int) -> HttpRequest | Refusal | None:
    """Say what to send next.

    Args:
        request: that was answered.
        status: of the answer.
        location: the answer's header of that name, as it came, decoded as Latin-1.
        followed: how many redirects have been followed so far.

    Returns:
        The next request; why the redirect is not followed; or ``None`` where the answer is to be taken as it is.
    """
    if status not in _FOLLOWED or location is None or not request.follow_redirects:
        return None
    if followed >= request.follow_redirects:
        limit = "1 redirect" if followed == 1 else f"{followed} redirects"
        return Refusal(f"redirect to {place(location)} is not followed: more than {limit}")
    try:
        url = _target(request.url, location)
    except ValueError as error:
        return Refusal(f"redirect to {place(location)} is not followed: {error}")
    return _request(request, url, status)


def _target(url: str, location: str) -> str:
    """The absolute address that is meant (RFC 9110, section 10.2.2), fit to be called.

    Raises:
        ValueError: saying why it is not; without a part of it that may be secret.
    """
    text = _decoded(location).strip(" ").replace(" ", "%20")
    if not text.isprintable():
        raise ValueError("a URL has no spaces or control characters")
    try:
        joined, _ = urldefrag(urljoin(url, text))
    except ValueError:  # its text may hold a part of the URL
        raise ValueError("not a URL: its host or port cannot be read") from None
    target = check_url(joined)
    if url.lower().startswith("https:") and not target.lower().startswith("https:"):
        raise ValueError("it would leave https")
    return target


def _decoded(location: str) -> str:
    """Servers write what is not ASCII as UTF-8, if at all; as a header it was read as Latin-1."""
    try:
        return location.encode("latin-1").decode()
    except UnicodeError:
        return location


def _request(request: HttpRequest, url: str, status: int) -> HttpRequest | Refusal:
    headers = request.headers
    leaves = _origin(url) != _origin(request.url)
    if leaves:
        secret = {each.place.removeprefix("header:").lower() for each in request.secrets}
        headers = {
            name: value for name, value in headers.items() if not (is_credential(name) or name.lower() in secret)
        }
    becomes_get = status in _POST_BECOMES_GET and request.method == "POST"
    if becomes_get or (status == _SEE_OTHER and request.method not in ("GET", "HEAD")):
        return replace(request, method="GET", url=url, headers=_without_content(headers), body=None)
    if leaves and any(each.place.startswith(("body:", "form:")) for each in request.secrets):
        return Refusal(f"redirect to {place(url)} is not followed: the body holds a secret, which stays with its host")
    return replace(request, url=url, headers=headers)


def _without_content(headers: Mapping[str, str]) -> dict[str, str]:
    """RFC 9110, section 15.4: what describes a body goes with it."""
    return {name: value for name, value in headers.items() if not name.lower().startswith("content-")}


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").removesuffix("."), parts.port or _DEFAULT_PORTS.get(parts.scheme)


def is_credential(header: str) -> bool:
    """Whether a header's name says that its value gives rights to whoever has it."""
    return header.lower() not in _NO_CREDENTIAL and _CREDENTIAL.search(header) is not None


def place(location: str) -> str:
    """Show where a redirect leads, but for what may be secret in it: credentials and the query."""
    text = location.partition("?")[0].partition("#")[0]
    scheme, slashes, rest = text.partition("//")
    authority, slash, path = rest.partition("/")
    if slashes:
        text = f"{scheme}//{authority.rpartition('@')[2]}{slash}{path}"
    text = visible(text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
