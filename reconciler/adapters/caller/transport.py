"""httpx's transport over aiohttp's connections: a request as httpx has it goes out, an answer comes back as one.

Nothing is translated that need not be: with a thousand calls in one second every hundredth of a millisecond for each of
them is felt. Errors stay aiohttp's own. Forbidden here: opening connections, and judging an answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import lru_cache

import aiohttp
import httpx
from multidict import CIMultiDict
from yarl import URL

_NOT_ADDED = ("Content-Type",)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends what is given to it, once; follows nothing, unpacks nothing.

    Args:
        session: opens the session, on first use by the event loop that calls.
    """

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._open = session
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose content has been read.

        Raises:
            aiohttp.ClientError: there is no connection, or no usable answer.
            OSError: the connection broke.
        """
        if self._session is None:
            self._session = self._open()
        content = request.content
        answer = await self._session.request(
            request.method,
            _address(str(request.url)),
            headers=CIMultiDict([(name.decode("ascii"), value.decode()) for name, value in request.headers.raw]),
            data=content or None,
            # aiohttp adds it to bodies only; to name it beside every request would cost each of them time.
            skip_auto_headers=_NOT_ADDED if content else None,
            allow_redirects=False,
        )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


class _Body(httpx.AsyncByteStream):
    """An answer's body as it comes, in pieces of whatever size."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._answer.content.iter_any()

    async def aclose(self) -> None:
        """Give the connection back; one whose answer was not read to its end is closed."""
        self._answer.release()
        await self._answer.wait_for_close()


@lru_cache(maxsize=20_000)
def _address(url: str) -> URL:
    """Take the URL as httpx has written it: quoted already, and not to be quoted again."""
    return URL(url, encoded=True)
