"""Who may ask for what: a dependency of every address, by role. ``core.access`` decides; here it is answered.

Forbidden here: a token, or what could be part of one, in an answer or in the log.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from math import ceil
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request
from fastapi.dependencies.models import Dependant
from pydantic import SecretStr
from structlog import get_logger

from reconciler.core.access import (
    ANYBODY,
    Principal,
    Refused,
    is_same,
    person_of,
    reading_is_open,
    recognised,
)
from reconciler.core.acts import UNKNOWN, Act, ActKind
from reconciler.core.model import AccessToken, Role
from reconciler.core.redaction import MASK
from reconciler.errors import IssuerUnavailableError, TokenRefusedError
from reconciler.ports import ActLog
from reconciler.web.limits import REMEMBERED, Allowance, Rate
from reconciler.web.problems import refuse

TOKEN_VARIABLE: Final = "RECONCILER_TRIGGER_TOKEN"  # noqa: S105 - the variable's name
FAILURES: Final = Rate(burst=10, every=6.0)
CHECKS: Final = Rate(burst=100, every=0.125)  # of signatures that turn out wrong; one takes well under a millisecond

_REALM: Final = 'Bearer realm="reconciler"'
_TOO_MANY: Final = "Too many attempts from this address have failed."

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """What is declared and set about who may ask.

    Attributes:
        tokens: those that are declared, from the memory of this process; ``None`` until it knows them.
        trigger_token: lets whoever sends it do what an operator may.
        claims: what the issuer of logins has signed in a token; ``None`` where no issuer is set. It raises
            ``TokenRefusedError`` and ``IssuerUnavailableError``.
        role_claim: in which claim a person's roles stand.
        roles: what the values of that claim stand for; the roles' own names where empty.
        reachable: whether others than this machine may come to the address.
        open_read: whether anybody may read wherever they come from.
    """

    tokens: Callable[[], Collection[AccessToken] | None]
    trigger_token: SecretStr | None = None
    claims: Callable[[str], Awaitable[Mapping[str, Any]]] | None = None
    role_claim: str = "roles"
    roles: Mapping[str, Role] = field(default_factory=dict)
    reachable: bool = False
    open_read: bool = False


class Access:
    """Tells who asks, and refuses whoever cannot be let in."""

    def __init__(
        self,
        rules: AccessRules,
        now: Callable[[], datetime],
        acts: ActLog,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let in by these rules; ``steady``, in seconds, is what the bounds on failures count by.

        ``acts`` hears who comes for the first time, and who is refused.
        """
        self._rules = rules
        self._now = now
        self._acts = acts
        self._failures = Allowance(FAILURES, steady)
        self._checks = Allowance(CHECKS, steady)
        self._proven: dict[bytes, None] = {}  # digests of logins' tokens that were good, in the order of coming
        self._seen: dict[tuple[str, str], None] = {}  # who has come from where, in the order of coming

    def someone_may_trigger(self) -> bool:
        """Whether there is anybody who could be let in to trigger."""
        rules = self._rules
        declared = any(token.role.includes(Role.OPERATOR) for token in rules.tokens() or ())
        return declared or bool(_text(rules.trigger_token)) or rules.claims is not None

    def is_open(self) -> bool:
        """Whether anybody may read; not before it is known what is declared, unless that has been said."""
        rules, tokens = self._rules, self._rules.tokens()
        if tokens is None:
            return rules.open_read
        return reading_is_open(
            tokens, has_issuer=rules.claims is not None, reachable=rules.reachable, open_read=rules.open_read
        )

    async def principal(self, request: Request) -> Principal:
        """Who sends this request.

        Raises:
            HTTPException: nobody who may be let in, or that cannot be told now.
        """
        sent = request.headers.getlist("authorization")
        if not sent:
            if self.is_open():
                return ANYBODY
            if self._rules.tokens() is None:
                raise _too_early()
            raise _unauthorized("Send a token as Authorization: Bearer TOKEN.")
        scheme, _, token = sent[0].partition(" ")
        if len(sent) > 1 or scheme.lower() != "bearer" or not token.strip():
            raise self._failed(request, "Send one token, as Authorization: Bearer TOKEN.")
        found = await self._found(request, token.strip())
        if isinstance(found, Refused):
            raise self._failed(request, f"{found.reason[:1].upper()}{found.reason[1:]}.", invalid=True)
        self._note_first_use(found.who, source_of(request))
        return found

    def _note_first_use(self, who: str, source: str) -> None:
        """Tell when somebody comes from a source from which they have not come to this process before."""
        if (who, source) in self._seen:
            return
        if len(self._seen) >= REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[who, source] = None
        self._acts.note(Act(kind=ActKind.TOKEN, at=self._now(), who=who, source=source, result="first use"))

    async def _found(self, request: Request, token: str) -> Principal | Refused:
        rules, known = self._rules, _text(self._rules.trigger_token)
        if known and is_same(token, known):
            return Principal(who=f"the token of {TOKEN_VARIABLE}", role=Role.OPERATOR)
        tokens = rules.tokens()
        found = recognised(token, tokens or (), self._now())
        if found is not None:
            return found
        if rules.claims is not None and token.count(".") == 2:  # noqa: PLR2004 - the parts of a JWT (RFC 7519)
            return await self._person(rules.claims, token, source_of(request))
        if tokens is None:
            raise _too_early()
        return Refused(reason="the token is not one that is known here")

    async def _person(
        self, claims: Callable[[str], Awaitable[Mapping[str, Any]]], token: str, source: str
    ) -> Principal | Refused:
        """Who is logged in. Other people's failures, behind the same address, do not keep out who was let in before."""
        digest = sha256(token.encode()).digest()
        if digest not in self._proven and (left := self._checks.wait(source)):
            raise too_often(_TOO_MANY, left)
        try:
            signed = await claims(token)
        except TokenRefusedError as error:
            self._proven.pop(digest, None)
            self._checks.take(source)
            return Refused(reason=str(error))
        except IssuerUnavailableError as error:
            _log.warning("issuer_unavailable", reason=str(error))
            detail = "Logins cannot be checked now, because their issuer does not answer. Access tokens still work."
            raise refuse("issuer-unavailable", detail, headers={"Retry-After": "30"}) from None
        self._proven[digest] = None
        if len(self._proven) > REMEMBERED:
            del self._proven[next(iter(self._proven))]
        return person_of(signed, role_claim=self._rules.role_claim, roles=self._rules.roles)

    def _failed(self, request: Request, detail: str, *, invalid: bool = False) -> HTTPException:
        """Count and note a failed attempt; where there were too many from this source, say only that."""
        source = source_of(request)
        if left := self._failures.take(source):
            return too_often(_TOO_MANY, left)
        path, known = request.scope["path"], _text(self._rules.trigger_token)
        self._acts.note(
            Act(
                kind=ActKind.REFUSED,
                at=self._now(),
                who=UNKNOWN,
                source=source,
                subject=path.replace(known, MASK) if known else path,
                result="refused",
                detail=detail,
            )
        )
        return _unauthorized(detail, invalid=invalid)


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def source_of(request: Request) -> str:
    """From which address a request comes; ``web.door`` has looked behind trusted proxies."""
    return request.client.host if request.client else ""


def _unauthorized(detail: str, *, invalid: bool = False) -> HTTPException:
    """RFC 6750, section 3: no error is named to whoever has sent no token."""
    error = ', error="invalid_token"' if invalid else ""
    return refuse("unauthorized", detail, headers={"WWW-Authenticate": f"{_REALM}{error}"})


def too_often(detail: str, left: float) -> HTTPException:
    """Refuse who asks too often; in so many seconds it may again."""
    return refuse("too-many-requests", detail, headers={"Retry-After": str(ceil(left))})


def _too_early() -> HTTPException:
    detail = "Who may ask is not known yet: this process has not read the store."
    return refuse("not-ready", detail, headers={"Retry-After": "1"})


class Needs:
    """A dependency: lets in whoever may do what a role may, and gives back who that is."""

    def __init__(self, role: Role, *, limited: bool = True) -> None:
        """Need a role; ``limited`` says whether also somebody who is limited to some Applications may come."""
        self.role = role
        self._limited = limited

    async def __call__(self, request: Request) -> Principal:
        """Tell who asks.

        Raises:
            HTTPException: they may not.
        """
        access: Access = request.app.state.web.access
        if self.role is Role.OPERATOR and not access.someone_may_trigger():
            detail = f"Nobody may trigger until an AccessToken of an operator is declared, or {TOKEN_VARIABLE} is set."
            raise refuse("trigger-disabled", detail)
        principal = await access.principal(request)
        if principal.may(self.role) and (self._limited or not principal.is_limited):
            return principal
        if principal is ANYBODY:
            raise _unauthorized(f"Send the token of an {self.role.value} as Authorization: Bearer TOKEN.")
        headers = {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'}
        detail = f"This needs the role {self.role.value}; {principal.who} has the role {principal.role.value}."
        if principal.may(self.role):
            detail = f"This concerns all Applications; {principal.who} is limited to some."
        raise refuse("forbidden", detail, headers=headers)


Viewer = Annotated[Principal, Depends(Needs(Role.VIEWER))]
UnlimitedViewer = Annotated[Principal, Depends(Needs(Role.VIEWER, limited=False))]
Operator = Annotated[Principal, Depends(Needs(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(Needs(Role.ADMIN, limited=False))]


def role_needed(dependant: Dependant) -> Role | None:
    """The role that an address needs; ``None`` where it is open."""
    if isinstance(dependant.call, Needs):
        return dependant.call.role
    found = (role_needed(each) for each in dependant.dependencies)
    return next((role for role in found if role is not None), None)
