"""A TCP address before a database that a test opens and shuts: how a store goes away and comes back."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import unquote, urlsplit


class Gateway:
    """Passes bytes on to a MongoDB server while it is open; shut, its port refuses."""

    def __init__(self, url: str) -> None:
        """Stand before the server of this URL, shut; ``url`` is then the way through here."""
        parts = urlsplit(url)
        self._place = unquote(parts.netloc.rpartition("@")[2])
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"mongodb://127.0.0.1:{self._port}{parts.path}?directConnection=true"
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def open(self) -> None:
        """Let everybody through from now on."""
        self._listening = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def shut(self) -> None:
        """Refuse everybody, and cut off who is through."""
        if self._listening is not None:
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._listening.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                inside, _ = listening.accept()
                outside = self._dial()
            except OSError:
                return
            self._open |= {inside, outside}
            for one, other in ((inside, outside), (outside, inside)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _dial(self) -> socket.socket:
        if "/" in self._place:  # a Unix socket
            dialled = socket.socket(socket.AF_UNIX)
            dialled.connect(self._place)
            return dialled
        host, _, port = self._place.partition(":")
        return socket.create_connection((host, int(port or 27017)))

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65536):
                other.sendall(piece)
        for connection in (one, other):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            self._open.discard(connection)
