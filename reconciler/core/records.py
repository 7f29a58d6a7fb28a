"""What the stores write: runs, sync reports, pauses, processes, the lease as plain documents, and back.

A document is a dict of JSON's types and aware datetimes, named in camelCase like a manifest, because people read it
with a database's shell; ``_id`` names the record. Spans of time that a manifest declares are written as there
(``2h30m``), measured ones in milliseconds (``latencyMs``). Written out by hand, field by field: runs pass here by the
thousand. Fields that are not known are passed over in reading; those that documents of older versions lack are read as
their defaults. ``docs/state.md`` describes every field. Jobs, Applications and freeze windows are in
``core.declared_records``.

Forbidden here: any one database's words.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reconciler.core.declared_records import commit_document, commit_of
from reconciler.core.fields import (
    UNREADABLE,
    Document,
    flag,
    instant,
    maybe,
    maybe_newer,
    naming,
    newer,
    number,
    parts,
    text,
    texts,
    utf8,
    whole,
)
from reconciler.core.model import (
    Attempt,
    Cause,
    Drift,
    JobKey,
    Lease,
    Outcome,
    Pause,
    Process,
    Run,
    SealedCredential,
    SyncReport,
)
from reconciler.core.pauses import FOREVER

SCHEMA_VERSION = 4  # of these documents; a store that holds a higher one was written by a newer reconciler

LEADER = "leader"  # the name of the one lease

SALVAGED = "its record is damaged; resume it, and pause anew what is to stay paused"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_Value = TypeVar("_Value")
_Default = TypeVar("_Default")


def first_id(moment: datetime) -> str:
    """A text below every id of a run whose slot is at or after ``moment``, and above all of earlier ones.

    Run ids begin with their slot's Unix milliseconds (``core.runs.run_id``), so an index on them serves spans of time.
    """
    milliseconds = max(0, -((_EPOCH - moment) // _MILLISECOND))  # rounded up: no slot lies within a millisecond
    digits = f"{milliseconds:012x}"
    return f"{digits[:-4]}-{digits[-4:]}"


# --- writing -------------------------------------------------------------------------------------------------------


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
        "reason": utf8(run.reason),
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
                "error": None if attempt.error is None else utf8(attempt.error),
                "sent": attempt.sent,
            }
            for attempt in run.attempts
        ],
        "excerpt": utf8(run.excerpt),
        "revision": run.revision,
        "file": utf8(run.file),
        "line": run.line,
        "delivery": run.delivery,
        "overrides": list(run.overrides),
        "term": run.term,
        "slots": run.slots,
        "through": run.through,
        "upstream": run.upstream,
        "correlation": run.correlation,
    }


def encode_report(report: SyncReport) -> Document:
    """A sync report as a document."""
    return {
        "_id": report.id,
        "source": utf8(report.source),
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
        "problems": [utf8(problem) for problem in report.problems],
        "kept": list(report.kept),
        "keptReasons": [utf8(reason) for reason in report.kept_reasons],
        "error": utf8(report.error),
        "renamed": report.renamed,
        "commit": commit_document(report.commit),
        "notes": [utf8(note) for note in report.notes],
        "drift": [
            {
                "job": utf8(str(drift.key)),
                "where": drift.where,
                "field": utf8(drift.field),
                "found": None if drift.found is None else utf8(drift.found),
                "declared": None if drift.declared is None else utf8(drift.declared),
                "putBack": drift.put_back,
                "kind": drift.kind,
            }
            for drift in report.drift
        ],
        "environment": utf8(report.environment),
    }


def encode_pause(pause: Pause) -> Document:
    """A pause as a document."""
    return {
        "_id": pause.id,
        "application": pause.application,
        "api": pause.api,
        "reason": utf8(pause.reason),
        "by": utf8(pause.by),
        "since": pause.since,
        "until": pause.until,
        "endedAt": pause.ended_at,
        "endedBy": utf8(pause.ended_by),
    }


def encode_process(process: Process) -> Document:
    """A process as a document."""
    return {
        "_id": process.id,
        "role": process.role,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "source": utf8(process.source),
        "listen": process.listen,
        "startedAt": process.started_at,
        "seenAt": process.seen_at,
        "unreadable": [utf8(each) for each in process.unreadable],
    }


def encode_lease(lease: Lease) -> Document:
    """The lease as a document; whether it has expired is not written, but found out in reading."""
    return {
        "_id": LEADER,
        "holder": lease.holder,
        "term": lease.term,
        "since": lease.since,
        "expiresAt": lease.expires_at,
        "accountedFrom": lease.accounted_from,
        "accountedUntil": lease.accounted_until,
        "nudges": lease.nudges,
    }


def encode_token(token: str, fingerprint: str, run_id: str, at: datetime) -> Document:
    """What a client's ``Idempotency-Key`` stands for, as a document."""
    return {"_id": token, "fingerprint": fingerprint, "runId": run_id, "at": at}


def encode_credential(credential: SealedCredential) -> Document:
    """A credential as a document: encrypted."""
    return {
        "_id": credential.id,
        "application": credential.application,
        "kind": credential.kind,
        "digest": credential.digest,
        "sealed": credential.sealed,
        "obtainedAt": credential.obtained_at,
        "expiresAt": credential.expires_at,
    }


# --- reading -------------------------------------------------------------------------------------------------------


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
        term=newer(whole, document, "term", 0),
        slots=newer(whole, document, "slots", 1),
        through=maybe_newer(instant, document, "through"),
        upstream=newer(text, document, "upstream", ""),
        correlation=newer(text, document, "correlation", ""),
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
        renamed=newer(whole, document, "renamed", 0),
        commit=maybe_newer(commit_of, document, "commit"),
        notes=newer(texts, document, "notes", ()),
        drift=tuple(map(_drift, newer(parts, document, "drift", []))),
        environment=newer(text, document, "environment", ""),
        kept_reasons=newer(texts, document, "keptReasons", ()),
    )


def _drift(document: Document) -> Drift:
    application, slash, api = text(document, "job").partition("/")
    if not slash:
        raise ValueError(f"{application!r} names no job")
    return Drift(
        key=JobKey(application, api),
        where=text(document, "where"),
        field=text(document, "field"),
        found=maybe(text, document, "found"),
        declared=maybe(text, document, "declared"),
        put_back=flag(document, "putBack"),
        kind=newer(text, document, "kind", "job"),
    )


@naming("pause")
def decode_pause(document: Document) -> Pause:
    """Read a pause back.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return Pause(
        id=text(document, "_id"),
        application=text(document, "application"),
        api=maybe(text, document, "api"),
        reason=text(document, "reason"),
        by=text(document, "by"),
        since=instant(document, "since"),
        until=instant(document, "until"),
        ended_at=maybe(instant, document, "endedAt"),
        ended_by=text(document, "endedBy"),
    )


def salvaged_pause(document: Document) -> Pause | None:
    """A pause whose record is damaged, from what it still says; ``None`` where that is not even what is paused.

    It goes on: until its end where that can be read, else until somebody resumes it, which writes it anew.
    """
    try:
        name, application = text(document, "_id"), text(document, "application")
        api = maybe(text, document, "api")
    except UNREADABLE:
        return None
    return Pause(
        id=name,
        application=application,
        api=api,
        reason=SALVAGED,
        by="unknown",
        since=_still(instant, document, "since", _EPOCH),
        until=_still(instant, document, "until", FOREVER),
        ended_at=_still(instant, document, "endedAt", None),
    )


def _still(
    read: Callable[[Document, str], _Value], document: Document, name: str, otherwise: _Default
) -> _Value | _Default:
    try:
        return read(document, name)
    except UNREADABLE:
        return otherwise


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
        unreadable=newer(texts, document, "unreadable", ()),
    )


@naming("lease")
def decode_lease(document: Document) -> Lease:
    """Read the lease back; ``expired`` is the store's to add.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return Lease(
        holder=text(document, "holder"),
        term=whole(document, "term"),
        since=instant(document, "since"),
        expires_at=instant(document, "expiresAt"),
        accounted_from=instant(document, "accountedFrom"),
        accounted_until=instant(document, "accountedUntil"),
        expired=newer(flag, document, "expired", default=False),
        nudges=whole(document, "nudges"),
    )


@naming("credential")
def decode_credential(document: Document) -> SealedCredential:
    """Read a credential back, encrypted as it is.

    Raises:
        StoreError: naming it, where something is missing or of the wrong type.
    """
    return SealedCredential(
        id=text(document, "_id"),
        application=text(document, "application"),
        kind=text(document, "kind"),
        digest=text(document, "digest"),
        sealed=text(document, "sealed"),
        obtained_at=instant(document, "obtainedAt"),
        expires_at=maybe(instant, document, "expiresAt"),
    )


@naming("token")
def decode_token(document: Document) -> tuple[str, str]:
    """Read the fingerprint and the run id that a token stands for.

    Raises:
        StoreError: naming the token, where something is missing or of the wrong type.
    """
    return text(document, "fingerprint"), text(document, "runId")
