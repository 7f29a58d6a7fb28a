"""Credentials that handshakes and token endpoints give: one for each Application and way of authenticating.

However many calls wait, one is asked for at a time; it is used until shortly before it ends, or until the target
refuses it; what fails is not tried again before a while, and nothing is sent meanwhile. Other processes on the same
store use what one has been given. Forbidden here: putting a credential into a call (``core.credentials``).
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final, NamedTuple

from reconciler.core import credentials as core
from reconciler.core.auth import digest
from reconciler.core.model import Auth, Credential, JobKey, Reply, SealedCredential
from reconciler.core.redaction import Redactor
from reconciler.errors import CredentialError, ReconcilerError, SealingError, StoreError
from reconciler.ports import Caller, Clock, Encryption, Store
from reconciler.services.secrets import SecretValues
from schemas.base import format_duration

_FIRST_DELAY: Final = timedelta(seconds=1)
_LONGEST_DELAY: Final = timedelta(minutes=5)
_LONGEST_CALL: Final = timedelta(seconds=30)  # unless whoever asks first has more time
_ASKED: Final = {"oauth2": "token request", "handshake": "handshake"}
log = logging.getLogger(__name__)


class Backoff:
    """Doubling delays, from one second to five minutes; times are of a clock that nobody sets."""

    __slots__ = ("_delay", "until")

    def __init__(self) -> None:
        self._delay = _FIRST_DELAY
        self.until = timedelta(0)

    def begin(self, now: timedelta) -> None:
        """Wait from now on; longer each time."""
        self.until = now + self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY)

    def end(self) -> None:
        """Begin small again."""
        self._delay = _FIRST_DELAY


class Answer(NamedTuple):
    """What asking came to: the credential, or why there is none; and the status."""

    credential: Credential | None
    reason: str
    status: int | None


class _Account:
    """What is known of one credential.

    Attributes:
        credential: the one in use.
        refused: the one that the target has refused last.
        takers: the jobs whose calls the target has accepted with the one in use.
        asking: whoever is asking for another one.
        failure: why there is none; empty where the last asking went well.
        failing: until when nobody asks again after a failure.
        renewing: until when nobody asks again because a job was refused that it has never worked for.
        renewed_for: the job that was refused so last.
        reviving: until when nobody asks again because a job was refused that it had worked for: it has ended.
    """

    __slots__ = (
        "asking",
        "credential",
        "failing",
        "failure",
        "refused",
        "renewed_for",
        "renewing",
        "reviving",
        "takers",
    )

    def __init__(self) -> None:
        self.credential: Credential | None = None
        self.refused: Credential | None = None
        self.takers: set[JobKey] = set()
        self.asking: asyncio.Task[Credential] | None = None
        self.failure = ""
        self.failing = Backoff()
        self.renewing = Backoff()
        self.renewed_for: JobKey | None = None
        self.reviving = Backoff()


class Credentials:
    """Keeps the credentials of one process.

    Args:
        store: where they are shared, encrypted.
        clock: for lifetimes and pauses.
        caller: asks for them; the rules on where calls may go are its own.
        values: the secrets that are sent along.
        redactor: told each credential before it goes anywhere.
        encryption: ``None`` where there is no key: then they are kept in memory alone.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        caller: Caller,
        values: SecretValues,
        redactor: Redactor,
        encryption: Encryption | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._caller = caller
        self._values = values
        self._redactor = redactor
        self._encryption = encryption
        self._accounts: dict[str, _Account] = {}
        self._has_told = False

    async def current(self, auth: Auth, key: JobKey, patience: timedelta) -> Credential:
        """A credential that can be used now; asked for where there is none.

        Args:
            auth: by which it is asked for.
            key: of the job that wants to call.
            patience: how long to wait at most.

        Raises:
            CredentialError: there is none.
            SecretError: a secret that is sent along cannot be had.
        """
        account = self._account(auth, key)
        now = self._clock.now()
        if account.credential is not None and core.is_fresh(account.credential, now):
            return account.credential
        if account.asking is None:
            wait = account.failing.until - self._clock.steady()
            if account.failure and wait > timedelta(0):
                return self._alive(account) or _fail(f"{account.failure}; next try in {_seconds(wait)}")
            account.asking = asyncio.create_task(self._obtain(account, auth, key, max(patience, _LONGEST_CALL)))
            account.asking.add_done_callback(lambda done: _asked(account, done))
        return await self._waited(account, account.asking, auth, key, patience)

    async def _waited(
        self, account: _Account, asking: asyncio.Task[Credential], auth: Auth, key: JobKey, patience: timedelta
    ) -> Credential:
        """Wait for whoever asks, but no longer than the call may take in all; whoever asks goes on."""
        sleeping = asyncio.ensure_future(self._clock.sleep(patience))
        try:
            await asyncio.wait({asking, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
        if asking.done() and not asking.cancelled():
            return asking.result()
        return self._alive(account) or _fail(f"{_name(auth, key)}: no answer within {format_duration(patience)}")

    def refused(self, auth: Auth, key: JobKey, sent: str) -> bool:
        """The target has refused a credential; whether it is worth the while to call again, with another one.

        It is not where the present one is new and has never worked for this job, whatever it does for others: then it
        is not the credential that is wrong, and asking for more would be a storm. The pause between two such attempts
        doubles until one of them has helped. One that had worked for this job has ended, and is replaced; but not more
        often than every second, for a target may take and refuse the same one by turns.

        Args:
            auth: as for ``current``.
            key: as for ``current``.
            sent: the value of the header that was sent.
        """
        account = self._account(auth, key)
        if account.credential is None or core.header_of(account.credential) != sent:
            return True  # somebody has seen to it already
        had_worked, now = key in account.takers, self._clock.steady()
        pause = account.reviving if had_worked else account.renewing
        if now < pause.until:
            return False
        pause.begin(now)
        if had_worked:
            pause.end()
        else:
            account.renewed_for = key
        account.refused, account.credential, account.takers = account.credential, None, set()
        return True

    def accepted(self, auth: Auth, key: JobKey, sent: str) -> None:
        """The target has taken a credential."""
        account = self._account(auth, key)
        if account.credential is not None and core.header_of(account.credential) == sent:
            account.takers.add(key)
            if key == account.renewed_for:
                account.renewing.end()
                account.renewed_for = None

    def _account(self, auth: Auth, key: JobKey) -> _Account:
        return self._accounts.setdefault(_id(auth, key), _Account())

    def _alive(self, account: _Account) -> Credential | None:
        """The one in use, where it only is about to end."""
        kept = account.credential
        return kept if kept is not None and core.is_alive(kept, self._clock.now()) else None

    async def _obtain(self, account: _Account, auth: Auth, key: JobKey, patience: timedelta) -> Credential:
        shared = await self._shared(account, _id(auth, key))
        if shared is not None:
            account.credential, account.takers, account.failure = shared, set(), ""
            return shared
        answer = await self.ask(auth, key, patience)
        if answer.credential is None:
            account.failing.begin(self._clock.steady())
            if account.failure != answer.reason:
                log.warning("%s", answer.reason)
            account.failure = answer.reason
            return self._alive(account) or _fail(answer.reason)
        account.credential, account.takers, account.failure = answer.credential, set(), ""
        account.failing.end()
        await self._keep(auth, key, answer.credential)
        return answer.credential

    async def ask(self, auth: Auth, key: JobKey, patience: timedelta) -> Answer:
        """Ask for a credential, whatever there is already.

        Raises:
            SecretError: a secret that is sent along cannot be had.
        """
        found = [(use, await self._values.value(use, key)) for use in auth.secrets]
        request = core.fetching(auth, found)
        self._learn(core.pair_in(request))
        now = self._clock.now()
        reply: Reply = await self._caller.call(request, patience)
        try:
            credential = core.read_answer(auth, reply, now)
        except core.RefusedError as error:
            reason = self._redactor.masked(f"{_name(auth, key)}: {error}")
            return Answer(None, reason, reply.status)
        self._learn(credential.secret, core.pair_of(credential))
        return Answer(credential, "", reply.status)

    def _learn(self, *values: str) -> None:
        for value in values:
            if value:
                self._redactor.learn(value)

    # What is shared

    async def _shared(self, account: _Account, name: str) -> Credential | None:
        """What another process, or this one before, has been given."""
        if self._encryption is None:
            return None
        try:
            record = await self._store.credential(name)
            if record is None:
                return None
            found = core.from_plaintext(name, self._encryption.decrypt(record.sealed))
        except (StoreError, SealingError, ValueError) as error:
            log.warning("the stored credential %s cannot be used, and is asked for anew: %s", name, error)
            return None
        self._learn(found.secret, core.pair_of(found))
        is_other = found not in (account.refused, account.credential)
        return found if is_other and core.is_fresh(found, self._clock.now()) else None

    async def _keep(self, auth: Auth, key: JobKey, credential: Credential) -> None:
        if self._encryption is None:
            if not self._has_told:
                log.warning(
                    "credentials of %s and others are kept in memory only, and asked for anew at every start: "
                    "set RECONCILER_ENCRYPTION_KEYS (`reconciler auth keygen` prints a key)",
                    key.application,
                )
            self._has_told = True
            return
        try:
            await self._store.keep_credential(sealed(auth, key, credential, self._encryption))
        except StoreError as error:
            log.warning("the credential of %s cannot be stored: %s", key.application, error)

    async def close(self) -> None:
        """Ask no more."""
        asking = [account.asking for account in self._accounts.values() if account.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def sealed(auth: Auth, key: JobKey, credential: Credential, encryption: Encryption) -> SealedCredential:
    """A credential as it is stored."""
    name = _id(auth, key)
    return SealedCredential(
        id=name,
        application=key.application,
        kind=credential.kind,
        digest=digest(auth, key.api),
        sealed=encryption.encrypt(core.plaintext(name, credential)),
        obtained_at=credential.obtained_at,
        expires_at=credential.expires_at,
    )


def _id(auth: Auth, key: JobKey) -> str:
    return f"{key.application}/{digest(auth, key.api)}"


def _name(auth: Auth, key: JobKey) -> str:
    return f"{_ASKED[auth.kind]} of {key.application} failed"


def _seconds(span: timedelta) -> str:
    return format_duration(timedelta(seconds=max(1, round(span.total_seconds()))))


def _fail(reason: str) -> Credential:
    raise CredentialError(reason)


def _asked(account: _Account, done: asyncio.Task[Credential]) -> None:
    account.asking = None
    if not done.cancelled() and (error := done.exception()) is not None and not isinstance(error, ReconcilerError):
        log.error("a bug in asking for a credential", exc_info=error)
