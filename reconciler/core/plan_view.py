"""A plan with everything that people want to know of it: next runs before and after, the coming 24 hours, what is new.

The text, the JSON and the Markdown of a plan all show this. Forbidden here: words and layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.core.changes import RESOLVED, Action, Change, FieldChange, Plan
from reconciler.core.model import Job, Problem, Schedule
from reconciler.core.outlook import Outlook, next_slot, outlook, total
from reconciler.core.timetable import words

# What every job has and most leave as it is: said of a job that comes or goes only where it differs from this.
_PLAIN = {
    "timeZone": "UTC",
    "expect.status": "2xx",
    "timeout": "30s",
    "retry": "limit 0, 1s × 2, at most 5m",
    "concurrencyPolicy": "Forbid",
    "startingDeadline": "1h",
    "catchUp": "latest",
    "jitter": "0s",
    "suspend": "false",
}


class SideKind(StrEnum):
    """Where one side of a plan comes from."""

    STORE = "store"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two things compared; ``revision`` is empty for a store."""

    kind: SideKind
    name: str
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """One change, and what it means for the time to come.

    Attributes:
        next_before, next_after: when the job is next due, without and with the change.
        outlook: which runs of the coming 24 hours appear and vanish.
    """

    change: Change
    next_before: datetime | None
    next_after: datetime | None
    outlook: Outlook

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """The fields worth a person's while: of a job that comes or goes, what is unusual; nothing told already."""
        fields = self.change.fields
        whole = self.change.action in (Action.ADD, Action.REMOVE)
        told = set(RESOLVED) if any(one.field == "schedule" for one in fields) else set()
        told |= {"renamed-from"} if self.change.renamed_from else set()
        return tuple(one for one in fields if one.field not in told and not (whole and _is_plain(one)))

    @property
    def schedules(self) -> tuple[str | None, str | None]:
        """The schedule in words, before and after."""
        return _said(self.change.before), _said(self.change.after)

    @property
    def reschedules(self) -> bool:
        """Whether there is a schedule that was not there before."""
        after = self.change.after
        return after is not None and _schedule(self.change.before) != after.schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """A plan between two sides, as shown.

    Attributes:
        now: the instant that next runs and the coming 24 hours count from.
        problems: of the side that is planned for, by place.
        known: those problems that the other side has, too.
        held_before: Applications that are held on the side that the plan begins from: what is stored of them is
            older, and is not known.
        environment: whose patches were applied; empty for none.
    """

    plan: Plan
    now: datetime
    before: Side
    after: Side
    problems: tuple[Problem, ...] = ()
    known: frozenset[Problem] = frozenset()
    held_before: tuple[str, ...] = ()
    environment: str = ""
    changes: tuple[ChangeView, ...]
    outlook: Outlook

    @property
    def exit_code(self) -> int:
        """1 for problems or stopped removals, 2 for changes, 0 for nothing to do."""
        if self.problems or self.plan.braked:
            return 1
        return 2 if self.plan.changes_anything else 0


def plan_view(  # noqa: PLR0913 - what there is to know of a plan
    plan: Plan,
    now: datetime,
    *,
    before: Side,
    after: Side,
    problems: Iterable[Problem] = (),
    problems_before: Iterable[Problem] = (),
    held_before: Iterable[str] = (),
    environment: str = "",
) -> PlanView:
    """Look ahead from ``now`` for every change of a plan.

    Args:
        plan: the plan.
        now: the present instant.
        before: what it begins from.
        after: what it leads to.
        problems: what is wrong with the side that it leads to.
        problems_before: what is wrong with the other one.
        held_before: Applications that are held there.
        environment: whose patches were applied.
    """
    problems = tuple(problems)
    changes = change_views(plan, now)
    return PlanView(
        plan=plan,
        now=now,
        before=before,
        after=after,
        problems=problems,
        known=_known(problems, problems_before),
        held_before=tuple(sorted(set(held_before) - plan.held.keys())),
        environment=environment,
        changes=changes,
        outlook=total(view.outlook for view in changes),
    )


def change_views(plan: Plan, now: datetime) -> tuple[ChangeView, ...]:
    """Every change of a plan with what it means from ``now`` on."""
    return tuple(
        ChangeView(
            change=change,
            next_before=next_slot(change.before, now),
            next_after=next_slot(change.after, now),
            outlook=outlook(change, now),
        )
        for change in plan.changes
    )


def _is_plain(field: FieldChange) -> bool:
    return _PLAIN.get(field.field, "") == (field.after or field.before)


def _known(problems: Iterable[Problem], before: Iterable[Problem]) -> frozenset[Problem]:
    """Problems that were there before; a line that was put in above makes none of them new."""
    there = Counter((one.file, one.field, one.message) for one in before)
    known = []
    for problem in problems:
        what = (problem.file, problem.field, problem.message)
        if there[what]:
            there[what] -= 1
            known.append(problem)
    return frozenset(known)


def _schedule(job: Job | None) -> Schedule | None:
    return None if job is None else job.schedule


def _said(job: Job | None) -> str | None:
    return None if job is None else words(job.schedule)
