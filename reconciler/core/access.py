"""Who asks over HTTP, and what they may do: decided from what is declared, set and claimed.

Forbidden here: fetching, and a token's text in anything that is returned.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final

from reconciler.core.instants import stamp
from reconciler.core.model import AccessToken, Role
from reconciler.core.visible import visible_line
from reconciler.core.windows import matches

EVERYTHING: Final = ("*",)
ROLES: Final = {role.value: role for role in Role}

_LONGEST_NAME: Final = 200  # characters of a person's name that are shown and recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever asks.

    Attributes:
        who: for people and the record: ``access token oncall``, ``anybody``.
        applications: names, or patterns with ``*``, of the Applications that it is limited to.
    """

    who: str
    role: Role
    applications: tuple[str, ...] = EVERYTHING

    def may(self, role: Role) -> bool:
        """Whether it may do what this role may."""
        return self.role.includes(role)

    def sees(self, application: str) -> bool:
        """Whether an Application of this name is there for it."""
        return any(matches(pattern, application) for pattern in self.applications)

    @property
    def is_limited(self) -> bool:
        """Whether there may be Applications that it does not see."""
        return "*" not in self.applications

    def names(self, known: Iterable[str]) -> tuple[str, ...]:
        """The Applications that it sees: of those known, and those that it is limited to by name."""
        spelt = {pattern for pattern in self.applications if "*" not in pattern}
        return tuple(sorted(spelt | {name for name in known if self.sees(name)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why somebody is not let in; for the one who asks, and for the log."""

    reason: str


ANYBODY: Final = Principal(who="anybody", role=Role.VIEWER)


def digest_of(token: str) -> str:
    """The SHA-256 of a token, in hexadecimal, as it stands in a manifest."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def recognised(sent: str, tokens: Iterable[AccessToken], now: datetime) -> Principal | Refused | None:
    """Whose token this is; ``None`` where it is nobody's.

    Every token is compared, each in constant time, so that the time taken tells nothing of any.
    """
    digest = digest_of(sent).encode()
    found = [token for token in tokens if hmac.compare_digest(token.sha256.encode(), digest)]
    if not found:
        return None
    for token in found:
        if token.closed:
            return Refused(reason=f"access token {token.name} lets nobody in: {token.closed}")
        if token.expires_at is not None and token.expires_at <= now:
            return Refused(reason=f"access token {token.name} has expired at {stamp(token.expires_at)}")
    token = found[0]
    return Principal(who=f"access token {token.name}", role=token.role, applications=token.applications)


def is_same(sent: str, known: str) -> bool:
    """Whether two tokens are the same, in a time that tells neither contents nor length."""
    return hmac.compare_digest(digest_of(sent), digest_of(known))


def reading_is_open(tokens: Collection[AccessToken], *, has_issuer: bool, reachable: bool, open_read: bool) -> bool:
    """Whether anybody may read without a token.

    Args:
        tokens: all that are declared, those that let nobody in included: a mistake opens nothing.
        has_issuer: whether an issuer of logins is set.
        reachable: whether others than this machine may come to the address.
        open_read: whether the operator has said so.
    """
    return open_read or not (tokens or has_issuer or reachable)


def is_loopback(host: str) -> bool:
    """Whether only this machine comes to an address: ``127.0.0.1``, ``::1``, ``localhost``."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def parse_roles(text: str) -> Mapping[str, Role]:
    """Read ``sre=operator,platform=admin``: the role that each value of a claim stands for.

    Raises:
        ValueError: not of that form, or no such role.
    """
    roles = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        value, equals, role = item.rpartition("=")
        if not (equals and value.strip()) or role.strip() not in ROLES:
            raise ValueError(f"{item!r}: write VALUE=ROLE, with viewer, operator or admin as the role")
        roles[value.strip()] = ROLES[role.strip()]
    return roles


def person_of(
    claims: Mapping[str, Any], *, role_claim: str, roles: Mapping[str, Role] | None = None
) -> Principal | Refused:
    """Who comes through a company's login, by what its issuer has signed.

    Args:
        claims: of a token whose signature, issuer, audience and time were found right.
        role_claim: which claim holds one role or several; dots lead into a mapping (``realm_access.roles``).
        roles: what its values stand for; the roles' own names, unless given.
    """
    known = roles or ROLES
    values = _values(claims, role_claim)
    found = {known[value] for value in values if isinstance(value, str) and value in known}
    who = _name(claims)
    if not found:
        return Refused(reason=f"{who} has no role here: none of the values of its claim {role_claim} stands for one")
    return Principal(who=who, role=max(found, key=list(Role).index))


def _values(claims: Mapping[str, Any], path: str) -> list[Any]:
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, list) else value.split() if isinstance(value, str) else []


def _name(claims: Mapping[str, Any]) -> str:
    """What people call somebody, and what the issuer knows them by and never gives to another (``sub``)."""
    subject = claims.get("sub")
    shown = next((each for each in map(claims.get, ("email", "preferred_username")) if isinstance(each, str)), None)
    text = f"{shown} ({subject})" if shown and shown != subject else str(subject)
    whole = text.encode("utf-8", "replace").decode()  # half a character (JSON's \ud800) could not be written anywhere
    return visible_line(f"person {whole}")[:_LONGEST_NAME]
