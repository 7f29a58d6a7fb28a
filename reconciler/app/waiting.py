"""Waiting for a store or source that is away. Forbidden here: knowing what for; being told to end cancels the wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import structlog

from reconciler.errors import StoreUnavailableError

_LONGEST_RETRY = 30.0  # seconds between attempts

T = TypeVar("T")
log = structlog.get_logger()


def delays() -> Iterator[float]:
    """Seconds between attempts, growing; without end."""
    delay = 0.5
    while True:
        yield delay
        delay = min(delay * 2, _LONGEST_RETRY)


async def patiently(work: Callable[[], Awaitable[T]], *, wait: bool) -> T:
    """Do it once the store is there, though it may have gone away again since it was opened.

    Raises:
        StoreUnavailableError: it is away, and nobody wants to wait for it.
    """
    pauses = delays()
    while True:
        try:
            return await work()
        except StoreUnavailableError as error:
            if not wait:
                raise
            delay = next(pauses)
            log.warning("waiting for the store", reason=str(error), retry_in_seconds=delay)
        await asyncio.sleep(delay)
