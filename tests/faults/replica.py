"""``python -m tests.faults.replica``: ``reconciler run`` with traps behind its ports.

The product itself is wired as it always is, and set by its own ``RECONCILER_*`` variables. Its store, caller and clock
are the real ones too, except that the process kills itself where a trap is armed (a line on standard input: ``arm
after-claim``), that its clock can be set (``clock +3600``), and that with FAULTS_WITHOUT a protection is taken away, to
show that the campaign notices. It dies with its standard input. Forbidden here: anything that a user's process does not
have, beyond these.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta

from reconciler import settings
from reconciler.adapters import log
from reconciler.adapters.clock import ApsClock
from reconciler.app import serving, wiring
from reconciler.app.parts import Parts
from reconciler.ports import Clock, Store
from tests.faults.removed import AlwaysLeadingStore, BelievingStore, StandingClock
from tests.faults.traps import TrappedCaller, TrappedStore, Traps

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl: reaches a stopped process too


def main() -> None:
    """Run until a signal comes, as ``reconciler run --wait`` does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    traps = Traps()
    threading.Thread(target=_listen, args=(traps,), daemon=True).start()
    without = frozenset(filter(None, os.environ.get("FAULTS_WITHOUT", "").split(",")))
    parts = Parts(
        store=lambda url: TrappedStore(_store(url, without), traps),
        clock=lambda: _clock(traps, without),
        caller=lambda policy, max_in_flight: TrappedCaller(traps, policy, max_in_flight),
    )
    chosen = settings.load(log_format="json")
    log.configure(chosen.log_format)
    asyncio.run(serving.serve(chosen, wait=True, parts=parts))


def _store(url: str, without: frozenset[str]) -> Store:
    store = wiring.store_at(url)
    if "term" in without:
        store = AlwaysLeadingStore(store)
    if "claim" in without:
        store = BelievingStore(store)
    return store


def _clock(traps: Traps, without: frozenset[str]) -> Clock:
    def now() -> datetime:
        return datetime.now(UTC) + traps.clock_offset

    return StandingClock(now) if "deadline" in without else ApsClock(now)


def _listen(traps: Traps) -> None:
    for line in sys.stdin:
        verb, _, what = line.strip().partition(" ")
        if verb == "arm":
            traps.armed = what
        elif verb == "clock":
            traps.clock_offset = timedelta(seconds=float(what))
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
