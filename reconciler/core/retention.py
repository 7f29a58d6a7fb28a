"""Which ended runs are too old or too many, in the words of ids and outcomes; and what must stay all the same.

Whoever leads next tells by the records what is owed: a slot whose record has gone would be called again. So nothing
goes that may still be asked for, however many there are. Forbidden here: any one store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.core.model import Cause, Lease, Outcome, Retention, StoredJob
from reconciler.core.records import first_id

FAILURES = (Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN)
OTHERS = (Outcome.SUCCEEDED, Outcome.SKIPPED)

# Causes of runs that are not at a slot of their job's schedule, and are looked for by the ends that they follow.
FOLLOWING = (Cause.AFTER, Cause.CATCH_UP)

# How far back a process looks for what ended while none was alive, whatever the starting deadlines.
_LONGEST_LOOK_BACK = timedelta(days=31)

KEPT_REPORTS: Final = 1000  # of syncs, the newest

_ABOVE_ALL = "g"  # of hexadecimal ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Runs that stay, for they say what is not owed any more.

    Attributes:
        from_id: those with this id or one above it.
        following_from_id: of those that follow an end (``FOLLOWING``), these already.
        since: pauses and eras that held after this instant stay, too; ``None`` where they may all go.
    """

    from_id: str
    following_from_id: str
    since: datetime | None

    def before(self, instant: datetime) -> datetime:
        """What pauses and eras may go, if those that were over before an instant are old enough."""
        return instant if self.since is None else min(instant, self.since)


def needed(lease: Lease | None, now: datetime, look_back: timedelta) -> Needed:
    """What must stay: after the mark, each slot is held against its record once more.

    Args:
        lease: of the store; ``None`` where nobody has ever led, so that nothing was owed yet.
        now: the present instant.
        look_back: how far back ends that nothing has followed are looked for.
    """
    mark = None if lease is None else lease.accounted_until
    begin = now - look_back
    return Needed(
        from_id=_ABOVE_ALL if mark is None else first_id(mark),
        following_from_id=first_id(begin if mark is None else min(mark, begin)),
        since=mark,
    )


def look_back(jobs: Iterable[StoredJob]) -> timedelta:
    """How far back it is looked for ends that nothing has followed: for as long as a run may still be started."""
    longest = max((stored.job.starting_deadline for stored in jobs), default=timedelta(0))
    return min(longest, _LONGEST_LOOK_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged:
    """Runs that are too old, the newest of each job among them.

    Attributes:
        below: their ids are.
        outcomes: one of these is theirs.
        application: whose they are; ``None`` for every Application but those in ``others``.
        others: Applications that keep theirs otherwise.
    """

    below: str
    outcomes: tuple[Outcome, ...]
    application: str | None
    others: tuple[str, ...] = ()


def aged(now: datetime, retention: Retention, applications: Mapping[str, Retention]) -> Iterator[Aged]:
    """What is too old; ``applications`` keep theirs otherwise."""
    for application, its in [(None, retention), *sorted(applications.items())]:
        others = tuple(sorted(applications)) if application is None else ()
        for outcomes, span in ((OTHERS, its.keep_for), (FAILURES, its.keep_failures_for)):
            yield Aged(below=first_id(now - span), outcomes=outcomes, application=application, others=others)


def keep_per_job(job: str, retention: Retention, applications: Mapping[str, Retention]) -> int:
    """How many runs of a job (``application/api``) are kept; one at least."""
    return max(1, applications.get(job.partition("/")[0], retention).keep_per_job)
