"""Slot after slot of jobs that are all due in the same second: how late their calls reach the target.

SLOTS in the environment says how many are measured. Forbidden here: goals.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Call, Lateness, late_by_slot, reckon
from benchmarks.fixtures import keys, write_hostile, write_manifests
from benchmarks.processes import NotMeasuredError, number, reconciler, sleep_until, target
from benchmarks.stores import store

COUNT = 1_000
PERIOD = 5  # seconds from one slot to the next
_SCHEDULE = f"*/{PERIOD} * * * * *"
_SLOTS = 6
_LAST_CALLS = 4.5  # seconds after the last slot; the next one has not come by then


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """Jobs whose target accepts every connection and never answers, due together with the others.

    Attributes:
        timeout: in seconds, after which a call is given up.
    """

    count: int
    timeout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of some slots.

    Attributes:
        slots: how late each slot's calls were.
        whole: how late the calls of all slots together were.
        hung: how many calls the hostile target got.
    """

    slots: Sequence[Lateness]
    whole: Lateness
    hung: int


def slots_measured(folder: Path, kind: str, *, of_one: int = 100, hostile: Hostile | None = None) -> Measured:
    """Let 1,000 jobs come due several times in a new process; the first slot warms it up and does not count.

    Args:
        folder: for everything that is written.
        kind: of store.
        of_one: how many of the jobs belong to one Application.
        hostile: further jobs.

    Raises:
        NotMeasuredError: a call is missing or was made twice, the hostile target got none, or SLOTS is no number.
    """
    count = number("SLOTS", _SLOTS)
    with ExitStack() as stack:
        port, ended = stack.enter_context(target(folder))
        url = stack.enter_context(store(kind, folder))
        write_manifests(folder / "manifests", COUNT, _SCHEDULE, f"http://127.0.0.1:{port}", "UTC", of_one)
        hung: Sequence[Call] = ()
        if hostile is not None:
            hostile_port, hostile_ended = stack.enter_context(target(folder, "hang"))
            base = f"http://127.0.0.1:{hostile_port}"
            write_hostile(folder / "manifests", hostile.count, _SCHEDULE, base, hostile.timeout)
        with reconciler(folder, url, drain="1s"):
            wanted = _upcoming(count)
            sleep_until(wanted[-1] + _LAST_CALLS)
        calls = ended()
        if hostile is not None:
            hung = hostile_ended()
            if not hung:
                raise NotMeasuredError("the hostile target was never called")
    return judged(wanted, calls, of_one, len(hung))


def _upcoming(count: int) -> Sequence[float]:
    """The slots that are measured: those after the next one."""
    warm_up = (int(time.time() + 1) // PERIOD + 1) * PERIOD
    return [float(warm_up + place * PERIOD) for place in range(1, count + 1)]


def judged(wanted: Sequence[float], calls: Sequence[Call], of_one: int, hung: int) -> Measured:
    """What came of the slots that are wanted.

    Raises:
        NotMeasuredError: a call is missing, or was made twice.
    """
    reckoning = reckon(((slot, key) for slot in wanted for key in keys(COUNT, of_one)), calls)
    if reckoning.lost or reckoning.extra:
        lost, due = f"{len(reckoning.lost):,} calls never came", f"{reckoning.due:,} due"
        raise NotMeasuredError(f"{lost} within {_LAST_CALLS} s, {reckoning.extra:,} came again, of {due}")
    late = late_by_slot(calls)
    whole = Lateness.of([value for slot in wanted for value in late[slot]])
    return Measured(slots=[Lateness.of(late[slot]) for slot in wanted], whole=whole, hung=hung)
