"""1,000 jobs due in one second, slot after slot: how late their calls reach the target, also beside a bare client's."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.bare import bursts_measured
from benchmarks.figures import report
from benchmarks.slots import COUNT, slots_measured
from benchmarks.stores import MONGODB, SHOWN, SQLITE, NoStoreError, chosen

GOAL = 0.25  # seconds: the 99th percentile


def measure(folder: Path) -> None:
    """On SQLite and on MongoDB; where there is no MongoDB, and it was not asked for by name, that is only said."""
    kinds = chosen(SQLITE, MONGODB)
    for kind in kinds:
        try:
            _measure(folder / kind, kind)
        except NoStoreError as error:
            if len(kinds) == 1:
                raise
            print(f"lateness on {SHOWN[kind]}: skipped: {error}", flush=True)


def _measure(folder: Path, kind: str) -> None:
    measured = slots_measured(folder, kind)
    bare = bursts_measured(folder / "bare", COUNT, len(measured.slots))
    for place, slot in enumerate(measured.slots, 1):
        print(f"  slot {place}: {slot}", flush=True)
    name = f"lateness, 1,000 jobs due in one second, {SHOWN[kind]}"
    report(f"{name}, p50", [slot.p50 for slot in measured.slots], "s", told=measured.whole.p50)
    report(f"{name}, p99", [slot.p99 for slot in measured.slots], "s", GOAL, told=measured.whole.p99)
    usual = median(burst.p99 for burst in bare)
    report("a bare client's 1,000 calls of the same minute, p99", [burst.p99 for burst in bare], "s")
    report("p99 as a multiple of that", [slot.p99 / usual for slot in measured.slots], "")
    report(f"{name}, last", [slot.last for slot in measured.slots], "s", told=measured.whole.last)
