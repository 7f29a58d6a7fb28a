"""The long-lived process: everything started in order, and ended in the reverse order.

Forbidden here: decisions about jobs and runs; what a part does is the part's own affair.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog

from reconciler.app import wiring
from reconciler.app.engine import Engine
from reconciler.app.parts import REAL, Parts
from reconciler.app.signals import Signals
from reconciler.app.waiting import patiently
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
        async with AsyncExitStack() as stack:
            starting = _start(settings, signals, parts, stack, wait=wait, allow_prune=allow_prune)
            engine = await signals.unless_told(starting)
            if engine is not None:
                await signals.unless_told(engine.follow())  # it ends only by an error that nobody foresaw
                log.info("draining", grace_seconds=settings.drain.total_seconds())
        log.info("stopped")
        if signals.interrupted:
            raise KeyboardInterrupt


async def _start(
    settings: Settings, signals: Signals, parts: Parts, stack: AsyncExitStack, *, wait: bool, allow_prune: str
) -> Engine:
    """Everything started in order; the stack ends it in the reverse order, whatever happens and however far it got."""
    listening = bind(*parse_listen(settings.listen))
    stack.callback(listening.close)
    store = parts.store(settings.store)
    stack.push_async_callback(store.close)
    options = wiring.sync_options(settings, allow_prune)
    engine = Engine(settings, store, listening, options, parts)
    await patiently(store.open, wait=wait)
    await engine.start(stack, signals, wait=wait)
    return engine
