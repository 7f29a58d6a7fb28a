"""A repository of 10,000 manifests: CPU of a poll that finds nothing, a one-file commit live, processes of git."""

from __future__ import annotations

import asyncio
import resource
import subprocess
from pathlib import Path

from benchmarks.figures import report
from benchmarks.fixtures import MANY, write_manifests
from benchmarks.sync import RUNS, timed
from reconciler.adapters.clock import ApsClock
from reconciler.adapters.git import GitSource
from reconciler.adapters.git.address import GitAddress
from reconciler.adapters.sqlite import SqliteStore
from reconciler.services.reconcile import Reconciliation


def measure(folder: Path) -> None:
    """Polls and commits in turn."""
    asyncio.run(_measure(folder))


async def _measure(folder: Path) -> None:
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
        await timed(reconciliation, parsed=0)
        polls.append((_cpu() - cpu) * 1000)
        edited = folder / "work" / "manifests" / "app-7" / "api-700.yaml"
        edited.write_text(edited.read_text().replace("initialDelay: ", "initialDelay: 1"))
        _commit(folder / "work", f"{number}")
        before = source.started
        live.append(await timed(reconciliation, parsed=1))
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
