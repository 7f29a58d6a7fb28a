"""A plan in words, as text for a terminal.

Lines come as pieces of (style, text) so that whoever prints them decides about colour. Forbidden here: printing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from reconciler.core.changes import Action, FieldChange, Kept, Plan, TokenChange, WindowChange
from reconciler.core.instants import absolute, relative
from reconciler.core.model import Job
from reconciler.core.outlook import MOST_SLOTS, Instants, Outlook, total
from reconciler.core.plan_view import ChangeView, PlanView, Side, SideKind, change_views
from reconciler.core.plural import plural
from reconciler.core.timetable import words
from reconciler.core.token_changes import described

SIGNS = {Action.ADD: "+", Action.CHANGE: "~", Action.REMOVE: "-", Action.RENAME: "→"}
_STYLES = {Action.ADD: "green", Action.CHANGE: "yellow", Action.REMOVE: "red", Action.RENAME: "yellow"}
_MOST_ALIKE = 20  # so many jobs that stay for one reason are named
_SHORT_REVISION = 12

Line = tuple[str, str]


def summary(plan: Plan) -> str:
    """The last line of a plan."""
    counts = [(plan.count(Action.ADD), "add"), (plan.count(Action.CHANGE), "change")]
    counts += [(plan.count(Action.RENAME), "rename")] if plan.count(Action.RENAME) else []
    counts += [(plan.count(Action.REMOVE), "remove")]
    text = ", ".join(f"{count} to {verb}" for count, verb in counts)
    beside = ((len(plan.window_changes), "freeze window"), (len(plan.shown_tokens), "access token"))
    return "; ".join((f"Plan: {text}", *(f"{plural(count, noun)} to change" for count, noun in beside if count)))


def lines(plan: Plan, now: datetime) -> Iterator[Line]:
    """A plan that is applied, line by line, each with its style."""
    yield from _lines(plan, change_views(plan, now), now)


def view_lines(view: PlanView) -> Iterator[Line]:
    """A plan with its two sides, line by line, each with its style."""
    if view.before.kind is SideKind.SOURCE:
        yield "bold", title(view)
        yield "", ""
    yield from _lines(view.plan, view.changes, view.now)
    for name in view.held_before:
        yield "yellow", f"! {held_before(name, view)}"


def title(view: PlanView) -> str:
    """What is compared with what: ``From main (0123456789ab) to manifests (ba9876543210), environment staging``."""
    text = f"From {_side(view.before)} to {_side(view.after)}"
    return f"{text}, environment {view.environment}" if view.environment else text


def held_before(name: str, view: PlanView) -> str:
    """Why an Application may look newer than it is."""
    return f"{name} is held at {view.before.name}: what runs of it now is older, so all its jobs are shown as new"


def _side(side: Side) -> str:
    return f"{side.name} ({side.revision[:_SHORT_REVISION]})" if side.revision else side.name


def _lines(plan: Plan, changes: Iterable[ChangeView], now: datetime) -> Iterator[Line]:
    changes = tuple(changes)
    for view in changes:
        yield from _change_lines(view, now)
    for window in plan.window_changes:
        yield from _window_lines(window)
    for token in plan.shown_tokens:
        yield from _token_lines(token)
    for text in kept_texts(plan.kept):
        yield "yellow", f"! {text}"
    for name in plan.kept_windows:
        yield "yellow", f"! {kept_window_text(name, plan)}"
    for name, problems in sorted(plan.held.items()):
        yield "yellow", f"! {name} is held: {plural(len(problems), 'problem')}; what ran before keeps running"
    if text := outlook_text(total(view.outlook for view in changes), zone="UTC"):
        yield "", f"In the coming 24 h: {text}"
    yield "bold", summary(plan)


def kept_texts(kept: Iterable[Kept]) -> Iterator[str]:
    """Which jobs stay and why; where very many are alike, only the first are named."""
    alike: dict[str, list[Kept]] = {}
    for item in kept:
        alike.setdefault(item.reason, []).append(item)
    for reason, items in alike.items():
        for item in items[:_MOST_ALIKE]:
            yield f"{item.key} stays: {reason}"
        if (more := len(items) - _MOST_ALIKE) > 0:
            yield f"{plural(more, 'more job')} stay{'s' if more == 1 else ''}: {reason}"


def kept_window_text(name: str, plan: Plan) -> str:
    """Why a freeze window stays."""
    return f"freeze window {name} stays: {'the brake is on' if plan.braked else 'what declares it has problems'}"


def _change_lines(view: ChangeView, now: datetime) -> Iterator[Line]:
    change = view.change
    was = f" (was {change.renamed_from})" if change.renamed_from else ""
    yield _STYLES[change.action], f"{SIGNS[change.action]} {change.key}{was}  {change.job.file}:{change.job.line}"
    fields = () if change.action is Action.REMOVE else view.fields
    rows = [(one.field, _field_text(one, change.action)) for one in fields]
    if said := _schedule_text(view):
        rows.append(("", said))
    rows.append(("next", _next_text(view, now)))
    if runs := outlook_text(view.outlook, zone=change.job.schedule.zone):
        rows.append(("24 h", runs))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        yield "" if name and name not in ("next", "24 h") else "dim", f"    {name:<{width}}  {text}"
    yield "", ""


def _window_lines(change: WindowChange) -> Iterator[Line]:
    window = change.window
    fields = () if change.action is Action.REMOVE else change.fields
    text = "; ".join(f"{one.field} {_field_text(one, change.action)}" for one in fields)
    name = f"{SIGNS[change.action]} freeze window {window.name}"
    yield _STYLES[change.action], f"{name}: {text}" if text else name
    yield "", ""


def _token_lines(change: TokenChange) -> Iterator[Line]:
    name = f"{SIGNS[change.action]} access token {change.token.name}"
    text = "; ".join(f"{one.field} {_field_text(one, change.action)}" for one in change.fields)
    style = "red" if change.token.closed else _STYLES[change.action]
    yield style, f"{name}: {text if change.action is Action.CHANGE else described(change.token)}"
    yield "", ""


def _field_text(field: FieldChange, action: Action) -> str:
    if action is Action.ADD:
        return short(field.after)
    if field.field.startswith("calendar ") and field.before and field.after:
        return _days_text(field.before, field.after)
    return f"{short(field.before)} → {short(field.after)}"


def _days_text(before: str, after: str) -> str:
    """What differs between the days of a calendar: of hundreds of days, one."""
    old, new = (text.removesuffix(")").replace(" (", ", in ").split(", ") for text in (before, after))
    gone, more = ([one for one in days if one not in others] for days, others in ((old, new), (new, old)))
    return f"{short(', '.join(gone)) or '…'} → {short(', '.join(more)) or '…'}"


def short(value: str | None, most: int = 100) -> str:
    """A value in one line, at most so many characters of it."""
    if value is None:
        return "(none)"
    line = value.replace("\n", "⏎")
    return line if len(line) <= most else f"{line[: most - 3]}…"


def _schedule_text(view: ChangeView) -> str:
    """The schedule in words, where there is another one than before."""
    before, after = view.schedules
    if not view.reschedules:
        return ""
    return f"{before} → {after}" if before is not None else str(after)


def _next_text(view: ChangeView, now: datetime) -> str:
    change = view.change
    old, new = due(change.before, view.next_before, now), due(change.after, view.next_after, now)
    if change.action is Action.ADD:
        return new
    return f"{old} → {new}" if view.next_before != view.next_after else f"{new} (as before)"


def due(job: Job | None, slot: datetime | None, now: datetime) -> str:
    """When a job is next due, for people."""
    if job is None:
        return "(none)"
    if job.suspend:
        return "never (suspended)"
    if job.schedule.after is not None:
        return words(job.schedule)
    if slot is None:
        return "never"
    return f"{absolute(slot, job.schedule.zone)} ({relative(slot, now)})"


def outlook_text(outlook: Outlook, *, zone: str) -> str:
    """``1 run appears: 2026-03-03 03:00:00 UTC; 2 vanish: …``; empty where nothing does."""
    parts = (
        _instants_text(outlook.appear, "appear", "appears", zone),
        _instants_text(outlook.vanish, "vanish", "vanishes", zone),
    )
    return "; ".join(part for part in parts if part)


def _instants_text(instants: Instants, verb: str, of_one: str, zone: str) -> str:
    if not instants.count:
        return "" if instants.exact else f"none of the first {MOST_SLOTS:,} runs {of_one}"
    one = instants.count == 1 and instants.exact
    runs = plural(instants.count, "run") if instants.exact else f"at least {plural(instants.count, 'run')}"
    text = f"{runs} {of_one if one else verb}"
    if not instants.first:
        return text
    named = ", ".join(absolute(slot, zone) for slot in instants.first)
    return f"{text}: {named}" + (f" and {instants.more:,} more" if instants.more else "")
