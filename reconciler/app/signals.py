"""How a process is told to end, and how it waits meanwhile. Forbidden here: knowing what ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LONGEST_RETRY = 30.0  # seconds between attempts to reach a store or source that is away


class Signals:
    """SIGTERM, SIGINT and SIGHUP as an event; a second one says to hurry."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.interrupted = False

    def _on(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            self.hurry.set()
        self.interrupted = self.interrupted or number is signal.SIGINT
        self.stop.set()

    @contextmanager
    def installed(self) -> Iterator[Signals]:
        """Listen for the signals."""
        loop = asyncio.get_running_loop()
        numbers = _taken()
        for number in numbers:
            loop.add_signal_handler(number, self._on, number)
        try:
            yield self
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _taken() -> list[signal.Signals]:
    """Those that are listened for. A closed terminal says SIGHUP; under nohup it is ignored, and stays so."""
    hears_hangups = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hears_hangups else [])]


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end, whatever it is."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def delays() -> Iterator[float]:
    """Seconds between attempts, growing; without end."""
    delay = 0.5
    while True:
        yield delay
        delay = min(delay * 2, _LONGEST_RETRY)


async def pause(signals: Signals, seconds: float) -> None:
    """Wait, but not longer than until the process is told to end."""
    try:
        await asyncio.wait_for(signals.stop.wait(), seconds)
    except TimeoutError:
        return
