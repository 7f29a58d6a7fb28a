"""Serving HTTP inside the event loop that is running already.

uvicorn would take over signals and logging, and end the process where a port is taken;
all three are the app's to decide.
Forbidden here: routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.errors import ListenError, SettingsError
from reconciler.web.accepting import Listener
from reconciler.web.connections import Bounds, Connection, bounded

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s:\[\]/@]+)):(?P<port>[0-9]{1,5})")
_BACKLOG = 512
_HIGHEST_PORT = 65_535


def parse_listen(text: str) -> tuple[str, int]:
    """Read ``127.0.0.1:8080``, ``localhost:8080`` or ``[::1]:8080``; port 0 lets the system choose one.

    Raises:
        SettingsError: not of that form.
    """
    match = _LISTEN.fullmatch(text)
    if not match or int(match["port"]) > _HIGHEST_PORT:
        raise SettingsError(f"{text!r} is no address to listen on; write it like 127.0.0.1:8080 or [::1]:8080")
    return match["six"] or match["host"], int(match["port"])


def format_listen(host: str, port: int) -> str:
    """Write an address the way ``parse_listen`` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int) -> socket.socket:
    """Take an address, so that a taken port is known before anything else starts.

    Raises:
        ListenError: saying why the address cannot be had.
    """
    listening: socket.socket | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:  # a host name that IDNA refuses is a UnicodeError
        if listening is not None:
            listening.close()
        raise ListenError(f"cannot listen on {format_listen(host, port)}: {_why(error)}") from error
    listening.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return listening


def _why(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return "another process has this port; give another with --listen or RECONCILER_LISTEN"
    if number == errno.EACCES:
        return "this port needs more rights; give one above 1023 with --listen or RECONCILER_LISTEN"
    if number == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "no address has this name"
    return getattr(error, "strerror", None) or type(error).__name__


class _Embedded(uvicorn.Server):
    """uvicorn, with the signals left to the app, and every connection counted as soon as it is taken."""

    def __init__(self, config: uvicorn.Config, bounds: Bounds, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._protocol = bounded(bounds)
        self._bounds = bounds
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on these sockets; uvicorn's own way knows neither a context nor a bound on connections."""

        def connection(leave: Callable[[], None]) -> Connection:
            made = self._protocol(config=self.config, server_state=self.server_state, app_state={})
            made.leave = leave
            return made

        listeners = [Listener(one, connection, self._bounds, self._tls) for one in sockets or ()]
        for one in listeners:
            one.begin()
        self.servers = listeners  # type: ignore[assignment] # of a server uvicorn asks but to close
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Serves an ASGI app on a bound socket, from ``start`` to ``stop``.

    Args:
        app: the ASGI application.
        listening: from ``bind``; closed by ``stop``.
        grace: seconds that requests in flight have to end once ``stop`` is called.
        tls: what to speak TLS with; plain HTTP without it.
        bounds: how long requests may take, and how many connections there may be.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        listening: socket.socket,
        *,
        grace: int = 5,
        tls: ssl.SSLContext | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            access_log=False,
            http=H11Protocol,
            lifespan="off",
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=grace,
            ws="none",
        )
        self._listening = listening
        self._server = _Embedded(config, bounds or Bounds(), tls)
        self._scheme = "http" if tls is None else "https"
        self._task: asyncio.Task[None] | None = None
        host, port = listening.getsockname()[:2]
        self.host: str = host
        self.port: int = port

    @property
    def address(self) -> str:
        """The real address, also where port 0 was asked for: ``127.0.0.1:8080``."""
        return format_listen(self.host, self.port)

    @property
    def url(self) -> str:
        """What a person opens; a wildcard address is named as loopback."""
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - read, not bound
        return f"{self._scheme}://{format_listen(local, self.port)}"

    async def start(self) -> None:
        """Begin to serve; returns once requests are accepted."""
        self._task = asyncio.create_task(self._server.serve([self._listening]), name="http")
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn has but this flag
            await asyncio.sleep(0.005)
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Accept nothing more, let requests in flight end within the grace, close the socket. Idempotent."""
        task, self._task = self._task, None
        self._server.should_exit = True
        try:
            if task is not None:
                await task
        finally:
            self._listening.close()
