"""Connections: aiohttp's pool, set up so that a call is one attempt and each address is checked before it is dialled.

Forbidden here: anything about requests and answers.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

# Servers close idle connections after 2 s (gunicorn) or more, and a request that meets that moment is lost: nobody may
# repeat it. Runs that are due together still share connections.
_KEEP_ALIVE_SECONDS = 1.0

# Link-local networks hold the metadata services of clouds, which hand credentials to whoever asks; so does the one
# unique-local address. NAT64 (RFC 6052) reaches the IPv4 ones through IPv6.
_REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(text) for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "64:ff9b::a9fe:0/112")
)


class Progress:
    """How far one call came, noted by the connector on its behalf."""

    __slots__ = ("refused", "sent")

    def __init__(self, *, sent: bool) -> None:
        self.sent = sent
        self.refused: str | None = None


progress_of_call: ContextVar[Progress] = ContextVar("progress_of_call")


class _RefusedAddressError(OSError):
    """The address lies in a network that is never called."""


class _Connector(aiohttp.TCPConnector):
    """Notes when a call is given its connection: before that, nothing of it can have been sent."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        progress_of_call.get().sent = True
        return connection


def is_refused(address: str) -> bool:
    """Say whether an address is link-local or a metadata service, in IPv4, IPv6 or IPv4 mapped into IPv6."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed.version == network.version and parsed in network for network in _REFUSED_NETWORKS)


def _checked_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Open the socket for a resolved address: the last moment before it is dialled, whatever name led here."""
    family, kind, protocol, _, place = info
    address = str(place[0])
    if is_refused(address):
        progress_of_call.get().refused = address
        raise _RefusedAddressError(errno.EACCES, "refused")
    return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """Looks names up in threads of its own, so that a name server that hangs holds up no other work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        def look_up() -> list[Any]:
            return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)

        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(hostname=host, host=place[0], port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, _, _, _, place in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Connections:
    """The pool of one caller, opened on first use by the event loop that calls.

    Args:
        limit: at most so many connections at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._resolver: _Resolver | None = None

    def transport(self) -> AiohttpTransport:
        """The pool behind httpx's API."""
        trusted = ssl.create_default_context()  # the machine's own authorities, and where it has none, certifi's
        trusted.load_verify_locations(certifi.where())
        trusted.set_alpn_protocols(["http/1.1"])
        return AiohttpTransport(verify=trusted, trust_env=False, client=lambda: self._session(trusted))

    def _session(self, trusted: ssl.SSLContext) -> aiohttp.ClientSession:
        """Open the connection pool, which belongs to the running event loop."""
        self._resolver = _Resolver()
        connector = _Connector(
            resolver=self._resolver,
            limit=self._limit,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            socket_factory=_checked_socket,
            ssl=trusted,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        )
        # A call is one attempt: aiohttp would repeat a GET on its own when a kept connection turns out to be dead.
        session._retry_connection = False  # noqa: SLF001 - aiohttp has no public switch; an integration test watches it
        return session

    async def close(self) -> None:
        """Look no more names up; the transport closes the connections."""
        if self._resolver is not None:
            await self._resolver.close()
