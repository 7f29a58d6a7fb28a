"""What stands in the store otherwise than it was declared: jobs edited, removed or made by hand, damaged records.

Applications and freeze windows are looked at in ``core.drift_beside``.

That a job was edited shows in its digest: it is not that of what the job says. A digest of another form comes from
another version of the reconciler and proves nothing, so whoever changes what ``core.inherit.digest`` covers gives it
another form, too (a prefix, another length). Forbidden here: finding the scheduler's drift (its adapter does), and
mending.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping

from reconciler.core.changes import RESOLVED, differences, flatten
from reconciler.core.desired import Desired
from reconciler.core.inherit import digest
from reconciler.core.model import Drift, Job, JobKey, StoredJob

EDITED = "edited by hand"
SURPLUS = "made by hand"

_STORE = "store"
_DIGEST = re.compile(r"[0-9a-f]{32}")  # the present form
_LONGEST_VALUE = 100


def found(
    stored: Mapping[JobKey, StoredJob],
    desired: Desired,
    damaged: Mapping[str, str],
    *,
    same_revision: bool,
    kept: Container[str] = (),
) -> tuple[Drift, ...]:
    """Every difference, ordered by job.

    Args:
        stored: every stored job that can be read.
        desired: what the manifests declare.
        damaged: id -> why that record cannot be read.
        same_revision: whether the store was last synced from exactly this revision; only then is a job that is
            missing or surplus somebody's doing.
        kept: jobs (``application/api``) that the last sync let stay undeclared.
    """
    drift = [*_edited(stored, desired, same_revision=same_revision), *_damaged(damaged, desired)]
    if same_revision and not desired.broken:
        drift += _missing_and_surplus(stored, desired, damaged, kept)
    return tuple(sorted(drift, key=lambda one: one.key))


def is_edited(job: Job) -> bool:
    """Whether a stored job says something else than it did when it was written."""
    return _DIGEST.fullmatch(job.digest) is not None and digest(job) != job.digest


def _edited(stored: Mapping[JobKey, StoredJob], desired: Desired, *, same_revision: bool) -> Iterator[Drift]:
    for key, known in stored.items():
        declared = desired.jobs.get(key)
        if known.job is declared or not is_edited(known.job):
            continue
        if declared is not None:
            yield from _field_by_field(known.job, declared)
        elif same_revision or key.application in desired.held:  # else it goes, for its manifest is gone
            yield Drift(key=key, where=_STORE, found=EDITED, put_back=_may_go(key, desired))


def _may_go(key: JobKey, desired: Desired) -> bool:
    """Whether what nobody declares is removed: not where its manifest may be there, and cannot be read."""
    return key.application not in desired.held and not desired.broken


def _field_by_field(job: Job, declared: Job) -> Iterator[Drift]:
    for one in differences(_table(job), _table(declared)):
        yield Drift(key=job.key, where=_STORE, field=one.field, found=one.before, declared=one.after)


def _table(job: Job) -> dict[str, str]:
    """As in a plan, but with what the schedule comes to in any case: that is what somebody edits."""
    cron = job.schedule.cron
    return flatten(job) | ({} if cron is None else {RESOLVED[0]: cron})


def _missing_and_surplus(
    stored: Mapping[JobKey, StoredJob], desired: Desired, damaged: Mapping[str, str], kept: Container[str]
) -> Iterator[Drift]:
    for key, job in desired.jobs.items():
        settled = key in stored or str(key) in damaged or key.application in desired.held
        if not settled and desired.renames.get(key) not in stored:  # else it waits to be renamed
            yield Drift(key=key, where=_STORE, declared=f"{job.file}:{job.line}")
    for key, known in stored.items():
        stays = key in desired.jobs or key.application in desired.held or str(key) in kept
        if not stays and not is_edited(known.job):
            yield Drift(key=key, where=_STORE, found=SURPLUS)


def key_of(record: str) -> JobKey:
    """The job that a record would be of, by its id; one that names no job has no Api."""
    application, _, api = record.partition("/")
    return JobKey(application, api)


def _damaged(damaged: Mapping[str, str], desired: Desired) -> Iterator[Drift]:
    for record, reason in damaged.items():
        key = key_of(record)
        job = desired.jobs.get(key)
        yield Drift(
            key=key,
            where=_STORE,
            found=reason,
            declared=f"{job.file}:{job.line}" if job else None,
            put_back=_may_go(key, desired) if job is None else key.application not in desired.held,
        )


def describe(drift: Drift) -> str:
    """One difference in words: ``billing/nightly: timeout is "5s" in the store, declared is "30s"; put back``."""
    mended = "removed" if is_stray(drift) else "put back"
    return f"{drift.name}: {_difference(drift)}; {mended if drift.put_back else 'left as it is'}"


def is_stray(drift: Drift) -> bool:
    """Whether this is a record that cannot be read and that nobody declares: it goes."""
    whole = drift.where == _STORE and not drift.field and drift.found is not None and drift.declared is None
    return whole and drift.found not in (EDITED, SURPLUS)


def _difference(drift: Drift) -> str:
    if drift.field:
        there = f"is {_quoted(drift.found)}" if drift.found is not None else "is missing"
        should = f"declared is {_quoted(drift.declared)}" if drift.declared is not None else "it is not declared"
        return f"{drift.field} {there} in the {drift.where}, {should}"
    if drift.found is None:
        return f"is missing in the {drift.where} ({drift.declared})"
    if drift.found in (EDITED, SURPLUS):
        return f"was {drift.found} in the {drift.where}, and no manifest declares it"
    if drift.where == _STORE:
        nobody = ", and no manifest declares it" if drift.declared is None else ""
        return f"cannot be read in the {drift.where}: {drift.found}{nobody}"
    should = "it is not declared" if drift.declared is None else f"declared is {_quoted(drift.declared)}"
    return f"is {_quoted(drift.found)} in the {drift.where}, {should}"


def _quoted(value: str) -> str:
    line = value.replace("\n", "⏎")
    return f'"{line}"' if len(line) <= _LONGEST_VALUE else f'"{line[:_LONGEST_VALUE]}…"'
