"""Records to store: with every field filled, and many of them. Forbidden here: a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.core.acts import Act, ActKind, act_id
from reconciler.core.model import (
    AccessToken,
    After,
    ApplicationState,
    Attempt,
    Calendar,
    Cause,
    Commit,
    Drift,
    Era,
    Expectation,
    FreezeWindow,
    HttpRequest,
    JobKey,
    Outcome,
    Pause,
    Process,
    Rate,
    Retention,
    RetryPolicy,
    Role,
    Run,
    Schedule,
    SealedCredential,
    StoredJob,
    SyncReport,
)
from reconciler.core.runs import run_id
from tests.fakes import START, job_of

ODD = "naïve ☃ 🎲 \u202e \0 $where {$gt: 1} a.b 'quoted' \"twice\" \\ \n\t"  # what a body, a reason, an error may hold

MINUTE = timedelta(minutes=1)


COMMIT = Commit(
    id="4f2c1d0" + "0" * 33, author="Zoë <zoe@example.com>", date=START - timedelta(days=3), subject=f"Change {ODD}"
)


CALENDAR = Calendar(
    name="holidays ☃",
    zone="Africa/Lagos",
    dates=("2026-12-25", "01-01"),
    weekly=("SAT", "SUN"),
    ranges=(("12-27", "01-02"), ("2026-08-01", "2026-08-14")),
)


def full_job(name: str = "billing/nightly") -> StoredJob:
    """A job with no field left at its default."""
    job = job_of(
        name,
        description="Invoices ☃",
        labels={"team": "payments", "app.kubernetes.io/name": "billing", "$odd": "${x}"},
        schedule=Schedule(
            declared="H 2 * * *",
            cron="17 2 * * *",
            every=timedelta(hours=2, minutes=30),
            at=START + timedelta(milliseconds=1),
            zone="Australia/Lord_Howe",
            starts_at=START - timedelta(days=400),
            ends_at=START + timedelta(days=400),
            after=After(key=JobKey("ledger", "close"), on="completion"),
            but_not=(CALENDAR, Calendar(name="plain")),
            only=(replace(CALENDAR, name="working days"),),
        ),
        request=HttpRequest(
            method="POST",
            url="https://billing.example.com/invoices?ünïcode=%20&$where=1",
            headers={"$price.each": "1 €", "X.Y": "", "Accept": "*/*"},
            body='{"$set": {"a.b": "☃"}}',
            follow_redirects=3,
        ),
        expect=Expectation(status=("200", "3xx"), contains='"ok"'),
        retry=RetryPolicy(
            limit=5, initial_delay=timedelta(milliseconds=250), factor=1.5, max_delay=timedelta(minutes=7)
        ),
        timeout=timedelta(seconds=12, milliseconds=345),
        concurrency_policy="Replace",
        starting_deadline=timedelta(minutes=3),
        catch_up="all",
        delivery="atMostOnce",
        jitter=timedelta(seconds=30),
        suspend=True,
        max_concurrency=20,
        max_rate=Rate(100, MINUTE),
        stop_after_failures=5,
        file="teams/zahlungen ☃.yaml",
        line=42,
        digest="9f86d081884c7d65",
        derived_from="billing/every-night",
    )
    return StoredJob(
        job=job,
        revision="4f2c1d0",
        since=START + timedelta(milliseconds=789),
        applied_at=START + timedelta(milliseconds=790),
        commit=COMMIT,
    )


def full_application(name: str = "billing") -> ApplicationState:
    """An Application with no field left at its default."""
    return ApplicationState(
        name=name,
        description="Invoices and dunning ☃",
        labels={"team": "payments", "a.b/$c": "d"},
        base_url="https://billing.example.com",
        suspend=True,
        file="billing.yaml",
        line=3,
        held=True,
        problems=("billing.yaml:3:1: spec: no such field «schedul» (did you mean schedule?)", ODD),
        since=START + timedelta(milliseconds=1),
        revision="4f2c1d0",
        prune="never",
        history=Retention(keep_for=timedelta(days=3), keep_failures_for=timedelta(days=400), keep_per_job=7),
    )


def full_window(name: str = "easter") -> FreezeWindow:
    """A freeze window with no field left at its default."""
    return FreezeWindow(
        name=name,
        mode="deny",
        start=Schedule(
            declared="0 18 * * FRI", cron="0 18 * * 5", zone="Europe/Berlin", starts_at=START, ends_at=START
        ),
        duration=timedelta(days=2, hours=14, minutes=30),
        applications=("billing", "crm-*"),
        catch_up="latest",
        description="Nothing over the weekend ☃",
        file="windows ☃.yaml",
        line=3,
    )


def full_token(name: str = "oncall") -> AccessToken:
    """An access token with no field left at its default."""
    return AccessToken(
        name=name,
        role=Role.OPERATOR,
        applications=("billing", "crm-*"),
        expires_at=START + timedelta(days=90, milliseconds=5),
        sha256="0123456789abcdef" * 4,
        description="For whoever is on call ☃",
        closed="its manifest has problems",
        file="tokens ☃.yaml",
        line=3,
    )


def era_of(job: str = "billing/nightly", begin: datetime = START, **changes: Any) -> Era:
    """An era with every field filled; ``changes`` replaces fields."""
    era = Era(
        key=JobKey.parse(job),
        begin=begin,
        schedule=full_job().job.schedule,
        revision="4f2c1d0",
        file="zahlungen ☃.yaml",
        line=7,
    )
    return replace(era, **changes)


def pause_of(pause_id: str, target: str = "") -> Pause:
    """An open pause of a job; its own id names the job where nothing else does."""
    key = JobKey.parse(target or (pause_id if "/" in pause_id else "billing/nightly"))
    return Pause(
        id=pause_id,
        application=key.application,
        api=key.api,
        reason="migration",
        by="ops@desk",
        since=START,
        until=START + timedelta(hours=8, milliseconds=5),
    )


def claim_of(  # noqa: PLR0913 - whatever a test wants to say of a claim
    job: str = "billing/nightly",
    slot: datetime = START,
    *,
    owner: str = "here",
    claimed_at: datetime = START + timedelta(milliseconds=12),
    cause: Cause = Cause.SCHEDULE,
    nonce: str = "",
    term: int = 0,
) -> Run:
    """A run that has been claimed and has not ended."""
    key = JobKey.parse(job)
    return Run(
        id=run_id(key, slot, cause, nonce),
        key=key,
        slot=slot,
        cause=cause,
        outcome=Outcome.RUNNING,
        owner=owner,
        claimed_at=claimed_at,
        revision="4f2c1d0",
        file="billing.yaml",
        line=12,
        delivery="atMostOnce",
        overrides=("query.limit", "headers.X-Odd.$name"),
        term=term,
    )


def ended(run: Run, outcome: Outcome = Outcome.SUCCEEDED, *, latency_ms: float | None = 12.5) -> Run:
    """The run at its end; a latency of ``None`` for one that called nobody."""
    started = run.slot + timedelta(milliseconds=31)
    attempts = () if latency_ms is None else (
        Attempt(number=1, started_at=started, latency_ms=0.25, status=None, error=ODD, sent=False),
        Attempt(number=2, started_at=started + MINUTE, latency_ms=latency_ms, status=200),
    )  # fmt: skip
    return replace(
        run,
        slots=3,
        through=run.slot + MINUTE,
        upstream="019caccc-1a80-86e6-a87e-2d2ab667fd21",
        correlation="019caccc-1a80-86e6-a87e-2d2ab667fd20",
        outcome=outcome,
        reason="" if outcome is Outcome.SUCCEEDED else ODD,
        started_at=started if attempts else None,
        finished_at=started + 2 * MINUTE,
        attempts=attempts,
        excerpt=ODD,
    )


def report_of(number: int) -> SyncReport:
    """The report of a sync with every field filled; later numbers have later ids."""
    return SyncReport(
        id=f"2026-{number:08}",
        source="manifests/ ☃",
        revision="4f2c1d0",
        result="applied",
        started_at=START + number * MINUTE + timedelta(milliseconds=7),
        duration_ms=12.75,
        files=1,
        parsed=2,
        jobs=3,
        added=4,
        changed=5,
        removed=6,
        held=("billing", "crm"),
        problems=(ODD, "a.yaml:1:1: wrong"),
        kept=("billing/nightly",),
        kept_reasons=(f"billing/nightly stays: {ODD}",),
        error=ODD,
        renamed=7,
        commit=COMMIT,
        notes=("history was rewritten", ODD),
        drift=(
            Drift(key=JobKey("billing", "nightly"), where="store", field="request.url", found=ODD, declared="https://"),
            Drift(key=JobKey("crm", "gone"), where="scheduler", put_back=False),
            Drift(key=JobKey("easter", ""), kind="freeze window", where="store", field="mode", found="allow"),
        ),
        environment="staging",
    )


def credential_of(name: str = "billing/0a1b", obtained_at: datetime = START) -> SealedCredential:
    """A credential with every field filled."""
    application, _, digest = name.partition("/")
    return SealedCredential(
        id=name,
        application=application,
        kind="BearerToken",
        digest=digest,
        sealed="gAAAAABpIHbA",
        obtained_at=obtained_at,
        expires_at=obtained_at + MINUTE,
    )


def act_of(number: int, **changes: Any) -> Act:
    """An act with every field filled, so many minutes after START; ``changes`` replaces fields."""
    at = changes.get("at", START + number * MINUTE)
    act = Act(
        id=act_id(at, str(number)),
        kind=ActKind.TRIGGER,
        at=at,
        who="access token oncall ☃",
        source="192.0.2.7",
        application="billing",
        api="nightly",
        subject="/api/v1/runs",
        result="started",
        detail="because ☃",
        run="019caccc-1a80-86e6-a87e-2d2ab667fd21",
        count=3,
    )
    return replace(act, **changes)


def process_of(name: str, seen_at: datetime = START) -> Process:
    """A process with every field filled."""
    return Process(
        id=name,
        role="run",
        host="höst.example",
        pid=4242,
        version="0.1.0",
        source="manifests/",
        listen="127.0.0.1:8080",
        started_at=START - MINUTE,
        seen_at=seen_at,
    )
