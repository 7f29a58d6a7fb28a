"""Connections: aiohttp's pool, set up so that a call is one attempt and each address is checked before it is dialled.

Forbidden here: anything about requests and answers.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult

from reconciler.adapters.caller.transport import AiohttpTransport
from reconciler.core.egress import Policy

# Servers close idle connections after 2 s (gunicorn) or more, and a request that meets that moment is lost: nobody may
# repeat it. Runs that are due together still share connections.
_KEEP_ALIVE_SECONDS = 1.0


class Progress:
    """How far one call came, noted by the connector on its behalf.

    Attributes:
        sent: something of it may have been sent, to wherever.
        host: that is called at present.
        dialled: an address of that host was dialled.
        refused: why an address of it was not; ``None`` where none was refused.
        redirected: where the last redirect led, as it may be shown; empty where none was followed.
    """

    __slots__ = ("dialled", "host", "redirected", "refused", "sent")

    def __init__(self, *, sent: bool) -> None:
        self.sent = sent
        self.redirected = ""
        self.calls("")

    def calls(self, host: str) -> None:
        """Note which host is called next."""
        self.host = host
        self.dialled = False
        self.refused: str | None = None


progress_of_call: ContextVar[Progress] = ContextVar("progress_of_call")


class _RefusedAddressError(OSError):
    """The policy does not let this address be called."""


class _Connector(aiohttp.TCPConnector):
    """Notes when a call is given its connection: before that, nothing of it can have been sent."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        progress_of_call.get().sent = True
        return connection


LookUp = Callable[[str, int, socket.AddressFamily], list[Any]]


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[Any]:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class _Resolver(AbstractResolver):
    """Looks names up in threads of its own, so that a name server that hangs holds up no other work."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, host, port, family)
        return [
            ResolveResult(hostname=host, host=place[0], port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, _, _, _, place in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Connections:
    """The pool of one caller, opened on first use by the event loop that calls.

    Args:
        policy: which addresses may be dialled.
        limit: at most so many connections at once.
        look_up: what ``getaddrinfo`` does, and in its form; by default that.
        keep_names: how long an answer of ``look_up`` is good.
    """

    def __init__(self, policy: Policy, limit: int, look_up: LookUp | None, keep_names: timedelta) -> None:
        self._policy = policy
        self._limit = limit
        self._look_up = look_up or _look_up
        self._keep_names = keep_names
        self._resolver: _Resolver | None = None

    def transport(self) -> AiohttpTransport:
        """The pool behind httpx's API."""
        trusted = ssl.create_default_context()  # the machine's own authorities, and where it has none, certifi's
        trusted.load_verify_locations(certifi.where())
        trusted.set_alpn_protocols(["http/1.1"])
        return AiohttpTransport(lambda: self._session(trusted))

    def _session(self, trusted: ssl.SSLContext) -> aiohttp.ClientSession:
        """Open the connection pool, which belongs to the running event loop."""
        self._resolver = _Resolver(self._look_up)
        connector = _Connector(
            resolver=self._resolver,
            limit=self._limit,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            ttl_dns_cache=self._keep_names // timedelta(seconds=1),
            socket_factory=self._checked_socket,
            ssl=trusted,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )
        # A call is one attempt: aiohttp would repeat a GET on its own when a kept connection turns out to be dead.
        session._retry_connection = False  # noqa: SLF001 - aiohttp has no public switch; an integration test watches it
        return session

    def _checked_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """Open the socket for an address: the last moment before it is dialled, whatever name or spelling led here."""
        family, kind, protocol, _, place = info
        progress = progress_of_call.get()
        refusal = self._policy.verdict(str(place[0]), progress.host, int(place[1]))
        if refusal is not None:
            progress.refused = progress.refused or refusal
            raise _RefusedAddressError(errno.EACCES, "refused")
        progress.dialled = True
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Look no more names up; the transport closes the connections."""
        if self._resolver is not None:
            await self._resolver.close()
