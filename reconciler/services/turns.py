"""Whose turn it is: bounds on calls in flight and on calls in a span of time, fair between Applications.

Applications take turns, whoever has most waiting. A call that has been in flight for longer than half a second
hands its place on (it stays bounded by its Application's limit and by the ceiling), so that a target that hangs delays
the jobs of others by less than a second. Who waits for longer than it may is told what held it. A rate outlives the
process that kept it: the calls that others began are counted once they are known, and until then nobody's turn comes.
Forbidden here: knowing what is done with a turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from reconciler.core.model import Rate
from reconciler.core.plural import plural
from reconciler.ports import Clock
from schemas.base import format_rate

PATIENCE = timedelta(milliseconds=500)
CEILING = 10  # times max_in_flight: calls at once, the slow ones included
_SWEEP = timedelta(seconds=1)  # how often it is looked who has waited for too long
_SHORTEST = timedelta(milliseconds=1)
_LINGER = timedelta(milliseconds=100)  # in which the last calls of a crowd are sent
_UNKNOWN = timedelta(milliseconds=100)  # until it is asked again whether earlier calls are known


class Turn:
    """A place in the queue, and then in flight, until it is left."""

    __slots__ = ("expires", "lane", "lapse", "start", "state", "taken_at")

    def __init__(
        self, lane: _Lane, start: Callable[[], None], expires: datetime | None, lapse: Callable[[str], None] | None
    ) -> None:
        self.lane = lane
        self.start = start
        self.expires = expires
        self.lapse = lapse
        self.state = "waiting"
        self.taken_at = timedelta(0)  # by the steady clock


class _Lane:
    """The turns of one Application.

    Attributes:
        bound: calls in flight at most; ``declared`` is what its manifest says.
        starts: when its last calls began, by the steady clock, as many as its rate allows in a span.
        held: why its next turn could not be taken when it was last tried; empty where it waits for a place.
        timer: what waits until its rate allows another call.
    """

    __slots__ = ("bound", "declared", "held", "in_flight", "listed", "rate", "starts", "timer", "waiting")

    def __init__(self) -> None:
        self.bound = 0
        self.declared: int | None = None
        self.rate: Rate | None = None
        self.starts: deque[timedelta] = deque()
        self.in_flight = 0
        self.listed = False
        self.held = ""
        self.timer: asyncio.Task[None] | None = None
        self.waiting: deque[Turn] = deque()

    def limit(self, bound: int | None, most: int, rate: Rate | None) -> None:
        """These are its limits from now on."""
        self.declared = bound
        self.bound = min(bound or most, most)
        if rate != self.rate:
            self.rate = rate
            self.starts = deque(self.starts, maxlen=None if rate is None else rate.calls)

    def until_allowed(self, now: timedelta) -> timedelta:
        """How long until its rate allows another call; zero for now."""
        if self.rate is None or len(self.starts) < self.rate.calls:
            return timedelta(0)
        return max(self.starts[0] + self.rate.per - now, timedelta(0))

    def began(self, starts: Iterable[timedelta], rate: Rate) -> None:
        """These calls of it have begun, too."""
        self.rate = rate
        self.starts = deque(sorted([*self.starts, *starts]), maxlen=rate.calls)


class Turns:
    """Hands out turns.

    Args:
        clock: for the second after which a call is slow, and for spans of time.
        max_in_flight: calls at once, the slow ones not counted; also what one Application may have at most.
        is_unsure: whether calls may have begun elsewhere that are still to be told here.
    """

    def __init__(self, clock: Clock, max_in_flight: int, is_unsure: Callable[[], bool] = lambda: False) -> None:
        self._clock = clock
        self._is_unsure = is_unsure
        self._max = max_in_flight
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._quick: dict[Turn, None] = {}  # in flight and not slow yet, oldest first
        self._watching: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._crowded_at: timedelta | None = None  # by the steady clock
        self.in_flight = 0

    @property
    def crowded(self) -> bool:
        """Whether calls wait that could be made if only there were more places, or the last of them did just now."""
        if self._ready:
            return True
        return self._crowded_at is not None and self._clock.steady() - self._crowded_at < _LINGER

    def ask(
        self,
        application: str,
        bound: int | None,
        start: Callable[[], None],
        *,
        rate: Rate | None = None,
        expires: datetime | None = None,
        lapse: Callable[[str], None] | None = None,
    ) -> Turn:
        """Queue up; one of both is called once, from here or later, unless the turn is left before.

        Args:
            application: whose call it is.
            bound: at most so many calls of it at once; ``None`` for no bound of its own.
            start: called when the turn has come.
            rate: at most so many turns of it in a span of time.
            expires: from here on it is too late.
            lapse: called when that has come, with what held it, for people.
        """
        lane = self._lane(application)
        lane.limit(bound, self._max, rate)
        turn = Turn(lane, start, expires, lapse)
        lane.waiting.append(turn)
        self._list(lane)
        self._go_on()
        if turn.state == "waiting" and lapse is not None and self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())
        return turn

    def began(self, application: str, rate: Rate, starts: Iterable[timedelta]) -> None:
        """Count calls that others have begun, by the steady clock; to be told before it is sure again."""
        self._lane(application).began(starts, rate)

    def _lane(self, application: str) -> _Lane:
        lane = self._lanes.get(application)
        if lane is None:
            lane = self._lanes[application] = _Lane()
        return lane

    def leave(self, turn: Turn) -> None:
        """Give the turn back, or give up waiting for it. May be called twice."""
        state, turn.state = turn.state, "left"
        if state == "taken":
            turn.lane.in_flight -= 1
            self.in_flight -= 1
            self._quick.pop(turn, None)
            self._list(turn.lane)
            self._go_on()

    def stop(self) -> None:
        """Watch nothing any more; nobody waits."""
        for task in (self._sweeping, self._watching, *(lane.timer for lane in self._lanes.values())):
            if task is not None:
                task.cancel()

    def _list(self, lane: _Lane) -> None:
        """Let a lane take part, if somebody waits there who may go."""
        if not lane.waiting or lane.listed:
            return
        if lane.in_flight >= lane.bound:
            own = lane.declared is not None and lane.declared <= self._max
            lane.held = f"limits.concurrency is {lane.declared}" if own else self._full
            if not own:
                self._crowded_at = self._clock.steady()
            return
        if lane.rate is not None and (delay := self._until_allowed(lane)):
            lane.held = f"limits.rate is {format_rate(lane.rate)}"
            if lane.timer is None:
                lane.timer = asyncio.get_running_loop().create_task(self._wait_for(lane, delay))
            return
        lane.listed = True
        self._ready.append(lane)

    def _until_allowed(self, lane: _Lane) -> timedelta:
        return _UNKNOWN if self._is_unsure() else lane.until_allowed(self._clock.steady())

    @property
    def _full(self) -> str:
        return f"all places are taken: {plural(self._max, 'call')} at once"

    async def _wait_for(self, lane: _Lane, delay: timedelta) -> None:
        try:
            await self._clock.sleep(max(delay, _SHORTEST))
        finally:
            lane.timer = None
        self._list(lane)
        self._go_on()

    def _go_on(self) -> None:
        while self._ready and len(self._quick) < self._max and self.in_flight < self._max * CEILING:
            lane = self._ready.popleft()
            lane.listed = False
            turn = lane.waiting.popleft()
            if turn.state == "waiting":
                self._take(turn)
            self._list(lane)
        if self._ready:
            self._crowded_at = self._clock.steady()
            if self._watching is None:
                self._watching = asyncio.get_running_loop().create_task(self._watch())

    def _take(self, turn: Turn) -> None:
        if turn.expires is not None and turn.lapse is not None and self._clock.now() > turn.expires:
            self._lapse(turn)
            return
        turn.state = "taken"
        turn.taken_at = self._clock.steady()
        lane = turn.lane
        lane.held = ""
        if lane.rate is not None:
            lane.starts.append(turn.taken_at)
        lane.in_flight += 1
        self.in_flight += 1
        self._quick[turn] = None
        turn.start()

    def _lapse(self, turn: Turn) -> None:
        turn.state = "left"
        if turn.lapse is not None:
            turn.lapse(turn.lane.held or self._full)

    async def _sweep(self) -> None:
        """While somebody waits: tell those who have waited for too long."""
        try:
            while any(lane.waiting for lane in self._lanes.values()):
                await self._clock.sleep(_SWEEP)
                now = self._clock.now()
                for lane in self._lanes.values():
                    self._sweep_lane(lane, now)
        finally:
            self._sweeping = None

    def _sweep_lane(self, lane: _Lane, now: datetime) -> None:
        late = [turn for turn in lane.waiting if turn.expires is not None and now > turn.expires]
        for turn in late:
            if turn.state == "waiting" and turn.lapse is not None:
                self._lapse(turn)
        if late or any(turn.state == "left" for turn in lane.waiting):
            lane.waiting = deque(turn for turn in lane.waiting if turn.state == "waiting")
            if not lane.waiting and lane.listed:
                lane.listed = False
                self._ready.remove(lane)

    async def _watch(self) -> None:
        """While somebody waits: let calls that have become slow hand on their places."""
        try:
            while self._ready and self._quick:
                oldest = next(iter(self._quick))
                left = oldest.taken_at + PATIENCE - self._clock.steady()
                await self._clock.sleep(max(left, timedelta(milliseconds=10)))
                self._mark_slow()
        finally:
            self._watching = None
        self._go_on()

    def _mark_slow(self) -> None:
        now = self._clock.steady()
        for turn in list(self._quick):
            if now - turn.taken_at < PATIENCE:
                break
            del self._quick[turn]
        self._go_on()
