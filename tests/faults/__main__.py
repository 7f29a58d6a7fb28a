"""``python -m tests.faults [disk | takeovers]``: a campaign, its report, and exit 1 where a promise was broken.

SLOTS, FAULTS, SECONDS, SEED, REPLICAS, LEASE and RENAMES say how much of what; KILLS and HANDOVERS likewise for the
drill. REPORT names a file for the report as JSON, KEEP a folder for every log.

Forbidden here: everything but asking and telling.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.faults import campaign, report, takeovers
from tests.faults.disk import NoDiskError
from tests.faults.oracle import judge


def main() -> int:
    """Run it; the exit code."""
    kinds = {"": campaign.run, "disk": campaign.run_on_disk, "takeovers": takeovers.run}
    asked = " ".join(sys.argv[1:])
    if asked not in kinds:
        sys.exit(f"there is no campaign {asked!r}; say nothing, disk or takeovers")
    try:
        told = asyncio.run(kinds[asked](campaign.Options.from_environment()))
    except NoDiskError as error:
        sys.exit(str(error))
    verdict = judge(told.evidence)
    print(report.table(told, verdict))  # noqa: T201 - the report is what is asked for
    if path := os.environ.get("REPORT"):
        Path(path).write_text(json.dumps(report.as_json(told, verdict), indent=2) + "\n")
    return 1 if verdict.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
