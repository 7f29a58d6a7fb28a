"""A world in which time passes only when it is told to: an event loop, a store, a source, a target, and processes.

Forbidden here: real time, and knowing what is right.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
from collections.abc import Coroutine
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from reconciler.core.model import JobKey, Pause, Reply, Run, Snapshot, StoredJob
from tests.fakes import MemoryStore
from tests.model.reference import Declared, Lived, slots

if TYPE_CHECKING:
    from tests.model.replica import Replica

ZERO = timedelta(0)
OWNER: ContextVar[Replica | None] = ContextVar("OWNER", default=None)


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose own timers never go off."""

    def time(self) -> float:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request that was sent.

    Attributes:
        run: as the store had it at that moment; ``None`` where it had no such run.
        term: of the lease at that moment.
        arrived: whether the target has received it.
    """

    run_id: str
    run: Run | None
    attempt: int
    at: datetime
    elapsed: timedelta
    sender: str
    term: int
    arrived: bool


@dataclass
class Target:
    """Answers as its mode says: ``good``, ``fails``, ``slow``, ``hangs``, ``refuses`` (nothing arrives), ``resets``."""

    mode: str = "good"
    calls: list[Call] = field(default_factory=list)

    def answer(self) -> tuple[timedelta, Reply | None]:
        """After how long it answers, and what; ``None`` for never."""
        delay = timedelta(seconds=3) if self.mode == "slow" else timedelta(milliseconds=5)
        replies = {
            "good": Reply(status=200, latency_ms=5.0),
            "slow": Reply(status=200, latency_ms=3000.0),
            "fails": Reply(status=503, latency_ms=5.0),
            "refuses": Reply(error="refused", sent=False, latency_ms=5.0),
            "resets": Reply(error="reset", latency_ms=5.0),
        }
        return delay, replies.get(self.mode)


class Source:
    """The manifests as they stand now."""

    name = "manifests"

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.revisions: dict[str, dict[str, Declared]] = {}
        self.declared: dict[str, Declared] = {}

    @property
    def revision(self) -> str:
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()

    def commit(self, files: dict[str, str], declared: dict[str, Declared]) -> None:
        """These manifests from now on, and what they mean."""
        self.files, self.declared = files, declared
        self.revisions[self.revision] = dict(declared)

    async def fetch(self, known):
        texts = {name: text.encode() for name, text in self.files.items()}
        ids = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
        new = {name: text for name, text in texts.items() if known.get(name) != ids[name]}
        return Snapshot(revision=self.revision, files=ids, texts=new)

    async def origins(self, _files):
        return {}


@dataclass(frozen=True, kw_only=True)
class Window:
    """A freeze window as it was declared."""

    application: str
    start: Declared
    duration: timedelta

    def covers(self, at: datetime, slack: timedelta) -> bool:
        """Whether it is open at an instant, or so near to it."""
        return bool(slots(self.start, at - self.duration - slack, at + slack))


@dataclass(kw_only=True)
class Standing:
    """A window, since when it is declared, and until when it was."""

    window: Window
    since: timedelta
    until: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a job was from an instant on, as it was written.

    Attributes:
        begin: from where on its slots count, by the wall clock.
        at: when it was written, by the wall clock.
        elapsed: the same, by time that nobody sets.
        segment: in which pass of the wall clock.
        declared: ``None`` where it was removed.
    """

    begin: datetime
    at: datetime
    elapsed: timedelta
    segment: int
    declared: Declared | None


class WatchedStore(MemoryStore):
    """A store that notes when jobs were written and runs were claimed.

    Attributes:
        applied: what each job was from when on, by the name that it has now.
        renamed: old name -> new name.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.world = world
        self.applied: dict[str, list[Applied]] = {}
        self.claimed: dict[str, timedelta] = {}
        self.renamed: dict[str, str] = {}

    def name_of(self, key: JobKey) -> str:
        """What a job is called now that had this name."""
        name = str(key)
        while name in self.renamed:
            name = self.renamed[name]
        return name

    def _carry(self, old: str, new: str) -> None:
        """Another name is no other job: what it was it has been all along."""
        self.renamed[old] = new
        self.applied[new] = self.applied.pop(old, [])

    async def apply(self, writing, *, term=None):
        before = dict(self.stored_jobs)
        try:
            await super().apply(writing, term=term)
        finally:
            for old, new in (writing.renamed or {}).items():
                if old in before and old not in self.stored_jobs and new in self.stored_jobs:
                    self._carry(str(old), str(new))
            for stored in writing.jobs:
                if self.stored_jobs.get(stored.key) is stored and before.get(stored.key) is not stored:
                    self._note(stored)
            for key in writing.removed_jobs:
                if key in before and key not in self.stored_jobs and str(key) not in self.renamed:
                    self._add(str(key), self.world.now(), None)

    def _note(self, stored: StoredJob) -> None:
        name, declared = str(stored.key), self.world.source.revisions[stored.revision][str(stored.key)]
        history = self.applied.get(name)
        if name not in self.renamed.values() or not history or history[-1].declared != declared:
            self._add(name, stored.since, declared)

    def _add(self, name: str, begin: datetime, declared: Declared | None) -> None:
        history = self.applied.setdefault(name, [])
        world = self.world
        history.append(
            Applied(
                begin=begin,
                at=world.now(),
                elapsed=world.elapsed,
                segment=len(world.lived.segments) - 1,
                declared=declared,
            )
        )

    async def claim(self, runs, *, term=None):
        known = {run.id for run in runs if run.id in self.stored_runs}
        try:
            return await super().claim(runs, term=term)
        finally:
            for run in runs:
                if run.id not in known and run.id in self.stored_runs:
                    self.claimed.setdefault(run.id, self.world.elapsed)


class World:
    """Everything there is.

    Attributes:
        elapsed: how much time has passed; nobody can set it.
        jumped: by how much the wall clock has been set.
        disturbances: what happened that may hold a slot up, as (elapsed, what).
    """

    def __init__(self, begin: datetime) -> None:
        self.loop = StillLoop()
        self.loop.set_task_factory(self._made)
        self.begin = begin
        self.elapsed, self.jumped = ZERO, ZERO
        self.lived = Lived(begin)
        self.target = Target()
        self.source = Source()
        self.store = WatchedStore(self)
        self.replicas: list[Replica] = []
        self.pauses: dict[str, tuple[Pause, timedelta]] = {}
        self.windows: list[Standing] = []
        self.disturbances: list[tuple[timedelta, str]] = []
        self.bugs: list[str] = []
        self.most_latency = ZERO
        self._timers: list[tuple[timedelta, int, asyncio.Future[None], Replica | None]] = []
        self._order = itertools.count()

    def _made(self, loop, coro, **how):
        task = asyncio.Task(coro, loop=loop, **how)
        context = how.get("context")
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            owner.tasks.add(task)
            task.add_done_callback(owner.tasks.discard)
        return task

    # Time

    def now(self) -> datetime:
        """The wall clock."""
        return self.begin + self.elapsed + self.jumped

    def steady(self) -> timedelta:
        """What the store judges the lease by."""
        return self.elapsed

    def note(self, what: str) -> None:
        """Something has happened that may hold slots up."""
        self.disturbances.append((self.elapsed, what))

    def jump(self, by: timedelta) -> None:
        """Set the wall clock."""
        self.lived.until(self.now())
        self.jumped += by
        self.lived.jump(self.now())
        self.note("jump")

    async def sleep(self, delay: timedelta, owner: Replica | None) -> None:
        """Wait in this world; an owner that is frozen by then goes on once it is not."""
        future = self.loop.create_future()
        heapq.heappush(self._timers, (self.elapsed + delay, next(self._order), future, owner))
        await future

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something at this instant, and let everybody go on as far as they can."""

        async def done():
            result = await work
            await self.settle()
            return result

        return self.loop.run_until_complete(done())

    async def settle(self) -> None:
        """Let every task run until it waits for time."""
        for _ in range(200_000):
            await asyncio.sleep(0)
            if not self.loop._ready:
                return
        raise AssertionError("somebody never waits for time")

    async def pass_time(self, span: timedelta, quantum: timedelta = ZERO) -> None:
        """Let time pass; with a quantum everybody is woken late, by so much at most, as on a machine that is slow."""
        end = self.elapsed + span
        await self.settle()
        while self.elapsed < end:
            event = self._next_event()
            at = end if event is None else min(max(event, self.elapsed), end)
            self.elapsed = min(end, max(at, self.elapsed + quantum))
            await self._fire()
        self.lived.until(self.now())

    def _next_event(self) -> timedelta | None:
        ticks = [one.clock.tick_at for one in self.replicas if one.goes_on and one.clock.tick_at is not None]
        self._drop_idle()
        timers = [self._timers[0][0]] if self._timers else []
        return min([*ticks, *timers], default=None)

    def _drop_idle(self) -> None:
        """Put timers of the frozen aside, and forget those of the dead."""
        while self._timers:
            _, _, future, owner = self._timers[0]
            if future.done() or (owner is not None and owner.is_dead):
                heapq.heappop(self._timers)
            elif owner is not None and owner.is_frozen:
                owner.held.append(heapq.heappop(self._timers))
            else:
                return

    async def _fire(self) -> None:
        for replica in list(self.replicas):
            if replica.goes_on and replica.clock.tick_at is not None and replica.clock.tick_at <= self.elapsed:
                replica.context.run(replica.clock.tick)
        await self.settle()
        while True:
            self._drop_idle()
            if not self._timers or self._timers[0][0] > self.elapsed:
                return
            future = heapq.heappop(self._timers)[2]
            future.set_result(None)
            await self.settle()

    def give_back(self, replica: Replica) -> None:
        """A frozen process goes on: its timers count again."""
        for timer in replica.held:
            heapq.heappush(self._timers, timer)
        replica.held.clear()

    def apart(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something that is no process's own, such as a request that is on its way."""
        return self.loop.create_task(work, context=Context())

    def close(self) -> None:
        """The end of the world."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(self.settle())
        self.loop.close()
