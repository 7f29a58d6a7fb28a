"""Whose turn it is: bounds on calls in flight, fair between Applications.

Applications take turns, whoever has most waiting. A call that has been in flight for longer than a second hands its
place on (it stays bounded by its Application's limit and by the ceiling), so that a target that hangs delays the jobs
of others by no more than that second. Forbidden here: knowing what is done with a turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from reconciler.ports import Clock

PATIENCE = timedelta(seconds=1)
CEILING = 10  # times max_in_flight: calls at once, the slow ones included


class Turn:
    """A place in the queue, and then in flight, until it is left."""

    __slots__ = ("lane", "start", "state", "taken_at")

    def __init__(self, lane: _Lane, start: Callable[[], None]) -> None:
        self.lane = lane
        self.start = start
        self.state = "waiting"
        self.taken_at: datetime | None = None


class _Lane:
    """The turns of one Application."""

    __slots__ = ("bound", "in_flight", "listed", "waiting")

    def __init__(self) -> None:
        self.bound = 0
        self.in_flight = 0
        self.listed = False
        self.waiting: deque[Turn] = deque()


class Turns:
    """Hands out turns.

    Args:
        clock: for the second after which a call is slow.
        max_in_flight: calls at once, the slow ones not counted; also what one Application may have at most.
    """

    def __init__(self, clock: Clock, max_in_flight: int) -> None:
        self._clock = clock
        self._max = max_in_flight
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._quick: dict[Turn, None] = {}  # in flight and not slow yet, oldest first
        self._watching: asyncio.Task[None] | None = None
        self.in_flight = 0

    @property
    def crowded(self) -> bool:
        """Whether calls wait that could be made if only there were more places."""
        return bool(self._ready)

    def ask(self, application: str, bound: int | None, start: Callable[[], None]) -> Turn:
        """Queue up; ``start`` is called once, from here or from a later ``leave``, when the turn has come."""
        lane = self._lanes.get(application)
        if lane is None:
            lane = self._lanes[application] = _Lane()
        lane.bound = min(bound or self._max, self._max)
        turn = Turn(lane, start)
        lane.waiting.append(turn)
        self._list(lane)
        self._go_on()
        return turn

    def leave(self, turn: Turn) -> None:
        """Give the turn back, or give up waiting for it. May be called twice."""
        state, turn.state = turn.state, "left"
        if state == "taken":
            turn.lane.in_flight -= 1
            self.in_flight -= 1
            self._quick.pop(turn, None)
            self._list(turn.lane)
            self._go_on()

    def _list(self, lane: _Lane) -> None:
        if lane.waiting and not lane.listed and lane.in_flight < lane.bound:
            lane.listed = True
            self._ready.append(lane)

    def _go_on(self) -> None:
        while self._ready and len(self._quick) < self._max and self.in_flight < self._max * CEILING:
            lane = self._ready.popleft()
            lane.listed = False
            turn = lane.waiting.popleft()
            if turn.state == "waiting":
                self._take(turn)
            self._list(lane)
        if self._ready and self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def _take(self, turn: Turn) -> None:
        turn.state = "taken"
        turn.taken_at = self._clock.now()
        turn.lane.in_flight += 1
        self.in_flight += 1
        self._quick[turn] = None
        turn.start()

    async def _watch(self) -> None:
        """While somebody waits: let calls that have become slow hand on their places."""
        try:
            while self._ready and self._quick:
                oldest = next(iter(self._quick))
                began = oldest.taken_at or self._clock.now()
                await self._clock.sleep(max(began + PATIENCE - self._clock.now(), timedelta(milliseconds=10)))
                self._mark_slow()
        finally:
            self._watching = None
        self._go_on()

    def _mark_slow(self) -> None:
        now = self._clock.now()
        for turn in list(self._quick):
            if turn.taken_at is not None and now - turn.taken_at < PATIENCE:
                break
            del self._quick[turn]
        self._go_on()
