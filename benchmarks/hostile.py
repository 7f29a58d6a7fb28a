"""200 jobs of a target that never answers, due together with 1,000 good ones: by how much these come later for it."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.figures import report
from benchmarks.slots import COUNT, PERIOD, Hostile, Measured, slots_measured
from benchmarks.stores import SHOWN, SQLITE, chosen

GOAL = 1.0  # seconds later than without
# Twice the time from slot to slot, so that calls of earlier slots pile up, and give up just when the next slot comes.
_HOSTILE = Hostile(count=200, timeout=2 * PERIOD)


def measure(folder: Path) -> None:
    """With the good jobs in ten Applications, and in one, which then takes turns with the hostile one alone."""
    for kind in chosen(SQLITE):
        for applications in (10, 1):
            place = folder / f"{kind}-{applications}"
            of_one = COUNT // applications
            alone = slots_measured(place / "alone", kind, of_one=of_one)
            beside = slots_measured(place / "beside", kind, of_one=of_one, hostile=_HOSTILE)
            _tell(f"hostile, good jobs of {applications}, {SHOWN[kind]}", alone, beside)


def _tell(name: str, alone: Measured, beside: Measured) -> None:
    for said, measured in (("alone", alone), ("beside a hostile target", beside)):
        print(f"  {said}, {measured.hung:,} calls that hang:", flush=True)
        for slot in measured.slots:
            print(f"    {slot}", flush=True)
    usual = median(slot.last for slot in alone.slots)
    later = [slot.last - usual for slot in beside.slots]
    report(f"{name}, last call later by (worst)", later, "s", GOAL, told=max(later))
    usual = median(slot.p99 for slot in alone.slots)
    later = [slot.p99 - usual for slot in beside.slots]
    report(f"{name}, p99 later by (worst)", later, "s", GOAL, told=max(later))
