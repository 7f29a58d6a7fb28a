"""Folders of manifests to measure with.

Forbidden here: measuring.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

MANY = 10_000
APIS_OF_AN_APPLICATION = 100

_APPLICATION = """\
apiVersion: reconciler/v1
kind: Application
metadata: {{name: app-{number}}}
spec:
  baseUrl: {base}
  defaults: {{timeout: 10s, headers: {{Accept: application/json}}}}
"""

_API = """\
apiVersion: reconciler/v1
kind: Api
metadata:
  name: api-{number}
  application: app-{application}
  labels:
    tier: gold
    team: payments
spec:
  description: Job number {number}
  schedule: "{schedule}"
  timeZone: {zone}
  request:
    method: GET
    path: /items/{number}
    query:
      active: true
      page: {number}
    headers:
      X-Team: payments
  expect:
    status: [2xx]
  retry:
    limit: 5
    initialDelay: 1s
    maxDelay: 5m
"""

_HOSTILE = """\
apiVersion: reconciler/v1
kind: Application
metadata: {{name: hostile}}
spec:
  baseUrl: {base}
  defaults: {{timeout: {timeout}s}}
  apis:
"""

_EVERY = """\
apiVersion: reconciler/v1
kind: Application
metadata: {{name: app-{number}}}
spec:
  baseUrl: {base}
  defaults: {{jitter: {period}s}}
  apis:
"""


def write_manifests(
    folder: Path,
    count: int,
    schedule: str,
    base: str = "http://127.0.0.1:9",
    zone: str = "Europe/Berlin",
    of_one: int = APIS_OF_AN_APPLICATION,
) -> None:
    """``count`` Apis of 25 lines in a file each, ``of_one`` of them to an Application, all written a while ago."""
    for number in range(count):
        application = number // of_one
        text = _API.format(number=number, application=application, schedule=schedule, zone=zone)
        _write(folder / f"app-{application}" / f"api-{number}.yaml", text)
    for application in range((count - 1) // of_one + 1):
        text = _APPLICATION.format(number=application, base=base)
        _write(folder / f"app-{application}" / "application.yaml", text)


def write_hostile(folder: Path, count: int, schedule: str, base: str, timeout: int) -> None:
    """One Application with ``count`` Apis whose target is not to be trusted; ``timeout`` in seconds."""
    apis = (
        f'  - {{name: api-{number}, schedule: "{schedule}", request: {{path: /{number}}}}}\n' for number in range(count)
    )
    _write(folder / "hostile.yaml", _HOSTILE.format(base=base, timeout=timeout) + "".join(apis))


def write_spread(folder: Path, count: int, period: int, starts_at: datetime, base: str) -> None:
    """``count`` Apis, each due every ``period`` seconds and spread over them evenly by its jitter."""
    schedule = f"{{every: {period}s, startsAt: {starts_at:%Y-%m-%dT%H:%M:%SZ}}}"
    for application in range((count - 1) // APIS_OF_AN_APPLICATION + 1):
        first = application * APIS_OF_AN_APPLICATION
        numbers = range(first, min(first + APIS_OF_AN_APPLICATION, count))
        apis = (
            f"  - {{name: api-{number}, schedule: {schedule}, request: {{path: /{number}}}}}\n" for number in numbers
        )
        head = _EVERY.format(number=application, base=base, period=period)
        _write(folder / f"app-{application}.yaml", head + "".join(apis))


def keys(count: int, of_one: int = APIS_OF_AN_APPLICATION) -> Sequence[str]:
    """The keys of the jobs that ``write_manifests`` and ``write_spread`` declare."""
    return [f"app-{number // of_one}/api-{number}" for number in range(count)]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
