"""Jobs all due in one second: when the last of them reached the target, and what was recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.calls import reckon
from benchmarks.figures import report
from benchmarks.fixtures import keys, write_manifests
from benchmarks.processes import NotMeasuredError, reconciler, sleep_until, target
from benchmarks.stores import SHOWN, SQLITE, chosen, store

_ENOUGH = 10.0  # seconds after the slot: until then a machine that is not hopeless has made every call, and told it


def measure(folder: Path) -> None:
    """1,000 and 10,000 jobs, once each in a new process, three times."""
    for kind in chosen(SQLITE):
        for count, goal in ((1_000, 0.5), (10_000, 3.0)):
            last = [_burst(folder / f"{kind}-{count}-{number}", count, kind) for number in range(3)]
            report(f"burst, {count:,} jobs due in one second, {SHOWN[kind]}, the last one", last, "s", goal)


def _burst(folder: Path, count: int, kind: str) -> float:
    slot = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15 + count // 1000)
    schedule = f"{slot.second} {slot.minute} {slot.hour} {slot.day} {slot.month} *"
    with target(folder) as (port, ended), store(kind, folder) as url:
        write_manifests(folder / "manifests", count, schedule, f"http://127.0.0.1:{port}", zone="UTC")
        with reconciler(folder, url):
            if datetime.now(UTC) >= slot:
                raise NotMeasuredError("the machine was too slow to be ready in time")
            sleep_until(slot.timestamp() + _ENOUGH)
        calls = ended()
    reckoning = reckon(((slot.timestamp(), key) for key in keys(count)), calls)
    recorded = sum('"outcome": "succeeded"' in line for line in (folder / "log").read_text().splitlines())
    if reckoning.lost or reckoning.extra or recorded != count:
        said = f"{len(reckoning.lost):,} of {count:,} calls never came, {reckoning.extra:,} came again"
        raise NotMeasuredError(f"{said}; {recorded:,} runs were recorded as succeeded")
    first, last = (extreme(call.at for call in calls) - slot.timestamp() for extreme in (min, max))
    print(f"  {count:,} jobs: the first call after {first:.3f} s, the last after {last:.3f} s", flush=True)
    return last
