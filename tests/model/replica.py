"""One process: the product's own parts, wired as the engine wires them, on a simulated machine that can be struck.

Forbidden here: deciding anything about slots.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

from reconciler.adapters.clock import ApsClock
from reconciler.app.attending import Attending
from reconciler.app.following import Occasion
from reconciler.core.calendars import stop_of
from reconciler.core.model import Job, JobKey, Lease, Process, Reply, Retention, Run, Stop
from reconciler.errors import DeposedError, StoreError, StoreUnavailableError
from reconciler.services.arrears import Arrears
from reconciler.services.chains import Chains
from reconciler.services.leading import Leadership
from reconciler.services.reconcile import Reconciliation, SyncOptions
from reconciler.services.run import Runner
from reconciler.services.stops import Stops
from reconciler.services.upkeep import Upkeep
from reconciler.web.metrics import Metrics
from tests.model.world import OWNER, ZERO, Call, World

LEASE = timedelta(seconds=5)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_FOREVER = timedelta(days=365_000)
KEPT = Retention(keep_for=_FOREVER / 2, keep_failures_for=_FOREVER / 2, keep_per_job=10**9)


class ModelClock(ApsClock):
    """The real clock, whose timer goes off when the world says so.

    Attributes:
        tick_at: when it next looks what is due; ``None`` where it does not.
    """

    def __init__(self, world: World, replica: Replica) -> None:
        super().__init__(world.now)
        self._world, self._replica = world, replica
        self.tick_at: timedelta | None = None
        self._scheduler._start_timer = self._wake_in
        self._scheduler._stop_timer = lambda: None

    def steady(self) -> timedelta:
        return self._world.elapsed

    async def sleep(self, delay: timedelta) -> None:
        if delay <= ZERO:
            await asyncio.sleep(0)
        else:
            await self._world.sleep(delay, self._replica)

    def _wake_in(self, seconds: float | None) -> None:
        delay = _SECOND if seconds is None else max(timedelta(seconds=seconds), _MILLISECOND)
        self.tick_at = self._world.elapsed + delay

    def tick(self) -> None:
        """Look what is due."""
        self._wake_in(self._scheduler._process_jobs())

    def stop(self) -> None:
        super().stop()
        self.tick_at = None


class Link:
    """The store as one process reaches it.

    Attributes:
        is_cut: nothing gets through, neither requests nor answers.
        lost: so many of the next answers are lost.
        latency: each way.
    """

    def __init__(self, world: World, replica: Replica) -> None:
        self._world, self._replica = world, replica
        self.is_cut = False
        self.lost = 0
        self.latency = ZERO

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        real = getattr(self._world.store, verb)

        async def ask(*args: Any, **how: Any) -> Any:
            self._must_be_up()
            try:
                if self.latency:  # what is on its way arrives, whatever becomes of its sender
                    answer = await asyncio.shield(self._world.apart(self._arrive(real, args, how, self.latency)))
                else:
                    answer = await real(*args, **how)
            except StoreError:
                await self._back()
                raise
            await self._back()
            return answer

        return ask

    async def _arrive(self, real: Any, args: Any, how: Any, latency: timedelta) -> Any:
        await self._world.sleep(latency, None)
        return await real(*args, **how)

    async def _back(self) -> None:
        if self.latency:
            await self._world.sleep(self.latency, None)
        await self._replica.may_go_on()
        self._must_be_up()
        if self.lost:
            self.lost -= 1
            raise StoreUnavailableError("the store's answer was lost")

    def _must_be_up(self) -> None:
        if self.is_cut:
            raise StoreUnavailableError("the store is away")


class Wire:
    """The target as one process reaches it."""

    def __init__(self, world: World, replica: Replica) -> None:
        self._world, self._replica = world, replica

    async def call(self, request, timeout):  # noqa: ASYNC109 - the port's own word
        world = self._world
        run_id = request.headers["Idempotency-Key"]
        lease = world.store.stored_lease
        delay, reply = world.target.answer()
        world.target.calls.append(
            Call(
                run_id=run_id,
                run=world.store.stored_runs.get(run_id),
                attempt=int(request.headers["X-Reconciler-Attempt"]),
                at=world.now(),
                elapsed=world.elapsed,
                sender=self._replica.name,
                term=lease.term if lease is not None else 0,
                arrived=reply is None or reply.sent,
            )
        )
        await self._replica.clock.sleep(timeout if reply is None else min(delay, timeout))
        late = reply is None or delay > timeout
        return Reply(error="no answer in time", latency_ms=timeout.total_seconds() * 1000) if late else reply

    async def close(self) -> None:
        pass


class EachSecond:
    """It is worth a look once in a while."""

    def __init__(self, clock: ModelClock) -> None:
        self._clock = clock

    async def __aiter__(self) -> AsyncIterator[frozenset[Occasion]]:
        while True:
            yield frozenset({Occasion.STORE})
            await self._clock.sleep(_SECOND)


class Replica:
    """A long-lived process, in the order of the engine.

    Attributes:
        held: timers that came while it was frozen.
        is_ending: it was told to end in good order.
    """

    link_of = Link

    def __init__(self, world: World, number: int, *, knows_neighbours: bool, places: int) -> None:
        self.world, self.name = world, f"replica-{number}"
        self.context = copy_context()
        self.context.run(OWNER.set, self)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.held: list[Any] = []
        self.is_dead = self.is_frozen = self.is_ending = False
        self._thawed: list[asyncio.Future[None]] = []
        self.link = self.link_of(world, self)
        self.clock = ModelClock(world, self)
        self.reconciliation = Reconciliation(
            world.source, self.link, self.clock, SyncOptions(max_prune=1.0), term=self._writing_term
        )
        self.runner = Runner(
            store=self.link, clock=self.clock, caller=Wire(world, self), owner=self.name,
            jobs=self.reconciliation.job, observer=self._observe, max_in_flight=places, stopped=self._stopped,
            successor=self.reconciliation.successor, renaming=self.reconciliation.renaming, term=lambda: self.term,
            late=lambda slot: self.arrears.behind(slot),  # noqa: PLW0108 - they know each other
        )  # fmt: skip
        self.arrears = Arrears(
            store=self.link, clock=self.clock, runner=self.runner, jobs=lambda: self.reconciliation.jobs,
            term=lambda: self.term, stopped=self._stopped,
            halted=lambda key, slot: self.stops.stopped(key, slot),  # noqa: PLW0108 - made below
            renaming=self.reconciliation.renaming,
        )  # fmt: skip
        self.chains = Chains(self.link, self.clock, self.runner, lambda: self.reconciliation.jobs, lambda: self.term)
        self.leadership = Leadership(
            store=self.link, clock=self.clock, process_id=self.name, span=LEASE,
            accounted_until=self._accounted_until, on_lead=self._lead,
        )  # fmt: skip
        self.stops = Stops(self.link, self.clock, self.runner, jobs=lambda: self.reconciliation.jobs)
        started = self.clock.now()
        process = Process(
            id=self.name, role="run", host="host", pid=number, version="1", started_at=started, seen_at=started
        )
        self.upkeep = Upkeep(
            store=self.link, clock=self.clock, runner=self.runner, process=process,
            alive=world_alive(world) if knows_neighbours else None,
            leads=lambda: self.term is not None, retention=KEPT,
        )  # fmt: skip
        self.attending = Attending(
            reconciliation=self.reconciliation, leadership=self.leadership, clock=self.clock, stops=self.stops,
            occasions=EachSecond(self.clock), led=asyncio.Event(), nudge=self.link.nudge,
            synced=lambda _report: self._known(), known=self._known, metrics=Metrics(version="1", now=self.clock.now),
        )  # fmt: skip
        self._keepers: dict[str, asyncio.Task[Any]] = {}

    # Who leads

    @property
    def goes_on(self) -> bool:
        """Whether its machine lets it run."""
        return not (self.is_dead or self.is_frozen)

    @property
    def term(self) -> int | None:
        return self.attending.term

    def _writing_term(self) -> int:
        term = self.leadership.term
        if term is None:
            raise DeposedError("this process does not lead")
        return term

    def _lead(self, lease: Lease) -> None:
        self.attending.leads(lease)
        self.arrears.lead_from(lease.accounted_until)

    def _accounted_until(self) -> datetime:
        owed, mark = self.chains.oldest(), self.runner.accounted_until()
        return mark if owed is None else min(mark, owed - _MILLISECOND)

    def _stopped(self, key: JobKey, slot: datetime) -> Stop | None:
        stored = self.reconciliation.job(key)
        excluded = None if stored is None else stop_of(stored.job.schedule, slot)
        return excluded or self.stops.stopped(key, slot)

    def _observe(self, _job: Job | None, run: Run) -> None:
        self.chains.ended(run)

    # Its life

    def start(self) -> None:
        """Begin to live."""
        self._keep("life", self._live())

    def _do(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.world.loop.create_task(work, context=self.context)

    async def _live(self) -> None:
        await self._until_done(self.stops.load)
        await self.leadership.step()
        self._keep("lease", self.leadership.keep())
        self._keep("upkeep", self.upkeep.keep())
        await self._until_done(lambda: self.attending.begin(wait=True))
        self.clock.start(self.runner.on_due)
        self.clock.tick()
        self._keep("leading", self.attending.keep_leading())
        self._keep("following", self.attending.keep())
        self._keep("stops", self.stops.keep())
        self._keep("arrears", self.arrears.keep())
        self._keep("chains", self.chains.keep())

    def _keep(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self._keepers[name] = self._do(work)

    async def _until_done(self, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await work()
            except StoreError:
                await self.clock.sleep(_SECOND)
            else:
                return

    def _known(self) -> None:
        self.chains.jobs_changed()
        self.stops.windows(self.reconciliation.windows)

    # What befalls it

    def freeze(self) -> None:
        """SIGSTOP."""
        self.is_frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.is_frozen = False
        self.world.give_back(self)
        for future in self._thawed:
            future.set_result(None)
        self._thawed.clear()

    async def may_go_on(self) -> None:
        """Wait until it is not frozen; a dead one waits for ever."""
        while self.is_frozen or self.is_dead:
            future = self.world.loop.create_future()
            if not self.is_dead:
                self._thawed.append(future)
            await future

    async def kill(self) -> None:
        """SIGKILL: everything in memory is gone, and nobody is told."""
        self.is_dead, self.is_frozen = True, False
        self.held.clear()
        self.clock.tick_at = None
        for _ in range(20):
            if not self.tasks:
                return
            for task in list(self.tasks):
                task.cancel()
            await asyncio.sleep(0)
            await self.world.settle()
        raise AssertionError(f"{self.name} does not die: {self.tasks}")

    def terminate(self) -> None:
        """SIGTERM: it ends in good order, in its own time."""
        self.is_ending = True
        self._do(self._end())

    async def _end(self) -> None:
        for name in ("life", "following", "chains", "arrears", "stops", "leading"):
            await self._stop(name)
        self.clock.stop()
        await self.runner.hand_over()
        await self.leadership.resign()
        await self.attending.end()
        await self.runner.drain(timedelta(seconds=10))
        for name in ("upkeep", "lease"):
            await self._stop(name)
        await self.upkeep.farewell()
        self.is_dead = True

    async def _stop(self, name: str) -> None:
        task = self._keepers.get(name)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def world_alive(world: World) -> Callable[[int], bool]:
    """Tell which processes of the one host run; a frozen one does."""

    def alive(pid: int) -> bool:
        return any(one.name == f"replica-{pid}" and not one.is_dead for one in world.replicas)

    return alive
