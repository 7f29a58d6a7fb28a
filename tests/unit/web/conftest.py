"""A small world behind HTTP: a store in memory, a trigger that remembers, a client that checks what is documented."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from structlog.testing import capture_logs

from reconciler.app.telling import Telling
from reconciler.core.model import AccessToken, ApplicationState, Attempt, Cause, JobKey, Outcome, Overrides, Run
from reconciler.core.redaction import Redactor
from reconciler.errors import IdempotencyConflictError, NotFoundError
from reconciler.services.acts import Acts
from reconciler.web.access import Access, AccessRules
from reconciler.web.app import create
from reconciler.web.door import Door
from reconciler.web.limits import Allowance
from reconciler.web.metrics import Metrics
from reconciler.web.state import DELIVERIES, TRIGGERS, WebState
from tests.fakes import START, FakeClock, MemoryStore, stored_job

TOKEN = "a-token-made-up-here"
SECRET = "a-secret-made-up-here-of-32-bytes"
APPS: list[FastAPI] = []  # one, made with the first world: making it takes longer than any test


def run_id(number: int) -> str:
    return f"{number:08x}-0000-8000-8000-000000000000"


def a_run(number: int, name: str = "billing/nightly", **changes) -> Run:
    """Run ``number`` of a job: its slot is so many minutes after START."""
    slot = START + timedelta(minutes=number)
    run = Run(
        id=run_id(number),
        key=JobKey.parse(name),
        slot=slot,
        cause=Cause.SCHEDULE,
        outcome=Outcome.SUCCEEDED,
        claimed_at=slot,
        started_at=slot + timedelta(milliseconds=5),
        finished_at=slot + timedelta(milliseconds=25),
        attempts=(Attempt(number=1, started_at=slot, latency_ms=20.0, status=200),),
        revision="r1",
        file="billing.yaml",
        line=7,
    )
    return replace(run, **changes)


def _app_of(state: WebState) -> FastAPI:
    if not APPS:
        APPS.append(create(state))
    APPS[0].state.web = state
    return APPS[0]


@dataclass
class World:
    """What stands behind the addresses; a test changes it before it asks."""

    store: MemoryStore = field(default_factory=MemoryStore)
    now: datetime = START + timedelta(hours=2)
    reasons: list[str] = field(default_factory=list)
    token: str | None = TOKEN
    secret: str | None = SECRET
    tokens: list[AccessToken] | None = field(default_factory=list)
    claims: object = None
    reachable: bool = False
    open_read: bool = False
    steady: float = 1000.0
    door: Door = field(default_factory=lambda: Door(hosts=("reconciler", "x")))
    woken: int = 0
    metrics: Metrics = field(default_factory=lambda: Metrics(version="1.2.3", now=lambda: datetime.now(UTC)))
    triggered: list[tuple[JobKey, Overrides, str | None]] = field(default_factory=list)
    error: Exception | None = None
    keys: dict[str, tuple[str, Run]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules = AccessRules(
            tokens=lambda: self.tokens,
            trigger_token=SecretStr(self.token) if self.token is not None else None,
            claims=self.claims,
            reachable=self.reachable,
            open_read=self.open_read,
        )
        self.acts = Acts(self.store, FakeClock(), Redactor(), tell=Telling().act)
        self.access = Access(rules, lambda: self.now, self.acts, lambda: self.steady)
        self.state = WebState(
            declared=self.store,
            store=self.store,
            now=lambda: self.now,
            trigger=self._trigger,
            readiness=self._readiness,
            metrics=self.metrics,
            access=self.access,
            acts=self.acts,
            door=self.door,
            hook_secret=SecretStr(self.secret) if self.secret is not None else None,
            wake=self._wake,
            concerns=lambda ref: ref == "refs/heads/main",
            version="1.2.3",
            source="manifests",
            triggers=Allowance(TRIGGERS, lambda: self.steady),
            deliveries=Allowance(DELIVERIES, lambda: self.steady),
            settings={"LISTEN": "127.0.0.1:8080", "TRIGGER_TOKEN": "***"},
            next_due=lambda key: self.now + timedelta(seconds=30) if key.api == "nightly" else None,
        )
        self.app = _app_of(self.state)
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://reconciler")

    def _wake(self) -> None:
        self.woken += 1

    async def _readiness(self) -> list[str]:
        return self.reasons

    async def _trigger(self, key: JobKey, overrides: Overrides, idempotency_key: str | None) -> Run:
        if self.error:
            raise self.error
        if await self.store.job(key) is None:
            raise NotFoundError(f"there is no job {key}")
        if idempotency_key in self.keys:
            fingerprint, run = self.keys[idempotency_key]
            if fingerprint != f"{key} {overrides}":
                raise IdempotencyConflictError("this key was used for another request")
            return run
        self.triggered.append((key, overrides, idempotency_key))
        run = a_run(900 + len(self.triggered), str(key), cause=Cause.MANUAL, outcome=Outcome.RUNNING, finished_at=None)
        if idempotency_key:
            self.keys[idempotency_key] = (f"{key} {overrides}", run)
        return run

    def fill(self) -> None:
        """Two Applications with three jobs, five runs, two syncs."""
        for stored in (
            stored_job("billing/nightly", description="Invoices", labels={"tier": "gold"}),
            stored_job("billing/weekly", suspend=True),
            stored_job("crm/refresh"),
        ):
            self.store.stored_jobs[stored.key] = stored
        self.store.stored_applications = {
            "billing": ApplicationState(name="billing", since=START),
            "crm": ApplicationState(name="crm", since=START, held=True, problems=("crm.yaml:3:5: spec: wrong",)),
        }
        self.store.seed(
            a_run(1),
            a_run(2, outcome=Outcome.FAILED, reason="status 500"),
            a_run(3, "crm/refresh"),
            a_run(4, cause=Cause.MANUAL),
            a_run(5, outcome=Outcome.RUNNING, finished_at=None),
        )

    async def ask(self, address: str, method: str = "GET", **options) -> httpx.Response:
        """Ask, and insist that the answer is one that the OpenAPI document foresees."""
        answer = await self.client.request(method, address, **options)
        self._check_documented(method, httpx.URL(address).path, answer)
        return answer

    def _check_documented(self, method: str, path: str, answer: httpx.Response) -> None:
        for template, operations in self.app.openapi()["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
                documented = operations[method.lower()]["responses"]
                assert str(answer.status_code) in documented, f"{method} {template}: {answer.status_code}"
                content = documented[str(answer.status_code)]["content"]
                assert answer.headers["content-type"].split(";")[0] in content
                if answer.headers["content-type"] == "application/problem+json":
                    examples = content["application/problem+json"]["examples"]
                    assert answer.json()["code"] in examples, f"{method} {template}: {answer.json()['code']}"
                return


@pytest.fixture(autouse=True)
def logged():
    """What went to the log in this test."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def world():
    """The world, filled."""
    made = World()
    made.fill()
    yield made
    await made.client.aclose()
