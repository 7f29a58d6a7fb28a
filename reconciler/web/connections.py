"""One connection of the HTTP side: how long a request may take to arrive, and what is no request at all.

uvicorn waits for as long as a client likes to send a header or a body.
Forbidden here: what a request says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

import h11
from structlog import get_logger
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.core.sources import Network
from reconciler.web.door import STAYS_SO
from reconciler.web.guard import set_headers
from reconciler.web.problems import problem

_log = get_logger(__name__)

HANDSHAKE_SECONDS: Final = 10.0
HEADER_SECONDS: Final = 10.0
BODY_SECONDS: Final = 30.0
MOST: Final = 1000  # connections at once
MOST_OF_ONE: Final = 100  # of one source; a trusted proxy has no such bound


@dataclass(kw_only=True)
class Bounds:
    """What one server allows, and how many connections it has.

    Attributes:
        handshake: seconds for that of TLS.
        header: seconds for a request's header, from its first byte, or from the connection's beginning.
        body: seconds for a request's body, from the end of its header.
        most: connections at once.
        most_of_one: connections at once of one source.
        proxies: sources without that bound.
    """

    handshake: float = HANDSHAKE_SECONDS
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


class FramedOnce(h11.Connection):
    """h11, which goes by ``Transfer-Encoding`` where a request has ``Content-Length`` too, and reads on after it.

    A proxy that goes by the other one sees other requests than are served here (RFC 9112, 6.1 and 11.2).
    """

    def next_event(self) -> Any:
        """As h11's own, but a request whose length can be read in two ways is none.

        Raises:
            h11.RemoteProtocolError: what came is no request.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names and (b"content-length" in names or event.http_version < b"1.1"):
                raise h11.RemoteProtocolError("a length that can be read in two ways")
        return event


class Connection(H11Protocol):
    """uvicorn's protocol within bounds.

    Attributes:
        leave: called when the connection is over.
    """

    bounds: Bounds
    leave: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = FramedOnce(h11.SERVER)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin."""
        super().connection_made(transport)
        self._must_be_over_in(self.bounds.header)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop()
        self.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; what is not complete must be in time."""
        before = self.conn.their_state
        if before is h11.IDLE and self._deadline is None:
            self._must_be_over_in(self.bounds.header)
        super().data_received(data)
        self._look(before)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, unless an answer is under way; then this connection is over.

        h11 is not asked: by its rules there may be nobody to answer.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = problem("invalid-request", f"{msg.rstrip('.')}; this connection is closed.", path="")
            set_headers("", answer.headers)
            answer.headers["Connection"] = "close"
            if self.scheme == "https":
                answer.headers["Strict-Transport-Security"] = STAYS_SO
            lines = [f"{name}: {value}" for name, value in answer.headers.items()]
            self.transport.write(
                "\r\n".join(["HTTP/1.1 400 Bad Request", *lines, "\r\n"]).encode("latin-1") + bytes(answer.body)
            )
        self.transport.close()

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
        _log.warning("request_too_slow", source=self.client and self.client[0])
        self.transport.abort()


def bounded(bounds: Bounds) -> type[Connection]:
    """A protocol for the connections of one server."""
    return type("BoundedConnection", (Connection,), {"bounds": bounds})
