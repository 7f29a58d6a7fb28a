"""Making a request ready to be sent: the values of its secrets, and what it authenticates with.

Forbidden here: keeping either of them.
"""

from __future__ import annotations

from typing import Final

from reconciler.core import credentials as core
from reconciler.core.model import HttpRequest
from reconciler.core.redaction import Redactor
from reconciler.ports import Clock
from reconciler.services.attempts import Underway
from reconciler.services.credentials import Credentials
from reconciler.services.secrets import SecretValues

_UNAUTHORIZED: Final = 401
_HEADER: Final = "Authorization"


class Authentication:
    """Authenticates the calls of one process.

    Args:
        values: where the values of secrets are found.
        credentials: those that are asked for.
        clock: for the timestamp of a signature.
        redactor: told what goes out.
    """

    def __init__(self, values: SecretValues, credentials: Credentials, clock: Clock, redactor: Redactor) -> None:
        self._values = values
        self._credentials = credentials
        self._clock = clock
        self._redactor = redactor

    async def prepare(self, underway: Underway) -> HttpRequest:
        """The request of a run, as it goes out but for the headers that name the run.

        Raises:
            SecretError: a value cannot be had or used.
            CredentialError: no credential is to be had.
        """
        job, auth = underway.job, underway.job.auth
        request = await self._values.filled(underway.request, job.key)
        if auth is None or core.is_replaced(request, auth):
            return request
        if auth.is_fetched:
            return core.with_credential(request, auth, await self._credentials.current(auth, job.key, job.timeout))
        found = [(use, await self._values.value(use, job.key)) for use in auth.secrets]
        if auth.kind == "hmac":
            return core.signed(request, found, run_id=underway.run.id, now=self._clock.now())
        request = core.authenticated(request, auth, found)
        if pair := core.pair_in(request):
            self._redactor.learn(pair)
        return request

    def answered(self, underway: Underway, sent: HttpRequest, status: int) -> bool:
        """The target has answered; whether the call is to be made once more, with a new credential."""
        auth = underway.job.auth
        if auth is None or not auth.is_fetched or core.is_replaced(underway.request, auth):
            return False
        header = sent.headers.get(_HEADER, "")
        if status == _UNAUTHORIZED:
            return self._credentials.refused(auth, underway.job.key, header)
        self._credentials.accepted(auth, underway.job.key, header)
        return False
