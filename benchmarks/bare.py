"""The yardstick for lateness: a bare client that makes the same thousand calls, and does nothing else.

``python -m benchmarks.bare PORT COUNT BURSTS`` is that client: aiohttp, a hundred calls at once, with a claim, a record
and a log line for none of them. Forbidden here: anything of the product.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from benchmarks.calls import Lateness, late_by_slot
from benchmarks.processes import NotMeasuredError, target

_AT_ONCE = 100  # as many as a reconciler makes unless it is told otherwise
_KEPT = 1.0  # seconds that a connection is kept, likewise
_BETWEEN = 3.0  # seconds between two bursts, so that each opens its own connections
_WITHIN = 120.0  # seconds


def bursts_measured(folder: Path, count: int, bursts: int) -> Sequence[Lateness]:
    """How late the calls of each burst reached a target, after one that warms up.

    Raises:
        NotMeasuredError: a call is missing.
    """
    with target(folder) as (port, ended):
        command = [sys.executable, "-m", "benchmarks.bare", str(port), str(count), str(bursts + 1)]
        subprocess.run(command, check=True, timeout=_WITHIN)
        late = late_by_slot(ended())
    if len(late) != bursts + 1 or any(len(values) != count for values in late.values()):
        raise NotMeasuredError("calls of the bare client never came")
    return [Lateness.of(late[slot]) for slot in sorted(late)[1:]]


async def _burst(session: aiohttp.ClientSession, url: str, count: int) -> None:
    places = asyncio.Semaphore(_AT_ONCE)
    due = datetime.now(UTC).isoformat()

    async def call(number: int) -> None:
        headers = {"X-Reconciler-Scheduled-At": due, "X-Reconciler-Job": f"bare/{number}"}
        async with places, session.get(f"{url}/{number}", headers=headers) as answer:
            await answer.read()

    await asyncio.gather(*(call(number) for number in range(count)))


async def _bursts(port: int, count: int, bursts: int) -> None:
    connector = aiohttp.TCPConnector(limit=_AT_ONCE, keepalive_timeout=_KEPT)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        for _ in range(bursts):
            await _burst(session, f"http://127.0.0.1:{port}", count)
            await asyncio.sleep(_BETWEEN)


if __name__ == "__main__":
    asyncio.run(_bursts(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
