"""Who may come to the HTTP side of a long-lived process, from its settings. Forbidden here: letting anybody in."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from reconciler.adapters.oidc import OidcIssuer
from reconciler.core.access import is_loopback, parse_roles
from reconciler.core.model import AccessToken
from reconciler.core.sources import parse_hosts, parse_networks, parse_origins
from reconciler.errors import SettingsError
from reconciler.ports import Caller, Clock
from reconciler.settings import Settings
from reconciler.web.access import AccessRules
from reconciler.web.door import Door
from reconciler.web.server import parse_listen

NOBODY_MAY_READ = (
    "--listen {listen}: others than this machine may come there, and nobody has said who may read. Declare an "
    "AccessToken (`reconciler token new NAME --role viewer`), set RECONCILER_OIDC_ISSUER, or say --open-read if "
    "everybody may"
)


def access_rules(
    settings: Settings,
    *,
    tokens: Callable[[], Collection[AccessToken] | None],
    claims: Callable[[str], Awaitable[Mapping[str, Any]]] | None,
    host: str,
) -> AccessRules:
    """Who may ask; ``host`` is the address that is listened on. Whoever names a proxy lets others come through it."""
    return AccessRules(
        tokens=tokens,
        trigger_token=settings.trigger_token,
        claims=claims,
        role_claim=settings.oidc_role_claim,
        roles=parse_roles(settings.oidc_roles),
        reachable=bool(settings.trusted_proxy) or not is_loopback(host),
        open_read=settings.open_read,
    )


def door(settings: Settings) -> Door:
    """Under which names and from where requests are taken."""
    host, _ = parse_listen(settings.listen)
    return Door(
        hosts=(*parse_hosts(settings.allowed_hosts), host.lower(), platform.node().lower()),
        proxies=parse_networks(settings.trusted_proxy),
        origins=parse_origins(settings.cors_origin),
        tls=settings.tls_cert is not None,
    )


def issuer(settings: Settings, caller: Caller, clock: Clock) -> OidcIssuer | None:
    """Whoever issues logins; ``None`` where nobody is named."""
    if settings.oidc_issuer is None:
        return None
    return OidcIssuer(settings.oidc_issuer, settings.oidc_audience or "", caller, clock)


def must_be_closed(settings: Settings, rules: AccessRules) -> None:
    """Refuse to go on where nobody has said who may read, and others than this machine may come.

    Raises:
        SettingsError: saying what to do.
    """
    if rules.reachable and not (rules.open_read or rules.claims or rules.trigger_token or rules.tokens()):
        raise SettingsError(NOBODY_MAY_READ.format(listen=settings.listen))


def refused_start(settings: Settings, tokens: Collection[AccessToken]) -> str:
    """Why ``run`` would refuse to start with these settings and declared tokens, in its words; empty if not."""
    host, _ = parse_listen(settings.listen)
    found = access_rules(settings, tokens=lambda: tokens, claims=None, host=host)
    if settings.oidc_issuer is not None:
        return ""
    try:
        must_be_closed(settings, found)
    except SettingsError as error:
        return str(error)
    return ""
