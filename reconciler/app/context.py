"""What every part of a long-lived process stands on: settings, store, source, clock, and whom it tells.

Forbidden here: what only some parts need, and starting anything.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from reconciler.app import wiring
from reconciler.app.masking import REDACTOR
from reconciler.app.parts import Parts
from reconciler.app.telling import Telling
from reconciler.core.model import Process
from reconciler.ports import Clock, Source, Store
from reconciler.services.acts import Acts
from reconciler.settings import Settings
from reconciler.version import VERSION
from reconciler.web.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the parts of one process share.

    Attributes:
        process: this one, as others see it in the store.
        telling: what it says of itself, line by line.
        acts: hears who has done what.
        metrics: is told of runs and syncs, and whether the store answers.
        wake: set where the source is worth a look at once: by the hook, here or at a standby.
    """

    settings: Settings
    store: Store
    source: Source
    clock: Clock
    process: Process
    telling: Telling
    acts: Acts
    metrics: Metrics
    wake: asyncio.Event


def context_of(settings: Settings, store: Store, parts: Parts, *, listen: str) -> Context:
    """The context of this process, which listens on ``listen``.

    Raises:
        SettingsError: the settings name a source that cannot be one.
    """
    source, clock, telling = wiring.open_source(settings), parts.clock(), Telling()
    return Context(
        settings=settings,
        store=store,
        source=source,
        clock=clock,
        process=wiring.process_of("run", clock.now(), source=source.name, listen=listen),
        telling=telling,
        acts=Acts(store, clock, REDACTOR, tell=telling.act),
        metrics=Metrics(version=VERSION, now=clock.now),
        wake=asyncio.Event(),
    )
