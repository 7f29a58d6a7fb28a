"""A campaign from its beginning to its verdict: load, faults, calm, evidence.

Forbidden here: what a fault does, what a promise is.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from reconciler.core.model import Run, RunQuery
from reconciler.errors import StoreError
from reconciler.ports import Store
from tests.faults import calls
from tests.faults.audited import audit
from tests.faults.disk import Disk, small_disk
from tests.faults.evidence import Evidence
from tests.faults.faults import ON_MONGODB, ON_SQLITE, Planned, plan
from tests.faults.inject import Injector
from tests.faults.jobs import Declared, mixed, root
from tests.faults.watch import Watch
from tests.faults.world import World

_START = 60.0  # seconds until everything must have begun
_CALM = 90.0  # seconds in which what was left behind must have been settled
_PAGE = 1000
_PROGRESS = 30.0
_RENAMED = 5  # jobs at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be chosen, by variables of the environment in capitals.

    Attributes:
        lease: in seconds, for the replicas; the bounds on takeovers hold for the default.
        renames: how often some jobs are given other names while faults strike.
    """

    slots: int = 100_000
    faults: int = 500
    seconds: float = 1500.0
    seed: int = 1
    replicas: int = 3
    lease: float = 5.0
    renames: int = 60

    @classmethod
    def from_environment(cls) -> Options:
        """As SLOTS, FAULTS, SECONDS, SEED, REPLICAS, LEASE and RENAMES say."""
        given = {name: os.environ.get(name.upper()) for name in cls.__slots__}
        return cls(
            **{name: type(getattr(cls(), name))(text) for name, text in given.items() if text is not None and text}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a report needs besides the verdict.

    Attributes:
        began: when the faults did, in seconds of the epoch.
        idle: traps into which nobody went.
        renames: names that were given to jobs.
    """

    options: Options
    evidence: Evidence
    began: float
    idle: int
    renames: int = 0


async def run(options: Options) -> Told:
    """A whole campaign on MongoDB."""
    with _folder() as folder:
        world = World(folder, _jobs(options), replicas=options.replicas, settings=settings(options))
        planned = plan(options.seed, options.faults, options.seconds, ON_MONGODB)
        return await take_place(world, planned, options)


async def run_on_disk(options: Options) -> Told:
    """One on a SQLite file, whose disk is full now and then.

    Raises:
        NoDiskError: no small disk can be mounted here.
    """
    with _folder() as folder, small_disk(folder / "disk") as disk:
        file = disk.folder / "state.db"
        world = World(folder, _jobs(options), replicas=options.replicas, settings=settings(options), sqlite=file)
        planned = plan(options.seed, options.faults, options.seconds, ON_SQLITE)
        return await take_place(world, planned, options, disk)


def _jobs(options: Options) -> Sequence[Declared]:
    return mixed(options.slots / options.seconds)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of the campaign's own; KEEP names one that stays, with every log."""
    with ExitStack() as stack:
        kept = os.environ.get("KEEP")
        folder = Path(kept or stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        folder.mkdir(parents=True, exist_ok=not kept)
        yield folder


def settings(options: Options) -> Mapping[str, str]:
    """What the options say to a replica."""
    return {"RECONCILER_LEASE": f"{options.lease:g}s"}


async def take_place(world: World, planned: Sequence[Planned], options: Options, disk: Disk | None = None) -> Told:
    """Let everything happen in a world that has not begun."""
    async with world, Watch(world) as watch:
        await begin(world, watch)
        injector = Injector(world, watch, span=options.lease, seed=options.seed, disk=disk)
        began = time.time()
        renaming = asyncio.create_task(_rename(world, watch, options))
        await _strike_all(injector, planned, began + options.seconds, world)
        await renaming
        evidence = await end(world, watch, injector, options)
        told = Told(options=options, evidence=evidence, began=began, idle=injector.idle, renames=world.renames)
        (world.folder / "evidence.pickle").write_bytes(pickle.dumps(told))  # for whoever looks into what happened
        return told


async def begin(world: World, watch: Watch) -> None:
    """Wait until calls are made and every replica has shown life."""

    def has_begun() -> bool:
        if not any(replica.runs for replica in world.replicas):
            return True  # there is nothing to wait for
        named = all(watch.is_named(replica) for replica in world.replicas)
        return named and world.calls.exists() and world.calls.stat().st_size > 0

    if not await watch.until(has_begun, _START) or not any(replica.runs for replica in world.replicas):
        logs = [path.read_text()[-2000:] for path in world.folder.glob("replica-*.log")]
        raise RuntimeError("the replicas make no calls:\n" + "\n".join(logs))


async def _strike_all(injector: Injector, planned: Sequence[Planned], end_at: float, world: World) -> None:
    began = time.time()
    tasks = []
    beside = [asyncio.create_task(_tell(injector, world)), asyncio.create_task(world.mend())]
    for one in planned:
        await asyncio.sleep(max(0, began + one.at - time.time()))
        tasks.append(asyncio.create_task(injector.strike(one)))
    await asyncio.gather(*tasks)
    await asyncio.sleep(max(0, end_at - time.time()))
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)


async def _rename(world: World, watch: Watch, options: Options) -> None:
    """Give some jobs other names, again and again; what is not stored yet keeps its own, and so does all at the end."""
    random = Random(options.seed)  # noqa: S311 - as in the plan
    for _ in range(options.renames):
        await asyncio.sleep(options.seconds / (options.renames + 1))
        with suppress(StoreError):
            world.rename(await _stored(watch), _RENAMED, random)


async def _stored(watch: Watch) -> Mapping[str, float]:
    """Since when the slots of each job count, as the store has it."""
    return {str(stored.key): stored.since.timestamp() for stored in await watch.store.jobs()}


async def _tell(injector: Injector, world: World) -> None:
    began = time.time()
    while True:
        await asyncio.sleep(_PROGRESS)
        size = world.calls.stat().st_size / 1024 / 1024
        said = f"{time.time() - began:6.0f} s  {len(injector.done)} faults  {size:.1f} MiB of log"
        print(said, file=sys.stderr, flush=True)  # noqa: T201 - somebody waits for minutes


async def end(world: World, watch: Watch, injector: Injector, options: Options, patience: float = _CALM) -> Evidence:
    """Let it calm down, stop everything, and collect what there is."""
    until = time.time()
    await _calm(world, watch, until, patience)
    await world.settle()
    stored = await _stored(watch)
    return Evidence(
        jobs=world.jobs,
        since={key: world.since.get(root(key), since) for key, since in stored.items()},
        until=until,
        runs=await records(watch.store),
        calls=calls.read(world.calls),
        faults=injector.faults(),
        tenures=tuple(watch.tenures),
        audit=await audit(world.store),
        troubles=world.troubles(),
        takeover=options.lease + 3,
        handover=1.0,
    )


async def _calm(world: World, watch: Watch, until: float, patience: float) -> None:
    """Wait until every slot up to an instant has its record, as far as the product knows, and every run its end."""
    while time.time() < until + patience:
        await asyncio.sleep(0.5)
        lease = watch.lease
        if lease is not None and lease.accounted_until.timestamp() < until:
            continue
        try:
            if {job.key for job in world.jobs} != set(await _stored(watch)):
                continue
            if not [run for run in await watch.store.unfinished() if run.slot.timestamp() <= until]:
                return
        except StoreError:
            continue


async def records(store: Store) -> Sequence[Run]:
    """Every run there is, newest first."""
    found: list[Run] = []
    page: Sequence[Run] = ()
    while not found or len(page) == _PAGE:
        page = await store.runs(RunQuery(limit=_PAGE, before=found[-1].id if found else None))
        found += page
        if not page:
            break
    return found
