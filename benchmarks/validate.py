"""``validate`` against a bare pass of PyYAML's C loader over the same files, in turn."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import report
from benchmarks.fixtures import MANY, write_manifests
from benchmarks.processes import RECONCILER

RUNS = 5
_PLAIN_READER = """
import pathlib, sys, yaml
for path in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    list(yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader))
"""


def measure(folder: Path) -> None:
    """The whole command, as a multiple of the bare pass."""
    write_manifests(folder, MANY, "*/15 * * * *")
    ratios = []
    for _ in range(RUNS):
        bare = _seconds([sys.executable, "-c", _PLAIN_READER, str(folder)])
        ours = _seconds([*RECONCILER, "validate", str(folder)])
        print(f"  bare {bare:.2f} s, validate {ours:.2f} s", flush=True)
        ratios.append(ours / bare)
    report("validate, 10,000 manifests, against a bare YAML pass", ratios, "×", 2.5)


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
