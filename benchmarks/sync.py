"""Milliseconds of a sync in a process that has synced before."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from benchmarks.figures import report
from benchmarks.fixtures import MANY, write_manifests
from reconciler.adapters.clock import ApsClock
from reconciler.adapters.folder import FolderSource
from reconciler.adapters.sqlite import SqliteStore
from reconciler.services.reconcile import Reconciliation

RUNS = 5


def measure(folder: Path) -> None:
    """With nothing changed, and with one file changed."""
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
        unchanged.append(await timed(reconciliation, parsed=0))
        edited = folder / "manifests" / "app-7" / "api-700.yaml"
        edited.write_text(edited.read_text().replace("initialDelay: ", "initialDelay: 1"))
        os.utime(edited, (number, number))
        changed.append(await timed(reconciliation, parsed=1))
    await store.close()
    return unchanged, changed


async def timed(reconciliation: Reconciliation, *, parsed: int) -> float:
    """The milliseconds of a sync that parses so many files."""
    began = time.perf_counter()
    done = await reconciliation.sync()
    assert (done.parsed, done.changed) == (parsed, parsed)
    return (time.perf_counter() - began) * 1000
