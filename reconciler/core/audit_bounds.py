"""What an audit can hold against anybody: how far back and how near it looks, and which runs may still be running.

Forbidden here: the present time, which is always a parameter, and the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core.chains import longest_run
from reconciler.core.eras import Span
from reconciler.core.instants import absolute, span
from reconciler.core.model import Job, JobKey, Lease, Outcome, Process, Retention, Run, whole_milliseconds
from schemas.base import format_duration

# Who has shown no life for so long has been noticed by whoever recovers, and settled with.
SILENCE = timedelta(seconds=30)
# A run may wait a while for a store that is away.
_PATIENCE = timedelta(minutes=1)
# Ends of other processes' runs, such as those of a command, are found every few seconds.
CHAINED = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is looked at.

    Attributes:
        span: it is empty where there is nothing to look at.
        notes: why it is less than was asked for, for people.
    """

    span: Span
    notes: tuple[str, ...] = ()


def bounds(asked: Span, lease: Lease | None, now: datetime) -> Bounds:
    """What of a span the store accounts for: from the first leader's beginning to the mark of the last."""
    asked = Span(whole_milliseconds(asked.after), whole_milliseconds(asked.until))
    if lease is None:
        empty = Span(asked.after, asked.after)
        return Bounds(span=empty, notes=("no reconciler has ever led on this store: no slot is accounted for yet",))
    notes = []
    if lease.accounted_from > asked.after:
        notes.append(
            f"slots up to {absolute(lease.accounted_from)} are nobody's: a reconciler led then for the first time"
        )
    if lease.accounted_until < min(asked.until, now) - SILENCE:
        behind = f"{absolute(lease.accounted_until)}, {span(now - lease.accounted_until)} ago"
        notes.append(f"slots after {behind}, are still to be accounted for, by whoever leads or will lead")
    found = asked.within(Span(lease.accounted_from, min(lease.accounted_until, now)))
    return Bounds(span=Span(found.after, max(found.until, found.after)), notes=tuple(notes))


def kept_after(retention: Retention, now: datetime) -> datetime:
    """After which slot no record has gone for its age."""
    return now - min(retention.keep_for, retention.keep_failures_for)


def age_note(retention: Retention) -> str:
    """Say what retention by age leaves out."""
    shortest = format_duration(min(retention.keep_for, retention.keep_failures_for))
    return f"records older than {shortest} may have been removed; slots from before are held against nobody"


def kept_by_count(newest: Sequence[Run], retention: Retention) -> datetime | None:
    """After which slot no record has gone because its job has too many; ``None`` where none has.

    What did not fail goes first, and of that the oldest, so that everything is there from the oldest of it on.

    Args:
        newest: the newest runs of the job, newest first, as many as are kept of one.
        retention: what is kept of it.
    """
    if len(newest) < retention.keep_per_job:
        return None
    kept = [run.slot for run in newest if run.outcome in (Outcome.SUCCEEDED, Outcome.SKIPPED)]
    return min(kept or [run.slot for run in newest])


def unexplained(
    running: Iterable[Run], jobs: Mapping[JobKey, Job], processes: Iterable[Process], now: datetime
) -> dict[str, str]:
    """By id, why a run should not be running any more; runs that may be are not named.

    Args:
        running: every run without an end.
        jobs: by key, as they stand now.
        processes: that have shown life.
        now: aware.
    """
    alive = {process.id for process in processes if now - process.seen_at <= SILENCE}
    found = {}
    for run in running:
        lasted, job = now - run.claimed_at, jobs.get(run.key)
        if run.owner not in alive and lasted > SILENCE:
            found[run.id] = f"claimed {span(lasted)} ago by a process that shows no life"
        elif job is not None and lasted > (longest := longest_run(job) + _PATIENCE):
            found[run.id] = f"claimed {span(lasted)} ago; its attempts, retries and waits end within {span(longest)}"
    return found
