"""``python -m benchmarks [NAME …]``: every figure against its goal; docs/performance.md says what each benchmark does.

Exit code 1 where one could not be measured. Forbidden here: measuring.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import burst, git, hostile, idle, lateness, soak, stores, sync, validate
from benchmarks.processes import NotMeasuredError

BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module.measure
    for module in (validate, sync, git, burst, idle, lateness, hostile, soak)
}


def main() -> int:
    """Run what is asked for, or everything; the exit code."""
    chosen = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(chosen) - set(BENCHMARKS):
        sys.exit(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    failed = 0
    with stores.session():
        for name in chosen:
            with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as folder:
                try:
                    BENCHMARKS[name](Path(folder))
                except NotMeasuredError as error:
                    print(f"{name}: NOT measured: {error}", flush=True)
                    failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
