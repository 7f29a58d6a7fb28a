"""How a process is told to end, and how it leaves what it is doing then. Forbidden here: knowing what ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


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

    async def unless_told(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do it; told to end, leave it where it is: ``None`` then."""
        doing = asyncio.create_task(work)
        told = asyncio.create_task(self.stop.wait())
        await asyncio.wait([doing, told], return_when=asyncio.FIRST_COMPLETED)
        await cancelled(told)
        if doing.done():
            return doing.result()
        await cancelled(doing)
        return None

    @contextmanager
    def installed(self) -> Iterator[Signals]:
        """Listen for the signals. Once all has ended that was told to, one more changes nothing."""
        loop = asyncio.get_running_loop()
        numbers = _taken()
        for number in numbers:
            loop.add_signal_handler(number, self._on, number)
        try:
            yield self
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                if self.stop.is_set():
                    signal.signal(number, _unheard)


def _unheard(_number: int, _frame: FrameType | None) -> None:
    """Unlike one that is ignored, no child process inherits this."""


def hear_no_more() -> None:
    """Ignore what would tell this process to end: it is about to, and its exit code says how it went."""
    for number in _taken():
        signal.signal(number, signal.SIG_IGN)


def _taken() -> list[signal.Signals]:
    """Those that are listened for. A closed terminal says SIGHUP; under nohup it is ignored, and stays so."""
    hears_hangups = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hears_hangups else [])]


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end, whatever it is."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
