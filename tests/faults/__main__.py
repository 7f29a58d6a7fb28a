"""``python -m tests.faults``: a whole campaign, its report, and exit 1 where a promise was broken.

SLOTS, FAULTS, SECONDS, SEED, REPLICAS and LEASE say how much of what; REPORT names a file for the report as JSON.
Forbidden here: everything but asking and telling.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.faults import campaign, report
from tests.faults.oracle import judge


def main() -> int:
    """Run it; the exit code."""
    told = asyncio.run(campaign.run(campaign.Options.from_environment()))
    verdict = judge(told.evidence)
    print(report.table(told, verdict))  # noqa: T201 - the report is what is asked for
    if path := os.environ.get("REPORT"):
        Path(path).write_text(json.dumps(report.as_json(told, verdict), indent=2) + "\n")
    return 1 if verdict.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
