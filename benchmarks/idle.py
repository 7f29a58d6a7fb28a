"""Processor time and memory of a reconciler with nothing due."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from benchmarks.figures import report
from benchmarks.fixtures import MANY, write_manifests
from benchmarks.processes import peak, reconciler

RUNS = 5

_SETTLE = 3.0  # seconds: the work of starting is no part of being idle
_SPAN = 5.0  # seconds of one measurement: long enough to hold several of everything that is done every second


def measure(folder: Path) -> None:
    """The share of a core over spans of five seconds, and the peak of memory."""
    write_manifests(folder / "manifests", MANY, "0 0 1 1 *")
    with reconciler(folder, f"sqlite:///{folder}/state.db") as process:
        seen = psutil.Process(process.pid)
        time.sleep(_SETTLE)
        shares = []
        for _ in range(RUNS):
            before, began = seen.cpu_times(), time.perf_counter()
            time.sleep(_SPAN)
            after = seen.cpu_times()
            spent = after.user + after.system - before.user - before.system
            shares.append(100 * spent / (time.perf_counter() - began))
        most = peak(process.pid)
    report("idle, 10,000 jobs, share of a core", shares, "%", 1)
    report("idle, 10,000 jobs, peak memory", [most], "MB", 250)
