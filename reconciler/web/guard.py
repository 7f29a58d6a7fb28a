"""The outermost layer: bounds what comes in, sets headers on what goes out, lets no exception out.

Plain ASGI, so that it also covers answers that no route makes. Forbidden here: knowing addresses' meanings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog import get_logger

from reconciler.core.visible import visible_line
from reconciler.web.bodies import too_large
from reconciler.web.problems import problem

BODY_CAP = 64 * 1024  # bytes
TARGET_CAP = 8 * 1024  # bytes of path and query
_SHOWN_PATH = 200  # characters

_log = get_logger(__name__)


class Guard:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, body_caps: Mapping[str, int] = MappingProxyType({})) -> None:
        """Guard an app; ``body_caps`` names the paths whose bodies have another cap, in bytes, than ``BODY_CAP``."""
        self._app = app
        self._body_caps = body_caps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whatever happens, the answer is one of ours."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                set_headers(scope["path"], MutableHeaders(scope=message))
            await send(message)

        try:
            await self._serve(scope, receive, send_guarded)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the last line: a client gets a problem document, we get a log
            _log.error("request_failed", method=scope["method"], path=scope["path"], exc_info=error)
            if not started:
                answer = problem("internal-error", "It is in the reconciler's log.", path=scope["path"])
                await answer(scope, receive, send_guarded)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        cap = self._body_caps.get(scope["path"], BODY_CAP)
        if _declared_length(scope) > cap:
            _log.warning("request_refused", code="body-too-large", path=visible_line(scope["path"][:_SHOWN_PATH]))
            answer = problem("body-too-large", too_large(cap), path=scope["path"], headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        if len(scope["path"]) + len(scope.get("query_string", b"")) > TARGET_CAP:
            detail = f"An address may have at most {TARGET_CAP // 1024} KiB."
            await problem("invalid-request", detail, path=scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _declared_length(scope: Scope) -> float:
    text = Headers(scope=scope).get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else math.inf  # noqa: PLR2004 - 64 bits


def set_headers(path: str, headers: MutableHeaders) -> None:
    """What every answer carries, whoever makes it."""
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["X-Frame-Options"] = "DENY"
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    if not path.startswith("/docs"):
        headers["Cache-Control"] = "no-store"
