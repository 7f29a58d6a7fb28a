"""Trying out how calls authenticate, and re-encrypting what stands in the store.

Nothing is called but handshakes and token endpoints, and nothing is stored. Forbidden here: words for people beyond a
trial's reason; a value of what came back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconciler.adapters.caller import HttpCaller
from reconciler.adapters.clock import ApsClock
from reconciler.adapters.encryption import new_key
from reconciler.app import wiring
from reconciler.app.authenticating import credentials, encryption
from reconciler.app.masking import REDACTOR
from reconciler.core import auth as declared
from reconciler.core import credentials as core
from reconciler.core.acts import COMMAND_LINE, Act, ActKind
from reconciler.core.declared import DeclaredApplication
from reconciler.core.model import Auth, HttpRequest, Job, JobKey
from reconciler.errors import ReconcilerError, SealingError, SettingsError
from reconciler.ports import Encryption, Store
from reconciler.services import acts
from reconciler.services.credentials import Credentials
from reconciler.services.secrets import SecretValues
from reconciler.settings import Settings

_PATIENCE = timedelta(seconds=30)
_ANY_RUN = "018fd2c4-0000-8000-8000-000000000000"

__all__ = ["Rotation", "Subject", "Trial", "new_key", "rotate", "subjects", "try_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One way of authenticating, and the jobs that use it."""

    auth: Auth
    keys: tuple[JobKey, ...]
    timeout: timedelta = _PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying one out.

    Attributes:
        reason: why it cannot be used; empty where it can.
        status: of what was asked; ``None`` where nothing was, or nothing answered.
        credential: the kind of what came back; empty where nothing did.
        expires_at: of what came back.
    """

    subject: Subject
    reason: str = ""
    status: int | None = None
    credential: str = ""
    expires_at: datetime | None = None


def subjects(application: DeclaredApplication, jobs: Iterable[Job]) -> list[Subject]:
    """The ways in which an Application's calls authenticate, each once; its own also where it has no Apis."""
    found: dict[str, Subject] = {}
    for job in jobs:
        if job.auth is not None:
            name = declared.digest(job.auth, job.key.api)
            known = found.get(name)
            keys = (*known.keys, job.key) if known else (job.key,)
            longest = max(known.timeout, job.timeout) if known else job.timeout
            found[name] = Subject(auth=job.auth, keys=keys, timeout=longest)
    spec = application.manifest.spec
    if not found and spec.auth is not None:
        auth = declared.resolve(spec.auth, base_url=spec.base_url, shared=True)
        if isinstance(auth, Auth):
            found[""] = Subject(auth=auth, keys=(JobKey(application.name, ""),))
    return list(found.values())


async def try_out(settings: Settings, tried: Iterable[Subject]) -> list[Trial]:
    """Ask for a credential, or make up a call that is not sent, for each of them."""
    clock, caller = ApsClock(), HttpCaller(wiring.egress(settings))
    values = SecretValues(wiring.secrets(settings), REDACTOR)
    async with wiring.opened_to_read("sqlite:///none") as nowhere:
        kept = credentials(settings, store=nowhere, clock=clock, caller=caller, values=values)
        try:
            return [await _tried(each, kept, values, clock.now()) for each in tried]
        finally:
            await caller.close()


async def _tried(subject: Subject, kept: Credentials, values: SecretValues, now: datetime) -> Trial:
    auth, key = subject.auth, subject.keys[0]
    try:
        if auth.is_fetched:
            answer = await kept.ask(auth, key, subject.timeout)
            found = answer.credential
            if found is None:
                return Trial(subject=subject, reason=answer.reason, status=answer.status)
            return Trial(subject=subject, status=answer.status, credential=found.kind, expires_at=found.expires_at)
        uses = [(use, await values.value(use, key)) for use in auth.secrets]
        call = HttpRequest(method="GET", url="http://localhost/")
        if auth.kind == "hmac":
            core.signed(call, uses, run_id=_ANY_RUN, now=now)
        else:
            core.authenticated(call, auth, uses)
    except ReconcilerError as error:
        return Trial(subject=subject, reason=REDACTOR.masked(str(error)))
    return Trial(subject=subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What came of re-encrypting: how many were, how many had the newest key already, which were dropped and why."""

    encrypted: int
    kept: int
    dropped: Mapping[str, str]


async def rotate(settings: Settings) -> Rotation:
    """Encrypt every stored credential with the newest key; what no key decrypts is dropped, and fetched anew.

    Raises:
        SettingsError: there is no key.
        StoreError: the store is away or refuses.
    """
    using = encryption(settings)
    if using is None:
        raise SettingsError("RECONCILER_ENCRYPTION_KEYS is not set; `reconciler auth keygen` prints a key")
    dropped: dict[str, str] = {}
    async with wiring.opened(settings.store) as store:
        records = await store.credentials(dropped.__setitem__)
        for name in dropped:
            await store.drop_credential(name)
        encrypted = kept = 0
        for record in records:
            if using.is_newest(record.sealed):
                kept += 1
            elif reason := await _encrypted_anew(record.id, store, using):
                dropped[record.id] = reason
            else:
                encrypted += 1
        made = Rotation(encrypted=encrypted, kept=kept, dropped=dropped)
        if encrypted or dropped:
            await acts.keep(store, [_act(made)], REDACTOR)
    return made


def _act(made: Rotation) -> Act:
    dropped = f", {len(made.dropped)} dropped" if made.dropped else ""
    return Act(
        kind=ActKind.ROTATE,
        at=datetime.now(UTC),
        who=wiring.operator(),
        source=COMMAND_LINE,
        subject="credentials",
        result="encrypted anew",
        detail=f"{made.encrypted} encrypted anew{dropped}",
    )


async def _encrypted_anew(name: str, store: Store, using: Encryption) -> str:
    """Why it cannot be; a process that renews it at this moment writes it with a key of its own, which is right too."""
    record = await store.credential(name)
    if record is None:
        return ""
    try:
        plain = using.decrypt(record.sealed)
        core.from_plaintext(name, plain)
    except (SealingError, ValueError) as error:
        await store.drop_credential(name)
        return str(error)
    await store.keep_credential(replace(record, sealed=using.encrypt(plain)))
    return ""
