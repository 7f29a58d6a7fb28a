"""Which ends of runs start another job's run.

Forbidden here: the present time, and making runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType

from reconciler.core.model import Job, JobKey, Outcome, Run, Schedule, StoredJob

_FAILURES = frozenset({Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN})

# A skipped run starts nothing: nothing was to be done, and nothing was.
ENDINGS: Mapping[str, Collection[Outcome]] = MappingProxyType(
    {
        "success": frozenset({Outcome.SUCCEEDED}),
        "failure": _FAILURES,
        "completion": _FAILURES | {Outcome.SUCCEEDED},
    }
)


def starts(schedule: Schedule, upstream: Run) -> bool:
    """Whether the end of a run starts one of a job with this schedule; its bounds count for that end."""
    after, end = schedule.after, upstream.finished_at
    if after is None or end is None or after.key != upstream.key or upstream.outcome not in ENDINGS[after.on]:
        return False
    has_begun = schedule.starts_at is None or end >= schedule.starts_at
    return has_begun and (schedule.ends_at is None or end <= schedule.ends_at)


def is_started_by(stored: StoredJob, upstream: Run) -> bool:
    """Whether the end of a run starts one of this job as it stands now: only ends since its schedule was applied."""
    end = upstream.finished_at
    return not stored.job.suspend and end is not None and end > stored.since and starts(stored.job.schedule, upstream)


def followers(jobs: Iterable[StoredJob]) -> dict[JobKey, list[StoredJob]]:
    """The jobs that follow another one's runs, by the key of that one."""
    found: dict[JobKey, list[StoredJob]] = {}
    for stored in jobs:
        if (after := stored.job.schedule.after) is not None:
            found.setdefault(after.key, []).append(stored)
    return found


def longest_run(job: Job) -> timedelta:
    """How long a run of a job may take from its claim: to wait for its turn, every attempt, every pause between them.

    Each call has ``starting_deadline`` to come to its turn, the first one as well as retries, and one that is made once
    more with a new credential.
    """
    retry = job.retry
    delays = timedelta(0)
    for number in range(retry.limit):
        # 300 keeps a power of at most 10 within what a float holds; compared in seconds, for a timedelta holds less.
        grown = retry.initial_delay.total_seconds() * retry.factor ** min(number, 300)
        if grown >= retry.max_delay.total_seconds():
            delays += (retry.limit - number) * retry.max_delay
            break
        delays += timedelta(seconds=grown)
    calls = retry.limit + 1 + (job.auth is not None and job.auth.is_fetched)
    return calls * (job.starting_deadline + job.timeout) + delays
