"""The examples in the OpenAPI document, made by the real builders so that their shape is always the real one.

Forbidden here: anything of a real store.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.core import views
from reconciler.core.act_view import act_view
from reconciler.core.acts import act_id, triggered
from reconciler.core.model import (
    ApplicationState,
    Attempt,
    Cause,
    HttpRequest,
    Job,
    JobKey,
    Lease,
    Outcome,
    Process,
    RetryPolicy,
    Run,
    Schedule,
    StoredJob,
    SyncReport,
    Tally,
)
from reconciler.core.stats import stats

_NOW = datetime(2026, 3, 28, 9, 30, tzinfo=UTC)
_SLOT = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
_REVISION = "4f1c2d90a7b3e6658c1f0d2b9a8e7c6d5f4a3b2c"

_JOB = StoredJob(
    job=Job(
        key=JobKey("billing", "nightly-invoices"),
        description="Makes the invoices of the day.",
        labels={"team": "payments"},
        schedule=Schedule(declared="0 2 * * *", cron="0 2 * * *", zone="Europe/Berlin"),
        request=HttpRequest(method="POST", url="https://billing.example.com/invoices/run", body='{"dryRun":false}'),
        retry=RetryPolicy(limit=3),
        delivery="atMostOnce",
        file="billing.yaml",
        line=17,
    ),
    revision=_REVISION,
    since=_NOW - timedelta(days=3),
)
_RUN = Run(
    id="019d31fb-7d00-8a3c-9f52-6e1b07c4d8aa",
    key=_JOB.key,
    slot=_SLOT,
    cause=Cause.SCHEDULE,
    outcome=Outcome.SUCCEEDED,
    owner="reconciler-1-5f3a",
    claimed_at=_SLOT + timedelta(milliseconds=3),
    started_at=_SLOT + timedelta(milliseconds=9),
    finished_at=_SLOT + timedelta(milliseconds=221),
    attempts=(Attempt(number=1, started_at=_SLOT + timedelta(milliseconds=9), latency_ms=211.7, status=200),),
    excerpt='{"invoices":118}',
    revision=_REVISION,
    file="billing.yaml",
    line=17,
    delivery="atMostOnce",
)
_APPLICATION = ApplicationState(
    name="billing",
    description="Invoices and dunning",
    labels={"team": "payments"},
    base_url="https://billing.example.com",
    file="billing.yaml",
    line=1,
    since=_JOB.since,
)
_SYNC = SyncReport(
    id="019d2b7e-4a10-8000-8000-000000000001",
    source="manifests",
    revision=_REVISION,
    result="applied",
    started_at=_JOB.since,
    duration_ms=14.2,
    files=3,
    parsed=1,
    jobs=12,
    changed=1,
)
_PROCESS = Process(
    id="reconciler-1-5f3a",
    role="run",
    host="reconciler-1",
    pid=7,
    version="0.1.0",
    source="manifests",
    listen="127.0.0.1:8080",
    started_at=_JOB.since,
    seen_at=_NOW,
)
_LEASE = Lease(
    holder=_PROCESS.id,
    term=3,
    since=_JOB.since,
    expires_at=_NOW + timedelta(seconds=5),
    accounted_from=_JOB.since,
    accounted_until=_NOW,
)
_ACT = replace(
    triggered(_JOB.key, _RUN.id, at=_NOW, who="access token oncall", source="192.0.2.7"), id=act_id(_NOW, "example")
)
_TALLIES = (
    Tally(_SLOT, Outcome.SUCCEEDED, 212, 6),
    Tally(_SLOT - timedelta(days=1), Outcome.FAILED, 30_000, 1),
)

RUN: dict[str, Any] = views.run_view(_RUN).shape()
JOB: dict[str, Any] = views.job_view(_JOB, held=False, last=_RUN, now=_NOW).shape()
APPLICATION: dict[str, Any] = views.application_view(_APPLICATION, jobs=12).shape()
ACT: dict[str, Any] = act_view(_ACT).shape()
SYNC: dict[str, Any] = views.sync_view(_SYNC).shape()
STATS: dict[str, Any] = stats(_TALLIES, since=_NOW - timedelta(days=7), until=_NOW).shape()
STATUS: dict[str, Any] = views.status_view(
    views.StatusFacts(
        version="0.1.0",
        now=_NOW,
        store="SQLite 3.45 at .reconciler/state.db",
        source="manifests",
        jobs=(_JOB,),
        applications=(_APPLICATION,),
        syncs=(_SYNC,),
        tallies=_TALLIES,
        processes=(_PROCESS,),
        lease=_LEASE,
    )
).shape()
ACCEPTED: dict[str, Any] = {"runId": _RUN.id, "href": f"/api/v1/runs/{_RUN.id}", "status": "running"}
OVERRIDES: dict[str, Any] = {"query": {"dryRun": "true"}, "headers": {"X-Reason": "incident"}, "json": {"day": 28}}
PUSH: dict[str, Any] = {"ref": "refs/heads/main", "after": _REVISION}
SIGNATURE = "sha256=SIGNATURE"
WOKEN: dict[str, Any] = {"result": "woken"}
IGNORED: dict[str, Any] = {"result": "ignored", "reason": "nothing that is read here was pushed"}


SETTINGS: dict[str, Any] = {"settings": {"LISTEN": "127.0.0.1:8080", "TRIGGER_TOKEN": "***", "REF": None}}


def page_of(item: dict[str, Any]) -> dict[str, Any]:
    """A page of one item, the last of its list."""
    return {"items": [item], "next": None}
