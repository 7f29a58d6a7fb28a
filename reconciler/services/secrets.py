"""Secret values for a call: asked for just before it, told to the redactor before anything else, and then forgotten.

Forbidden here: keeping a value, and saying one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from reconciler.core.model import HttpRequest, Job, JobKey, SecretUse, StoredJob
from reconciler.core.redaction import Redactor
from reconciler.core.secrets import filled
from reconciler.errors import SecretError
from reconciler.ports import Clock, Secrets

_AT_ONCE = 50
_STEP = timedelta(seconds=2)
_AGAIN = timedelta(minutes=1)
_MOST = 100
log = logging.getLogger(__name__)


class SecretValues:
    """Finds the values that requests refer to.

    Args:
        secrets: where they are.
        redactor: told each of them before it goes anywhere.
    """

    def __init__(self, secrets: Secrets, redactor: Redactor) -> None:
        self._secrets = secrets
        self._redactor = redactor

    async def value(self, use: SecretUse, key: JobKey) -> str:
        """The value at one place of a job's request.

        Raises:
            SecretError: it cannot be had.
        """
        found = await self._secrets.value(use.ref, application=key.application, field=use.field(key.api))
        self._redactor.learn(found)
        return found

    async def filled(self, request: HttpRequest, key: JobKey) -> HttpRequest:
        """The request of a job with its values, as it goes out.

        Raises:
            SecretError: one of them cannot be had or used; nothing may be sent.
        """
        if not request.secrets:
            return request
        uses = [use for use in request.secrets if not use.place.startswith("auth:")]
        return filled(request, {use.place: await self.value(use, key) for use in uses})

    async def unreadable(self, jobs: Iterable[Job]) -> list[str]:
        """What cannot be read at present, one sentence for each reference, with the first job that has it.

        A suspended job needs nothing: what it will need once it is resumed is looked at then.
        """
        found: dict[tuple[object, ...], str] = {}
        looked: set[tuple[object, ...]] = set()
        for number, job in enumerate(jobs):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            for use in () if job.suspend else job.secrets:
                what = _same(use, job.key)
                if what not in looked:
                    looked.add(what)
                    if reason := await self._complaint(use, job):
                        found[what] = reason
        return list(found.values())

    async def _complaint(self, use: SecretUse, job: Job) -> str | None:
        try:
            value = await self.value(use, job.key)
            filled(_alone(job.request, use), {use.place: value})
        except SecretError as error:
            return f"{job.key} {use.place.replace(':', ' ', 1).rstrip()}: {error}"
        return None


def _same(use: SecretUse, key: JobKey) -> tuple[object, ...]:
    """References that stand and fall together: a sealed value only where it is for the same field."""
    header = use.place.startswith("header:")
    return (use.ref, key.application, use.field(key.api)) if use.ref.kind == "sealed" else (use.ref, header)


def _alone(request: HttpRequest, use: SecretUse) -> HttpRequest:
    return HttpRequest(method=request.method, url=request.url, body=request.body, secrets=(use,))


class Readability:
    """Looks, from time to time and after each change of the jobs, whether all their secrets can be read.

    Args:
        values: where they are looked for.
        clock: for the pauses.
        jobs: as they stand now, and what changes when they do.

    Attributes:
        unreadable: what could not be read when it was last looked, one sentence each, names only; not all, where many.
    """

    def __init__(
        self, values: SecretValues, clock: Clock, jobs: Callable[[], tuple[object, Iterable[StoredJob]]]
    ) -> None:
        self._values = values
        self._clock = clock
        self._jobs = jobs
        self._looked: tuple[object, timedelta] | None = None
        self.unreadable: tuple[str, ...] = ()

    async def keep(self) -> None:
        """Look for as long as the process lives; never ends by itself."""
        while True:
            try:
                await self.step()
            except Exception:
                log.exception("a bug in looking for secrets")
            await self._clock.sleep(_STEP)

    async def step(self) -> None:
        """Look where it is time, and say what is new."""
        change, jobs = self._jobs()
        now = self._clock.steady()
        if self._looked is not None and self._looked[0] == change and now - self._looked[1] < _AGAIN:
            return
        self._looked = change, now
        found = tuple(await self._values.unreadable(stored.job for stored in jobs))
        for text in [each for each in found if each not in self.unreadable][:_MOST]:
            log.warning("cannot be read now: %s", text)
        self.unreadable = found[:_MOST]
