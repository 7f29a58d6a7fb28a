"""Places in a run where a process can be made to kill itself, put around the real store and the real caller.

Forbidden here: changing what the store is asked or what it answers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from reconciler.adapters.caller import HttpCaller
from reconciler.core.egress import Policy
from reconciler.core.model import HttpRequest, Outcome, Process, Reply, Run
from reconciler.ports import Store

BEFORE_CLAIM = "before-claim"
AFTER_CLAIM = "after-claim"
AFTER_SEND = "after-send"
BEFORE_RECORD = "before-record"
STEPS = (BEFORE_CLAIM, AFTER_CLAIM, AFTER_SEND, BEFORE_RECORD)


@dataclass(slots=True)
class Traps:
    """What is armed in this process.

    Attributes:
        armed: the step at which it dies; nothing for none.
        process_id: who this process is in the store; known from its first sign of life on.
        clock_offset: what its time of day is ahead of the machine's.
    """

    armed: str = ""
    process_id: str = ""
    clock_offset: timedelta = timedelta(0)

    def spring(self, step: str) -> None:
        """Die, if this is the step. Nothing else of the process goes on meanwhile."""
        if self.armed == step:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # the signal is there at once; nothing after this line is ever reached


class TrappedStore:
    """A store around which a process dies; every verb that is not named here is the store's own."""

    def __init__(self, store: Store, traps: Traps) -> None:
        self._store = store
        self._traps = traps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def beat(self, process: Process) -> None:
        self._traps.process_id = process.id
        await self._store.beat(process)

    async def claim(self, runs: Sequence[Run], **how: Any) -> frozenset[str]:
        if not any(run.outcome is Outcome.RUNNING for run in runs):
            return await self._store.claim(runs, **how)
        self._traps.spring(BEFORE_CLAIM)
        won = await self._store.claim(runs, **how)
        if won:
            self._traps.spring(AFTER_CLAIM)
        return won

    async def finish(self, runs: Sequence[Run]) -> None:
        if any(run.outcome is not Outcome.RUNNING for run in runs):
            self._traps.spring(BEFORE_RECORD)
        await self._store.finish(runs)


class TrappedCaller(HttpCaller):
    """A caller that says who calls, and asks the target to kill it once the request is there."""

    def __init__(self, traps: Traps, policy: Policy, max_in_flight: int) -> None:
        super().__init__(policy, max_in_flight)
        self._traps = traps

    async def call(self, request: HttpRequest, timeout: timedelta) -> Reply:  # noqa: ASYNC109 - the port's own
        headers = {**request.headers, "X-Faults-Sender": f"{self._traps.process_id} {time.time():.6f}"}
        if self._traps.armed == AFTER_SEND:
            headers["X-Faults-Kill"] = str(os.getpid())
        return await super().call(replace(request, headers=headers), timeout)
