"""The Caller: httpx's API over aiohttp's connections. The only package that knows httpx and aiohttp.

The transport is driven directly, without an ``httpx.AsyncClient``: no redirects but those that a request asks for, no
cookie jar, no environment proxies, no netrc, no log line with a query string, and less time per call. Forbidden here:
judging an answer, trying again, and a query string, header or body in an error's text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import version

import httpx

from reconciler.adapters.caller.answers import read
from reconciler.adapters.caller.connections import Connections, LookUp, Progress, progress_of_call
from reconciler.adapters.caller.words import explain, too_late
from reconciler.core.egress import Policy
from reconciler.core.model import HttpRequest, Reply
from reconciler.core.redirects import follow, place

MAX_BODY = 1024 * 1024

_CONNECTIONS_PER_CALL = 10


class HttpCaller:
    """Makes calls: one attempt each, within a total deadline, with memory bounded whatever the target does.

    Args:
        policy: which addresses may be called; what is refused by default, unless given.
        max_in_flight: how many calls at once are meant. Calls that hang do not count there (``services.turns``), so
            that connections are bounded at ten times as many.
        max_body: bytes of an answer that are read, and to which a compressed one may grow.
        transport: instead of real connections, for tests.
        look_up: instead of ``getaddrinfo``.
        keep_names: how long a name's addresses are kept; each is checked whenever it is dialled.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        max_in_flight: int = 100,
        *,
        max_body: int = MAX_BODY,
        transport: httpx.AsyncBaseTransport | None = None,
        look_up: LookUp | None = None,
        keep_names: timedelta = timedelta(seconds=10),
    ) -> None:
        self._max_body = max_body
        self._own = transport is None
        self._connections = Connections(policy or Policy(), max_in_flight * _CONNECTIONS_PER_CALL, look_up, keep_names)
        self._transport = transport or self._connections.transport()
        agent = f"cron-reconciler/{version('cron-reconciler')}".encode()
        self._defaults = {
            b"accept": (b"Accept", b"*/*"),
            b"accept-encoding": (b"Accept-Encoding", b"identity"),
            b"user-agent": (b"User-Agent", agent),
        }

    async def call(self, request: HttpRequest, timeout: timedelta) -> Reply:  # noqa: ASYNC109 - bounds the whole attempt
        """Send the request once, follow redirects if it says so, and read the last answer; see ``ports.Caller``.

        Args:
            request: what is sent, besides the headers that every call carries.
            timeout: from now to the last byte of the last answer.
        """
        progress = Progress(sent=not self._own)
        progress_of_call.set(progress)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout.total_seconds()) as deadline:
                return await self._followed(request, progress, started)
        except Exception as error:  # noqa: BLE001 - a hostile answer can raise anything; none of it may end a run
            if deadline.expired():
                text, transient = too_late(timeout, progress), True
            else:
                text, transient = explain(error, progress)
            if progress.redirected:  # then an answer came, so that something had been sent
                text, never_left = f"redirected to {progress.redirected}: {text}", False
            else:
                never_left = not progress.sent or isinstance(error, httpx.ConnectError)
            return Reply(error=text, sent=not never_left, transient=transient, latency_ms=_since(started))

    async def _followed(self, request: HttpRequest, progress: Progress, started: float) -> Reply:
        followed = 0
        while isinstance(then := await self._exchange(request, progress, started, followed), HttpRequest):
            request, followed = then, followed + 1
            progress.redirected = place(request.url)
        return then

    async def _exchange(
        self, request: HttpRequest, progress: Progress, started: float, followed: int
    ) -> Reply | HttpRequest:
        """Send one request; give back its answer, or the request to which that redirects."""
        outgoing = self._outgoing(request)
        progress.calls(outgoing.url.raw_host.decode("ascii"))
        response = await self._transport.handle_async_request(outgoing)
        try:
            headers = {name.lower(): value for name, value in response.headers.raw}
            status, location = response.status_code, _text(headers.get(b"location"))
            then = follow(request, status, location, followed=followed)
            if isinstance(then, HttpRequest):
                return then
            if then is not None:
                return Reply(
                    status=status, location=location, error=str(then), transient=False, latency_ms=_since(started)
                )
            body = await read(response, self._max_body, headers.get(b"content-encoding", b"").strip().lower())
            return Reply(
                status=status,
                body=body,
                retry_after=_text(headers.get(b"retry-after")),
                content_type=_text(headers.get(b"content-type")),
                cache_control=_text(headers.get(b"cache-control")),
                location=location,
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
        await self._connections.close()


_PREPARED_AT_ONCE = 50  # some two milliseconds


@lru_cache(maxsize=20_000)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")  # every byte has a meaning there


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
