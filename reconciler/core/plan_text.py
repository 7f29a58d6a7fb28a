"""A plan in words: as text for a terminal, and as JSON for programs.

Lines come as pieces of (style, text) so that whoever prints them decides about colour. Forbidden here: printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from reconciler.core.instants import absolute, relative
from reconciler.core.model import Job, Problem
from reconciler.core.plan import Action, Change, FieldChange, Plan
from reconciler.core.plural import plural
from reconciler.core.timetable import Timetable, words

_SIGN = {Action.ADD: "+", Action.CHANGE: "~", Action.REMOVE: "-"}
_STYLE = {Action.ADD: "green", Action.CHANGE: "yellow", Action.REMOVE: "red"}
# What every job has and most leave as it is: said of a new job only where it differs from this.
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

Line = tuple[str, str]


def next_slot(job: Job | None, now: datetime) -> datetime | None:
    """When the job is next due; ``None`` if never, suspended or absent."""
    if job is None or job.suspend:
        return None
    return Timetable.of(job.schedule).next_after(now)


def summary(plan: Plan) -> str:
    """The last line of a plan."""
    add, change, remove = (plan.count(action) for action in Action)
    return f"Plan: {add} to add, {change} to change, {remove} to remove"


def lines(plan: Plan, now: datetime) -> Iterator[Line]:
    """The plan, line by line, each with its style."""
    for change in plan.changes:
        yield from _change_lines(change, now)
    for item in plan.kept:
        yield "yellow", f"! {item.key} stays: {item.reason}"
    for name, problems in sorted(plan.held.items()):
        yield "yellow", f"! {name} is held: {plural(len(problems), 'problem')}; what ran before keeps running"
    yield "bold", summary(plan)


def _change_lines(change: Change, now: datetime) -> Iterator[Line]:
    yield _STYLE[change.action], f"{_SIGN[change.action]} {change.key}  {change.job.file}:{change.job.line}"
    fields = [field for field in change.fields if change.action is Action.CHANGE or _worth_saying(field)]
    if change.action is not Action.REMOVE:
        width = max((len(field.field) for field in fields), default=4)
        for field in fields:
            yield "", f"    {field.field:<{width}}  {_field_text(field, change)}"
        yield from _schedule_lines(change, width, now)
    yield "", ""


def _worth_saying(field: FieldChange) -> bool:
    return _PLAIN.get(field.field) != field.after


def _field_text(field: FieldChange, change: Change) -> str:
    if change.action is Action.ADD:
        return _short(field.after)
    return f"{_short(field.before)} → {_short(field.after)}"


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    line = value.replace("\n", "⏎")
    return line if len(line) <= 100 else f"{line[:97]}…"  # noqa: PLR2004 - one line of a terminal


def _schedule_lines(change: Change, width: int, now: datetime) -> Iterator[Line]:
    before, after = next_slot(change.before, now), next_slot(change.after, now)
    if change.before and change.after and change.before.schedule != change.after.schedule:
        yield "dim", f"    {'':<{width}}  {words(change.before.schedule)} → {words(change.after.schedule)}"
    elif change.action is Action.ADD:
        yield "dim", f"    {'':<{width}}  {words(change.job.schedule)}"
    old, new = _due(change.before, before, now), _due(change.after, after, now)
    text = new if change.action is Action.ADD else f"{old} → {new}" if before != after else f"{new} (as before)"
    yield "dim", f"    {'next':<{width}}  {text}"


def _due(job: Job | None, slot: datetime | None, now: datetime) -> str:
    if job is None:
        return "(none)"
    if job.suspend:
        return "never (suspended)"
    if slot is None:
        return "never"
    return f"{absolute(slot, job.schedule.zone)} ({relative(slot, now)})"


def as_json(plan: Plan, now: datetime, problems: Iterable[Problem] = ()) -> dict[str, Any]:
    """The plan as JSON types; the shape is documented in the README."""
    return {
        "changes": [_change_json(change, now) for change in plan.changes],
        "kept": [{"job": str(item.key), "reason": item.reason} for item in plan.kept],
        "held": {name: [str(problem) for problem in found] for name, found in sorted(plan.held.items())},
        "problems": [str(problem) for problem in problems],
        "summary": {action.value: plan.count(action) for action in Action},
    }


def _change_json(change: Change, now: datetime) -> dict[str, Any]:
    before, after = next_slot(change.before, now), next_slot(change.after, now)
    return {
        "action": change.action.value,
        "job": str(change.key),
        "file": change.job.file,
        "line": change.job.line,
        "fields": [{"field": field.field, "before": field.before, "after": field.after} for field in change.fields],
        "nextBefore": before and _stamp(before),
        "nextAfter": after and _stamp(after),
    }


def _stamp(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
