"""What the stores write: jobs, Applications, runs, sync reports, processes as plain documents, and back.

A document is a dict of JSON's types and aware datetimes, named in camelCase like a manifest, because people read it
with a database's shell; ``_id`` names the record. Spans of time that a manifest declares are written as there
(``2h30m``), measured ones in milliseconds (``latencyMs``). Written out by hand, field by field: runs pass here by the
thousand. Fields that are not known are passed over in reading. ``docs/state.md`` describes every field.

Forbidden here: any one database's words.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from reconciler.core.fields import (
    Document,
    flag,
    instant,
    mapping,
    maybe,
    naming,
    number,
    part,
    parts,
    span,
    text,
    texts,
    whole,
)
from reconciler.core.model import (
    ApplicationState,
    Attempt,
    Cause,
    Expectation,
    HttpRequest,
    Job,
    JobKey,
    Outcome,
    Process,
    RetryPolicy,
    Run,
    Schedule,
    StoredJob,
    SyncReport,
)
from schemas.base import format_duration

SCHEMA_VERSION = 1  # of these documents; a store that holds a higher one was written by a newer reconciler

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_declared = lru_cache(maxsize=1024)(format_duration)


def first_id(moment: datetime) -> str:
    """A text below every id of a run whose slot is at or after ``moment``, and above all of earlier ones.

    Run ids begin with their slot's Unix milliseconds (``core.runs.run_id``), so an index on them serves spans of time.
    """
    milliseconds = max(0, -((_EPOCH - moment) // _MILLISECOND))  # rounded up: no slot lies within a millisecond
    digits = f"{milliseconds:012x}"
    return f"{digits[:-4]}-{digits[-4:]}"


def _utf8(value: str) -> str:
    """Replace lone surrogates, which no store can hold, in text that comes from outside (file names, bodies)."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


# --- writing -------------------------------------------------------------------------------------------------------


def encode_job(stored: StoredJob) -> Document:
    """A job as it stands in the store, as a document."""
    job = stored.job
    return {
        "_id": f"{job.key.application}/{job.key.api}",
        "application": job.key.application,
        "api": job.key.api,
        "description": job.description,
        "labels": dict(job.labels),
        "schedule": _schedule_document(job.schedule),
        "request": {
            "method": job.request.method,
            "url": job.request.url,
            "headers": dict(job.request.headers),
            "body": job.request.body,
        },
        "expect": {"status": list(job.expect.status), "contains": job.expect.contains},
        "retry": {
            "limit": job.retry.limit,
            "initialDelay": _declared(job.retry.initial_delay),
            "factor": job.retry.factor,
            "maxDelay": _declared(job.retry.max_delay),
        },
        "timeout": _declared(job.timeout),
        "concurrencyPolicy": job.concurrency_policy,
        "startingDeadline": _declared(job.starting_deadline),
        "catchUp": job.catch_up,
        "delivery": job.delivery,
        "jitter": _declared(job.jitter),
        "suspend": job.suspend,
        "maxConcurrency": job.max_concurrency,
        "file": _utf8(job.file),
        "line": job.line,
        "digest": job.digest,
        "revision": stored.revision,
        "since": stored.since,
    }


def _schedule_document(schedule: Schedule) -> Document:
    return {
        "declared": schedule.declared,
        "cron": schedule.cron,
        "every": None if schedule.every is None else _declared(schedule.every),
        "at": schedule.at,
        "timeZone": schedule.zone,
        "startsAt": schedule.starts_at,
        "endsAt": schedule.ends_at,
    }


def encode_application(state: ApplicationState) -> Document:
    """An Application as a document."""
    return {
        "_id": state.name,
        "description": state.description,
        "labels": dict(state.labels),
        "baseUrl": state.base_url,
        "suspend": state.suspend,
        "file": _utf8(state.file),
        "line": state.line,
        "held": state.held,
        "problems": [_utf8(problem) for problem in state.problems],
        "since": state.since,
    }


def encode_run(run: Run) -> Document:
    """A run as a document, with what is derived for indexes and statistics: ``job``, ``hour``, whole ``latencyMs``."""
    latency = run.latency_ms
    return {
        "_id": run.id,
        "job": f"{run.key.application}/{run.key.api}",
        "application": run.key.application,
        "api": run.key.api,
        "slot": run.slot,
        "hour": run.slot.replace(minute=0, second=0, microsecond=0),
        "cause": run.cause.value,
        "outcome": run.outcome.value,
        "reason": _utf8(run.reason),
        "owner": run.owner,
        "claimedAt": run.claimed_at,
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
        "latencyMs": None if latency is None else round(latency),
        "attempts": [
            {
                "number": attempt.number,
                "startedAt": attempt.started_at,
                "latencyMs": attempt.latency_ms,
                "status": attempt.status,
                "error": None if attempt.error is None else _utf8(attempt.error),
                "sent": attempt.sent,
            }
            for attempt in run.attempts
        ],
        "excerpt": _utf8(run.excerpt),
        "revision": run.revision,
        "file": _utf8(run.file),
        "line": run.line,
        "delivery": run.delivery,
        "overrides": list(run.overrides),
    }


def encode_report(report: SyncReport) -> Document:
    """A sync report as a document."""
    return {
        "_id": report.id,
        "source": _utf8(report.source),
        "revision": report.revision,
        "result": report.result,
        "startedAt": report.started_at,
        "durationMs": report.duration_ms,
        "files": report.files,
        "parsed": report.parsed,
        "jobs": report.jobs,
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "held": list(report.held),
        "problems": [_utf8(problem) for problem in report.problems],
        "kept": list(report.kept),
        "error": _utf8(report.error),
    }


def encode_process(process: Process) -> Document:
    """A process as a document."""
    return {
        "_id": process.id,
        "role": process.role,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "source": _utf8(process.source),
        "listen": process.listen,
        "startedAt": process.started_at,
        "seenAt": process.seen_at,
    }


def encode_token(token: str, fingerprint: str, run_id: str, at: datetime) -> Document:
    """What a client's ``Idempotency-Key`` stands for, as a document."""
    return {"_id": token, "fingerprint": fingerprint, "runId": run_id, "at": at}


# --- reading -------------------------------------------------------------------------------------------------------


@naming("job")
def decode_job(document: Document) -> StoredJob:
    """Read a job back.

    Raises:
        StoreError: naming the job, where something is missing or of the wrong type.
    """
    request, expect, retry = part(document, "request"), part(document, "expect"), part(document, "retry")
    job = Job(
        key=JobKey(text(document, "application"), text(document, "api")),
        description=text(document, "description"),
        labels=mapping(document, "labels"),
        schedule=_schedule(part(document, "schedule")),
        request=HttpRequest(
            method=text(request, "method"),
            url=text(request, "url"),
            headers=mapping(request, "headers"),
            body=maybe(text, request, "body"),
        ),
        expect=Expectation(status=texts(expect, "status"), contains=maybe(text, expect, "contains")),
        retry=RetryPolicy(
            limit=whole(retry, "limit"),
            initial_delay=span(retry, "initialDelay"),
            factor=number(retry, "factor"),
            max_delay=span(retry, "maxDelay"),
        ),
        timeout=span(document, "timeout"),
        concurrency_policy=text(document, "concurrencyPolicy"),
        starting_deadline=span(document, "startingDeadline"),
        catch_up=text(document, "catchUp"),
        delivery=text(document, "delivery"),
        jitter=span(document, "jitter"),
        suspend=flag(document, "suspend"),
        max_concurrency=maybe(whole, document, "maxConcurrency"),
        file=text(document, "file"),
        line=whole(document, "line"),
        digest=text(document, "digest"),
    )
    return StoredJob(job=job, revision=text(document, "revision"), since=instant(document, "since"))


def _schedule(document: Document) -> Schedule:
    return Schedule(
        declared=text(document, "declared"),
        cron=maybe(text, document, "cron"),
        every=maybe(span, document, "every"),
        at=maybe(instant, document, "at"),
        zone=text(document, "timeZone"),
        starts_at=maybe(instant, document, "startsAt"),
        ends_at=maybe(instant, document, "endsAt"),
    )


@naming("Application")
def decode_application(document: Document) -> ApplicationState:
    """Read an Application back.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return ApplicationState(
        name=text(document, "_id"),
        description=text(document, "description"),
        labels=mapping(document, "labels"),
        base_url=maybe(text, document, "baseUrl"),
        suspend=flag(document, "suspend"),
        file=text(document, "file"),
        line=whole(document, "line"),
        held=flag(document, "held"),
        problems=texts(document, "problems"),
        since=instant(document, "since"),
    )


@naming("run")
def decode_run(document: Document) -> Run:
    """Read a run back.

    Raises:
        StoreError: naming the run, where something is missing or of the wrong type.
    """
    return Run(
        id=text(document, "_id"),
        key=JobKey(text(document, "application"), text(document, "api")),
        slot=instant(document, "slot"),
        cause=Cause(document["cause"]),
        outcome=Outcome(document["outcome"]),
        reason=text(document, "reason"),
        owner=text(document, "owner"),
        claimed_at=instant(document, "claimedAt"),
        started_at=maybe(instant, document, "startedAt"),
        finished_at=maybe(instant, document, "finishedAt"),
        attempts=tuple(map(_attempt, parts(document, "attempts"))),
        excerpt=text(document, "excerpt"),
        revision=text(document, "revision"),
        file=text(document, "file"),
        line=whole(document, "line"),
        delivery=text(document, "delivery"),
        overrides=texts(document, "overrides"),
    )


def _attempt(document: Document) -> Attempt:
    return Attempt(
        number=whole(document, "number"),
        started_at=instant(document, "startedAt"),
        latency_ms=number(document, "latencyMs"),
        status=maybe(whole, document, "status"),
        error=maybe(text, document, "error"),
        sent=flag(document, "sent"),
    )


@naming("sync report")
def decode_report(document: Document) -> SyncReport:
    """Read a sync report back.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return SyncReport(
        id=text(document, "_id"),
        source=text(document, "source"),
        revision=text(document, "revision"),
        result=text(document, "result"),
        started_at=instant(document, "startedAt"),
        duration_ms=number(document, "durationMs"),
        files=whole(document, "files"),
        parsed=whole(document, "parsed"),
        jobs=whole(document, "jobs"),
        added=whole(document, "added"),
        changed=whole(document, "changed"),
        removed=whole(document, "removed"),
        held=texts(document, "held"),
        problems=texts(document, "problems"),
        kept=texts(document, "kept"),
        error=text(document, "error"),
    )


@naming("process")
def decode_process(document: Document) -> Process:
    """Read a process back.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return Process(
        id=text(document, "_id"),
        role=text(document, "role"),
        host=text(document, "host"),
        pid=whole(document, "pid"),
        version=text(document, "version"),
        source=text(document, "source"),
        listen=text(document, "listen"),
        started_at=instant(document, "startedAt"),
        seen_at=instant(document, "seenAt"),
    )


@naming("token")
def decode_token(document: Document) -> tuple[str, str]:
    """Read the fingerprint and the run id that a token stands for.

    Raises:
        StoreError: naming the token, where something is missing or of the wrong type.
    """
    return text(document, "fingerprint"), text(document, "runId")
