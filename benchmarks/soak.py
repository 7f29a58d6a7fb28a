"""10,000 jobs that add up to 100 calls a second, for ten minutes: every call made, and memory flat.

SECONDS in the environment says for how long; the two minutes of warming up before come on top.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean

from benchmarks.calls import Call, Lateness, reckon
from benchmarks.figures import fitted, report
from benchmarks.fixtures import MANY, keys, write_spread
from benchmarks.processes import NotMeasuredError, number, reconciler, resident, sleep_until, target
from benchmarks.stores import SHOWN, SQLITE, chosen, store
from reconciler.core.timetable import spread

GOAL = 5.0  # per cent of growth
_PERIOD = 100  # seconds from one call of a job to its next: 10,000 jobs make 100 calls a second
_READY = 40  # seconds until the first calls are due
_WARM_UP = 120  # seconds in which every job is called once, at least
_EACH = 10  # seconds from one look at the memory to the next
_LAST_CALLS = 5  # seconds in which calls that were due may still come


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What was seen.

    Attributes:
        began: of the part that is measured, in seconds of the epoch; it ended at ``ended``.
        memory: pairs of seconds since then and resident MB; what was noted while warming up is printed only.
    """

    began: float
    ended: float
    memory: Sequence[tuple[float, float]]


def measure(folder: Path) -> None:
    """Calls due, lost, made again, their rate and lateness; memory at the beginning and the end, and its slope."""
    seconds = number("SECONDS", 600)
    if seconds < 2 * _EACH:
        raise NotMeasuredError(f"SECONDS={seconds}: memory is looked at every {_EACH} s; {2 * _EACH} at least")
    for kind in chosen(SQLITE):
        _tell_of(folder / kind, kind, seconds)


def _tell_of(folder: Path, kind: str, seconds: int) -> None:
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=_READY)
    with target(folder) as (port, ended), store(kind, folder) as url:
        write_spread(folder / "manifests", MANY, _PERIOD, first, f"http://127.0.0.1:{port}")
        with reconciler(folder, url, DRIFT_INTERVAL="30s") as process:
            if datetime.now(UTC) >= first:
                raise NotMeasuredError("the machine was too slow to be ready in time")
            soaked = _watched(process, first.timestamp() + _WARM_UP, seconds)
            sleep_until(soaked.ended + _LAST_CALLS)
        calls = ended()
    _tell_calls(kind, soaked, first.timestamp(), calls)
    _tell_memory(kind, soaked)


def _watched(process: subprocess.Popen[str], began: float, seconds: int) -> Soaked:
    memory = []
    for place in range(-_WARM_UP, seconds + 1, _EACH):
        sleep_until(began + place)
        if process.poll() is not None:
            raise NotMeasuredError(f"the reconciler ended by itself, with {process.returncode}")
        size = resident(process.pid)
        print(f"  {place:>4} s: {size:.1f} MB", flush=True)
        if place >= 0:
            memory.append((time.time() - began, size))
    return Soaked(began=began, ended=began + seconds, memory=memory)


def due_between(first: float, began: float, ended: float) -> Iterator[tuple[float, str, float]]:
    """Slot, job and due instant of every call that is due in the part that is measured."""
    for key in keys(MANY):
        delay = spread(timedelta(seconds=_PERIOD), key).total_seconds()
        turn = max(0, math.ceil((began - first - delay) / _PERIOD))
        while (due := first + turn * _PERIOD + delay) < ended:
            yield first + turn * _PERIOD, key, due
            turn += 1


def _tell_calls(kind: str, soaked: Soaked, first: float, calls: Sequence[Call]) -> None:
    due = {(slot, key): instant for slot, key, instant in due_between(first, soaked.began, soaked.ended)}
    reckoning = reckon(due, calls)
    made = [call for call in calls if (call.slot, call.job) in due]
    if not made:
        raise NotMeasuredError(f"no call came of {reckoning.due:,} that were due")
    late = Lateness.of([call.at - due[call.slot, call.job] for call in made])
    print(f"  {reckoning.due:,} calls due, {len(made):,} made; after the instant that was due: {late}", flush=True)
    name = f"soak, 10,000 jobs, {SHOWN[kind]}"
    report(f"{name}, calls lost", [len(reckoning.lost)], "", 0)
    report(f"{name}, calls made again", [reckoning.extra], "", 0)
    report(f"{name}, calls each second", [len(made) / (soaked.ended - soaked.began)], "")


def _tell_memory(kind: str, soaked: Soaked) -> None:
    line = fitted(soaked.memory)
    begin, end = line.at(0), line.at(soaked.ended - soaked.began)
    sizes = [size for _, size in soaked.memory]
    name = f"soak, 10,000 jobs, {SHOWN[kind]}, memory"
    print(f"  at the beginning {sizes[0]:.1f} MB, at the end {sizes[-1]:.1f} MB", flush=True)
    report(name, sizes, "MB", told=fmean(sizes))
    report(f"{name}, slope of the fitted line", [line.slope * 60], "MB/min")
    report(f"{name}, growth by that line", [100 * (end / begin - 1)], "%", GOAL)
    report(f"{name}, growth, last against first", [100 * (sizes[-1] / sizes[0] - 1)], "%", GOAL)
