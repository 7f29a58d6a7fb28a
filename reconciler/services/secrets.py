"""Secret values for a call: asked for just before it, told to the redactor before anything else, and then forgotten.

Forbidden here: keeping a value, and saying one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from reconciler.core.model import HttpRequest, JobKey, SecretUse, StoredJob
from reconciler.core.redaction import Redactor
from reconciler.core.secrets import filled
from reconciler.errors import SecretError
from reconciler.ports import Secrets

_AT_ONCE = 50


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

    async def unreadable(self, jobs: Iterable[StoredJob]) -> list[str]:
        """What cannot be read at present, one sentence for each reference, with the first job that has it."""
        found: dict[tuple[object, ...], str] = {}
        looked: set[tuple[object, ...]] = set()
        for number, stored in enumerate(jobs):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            for use in stored.job.request.secrets:
                what = _same(use, stored.key)
                if what not in looked:
                    looked.add(what)
                    if reason := await self._complaint(use, stored):
                        found[what] = reason
        return list(found.values())

    async def _complaint(self, use: SecretUse, stored: StoredJob) -> str | None:
        try:
            value = await self.value(use, stored.key)
            filled(_alone(stored.job.request, use), {use.place: value})
        except SecretError as error:
            return f"{stored.key} {use.place.replace(':', ' ', 1).rstrip()}: {error}"
        return None


def _same(use: SecretUse, key: JobKey) -> tuple[object, ...]:
    """References that stand and fall together: a sealed value only where it is for the same field."""
    header = use.place.startswith("header:")
    return (use.ref, key.application, use.field(key.api)) if use.ref.kind == "sealed" else (use.ref, header)


def _alone(request: HttpRequest, use: SecretUse) -> HttpRequest:
    return HttpRequest(method=request.method, url=request.url, body=request.body, secrets=(use,))
