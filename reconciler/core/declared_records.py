"""What the stores write of what is declared: jobs, eras, Applications, freeze windows as plain documents, and back.

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
    parts,
    span,
    text,
    texts,
    utf8,
    whole,
)
from reconciler.core.model import (
    AccessToken,
    After,
    ApplicationState,
    Auth,
    Calendar,
    Commit,
    Era,
    Expectation,
    FreezeWindow,
    HttpRequest,
    Job,
    JobKey,
    Rate,
    Retention,
    RetryPolicy,
    Role,
    Schedule,
    SecretRef,
    SecretUse,
    StoredJob,
)
from schemas.auth import KINDS
from schemas.secret import CHECKS

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
        "request": _request_document(job.request),
        "auth": None if job.auth is None else _auth_document(job.auth),
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
        "maxRate": None if job.max_rate is None else {"calls": job.max_rate.calls, "per": declared(job.max_rate.per)},
        "stopAfterFailures": job.stop_after_failures,
        "file": utf8(job.file),
        "line": job.line,
        "digest": job.digest,
        "derivedFrom": job.derived_from,
        "revision": stored.revision,
        "since": stored.since,
        "appliedAt": stored.applied_at,
        "commit": commit_document(stored.commit),
    }


def _request_document(request: HttpRequest) -> Document:
    return {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "body": request.body,
        "followRedirects": request.follow_redirects,
        "secrets": [_secret_document(each) for each in request.secrets],
    }


def _auth_document(auth: Auth) -> Document:
    return {
        "kind": auth.kind,
        "username": auth.username,
        "header": auth.header,
        "request": None if auth.request is None else _request_document(auth.request),
        "scopes": list(auth.scopes),
        "audience": auth.audience,
        "style": auth.style,
        "secrets": [_secret_document(each) for each in auth.secrets],
    }


def _secret_document(use: SecretUse) -> Document:
    return {"place": use.place, "kind": use.ref.kind, "name": use.ref.name, "shared": use.shared}


def _schedule_document(schedule: Schedule) -> Document:
    return {
        "declared": schedule.declared,
        "cron": schedule.cron,
        "every": None if schedule.every is None else declared(schedule.every),
        "at": schedule.at,
        "timeZone": schedule.zone,
        "startsAt": schedule.starts_at,
        "endsAt": schedule.ends_at,
        "after": None if schedule.after is None else {"job": str(schedule.after.key), "on": schedule.after.on},
        "except": [_calendar_document(calendar) for calendar in schedule.but_not],
        "only": [_calendar_document(calendar) for calendar in schedule.only],
    }


def _calendar_document(calendar: Calendar) -> Document:
    return {
        "name": calendar.name,
        "timeZone": calendar.zone,
        "dates": list(calendar.dates),
        "weekly": list(calendar.weekly),
        "ranges": [{"from": first, "to": last} for first, last in calendar.ranges],
    }


def encode_era(era: Era) -> Document:
    """An era of a job's schedule as a document."""
    return {
        "_id": era.id,
        "job": str(era.key),
        "application": era.key.application,
        "api": era.key.api,
        "begin": era.begin,
        "schedule": None if era.schedule is None else _schedule_document(era.schedule),
        "revision": era.revision,
        "file": utf8(era.file),
        "line": era.line,
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
        "history": None if state.history is None else _retention_document(state.history),
    }


def _retention_document(retention: Retention) -> Document:
    return {
        "keepFor": declared(retention.keep_for),
        "keepFailuresFor": declared(retention.keep_failures_for),
        "keepPerJob": retention.keep_per_job,
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


def encode_token(token: AccessToken) -> Document:
    """An access token, as a document."""
    return {
        "_id": token.name,
        "role": token.role.value,
        "applications": list(token.applications),
        "expiresAt": token.expires_at,
        "sha256": token.sha256,
        "description": utf8(token.description),
        "closed": utf8(token.closed),
        "file": utf8(token.file),
        "line": token.line,
    }


# --- reading -------------------------------------------------------------------------------------------------------


def read_job(document: Document) -> StoredJob:
    """Read a job back; ``decode_job`` does the same and names the job where it cannot.

    Raises:
        KeyError, OverflowError, TypeError, ValueError: something is missing, of the wrong type or in the wrong place.
    """
    return StoredJob(
        job=_job(document),
        revision=text(document, "revision"),
        since=instant(document, "since"),
        applied_at=maybe_newer(instant, document, "appliedAt"),
        commit=maybe_newer(commit_of, document, "commit"),
    )


decode_job = naming("job")(read_job)


def _job(document: Document) -> Job:
    return Job(
        key=_key(document),
        description=text(document, "description"),
        labels=mapping(document, "labels"),
        schedule=_schedule(part(document, "schedule")),
        request=_request(document, "request"),
        auth=maybe_newer(_auth, document, "auth"),
        expect=_expectation(document, "expect"),
        retry=_retry(document, "retry"),
        timeout=span(document, "timeout"),
        concurrency_policy=text(document, "concurrencyPolicy"),
        starting_deadline=span(document, "startingDeadline"),
        catch_up=text(document, "catchUp"),
        delivery=text(document, "delivery"),
        jitter=span(document, "jitter"),
        suspend=flag(document, "suspend"),
        max_concurrency=maybe(whole, document, "maxConcurrency"),
        max_rate=maybe_newer(_rate, document, "maxRate"),
        stop_after_failures=maybe_newer(whole, document, "stopAfterFailures"),
        file=text(document, "file"),
        line=whole(document, "line"),
        digest=text(document, "digest"),
        derived_from=newer(text, document, "derivedFrom", ""),
    )


def _key(document: Document) -> JobKey:
    application, api = text(document, "application"), text(document, "api")
    if text(document, "_id") != f"{application}/{api}":
        raise ValueError(f"it says that it is {application}/{api}")
    return JobKey(application, api)


def _expectation(document: Document, name: str) -> Expectation:
    expect = part(document, name)
    return Expectation(status=texts(expect, "status"), contains=maybe(text, expect, "contains"))


def _retry(document: Document, name: str) -> RetryPolicy:
    retry = part(document, name)
    return RetryPolicy(
        limit=whole(retry, "limit"),
        initial_delay=span(retry, "initialDelay"),
        factor=number(retry, "factor"),
        max_delay=span(retry, "maxDelay"),
    )


def _request(document: Document, name: str) -> HttpRequest:
    request = part(document, name)
    return HttpRequest(
        method=text(request, "method"),
        url=text(request, "url"),
        headers=mapping(request, "headers"),
        body=maybe(text, request, "body"),
        follow_redirects=newer(whole, request, "followRedirects", 0),
        secrets=tuple(map(_secret, newer(parts, request, "secrets", []))),
    )


def _auth(document: Document, name: str) -> Auth:
    auth = part(document, name)
    kind, request = text(auth, "kind"), maybe(_request, auth, "request")
    if kind not in KINDS or (request is not None) != (kind in ("oauth2", "handshake")):
        raise ValueError("auth.kind is none, or not one with what stands beside it")
    return Auth(
        kind=kind,
        username=text(auth, "username"),
        header=text(auth, "header"),
        request=request,
        scopes=texts(auth, "scopes"),
        audience=text(auth, "audience"),
        style=text(auth, "style"),
        secrets=tuple(map(_secret, parts(auth, "secrets"))),
    )


def _secret(document: Document) -> SecretUse:
    kind = text(document, "kind")
    name = CHECKS[kind](text(document, "name"))
    return SecretUse(
        place=text(document, "place"), ref=SecretRef(kind=kind, name=name), shared=flag(document, "shared")
    )


def _schedule(document: Document) -> Schedule:
    return Schedule(
        declared=text(document, "declared"),
        cron=maybe(text, document, "cron"),
        every=maybe(span, document, "every"),
        at=maybe(instant, document, "at"),
        zone=text(document, "timeZone"),
        starts_at=maybe(instant, document, "startsAt"),
        ends_at=maybe(instant, document, "endsAt"),
        after=maybe_newer(_after, document, "after"),
        but_not=tuple(map(_calendar, newer(parts, document, "except", []))),
        only=tuple(map(_calendar, newer(parts, document, "only", []))),
    )


def _after(document: Document, name: str) -> After:
    after = part(document, name)
    application, slash, api = text(after, "job").partition("/")
    if not slash:
        raise ValueError(f"{application!r} names no job")
    return After(key=JobKey(application, api), on=text(after, "on"))


def _calendar(document: Document) -> Calendar:
    return Calendar(
        name=text(document, "name"),
        zone=text(document, "timeZone"),
        dates=texts(document, "dates"),
        weekly=texts(document, "weekly"),
        ranges=tuple((text(days, "from"), text(days, "to")) for days in parts(document, "ranges")),
    )


def _rate(document: Document, name: str) -> Rate:
    rate = part(document, name)
    return Rate(whole(rate, "calls"), span(rate, "per"))


@naming("era")
def decode_era(document: Document) -> Era:
    """Read an era back; after a renaming its ``_id`` still names the job by which it began.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return Era(
        key=JobKey(text(document, "application"), text(document, "api")),
        begin=instant(document, "begin"),
        schedule=None if document["schedule"] is None else _schedule(part(document, "schedule")),
        revision=text(document, "revision"),
        file=text(document, "file"),
        line=whole(document, "line"),
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
        history=maybe_newer(_retention, document, "history"),
    )


def _retention(document: Document, name: str) -> Retention:
    history = part(document, name)
    return Retention(
        keep_for=span(history, "keepFor"),
        keep_failures_for=span(history, "keepFailuresFor"),
        keep_per_job=whole(history, "keepPerJob"),
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


@naming("access token")
def decode_token(document: Document) -> AccessToken:
    """Read an access token back.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return AccessToken(
        name=text(document, "_id"),
        role=Role(text(document, "role")),
        applications=texts(document, "applications"),
        expires_at=maybe(instant, document, "expiresAt"),
        sha256=text(document, "sha256"),
        description=text(document, "description"),
        closed=text(document, "closed"),
        file=text(document, "file"),
        line=whole(document, "line"),
    )
