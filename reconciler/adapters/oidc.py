"""Logins of an OpenID Connect issuer: its keys, fetched and kept, and its tokens, looked at with them.

Calls go through the Caller, and so by the operator's policy on addresses. Keys are fetched when they are needed, kept
for as long as the issuer says (an hour at most), and fetched anew for a key that is not known, but not more often than
every half minute. Forbidden here: what somebody may do, and anything of a token in an error or in the log.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from structlog import get_logger

from reconciler.core.model import HttpRequest
from reconciler.errors import IssuerUnavailableError, TokenRefusedError
from reconciler.ports import Caller, Clock

SKEW: Final = timedelta(seconds=60)  # between clocks
LONGEST: Final = timedelta(hours=1)  # that keys are kept
PAUSE: Final = timedelta(seconds=30)  # between two attempts to fetch keys

_TIMEOUT: Final = timedelta(seconds=5)
_MOST: Final = 16 * 1024  # characters of a token that are looked at
# Asymmetric alone: with `none` nothing is signed, and with HS256 a public key would do for a secret (RFC 8725, 3.1).
_ALGORITHMS: Final[Mapping[str, frozenset[str]]] = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "EC": frozenset({"ES256", "ES384", "ES512"}),
    "OKP": frozenset({"EdDSA"}),
}
_KNOWN: Final = frozenset().union(*_ALGORITHMS.values())
_LAST: Final = 253_402_300_799  # the last second that a date can be, in the year 9999 (RFC 7519, 2: NumericDate)
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})", re.IGNORECASE)

_log = get_logger(__name__)


class OidcIssuer:
    """Checks tokens of one issuer."""

    def __init__(self, issuer: str, audience: str, caller: Caller, clock: Clock) -> None:
        """Trust what ``issuer`` has signed for ``audience``; ask it through ``caller``."""
        self._issuer = issuer
        self._audience = audience
        self._caller = caller
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._good_until = timedelta(0)
        self._next_fetch = timedelta(0)
        self._away = "it has not been asked yet"
        self._fetching = asyncio.Lock()

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What is signed in a token; see ``ports.Issuer``."""
        header = self._header(token)
        key = await self._key(header)
        if key.algorithm_name not in _KNOWN or header["alg"] != key.algorithm_name:
            raise TokenRefusedError("the login's token is signed by another algorithm than its key is for")
        return self._decoded(token, key)

    def _header(self, token: str) -> Mapping[str, Any]:
        """What can be seen without a key; a token of somebody else costs no look at the issuer."""
        if len(token) > _MOST:
            raise TokenRefusedError("the login's token is too long")
        try:
            header = jwt.get_unverified_header(token)
            if "crit" in header:  # the library knows one, and reads the token by it
                raise TokenRefusedError("the login's token asks for an extension that is not known here")
            claimed = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
            raise TokenRefusedError("the token is neither one that is known here nor a readable JWT") from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in _KNOWN:
            raise TokenRefusedError("the login's token is not signed by an algorithm that is trusted here")
        if claimed.get("iss") != self._issuer:
            raise TokenRefusedError("the login's token is of another issuer")
        return header

    def _decoded(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        now = self._clock.now().timestamp()
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.MissingRequiredClaimError as error:
            raise TokenRefusedError(f"the login's token lacks the claim {error.claim}") from None
        except jwt.InvalidAudienceError:
            raise TokenRefusedError("the login's token is meant for another audience") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise TokenRefusedError("the signature of the login's token is not right") from None
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise TokenRefusedError("the login's token says in no text whose it is")
        return _in_time(claims, now)

    async def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        name = header.get("kid")
        if not (found := self._find(name, str(header["alg"]))) or self._clock.steady() >= self._good_until:
            async with self._fetching:
                found = self._find(name, str(header["alg"]))
                is_stale = self._clock.steady() >= self._good_until
                if (found is None or is_stale) and self._clock.steady() >= self._next_fetch:
                    await self._fetch()
                    found = self._find(name, str(header["alg"]))
        if self._clock.steady() >= self._good_until:  # older keys may have been taken back by now
            raise IssuerUnavailableError(f"{self._issuer}: {self._away}")
        if found is None:
            raise TokenRefusedError("the login's token is signed by a key that its issuer does not name")
        return found

    def _find(self, name: object, algorithm: str) -> jwt.PyJWK | None:
        """The key of this name; without one, the only one for the algorithm."""
        if isinstance(name, str):
            return self._keys.get(name)
        alike = [key for key in self._keys.values() if key.algorithm_name == algorithm]
        return alike[0] if name is None and len(alike) == 1 else None

    async def _fetch(self) -> None:
        """Ask the issuer for its keys; what was known stays good for as long as it was."""
        self._next_fetch = self._clock.steady() + PAUSE
        try:
            self._keys, keep = await self._fetched()
        except IssuerUnavailableError as error:
            self._away = str(error)
            _log.warning("issuer_unavailable", issuer=self._issuer, reason=str(error))
        else:
            self._good_until, self._away = self._clock.steady() + keep, ""

    async def _fetched(self) -> tuple[dict[str, jwt.PyJWK], timedelta]:
        """The keys that the issuer has now, and how long they are good (OpenID Connect Discovery 1.0, section 4)."""
        about, _ = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if about.get("issuer") != self._issuer:
            raise IssuerUnavailableError("it says that it is another issuer")
        place = about.get("jwks_uri")
        if not isinstance(place, str) or not self._is_as_safe(place):
            raise IssuerUnavailableError("it does not say where its keys are, or at no https address")
        found, keep = await self._get(place)
        keys = _keys_of(found)
        if not keys:
            raise IssuerUnavailableError("it names no key that can be used")
        return keys, keep

    def _is_as_safe(self, place: str) -> bool:
        return place.startswith("https://") or (self._issuer.startswith("http://") and place.startswith("http://"))

    async def _get(self, url: str) -> tuple[dict[str, Any], timedelta]:
        """A JSON object from the issuer, and how long it is good."""
        request = HttpRequest(method="GET", url=url, headers={"Accept": "application/json"})
        reply = await self._caller.call(request, _TIMEOUT)
        if reply.error is not None or reply.status != 200:  # noqa: PLR2004 - OK
            raise IssuerUnavailableError(reply.error or f"it answers with status {reply.status}")
        try:
            content = json.loads(reply.body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise IssuerUnavailableError("it answers with something that is no JSON object")
        match = _MAX_AGE.search(reply.cache_control or "")
        age = timedelta(seconds=int(match[1])) if match else LONGEST
        return content, max(PAUSE, min(LONGEST, age))


def _keys_of(content: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The public keys for signatures, by name; what cannot be used is passed over."""
    keys: dict[str, jwt.PyJWK] = {}
    listed = content.get("keys")
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(each, dict) or each.get("use", "sig") != "sig" or "d" in each:  # no private keys
            continue
        try:
            key = jwt.PyJWK.from_dict(each)
        except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
            continue
        if key.algorithm_name in _ALGORITHMS.get(str(each.get("kty")), ()):
            keys[str(each.get("kid", f"#{number}"))] = key
    return keys


def _in_time(claims: dict[str, Any], now: float) -> Mapping[str, Any]:
    """The claims, if they hold at this instant; clocks may differ by a minute."""
    skew = SKEW.total_seconds()
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(map(_is_date, times.values())):
        raise TokenRefusedError("the login's token says its times in no numbers of seconds that a date can have")
    if now >= times["exp"] + skew:
        raise TokenRefusedError("the login's token has expired")
    if max(times.get("nbf", 0), times.get("iat", 0)) > now + skew:
        raise TokenRefusedError("the login's token is not valid yet")
    return claims


def _is_date(value: object) -> bool:
    """Whether it is a number that a date can be; JSON as it is read knows ``NaN``, ``Infinity`` and any length."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LAST <= value <= _LAST
