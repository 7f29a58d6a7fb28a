"""What the stores write of what is declared: jobs, Applications and freeze windows as plain documents, and back.

The rules are those of ``core.records``, which holds the other records. ``docs/state.md`` describes every field.

Forbidden here: any one database's words.
"""

from __future__ import annotations

from reconciler.core.fields import (
    Document,
    declared,
    flag,
    instant,
    mapping,
    maybe,
    maybe_newer,
    naming,
    newer,
    number,
    part,
    span,
    text,
    texts,
    utf8,
    whole,
)
from reconciler.core.model import (
    ApplicationState,
    Commit,
    Expectation,
    FreezeWindow,
    HttpRequest,
    Job,
    JobKey,
    RetryPolicy,
    Schedule,
    StoredJob,
)

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
            "initialDelay": declared(job.retry.initial_delay),
            "factor": job.retry.factor,
            "maxDelay": declared(job.retry.max_delay),
        },
        "timeout": declared(job.timeout),
        "concurrencyPolicy": job.concurrency_policy,
        "startingDeadline": declared(job.starting_deadline),
        "catchUp": job.catch_up,
        "delivery": job.delivery,
        "jitter": declared(job.jitter),
        "suspend": job.suspend,
        "maxConcurrency": job.max_concurrency,
        "file": utf8(job.file),
        "line": job.line,
        "digest": job.digest,
        "derivedFrom": job.derived_from,
        "revision": stored.revision,
        "since": stored.since,
        "appliedAt": stored.applied_at,
        "commit": commit_document(stored.commit),
    }


def _schedule_document(schedule: Schedule) -> Document:
    return {
        "declared": schedule.declared,
        "cron": schedule.cron,
        "every": None if schedule.every is None else declared(schedule.every),
        "at": schedule.at,
        "timeZone": schedule.zone,
        "startsAt": schedule.starts_at,
        "endsAt": schedule.ends_at,
    }


def commit_document(commit: Commit | None) -> Document | None:
    """A commit as a part of a document."""
    if commit is None:
        return None
    return {"id": commit.id, "author": utf8(commit.author), "date": commit.date, "subject": utf8(commit.subject)}


def encode_application(state: ApplicationState) -> Document:
    """An Application as a document."""
    return {
        "_id": state.name,
        "description": state.description,
        "labels": dict(state.labels),
        "baseUrl": state.base_url,
        "suspend": state.suspend,
        "file": utf8(state.file),
        "line": state.line,
        "held": state.held,
        "problems": [utf8(problem) for problem in state.problems],
        "since": state.since,
        "revision": state.revision,
        "prune": state.prune,
    }


def encode_window(window: FreezeWindow) -> Document:
    """A freeze window as a document."""
    return {
        "_id": window.name,
        "mode": window.mode,
        "start": _schedule_document(window.start),
        "duration": declared(window.duration),
        "applications": list(window.applications),
        "catchUp": window.catch_up,
        "description": window.description,
        "file": utf8(window.file),
        "line": window.line,
    }


# --- reading -------------------------------------------------------------------------------------------------------


def read_job(document: Document) -> StoredJob:
    """Read a job back; ``decode_job`` does the same and names the job where it cannot.

    Raises:
        KeyError, OverflowError, TypeError, ValueError: something is missing, of the wrong type or in the wrong place.
    """
    request, expect, retry = part(document, "request"), part(document, "expect"), part(document, "retry")
    application, api = text(document, "application"), text(document, "api")
    if text(document, "_id") != f"{application}/{api}":
        raise ValueError(f"it says that it is {application}/{api}")
    job = Job(
        key=JobKey(application, api),
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
        derived_from=newer(text, document, "derivedFrom", ""),
    )
    return StoredJob(
        job=job,
        revision=text(document, "revision"),
        since=instant(document, "since"),
        applied_at=maybe_newer(instant, document, "appliedAt"),
        commit=maybe_newer(commit_of, document, "commit"),
    )


decode_job = naming("job")(read_job)


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


def commit_of(document: Document, name: str) -> Commit:
    """A commit that is a part of a document."""
    commit = part(document, name)
    return Commit(
        id=text(commit, "id"),
        author=text(commit, "author"),
        date=instant(commit, "date"),
        subject=text(commit, "subject"),
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
        revision=newer(text, document, "revision", ""),
        prune=newer(text, document, "prune", ""),
    )


@naming("freeze window")
def decode_window(document: Document) -> FreezeWindow:
    """Read a freeze window back.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return FreezeWindow(
        name=text(document, "_id"),
        mode=text(document, "mode"),
        start=_schedule(part(document, "start")),
        duration=span(document, "duration"),
        applications=texts(document, "applications"),
        catch_up=text(document, "catchUp"),
        description=text(document, "description"),
        file=text(document, "file"),
        line=whole(document, "line"),
    )
