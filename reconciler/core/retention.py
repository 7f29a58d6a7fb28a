"""Which ended runs are too old or too many, in the words of ids and outcomes. Forbidden here: any one store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.model import Outcome, Retention
from reconciler.core.records import first_id

FAILURES = (Outcome.FAILED, Outcome.MISSED, Outcome.UNKNOWN)
OTHERS = (Outcome.SUCCEEDED, Outcome.SKIPPED)


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
