"""Reading an answer's body, never further than the limit, whatever the target sends.

Forbidden here: opening connections, and judging an answer.
"""

from __future__ import annotations

import zlib

import httpx


class BadAnswerError(Exception):
    """An answer that is not taken; the text says why."""


async def read(response: httpx.Response, limit: int, coding: bytes) -> bytes:
    """Read a body up to the limit; a compressed one is unpacked up to the same limit, as it comes."""
    unpacked = _Unpacked(coding.decode(), limit) if coding in (b"gzip", b"x-gzip", b"deflate") else None
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.stream:  # type: ignore[union-attr] # an async transport's stream
        size += len(chunk)
        if size > limit:
            raise BadAnswerError(f"answer longer than {_amount(limit)}")
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
            raise BadAnswerError(f"answer says it is {self._coding} but cannot be unpacked") from error
        self._size += len(plain)
        if self._size > self._limit:
            raise BadAnswerError(f"answer unpacks to more than {_amount(self._limit)}")
        return plain

    def _window(self, chunk: bytes) -> int:
        """Choose zlib's format: `deflate` comes with its envelope (RFC 9110, 8.4.1.2) and, by mistake, without."""
        if self._coding != "deflate":
            return zlib.MAX_WBITS | 16
        return zlib.MAX_WBITS if chunk[:1] and chunk[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS

    def check_complete(self) -> None:
        if self._codec is None or not self._codec.eof:
            raise BadAnswerError(f"answer's {self._coding} content breaks off")
