"""The long-lived process: everything started in order, and ended in the reverse order.

Forbidden here: decisions about jobs and runs; what a part does is the part's own affair.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from reconciler.app import wiring
from reconciler.app.engine import Engine
from reconciler.app.parts import REAL, Parts
from reconciler.app.signals import Signals, cancelled, delays, pause
from reconciler.errors import StoreUnavailableError
from reconciler.ports import Store
from reconciler.settings import Settings
from reconciler.web.server import bind, parse_listen

log = structlog.get_logger()


async def serve(settings: Settings, *, wait: bool = False, allow_prune: str = "", parts: Parts = REAL) -> None:
    """Run until a signal comes.

    Args:
        settings: everything that can be set.
        wait: wait for a store or source that is away at the start, instead of raising.
        allow_prune: the revision whose removals are meant, or its beginning; empty for none.
        parts: what stands behind the ports.

    Raises:
        ReconcilerError: something is not usable at the start.
        KeyboardInterrupt: it was ended by SIGINT, in good order.
    """
    with Signals().installed() as signals:
        async with _running(settings, signals, parts, wait=wait, allow_prune=allow_prune) as following:
            stopping = asyncio.create_task(signals.stop.wait())
            await asyncio.wait([stopping, following], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if following.done() and not following.cancelled():
                following.result()  # it ends only by an error that nobody foresaw
            log.info("draining", grace_seconds=settings.drain.total_seconds())
        log.info("stopped")
        if signals.interrupted:
            raise KeyboardInterrupt


@asynccontextmanager
async def _running(
    settings: Settings, signals: Signals, parts: Parts, *, wait: bool, allow_prune: str
) -> AsyncIterator[asyncio.Task[None]]:
    """Everything started in order, and ended in the reverse order, whatever happens."""
    async with AsyncExitStack() as stack:
        listening = bind(*parse_listen(settings.listen))
        stack.callback(listening.close)
        store = parts.store(settings.store)
        stack.push_async_callback(store.close)
        options = wiring.sync_options(settings, allow_prune)
        engine = Engine(settings, store, listening, options, parts)
        await _open(store, signals, wait=wait)
        await engine.start(stack, signals, wait=wait)
        following = asyncio.create_task(engine.follow(), name="follow")
        stack.push_async_callback(cancelled, following)
        yield following


async def _open(store: Store, signals: Signals, *, wait: bool) -> None:
    for delay in delays():
        try:
            await store.open()
        except StoreUnavailableError as error:
            if not wait or signals.stop.is_set():
                raise
            log.warning("waiting for the store", reason=str(error), retry_in_seconds=delay)
            await pause(signals, delay)
        else:
            return
