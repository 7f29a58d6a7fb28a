"""What stands behind the ports of a long-lived process: the real things, unless whoever starts it brings others.

Forbidden here: starting, using or configuring any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.adapters.caller import HttpCaller
from reconciler.adapters.clock import ApsClock
from reconciler.app import wiring
from reconciler.core.egress import Policy
from reconciler.ports import Clock, Secrets, Store
from reconciler.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How each part is made.

    Attributes:
        store: from its URL; not yet opened.
        clock: on the event loop that it will wake.
        caller: on the same loop, from which addresses may be called and how many calls at once are meant.
        secrets: from the settings.
    """

    store: Callable[[str], Store] = wiring.store_at
    clock: Callable[[], Clock] = ApsClock
    caller: Callable[[Policy, int], HttpCaller] = HttpCaller
    secrets: Callable[[Settings], Secrets] = wiring.secrets


REAL = Parts()
