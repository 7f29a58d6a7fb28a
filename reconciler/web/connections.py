"""One connection of the HTTP side: how long a request may take to arrive, and how many connections there may be.

uvicorn waits for as long as a client likes to send a header or a body, for as many clients as come.
Forbidden here: what a request says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

import h11
from structlog import get_logger
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.core.sources import Network, bucket_of

_log = get_logger(__name__)

HEADER_SECONDS: Final = 10.0
BODY_SECONDS: Final = 30.0
MOST: Final = 1000  # connections at once
MOST_OF_ONE: Final = 100  # of one source; a trusted proxy has no such bound


@dataclass(kw_only=True)
class Bounds:
    """What one server allows, and how many connections it has.

    Attributes:
        header: seconds for a request's header, from its first byte, or from the connection's beginning.
        body: seconds for a request's body, from the end of its header.
        most: connections at once.
        most_of_one: connections at once of one source.
        proxies: sources without that bound.
    """

    header: float = HEADER_SECONDS
    body: float = BODY_SECONDS
    most: int = MOST
    most_of_one: int = MOST_OF_ONE
    proxies: Collection[Network] = ()
    open: Counter[str] = field(default_factory=Counter)

    def take(self, source: str) -> bool:
        """Whether one more of this source may be; then it is."""
        if self.open.total() >= self.most or (self.open[source] >= self.most_of_one and not self._is_proxy(source)):
            return False
        self.open[source] += 1
        return True

    def give_back(self, source: str) -> None:
        """One of this source is over."""
        self.open[source] -= 1
        if not self.open[source]:
            del self.open[source]

    def _is_proxy(self, source: str) -> bool:
        address = ip_address(source.partition("/")[0].partition("%")[0]) if source else None
        return address is not None and any(
            address.version == network.version and address in network for network in self.proxies
        )


class Connection(H11Protocol):
    """uvicorn's protocol within bounds."""

    bounds: Bounds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._source: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin, unless there are too many."""
        peer = transport.get_extra_info("peername")
        source = bucket_of(peer[0]) if isinstance(peer, tuple) else ""
        if not self.bounds.take(source):
            _log.warning("connection_refused", source=source, open=self.bounds.open.total())
            transport.abort()
            return
        self._source = source
        super().connection_made(transport)
        self._must_be_over_in(self.bounds.header)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop()
        if self._source is not None:
            source, self._source = self._source, None
            self.bounds.give_back(source)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; what is not complete must be in time."""
        if self._source is None:
            return
        before = self.conn.their_state
        if before is h11.IDLE and self._deadline is None:
            self._must_be_over_in(self.bounds.header)
        super().data_received(data)
        self._look(before)

    def on_response_complete(self) -> None:
        """Go on with the next request of this connection."""
        before = self.conn.their_state
        super().on_response_complete()
        self._look(before)

    def pause_writing(self) -> None:
        """Wait for the client to take what it has asked for, but not for ever."""
        super().pause_writing()
        self._must_be_over_in(self.bounds.body)

    def resume_writing(self) -> None:
        """Go on: it has taken some."""
        super().resume_writing()
        self._stop()

    def _look(self, before: object) -> None:
        """Time what is still to come: a header, a body from the end of its header; nothing once all is there."""
        now = self.conn.their_state
        if now is h11.SEND_BODY:
            if before is not h11.SEND_BODY:
                self._must_be_over_in(self.bounds.body)
        elif now is not h11.IDLE:
            self._stop()
        elif before is not h11.IDLE:
            self._must_be_over_in(self.bounds.header)

    def _must_be_over_in(self, seconds: float) -> None:
        self._stop()
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        """Hang up on whoever has not sent all in time."""
        self._deadline = None
        _log.warning("request_too_slow", source=self._source)
        self.transport.abort()


def bounded(bounds: Bounds) -> type[Connection]:
    """A protocol for the connections of one server."""
    return type("BoundedConnection", (Connection,), {"bounds": bounds})
