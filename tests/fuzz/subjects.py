"""What is fuzzed, each under the same face: how a case is made, tried, made smaller, and written down.

Forbidden here: processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from random import Random
from typing import Any, Final, Protocol

from tests.fuzz import deliveries, manifests


class Subject(Protocol):
    """One thing that is fuzzed."""

    name: str
    suffix: str  # of the file that a case is written to

    def make(self, random: Random) -> Any:
        """One case."""

    def check(self, case: Any) -> str:
        """Try it: how it went, in one word; AssertionError where a promise is broken, any other is a crash."""

    def smaller(self, case: Any) -> Iterator[Any]:
        """Cases like it with something left out, the largest parts first."""

    def written(self, case: Any) -> bytes:
        """What to keep of it."""


class Manifests:
    """Files of manifests, read and planned."""

    name = "manifests"
    suffix = "yaml"

    def make(self, random: Random) -> bytes:
        """A file's content."""
        return manifests.make(random)

    def check(self, case: bytes) -> str:
        """As ``manifests.check``."""
        return manifests.check(case)

    def smaller(self, case: bytes) -> Iterator[bytes]:
        """With lines and bytes left out."""
        return without_parts(case)

    def written(self, case: bytes) -> bytes:
        """The file itself."""
        return case


class Bodies:
    """Deliveries to the hook."""

    name = "bodies"
    suffix = "txt"

    @cached_property
    def _hook(self) -> deliveries.Hook:
        return deliveries.Hook()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def make(self, random: Random) -> deliveries.Delivery:
        """A request."""
        return deliveries.make(random)

    def check(self, case: deliveries.Delivery) -> str:
        """As ``deliveries.Hook.check``."""
        return self._loop.run_until_complete(self._hook.check(case))

    def smaller(self, case: deliveries.Delivery) -> Iterator[deliveries.Delivery]:
        """With headers and parts of the body left out; a signature is then wrong, unless the fault comes before it."""
        for index in range(len(case.headers)):
            yield replace(case, headers=case.headers[:index] + case.headers[index + 1 :])
        if len(case.chunks) > 1:
            yield replace(case, chunks=(case.body,))
        for body in without_parts(case.body):
            yield replace(case, chunks=(body,))

    def written(self, case: deliveries.Delivery) -> bytes:
        """The request, about as it goes over the wire."""
        head = [f"POST {case.path!r} {case.query!r}".encode(), *(b": ".join(pair) for pair in case.headers)]
        return b"\n".join(head) + b"\n\n" + case.body

    def close(self) -> None:
        """Give back the loop."""
        self._loop.close()


SUBJECTS: Final[Mapping[str, type[Manifests | Bodies]]] = {each.name: each for each in (Manifests, Bodies)}


def without_parts(data: bytes) -> Iterator[bytes]:
    """The data without one part of it: halves first, then ever smaller ones, down to single bytes."""
    size = (len(data) + 1) // 2
    while size:
        for begin in range(0, len(data), size):
            yield data[:begin] + data[begin + size :]
        size //= 2
