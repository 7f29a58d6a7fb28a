"""The Caller: httpx's API over aiohttp's connections. The only module that knows httpx and aiohttp.

The transport is driven directly, without an ``httpx.AsyncClient``: no redirects, no cookie jar, no environment proxies,
no netrc, no log line with a query string, and less time per call. Forbidden here: judging an answer, trying again, and
a query string, header or body in an error's text.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import time
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import aiohttp
import certifi
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from httpx_aiohttp import AiohttpTransport

from reconciler.core.model import HttpRequest, Reply
from schemas.base import format_duration

MAX_BODY = 1024 * 1024

# Servers close idle connections after 2 s (gunicorn) or more, and a request that meets that moment is lost: nobody may
# repeat it. Runs that are due together still share connections.
_KEEP_ALIVE_SECONDS = 1.0

_CONNECTIONS_PER_CALL = 10

# Link-local networks hold the metadata services of clouds, which hand credentials to whoever asks; so does the one
# unique-local address. NAT64 (RFC 6052) reaches the IPv4 ones through IPv6.
_REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(text) for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "64:ff9b::a9fe:0/112")
)


class _Progress:
    """How far one call came, noted by the connector on its behalf."""

    __slots__ = ("refused", "sent")

    def __init__(self, *, sent: bool) -> None:
        self.sent = sent
        self.refused: str | None = None


_progress: ContextVar[_Progress] = ContextVar("_progress")


class _BadAnswerError(Exception):
    """An answer that is not taken; the text says why."""


class _RefusedAddressError(OSError):
    """The address lies in a network that is never called."""


class _Connector(aiohttp.TCPConnector):
    """Notes when a call is given its connection: before that, nothing of it can have been sent."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        _progress.get().sent = True
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
        _progress.get().refused = address
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


class HttpCaller:
    """Makes calls: one attempt each, within a total deadline, with memory bounded whatever the target does.

    Args:
        max_in_flight: how many calls at once are meant. Calls that hang do not count there (``services.turns``), so
            that connections are bounded at ten times as many.
        max_body: bytes of an answer that are read, and to which a compressed one may grow.
        transport: instead of real connections, for tests.
    """

    def __init__(
        self,
        *,
        max_in_flight: int = 100,
        max_body: int = MAX_BODY,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._max_body = max_body
        self._max_connections = max_in_flight * _CONNECTIONS_PER_CALL
        self._own = transport is None
        self._resolver: _Resolver | None = None
        self._transport = transport or self._real_transport()
        agent = f"cron-reconciler/{version('cron-reconciler')}".encode()
        self._defaults = {
            b"accept": (b"Accept", b"*/*"),
            b"accept-encoding": (b"Accept-Encoding", b"identity"),
            b"user-agent": (b"User-Agent", agent),
        }

    def _real_transport(self) -> AiohttpTransport:
        trusted = ssl.create_default_context()  # the machine's own authorities, and where it has none, certifi's
        trusted.load_verify_locations(certifi.where())
        trusted.set_alpn_protocols(["http/1.1"])
        return AiohttpTransport(verify=trusted, trust_env=False, client=lambda: self._session(trusted))

    def _session(self, trusted: ssl.SSLContext) -> aiohttp.ClientSession:
        """Open the connection pool, which belongs to the running event loop."""
        self._resolver = _Resolver()
        connector = _Connector(
            resolver=self._resolver,
            limit=self._max_connections,
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

    async def call(self, request: HttpRequest, timeout: timedelta) -> Reply:  # noqa: ASYNC109 - bounds the whole attempt
        """Send the request once and read its answer; see ``ports.Caller``.

        Args:
            request: what is sent, besides the headers that every call carries.
            timeout: from now to the last byte of the answer.
        """
        progress = _Progress(sent=not self._own)
        _progress.set(progress)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout.total_seconds()) as deadline:
                return await self._exchange(request, started)
        except Exception as error:  # noqa: BLE001 - a hostile answer can raise anything; none of it may end a run
            if deadline.expired():
                text, transient = _too_late(timeout, progress), True
            else:
                text, transient = _explain(error, progress)
            never_left = not progress.sent or isinstance(error, httpx.ConnectError)
            return Reply(error=text, sent=not never_left, transient=transient, latency_ms=_since(started))

    async def _exchange(self, request: HttpRequest, started: float) -> Reply:
        response = await self._transport.handle_async_request(self._outgoing(request))
        try:
            headers = {name.lower(): value for name, value in response.headers.raw}
            body = await _read(response, self._max_body, headers.get(b"content-encoding", b"").strip().lower())
            return Reply(
                status=response.status_code,
                body=body,
                retry_after=_text(headers.get(b"retry-after")),
                content_type=_text(headers.get(b"content-type")),
                location=_text(headers.get(b"location")),
                latency_ms=_since(started),
            )
        finally:
            await response.aclose()

    async def prepare(self, urls: Iterable[str]) -> None:
        """Take addresses apart before they are needed: at a slot with thousands of calls that is time lost."""
        for number, url in enumerate(urls):
            with suppress(httpx.InvalidURL):  # its own call will say so
                _parsed(url)
            if number % _PREPARED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _outgoing(self, request: HttpRequest) -> httpx.Request:
        declared = [(name.encode(), value.encode()) for name, value in request.headers.items()]
        names = {name.lower() for name, _ in declared}
        headers = [pair for name, pair in self._defaults.items() if name not in names] + declared
        # Given as a stream, httpx adds no headers; aiohttp adds the same ones (Host, Content-Length) in less time.
        content = httpx.ByteStream(b"" if request.body is None else request.body.encode())
        outgoing = httpx.Request(request.method, _parsed(request.url), headers=headers, stream=content)
        outgoing.read()
        outgoing.headers.encoding = "utf-8"  # httpx would try others on every look
        return outgoing

    async def close(self) -> None:
        """Close every connection; calls in flight end with an error."""
        await self._transport.aclose()
        if self._resolver is not None:
            await self._resolver.close()


_PREPARED_AT_ONCE = 50  # some two milliseconds


@lru_cache(maxsize=20_000)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")  # every byte has a meaning there


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


async def _read(response: httpx.Response, limit: int, coding: bytes) -> bytes:
    """Read a body up to the limit; a compressed one is unpacked up to the same limit, as it comes."""
    unpacked = _Unpacked(coding.decode(), limit) if coding in (b"gzip", b"x-gzip", b"deflate") else None
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.stream:  # type: ignore[union-attr] # an async transport's stream
        size += len(chunk)
        if size > limit:
            raise _BadAnswerError(f"answer longer than {_amount(limit)}")
        chunks.append(unpacked.add(chunk) if unpacked else chunk)
    if unpacked and size:
        unpacked.check_complete()
    return b"".join(chunks)


def _amount(size: int) -> str:
    return f"{size // (1024 * 1024)} MiB" if size % (1024 * 1024) == 0 else f"{size} bytes"


class _Unpacked:
    """Undoes gzip or deflate without ever holding more than the limit."""

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._limit = limit
        self._size = 0
        self._codec: zlib._Decompress | None = None

    def add(self, chunk: bytes) -> bytes:
        if self._codec is None:
            self._codec = zlib.decompressobj(self._window(chunk))
        try:
            plain = self._codec.decompress(chunk, self._limit - self._size + 1)
        except zlib.error as error:
            raise _BadAnswerError(f"answer says it is {self._coding} but cannot be unpacked") from error
        self._size += len(plain)
        if self._size > self._limit:
            raise _BadAnswerError(f"answer unpacks to more than {_amount(self._limit)}")
        return plain

    def _window(self, chunk: bytes) -> int:
        """Choose zlib's format: `deflate` comes with its envelope (RFC 9110, 8.4.1.2) and, by mistake, without."""
        if self._coding != "deflate":
            return zlib.MAX_WBITS | 16
        return zlib.MAX_WBITS if chunk[:1] and chunk[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS

    def check_complete(self) -> None:
        if self._codec is None or not self._codec.eof:
            raise _BadAnswerError(f"answer's {self._coding} content breaks off")


def _too_late(timeout: timedelta, progress: _Progress) -> str:
    return f"timed out after {format_duration(timeout)}{'' if progress.sent else ' while connecting'}"


def _explain(error: Exception, progress: _Progress) -> tuple[str, bool]:
    """Put a failure in a few words without anything that may be secret, and say whether it may pass."""
    if isinstance(error, _BadAnswerError):
        return str(error), False
    if progress.refused is not None:
        return f"address {progress.refused} is refused", False
    cause = error.__cause__ if isinstance(error, httpx.TransportError) and error.__cause__ else error
    for kind, text in _WORDS:
        if isinstance(cause, kind):
            return text, kind not in _LASTING
    if isinstance(cause, aiohttp.ClientConnectorError):
        return _no_connection(cause), True
    if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
        return _os_words(cause, "connection failed"), True
    return f"no usable answer ({type(cause).__name__})", True


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "the server's certificate is not trusted"),
    (aiohttp.ClientSSLError, "no TLS connection: the handshake failed"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "the answer is not valid HTTP"),
    (aiohttp.InvalidURL, "the URL cannot be called"),
    (httpx.InvalidURL, "the URL cannot be called"),
    (httpx.UnsupportedProtocol, "the URL cannot be called"),
    (httpx.ConnectError, "connection failed"),
    (httpx.TimeoutException, "timed out"),
    (httpx.RemoteProtocolError, "the answer is not valid HTTP"),
    (httpx.TransportError, "connection failed"),
)
_LASTING = frozenset({aiohttp.InvalidURL, httpx.InvalidURL, httpx.UnsupportedProtocol})


def _no_connection(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} was not found"
    return _os_words(error.os_error, "no connection")


def _os_words(error: OSError, otherwise: str) -> str:
    known = {
        errno.ECONNREFUSED: "connection refused",
        errno.ECONNRESET: "connection reset by the server",
        errno.EPIPE: "connection reset by the server",
    }
    if error.errno is None or error.errno not in errno.errorcode:
        return otherwise
    return known.get(error.errno) or f"{otherwise}: {errno.errorcode[error.errno]}"
