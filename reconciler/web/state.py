"""What HTTP needs from the process it stands in; ``reconciler.app`` fills it. Forbidden here: behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request
from pydantic import SecretStr

from reconciler.core.model import ApplicationState, JobKey, Overrides, Run, StoredJob
from reconciler.core.redaction import Redactor
from reconciler.ports import ActLog, Store
from reconciler.web.access import Access
from reconciler.web.door import Door
from reconciler.web.limits import Allowance, Rate
from reconciler.web.metrics import Metrics
from reconciler.web.replays import Replays

TRIGGERS = Rate(burst=60, every=1.0)
DELIVERIES = Rate(burst=60, every=1.0)


class Trigger(Protocol):
    """Starts one manual run and returns as soon as it is claimed."""

    async def __call__(self, key: JobKey, overrides: Overrides, idempotency_key: str | None, /) -> Run:
        """Claim and start a run.

        Raises:
            NotFoundError: there is no such job.
            OverridesError: what is to be replaced cannot be sent.
            IdempotencyConflictError: the key was used before with another request.
            StoreUnavailableError: the store is away; nothing was sent.
        """


class Declared(Protocol):
    """What is declared. A store has these verbs; a process that follows a source knows the answers by heart."""

    async def jobs(self) -> Sequence[StoredJob]:
        """Every job, ordered by key."""

    async def job(self, key: JobKey) -> StoredJob | None:
        """One job."""

    async def applications(self) -> Sequence[ApplicationState]:
        """Every Application, ordered by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebState:
    """What HTTP reads and calls.

    Attributes:
        declared: jobs and Applications, so that a question costs no reading of thousands of records.
        now: the present instant, aware, UTC.
        readiness: why this process is not ready; empty for ready.
        access: who may ask for what.
        acts: hears who has done what.
        door: under which names and from which sources requests are taken.
        settings: every setting as an admin may see it; ``None`` where it is not set.
        hook_secret: who signs with it may wake the source; ``None`` closes the address.
        wake: reads the source soon; returns at once, and twice is as good as once.
        concerns: whether a push to this ref (``refs/heads/main``) can change what is read here.
        source: its name for people.
        next_due: when this process will next wake for a job; ``None`` if never.
        replays: the deliveries that have woken the source.
        triggers: how often each source may trigger.
        deliveries: how often each source may say that something was pushed.
        redactor: masks what problem documents say.
    """

    store: Store
    declared: Declared
    now: Callable[[], datetime]
    trigger: Trigger
    readiness: Callable[[], Awaitable[Sequence[str]]]
    metrics: Metrics
    access: Access
    acts: ActLog
    door: Door
    hook_secret: SecretStr | None
    wake: Callable[[], None]
    concerns: Callable[[str], bool]
    version: str
    source: str
    next_due: Callable[[JobKey], datetime | None]
    settings: Mapping[str, str | None] = field(default_factory=dict)
    replays: Replays = field(default_factory=Replays)
    triggers: Allowance = field(default_factory=lambda: Allowance(TRIGGERS))
    deliveries: Allowance = field(default_factory=lambda: Allowance(DELIVERIES))
    redactor: Redactor = field(default_factory=Redactor)


async def _state(request: Request) -> WebState:
    return cast("WebState", request.app.state.web)


State = Annotated[WebState, Depends(_state)]
