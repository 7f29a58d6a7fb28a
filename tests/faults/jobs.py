"""Which jobs a campaign declares, and which slots they have: plain arithmetic that shares no code with the product.

Every schedule is an interval of whole seconds anchored at the epoch, so that a slot is any whole multiple of it.
Forbidden here: importing from the product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from types import MappingProxyType
from typing import Any

import yaml

APPLICATIONS = 5  # of ordinary jobs; one more has a bound on its calls in flight
CROWDED = "crowded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One job; durations in seconds.

    Attributes:
        every: its slots are the multiples of this.
        limit: further attempts after a failure.
    """

    application: str
    api: str
    every: int
    method: str = "GET"
    path: str = "/fast"
    catch_up: str = "latest"
    policy: str = "Forbid"
    deadline: int = 3600
    timeout: int = 10
    jitter: int = 0
    limit: int = 0

    @property
    def key(self) -> str:
        """As the product writes it."""
        return f"{self.application}/{self.api}"

    @property
    def at_most_once(self) -> bool:
        """By default a POST is made once at the most."""
        return self.method == "POST"

    def slots(self, after: float, until: float) -> range:
        """Every slot after one instant and up to another, in whole seconds of the epoch."""
        first = (math.floor(after / self.every) + 1) * self.every
        return range(first, math.floor(until) + 1, self.every)


_GET = {"method": "GET"}
_POST = {"method": "POST"}
MIX: Sequence[dict[str, Any]] = (
    {"every": 1, **_POST, "policy": "Allow", "catch_up": "none"},
    {"every": 2, **_GET, "policy": "Forbid", "catch_up": "latest"},
    {"every": 2, **_POST, "policy": "Forbid", "catch_up": "all"},
    {"every": 3, **_POST, "path": "/slow/200", "policy": "Forbid", "catch_up": "all"},
    {"every": 2, **_GET, "path": "/slow/300", "policy": "Replace", "catch_up": "none"},
    {"every": 5, **_GET, "path": "/flaky/20", "policy": "Allow", "catch_up": "all", "limit": 2},
    {"every": 5, **_POST, "path": "/flaky/20", "policy": "Allow", "catch_up": "none"},
    {"every": 5, **_GET, "path": "/hang", "policy": "Forbid", "catch_up": "none", "timeout": 1},
    {"every": 1, **_POST, "path": "/slow/1500", "policy": "Forbid", "catch_up": "latest"},
    {"every": 1, **_POST, "path": "/slow/1500", "policy": "Replace", "catch_up": "latest"},
    {"every": 3, **_POST, "policy": "Allow", "catch_up": "all", "deadline": 4},
    {"every": 5, **_GET, "policy": "Allow", "catch_up": "latest", "jitter": 2},
    {"every": 1, **_GET, "policy": "Allow", "catch_up": "all"},
    {"every": 2, **_POST, "path": "/slow/100", "policy": "Allow", "catch_up": "all", "application": CROWDED},
)


def mixed(per_second: float) -> Sequence[Declared]:
    """Jobs of every sort, in turn, until they have so many slots a second."""
    jobs: list[Declared] = []
    for number, sort in enumerate(cycle(MIX)):
        if sum(1 / job.every for job in jobs) >= per_second:
            return jobs
        jobs.append(Declared(**{"application": f"app{number % APPLICATIONS}", "api": f"job{number:04}", **sort}))
    return jobs


def renamed(job: Declared, number: int) -> Declared:
    """The same job under a name that it has not had yet."""
    return replace(job, api=f"{root(job.key).partition('/')[2]}-{number}")


def root(key: str) -> str:
    """The first name of a job."""
    return key.partition("-")[0]


def manifests(jobs: Sequence[Declared], base_url: str, old_names: Mapping[str, str] = MappingProxyType({})) -> str:
    """The jobs as users write them; ``old_names`` by the new ones."""
    documents = []
    for name in sorted({job.application for job in jobs}):
        spec: dict[str, object] = {"baseUrl": base_url}
        if name == CROWDED:
            spec["limits"] = {"concurrency": 4}
        spec["apis"] = [_api(job, old_names.get(job.key)) for job in jobs if job.application == name]
        documents.append(
            {"apiVersion": "reconciler/v1", "kind": "Application", "metadata": {"name": name}, "spec": spec}
        )
    return yaml.safe_dump_all(documents, sort_keys=False)


def _api(job: Declared, old_name: str | None) -> dict[str, object]:
    return {
        "name": job.api,
        **({"annotations": {"reconciler/renamed-from": old_name}} if old_name else {}),
        "schedule": {"every": f"{job.every}s"},
        "request": {"method": job.method, "path": job.path},
        "timeout": f"{job.timeout}s",
        "concurrencyPolicy": job.policy,
        "startingDeadline": f"{job.deadline}s",
        "catchUp": job.catch_up,
        "jitter": f"{job.jitter}s",
        "retry": {"limit": job.limit, "initialDelay": "200ms"},
    }
