"""What is looked at before any address is: under which name it was asked for, from where, and from which page.

Plain ASGI, as ``web.guard``, which stands around it. Forbidden here: knowing addresses' meanings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog import get_logger

from reconciler.core.sources import Network, host_is_allowed, source_of
from reconciler.core.visible import visible_line
from reconciler.web.problems import problem

_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key",
    "Access-Control-Max-Age": "600",
}
_EXPOSED: Final = "Location, Retry-After, WWW-Authenticate"
STAYS_SO: Final = "max-age=31536000"  # of HSTS: a year
_SHOWN_HOST: Final = 100  # characters

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Whom the door opens for.

    Attributes:
        hosts: names that may be asked for, besides addresses in digits and ``localhost``.
        proxies: whose forwarded headers are believed.
        origins: pages on which scripts may read answers.
        tls: whether this process itself speaks TLS.
    """

    hosts: tuple[str, ...] = ()
    proxies: tuple[Network, ...] = ()
    origins: frozenset[str] = frozenset()
    tls: bool = False


class Doorway:
    """ASGI middleware around the addresses."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an app; the ``Door`` is the one of its state."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if it may come in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        door: Door = scope["app"].state.web.door
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        source = source_of(peer, headers.getlist("x-forwarded-for"), door.proxies)
        inside = {**scope, "client": (source, 0)}
        hosts = headers.getlist("host")
        origin = headers.get("origin", "")

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                _set_headers(door, origin, MutableHeaders(scope=message))
            await send(message)

        if len(hosts) != 1 or not host_is_allowed(hosts[0], door.hosts):
            await _turn_away(scope, source, hosts)(inside, receive, send_on)
        elif origin in door.origins and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=_PREFLIGHT)(inside, receive, send_on)
        else:
            await self._app(inside, receive, send_on)


def _turn_away(scope: Scope, source: str, hosts: list[str]) -> Response:
    shown = visible_line(", ".join(hosts)[:_SHOWN_HOST])
    _log.warning("host_refused", source=source, host=shown)
    detail = "Nobody is served under this Host; --allowed-hosts names those that are, where the reconciler runs."
    return problem("host-not-allowed", detail, path=scope["path"])


def _set_headers(door: Door, origin: str, headers: MutableHeaders) -> None:
    if door.tls:
        headers["Strict-Transport-Security"] = STAYS_SO
    if door.origins:
        headers.add_vary_header("Origin")
    if origin in door.origins:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = _EXPOSED
