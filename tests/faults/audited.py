"""What the product's own audit says of the same slots; the campaign and it must agree.

Forbidden here: believing it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

_PATIENCE = 300.0  # seconds


async def audit(store: str) -> Mapping[str, Any]:
    """Ask ``reconciler audit``, as users do, for everything that it can look at.

    Raises:
        RuntimeError: it cannot say.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "reconciler",
        "audit",
        "--store",
        store,
        "--output",
        "json",
        env=os.environ | {"RECONCILER_KEEP_RUNS_PER_JOB": "1000000"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await asyncio.wait_for(process.communicate(), _PATIENCE)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"reconciler audit: {complaint.decode().strip()}")
    said: Mapping[str, Any] = json.loads(out)
    return said
