"""Keeping a plan from closing a circle of jobs that follow each other.

No manifests that are good together do. But a job that is held stays what it was, and what it was may follow a job that
is now declared to follow it. Forbidden here: circles of what is declared (``core.desired_chains``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.core.changes import Change, Kept
from reconciler.core.desired_chains import circles
from reconciler.core.model import JobKey, StoredJob


def without_circles(changes: Sequence[Change], stored: Mapping[JobKey, StoredJob]) -> tuple[list[Change], list[Kept]]:
    """The changes that leave no job following itself, and the jobs that stay as they are for that.

    What is stored has no circle, so that leaving changes out opens every one of them.
    """
    left, kept = list(changes), list[Kept]()
    if not left:
        return left, kept
    before = {key: after.key for key, known in stored.items() if (after := known.job.schedule.after) is not None}
    while found := circles(_after(left, before)):
        closing = [each for each in left if each.key in found]
        left = [each for each in left if each.key not in found]
        if not closing:  # the store was edited by hand
            break
        kept += [Kept(key=each.renamed_from or each.key, reason=found[each.key]) for each in closing]
    return left, kept


def _after(changes: Sequence[Change], before: Mapping[JobKey, JobKey]) -> dict[JobKey, JobKey]:
    """Who follows whom once the changes are made."""
    followed = dict(before)
    for change in changes:
        for key in (change.key, change.renamed_from):
            if key is not None:
                followed.pop(key, None)
        if change.after is not None and (after := change.after.schedule.after) is not None:
            followed[change.key] = after.key
    return followed
