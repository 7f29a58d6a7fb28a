"""``python -m benchmarks [NAME …]``: validate, sync, burst, idle; every figure against its goal.

docs/performance.md has the figures. Each is taken several times and its median told, with lowest and highest.
Forbidden here: fixtures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psutil

from benchmarks.fixtures import write_manifests
from reconciler.adapters.clock import ApsClock
from reconciler.adapters.folder import FolderSource
from reconciler.adapters.git import GitSource
from reconciler.adapters.git.address import GitAddress
from reconciler.adapters.sqlite import SqliteStore
from reconciler.services.reconcile import Reconciliation

RUNS = 5
MANY = 10_000
RECONCILER = [sys.executable, "-m", "reconciler"]
PLAIN_READER = """
import pathlib, sys, yaml
for path in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    list(yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader))
"""


def report(name: str, values: list[float], unit: str, goal: float) -> None:
    verdict = "reached" if median(values) <= goal else "NOT reached"
    figures = f"{median(values):>9.3f} {unit:<3} (from {min(values):.3f} to {max(values):.3f})"
    print(f"{name:<58} {figures:<44} goal {goal:g}: {verdict}", flush=True)


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def validate(folder: Path) -> None:
    """The whole command against a bare pass of PyYAML's C loader over the same files, in turn."""
    write_manifests(folder, MANY, "*/15 * * * *")
    ratios = []
    for _ in range(RUNS):
        bare = seconds([sys.executable, "-c", PLAIN_READER, str(folder)])
        ours = seconds([*RECONCILER, "validate", str(folder)])
        print(f"  bare {bare:.2f} s, validate {ours:.2f} s", flush=True)
        ratios.append(ours / bare)
    report("validate, 10,000 manifests, against a bare YAML pass", ratios, "×", 2.5)


def sync(folder: Path) -> None:
    """Milliseconds of a sync in a process that has synced before."""
    write_manifests(folder / "manifests", MANY, "*/15 * * * *")
    unchanged, changed = asyncio.run(_syncs(folder))
    report("sync, nothing changed, 10,000 jobs", unchanged, "ms", 100)
    report("sync, one file changed, 10,000 jobs", changed, "ms", 100)


async def _syncs(folder: Path) -> tuple[list[float], list[float]]:
    store = SqliteStore(folder / "state.db")
    await store.open()
    reconciliation = Reconciliation(FolderSource(folder / "manifests"), store, ApsClock())
    await reconciliation.sync()
    unchanged, changed = [], []
    for number in range(RUNS):
        unchanged.append(await _timed(reconciliation, parsed=0))
        edited = folder / "manifests" / "app-7" / "api-700.yaml"
        edited.write_text(edited.read_text().replace("initialDelay: ", "initialDelay: 1"))
        os.utime(edited, (number, number))
        changed.append(await _timed(reconciliation, parsed=1))
    await store.close()
    return unchanged, changed


async def _timed(reconciliation: Reconciliation, *, parsed: int) -> float:
    began = time.perf_counter()
    done = await reconciliation.sync()
    assert (done.parsed, done.changed) == (parsed, parsed)
    return (time.perf_counter() - began) * 1000


def git(folder: Path) -> None:
    """A repository of 10,000 manifests: CPU of a poll that finds nothing, a one-file commit live, processes of git."""
    asyncio.run(_git(folder))


async def _git(folder: Path) -> None:
    write_manifests(folder / "work" / "manifests", MANY, "*/15 * * * *")
    _in(folder / "work", "init", "--quiet", "--initial-branch=main")
    _commit(folder / "work")
    source = GitSource(
        GitAddress(url=f"file://{folder}/work", ref="main", path="manifests"), folder / "data", interval=60
    )
    store = SqliteStore(folder / "state.db")
    await store.open()
    reconciliation = Reconciliation(source, store, ApsClock())
    await reconciliation.sync()
    polls, live, started = [], [], []
    for number in range(RUNS):
        cpu = _cpu()
        await _timed(reconciliation, parsed=0)
        polls.append((_cpu() - cpu) * 1000)
        edited = folder / "work" / "manifests" / "app-7" / "api-700.yaml"
        edited.write_text(edited.read_text().replace("initialDelay: ", "initialDelay: 1"))
        _commit(folder / "work", f"{number}")
        before = source.started
        live.append(await _timed(reconciliation, parsed=1))
        started.append(float(source.started - before))
    await store.close()
    report("poll of a repository that finds nothing, CPU, 10,000 jobs", polls, "ms", 30)
    report("one-file commit, fetched and live, 10,000 jobs", live, "ms", 200)
    report("processes of git for it", started, "", 3)


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it has started."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _commit(folder: Path, subject: str = "Begin") -> None:
    _in(folder, "add", "--all")
    who = ("-c", "user.name=Bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgsign=false")
    _in(folder, *who, "commit", "--quiet", "-m", subject)


def _in(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


@contextlib.contextmanager
def target(folder: Path) -> Iterator[tuple[int, Callable[[], list[tuple[float, str]]]]]:
    """A target in a process of its own: its port, and what ends it and gives its notes."""
    notes = folder / "notes"
    command = [sys.executable, "-m", "benchmarks.fixtures", str(notes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())

        def ended() -> list[tuple[float, str]]:
            process.stdin.close()
            process.wait()
            lines = notes.read_text().splitlines()
            return [(float(when), path) for when, _, path in (line.partition(" ") for line in lines)]

        try:
            yield port, ended
        finally:
            process.kill()


@contextlib.contextmanager
def reconciler(folder: Path, store: str) -> Iterator[subprocess.Popen[str]]:
    """A reconciler on a folder's manifests, once it says that it is ready."""
    command = [*RECONCILER, "run", str(folder / "manifests"), "--store", store, "--listen", "127.0.0.1:0"]
    log = (folder / "log").open("w")
    with subprocess.Popen([*command, "--log-format", "json"], stdout=log, text=True) as process:
        try:
            while '"event": "ready"' not in (folder / "log").read_text():
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            log.close()


def burst(folder: Path) -> None:
    """Jobs all due in one second: when the last of them reached the target, and what was recorded."""
    for count, goal in ((1_000, 0.5), (10_000, 3.0)):
        last = []
        for number in range(3):
            place = folder / f"{count}-{number}"
            last.append(_burst(place, count))
        report(f"burst, {count:,} jobs due in one second, the last one called", last, "s", goal)


def _burst(folder: Path, count: int) -> float:
    slot = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15 + count // 1000)
    schedule = f"{slot.second} {slot.minute} {slot.hour} {slot.day} {slot.month} *"
    store = os.environ.get("BENCH_STORE", f"sqlite:///{folder}/state.db").format(name=folder.name)
    with target(folder_made(folder)) as (port, notes_of):
        write_manifests(folder / "manifests", count, schedule, f"http://127.0.0.1:{port}", zone="UTC")
        with reconciler(folder, store):
            assert datetime.now(UTC) < slot, "the machine was too slow to be ready in time"
            wait = (slot - datetime.now(UTC)).total_seconds() + 6
            time.sleep(wait)
        notes = notes_of()
    assert len({path for _, path in notes}) == count, f"{len(notes)} calls of {count}"
    assert len(notes) == count
    recorded = sum('"outcome": "succeeded"' in line for line in (folder / "log").read_text().splitlines())
    assert recorded == count, f"{recorded} recorded of {count}"
    latest = max(when for when, _ in notes) - slot.timestamp()
    first = min(when for when, _ in notes) - slot.timestamp()
    print(f"  {count:,} jobs: the first call after {first:.3f} s, the last after {latest:.3f} s", flush=True)
    return latest


def folder_made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def idle(folder: Path) -> None:
    """Processor time and memory of a reconciler with nothing due."""
    write_manifests(folder / "manifests", MANY, "0 0 1 1 *")
    with reconciler(folder, f"sqlite:///{folder}/state.db") as process:
        seen = psutil.Process(process.pid)
        time.sleep(3)
        shares = []
        for _ in range(RUNS):
            before, began = seen.cpu_times(), time.perf_counter()
            time.sleep(5)
            after = seen.cpu_times()
            spent = after.user + after.system - before.user - before.system
            shares.append(100 * spent / (time.perf_counter() - began))
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    report("idle, 10,000 jobs, share of a core", shares, "%", 1)
    report("idle, 10,000 jobs, peak memory", [peak], "MB", 250)


BENCHMARKS = {"validate": validate, "sync": sync, "git": git, "burst": burst, "idle": idle}


def main() -> None:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(chosen) - set(BENCHMARKS):
        sys.exit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as folder:
            BENCHMARKS[name](Path(folder))


if __name__ == "__main__":
    main()
