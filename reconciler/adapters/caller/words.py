"""Putting a failed call in a few words, for whoever is on call.

Forbidden here: a query string, header or body in these words.
"""

from __future__ import annotations

import errno
from datetime import timedelta

import aiohttp
import httpx

from reconciler.adapters.caller.answers import BadAnswerError
from reconciler.adapters.caller.connections import Progress
from schemas.base import format_duration


def too_late(timeout: timedelta, progress: Progress) -> str:
    """Say that the deadline has passed, and whether that was before anything was sent."""
    return f"timed out after {format_duration(timeout)}{'' if progress.sent else ' while connecting'}"


def explain(error: Exception, progress: Progress) -> tuple[str, bool]:
    """Put a failure in a few words without anything that may be secret, and say whether it may pass."""
    if isinstance(error, BadAnswerError):
        return str(error), False
    if progress.refused is not None and not progress.dialled:
        return progress.refused, False
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
