"""Taking connections from a bound socket: each is counted before a byte of it is read, also before it speaks TLS.

asyncio's own way counts nothing until a handshake is over, takes whatever the system gives, and writes a traceback for
each attempt once there are no file descriptors left.
Forbidden here: what is said on a connection.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final

from structlog import get_logger

from reconciler.core.sources import bucket_of
from reconciler.web.connections import Bounds

_AT_ONCE: Final = 64  # connections that are taken before others have their turn
_REST_SECONDS: Final = 1.0  # where the system gives no more
_TELL_SECONDS: Final = 1.0  # between two lines of the log about the same

_log = get_logger(__name__)


class Listener:
    """Takes connections until it is closed. The socket is not its own: whoever has bound it closes it.

    Args:
        listening: bound, listening, and never waiting.
        connection: makes the protocol of one connection, which calls what it is given once it is over.
        bounds: how many there may be, and how long a handshake may take.
        tls: what to speak TLS with.
    """

    def __init__(
        self,
        listening: socket.socket,
        connection: Callable[[Callable[[], None]], asyncio.Protocol],
        bounds: Bounds,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listening = listening
        self._connection = connection
        self._bounds = bounds
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._refused = Seldom(self._loop.time)
        self._exhausted = Seldom(self._loop.time)

    def begin(self) -> None:
        """Take connections from now on.

        Raises:
            OSError: the socket has been closed.
        """
        self._resting = None
        if self._listening.fileno() < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._loop.add_reader(self._listening.fileno(), self._take)

    def close(self) -> None:
        """Take no more; those that have begun go on, and handshakes under way end."""
        self._loop.remove_reader(self._listening.fileno())
        if self._resting is not None:
            self._resting.cancel()
        for task in self._beginning:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until no connection is between being taken and having begun."""
        await asyncio.gather(*self._beginning, return_exceptions=True)

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                taken, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._admit(taken, bucket_of(address[0]) if isinstance(address, tuple) else "")

    def _rest(self, error: OSError) -> None:
        """Let who knocks wait: the system has no descriptor or no memory for a connection, and others need theirs."""
        if number := self._exhausted.number():
            _log.error(
                "connections_cannot_be_taken", reason=error.strerror, open=self._bounds.open.total(), times=number
            )
        self._loop.remove_reader(self._listening.fileno())
        self._resting = self._loop.call_later(_REST_SECONDS, self.begin)

    def _admit(self, taken: socket.socket, source: str) -> None:
        if not self._bounds.take(source):
            taken.close()
            if number := self._refused.number():
                _log.warning("connection_refused", source=source, open=self._bounds.open.total(), refused=number)
            return
        task = self._loop.create_task(self._begin(taken, self._place(source)))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _place(self, source: str) -> Callable[[], None]:
        """What gives a connection's place back, however often it is called."""
        held = [source]
        return lambda: self._bounds.give_back(held.pop()) if held else None

    async def _begin(self, taken: socket.socket, leave: Callable[[], None]) -> None:
        patience = self._bounds.handshake if self._tls else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._connection(leave), taken, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except OSError:  # the other side's affair: it has gone, or speaks no TLS, or was too slow
            leave()
        except BaseException:
            leave()
            raise


class Seldom:
    """Tells of what may happen very often: at once, and from then on not more often than every second."""

    def __init__(self, steady: Callable[[], float], every: float = _TELL_SECONDS) -> None:
        """Count by ``steady``, in seconds."""
        self._steady = steady
        self._every = every
        self._next = float("-inf")
        self._untold = 0

    def number(self) -> int:
        """It has happened again: how often since it was told last; 0 while it is not to be told."""
        self._untold += 1
        now = self._steady()
        if now < self._next:
            return 0
        self._next = now + self._every
        told, self._untold = self._untold, 0
        return told
