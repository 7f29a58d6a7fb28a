"""A plan as a comment on a pull request: one text for GitHub, GitLab, Gitea and Forgejo.

It begins with an HTML comment by which a pipeline finds its own earlier comment. Whatever a manifest says stands in
``<code>`` with every sign that means something in Markdown or HTML written as a character reference, so that it can
neither end a table, nor call people, nor hide. Forbidden here: text from a manifest in any other way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from reconciler.core.changes import Action, FieldChange, TokenChange, WindowChange
from reconciler.core.instants import absolute
from reconciler.core.model import Job
from reconciler.core.outlook import Instants, Outlook
from reconciler.core.plan_text import SIGNS, held_before, kept_texts, kept_window_text, outlook_text, short, summary
from reconciler.core.plan_view import ChangeView, PlanView, Side, SideKind
from reconciler.core.plural import plural
from reconciler.core.timetable import words
from reconciler.core.token_changes import described
from reconciler.core.visible import visible_line

MOST_CHARACTERS = 60_000  # GitHub takes 65,536
_MOST_OF_A_VALUE = 300
_MOST_LISTED = 50  # problems, and jobs that stay
_SHORT_REVISION = 12
_RESERVE = 500  # for saying what was left out

_MEANINGFUL = re.compile(r"[!-+.:-@\[-`{-~]")  # ASCII punctuation but comma, dash and slash
_LABELS = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VERBS = {Action.ADD: "add", Action.CHANGE: "change", Action.REMOVE: "remove", Action.RENAME: "rename"}


def as_markdown(view: PlanView) -> str:
    """The whole plan, at most 60,000 characters: what there is no room for is left out, and that is said."""
    page = _Page(MOST_CHARACTERS - _RESERVE)
    page.add(list(_heading(view)))
    page.add_list("problem", [_problem(view, index) for index in range(len(view.problems))])
    page.add_list("note", [code(text) for text in _notes(view)])
    page.add_blocks("job", [_row(each) for each in view.changes], head=_JOBS)
    page.add_blocks("freeze window", [_window_row(each) for each in view.plan.window_changes], head=_WINDOWS)
    page.add_blocks("access token", [_token_row(each) for each in view.plan.shown_tokens], head=_TOKENS)
    page.add_blocks("field table", [table for each in view.changes if (table := _details(each))])
    return page.text()


class _Page:
    """Markdown that grows until there is no room."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._lines: list[str] = []
        self._left_out: list[str] = []

    def add(self, lines: Sequence[str]) -> bool:
        """Whether there was room for all of these lines."""
        size = sum(len(line) + 1 for line in lines)
        if size > self._room:
            return False
        self._room -= size
        self._lines += lines
        return True

    def add_list(self, noun: str, items: Sequence[str]) -> None:
        """A bullet for each item, up to a number."""
        self.add_blocks(noun, [[f"- {item}"] for item in items[:_MOST_LISTED]], head=["", ""])
        self._leave_out(noun, len(items) - _MOST_LISTED)

    def add_blocks(self, noun: str, blocks: Sequence[Sequence[str]], head: Sequence[str] = ()) -> None:
        """Blocks of lines below a head, for as long as there is room."""
        for index, block in enumerate(blocks):
            if not self.add(block if index else [*head, *block]):
                self._leave_out(noun, len(blocks) - index)
                return

    def _leave_out(self, noun: str, count: int) -> None:
        if count > 0:
            self._left_out.append(plural(count, f"more {noun}"))

    def text(self) -> str:
        """All of it."""
        ending = (
            ["", f"Not shown: {', '.join(self._left_out)}. `--output json` has them all."] if self._left_out else []
        )
        return "\n".join([*self._lines, *ending]) + "\n"


_JOBS = ("", "| | Job | Next run | Runs in the coming 24 h |", "| --- | --- | --- | --- |")
_WINDOWS = ("", "| | Freeze window | What changes |", "| --- | --- | --- |")
_TOKENS = ("", "| | Access token | What changes |", "| --- | --- | --- |")


def code(text: str) -> str:
    """Any text, shown as it is: in one line, and without meaning for whoever renders Markdown."""
    line = visible_line(short(text, _MOST_OF_A_VALUE)).encode("utf-8", "replace").decode()
    return f"<code>{_MEANINGFUL.sub(lambda match: f'&#{ord(match[0])};', line)}</code>"


def _heading(view: PlanView) -> Iterator[str]:
    yield f"<!-- {' '.join(['reconciler-plan', *_LABELS.findall(view.environment)])} -->"
    yield f"### {summary(view.plan)}"
    yield ""
    ending = f", environment {code(view.environment)}" if view.environment else ""
    yield f"From {_side(view.before)} to {_side(view.after)}{ending}."
    if text := _runs(view.outlook):
        yield f"In the coming 24 h: {text}."


def _side(side: Side) -> str:
    name = "what is stored" if side.kind is SideKind.STORE else code(side.name)
    return f"{name} at {code(side.revision[:_SHORT_REVISION])}" if side.revision else name


def _problem(view: PlanView, index: int) -> str:
    problem = view.problems[index]
    return f"**Problem**{' (not new)' if problem in view.known else ''}: {code(str(problem))}"


def _notes(view: PlanView) -> Iterator[str]:
    plan = view.plan
    for name, problems in sorted(plan.held.items()):
        yield f"{name} is held: {plural(len(problems), 'problem')}; what ran before keeps running"
    yield from kept_texts(plan.kept)
    yield from (kept_window_text(name, plan) for name in plan.kept_windows)
    yield from (held_before(name, view) for name in view.held_before)


def _row(view: ChangeView) -> list[str]:
    change = view.change
    was = f" (was {code(str(change.renamed_from))})" if change.renamed_from else ""
    cells = (f"{SIGNS[change.action]} {_VERBS[change.action]}", code(str(change.key)) + was, _next(view))
    return [f"| {' | '.join(cells)} | {_runs(view.outlook) or 'as before'} |"]


def _next(view: ChangeView) -> str:
    change = view.change
    before, after = _due(change.before, view, after=False), _due(change.after, view, after=True)
    if change.before is None or before == after:
        return after
    return before if change.after is None else f"{before} → {after}"


def _due(job: Job | None, view: ChangeView, *, after: bool) -> str:
    slot = view.next_after if after else view.next_before
    if job is None:
        return ""
    if job.suspend:
        return "never (suspended)"
    if job.schedule.after is not None:
        return code(words(job.schedule))
    return "never" if slot is None else code(absolute(slot, job.schedule.zone))


def _runs(outlook: Outlook) -> str:
    """How many appear and vanish, without saying which."""
    counts = Outlook(appear=replace(outlook.appear, first=()), vanish=replace(outlook.vanish, first=()))
    return outlook_text(counts, zone="UTC")


def _window_row(change: WindowChange) -> list[str]:
    fields = () if change.action is Action.REMOVE else change.fields
    said = "; ".join(f"{one.field} {_values(one, change.action)}" for one in fields)
    return [f"| {SIGNS[change.action]} {_VERBS[change.action]} | {code(change.window.name)} | {said} |"]


def _token_row(change: TokenChange) -> list[str]:
    said = "; ".join(f"{code(one.field)} {_values(one, change.action)}" for one in change.fields)
    if change.action is not Action.CHANGE:
        said = code(described(change.token))
    return [f"| {SIGNS[change.action]} {_VERBS[change.action]} | {code(change.token.name)} | {said} |"]


def _values(field: FieldChange, action: Action) -> str:
    after = _value(field.after)
    return after if action is Action.ADD else f"{_value(field.before)} → {after}"


def _value(value: str | None) -> str:
    return "" if value is None else code(value)


def _details(view: ChangeView) -> list[str]:
    """A table of fields that opens when asked to; nothing where none differs."""
    change = view.change
    lines = [f"| {code(one.field)} | {_value(one.before)} | {_value(one.after)} |" for one in view.fields]
    before, after = view.schedules
    if before != after:
        lines.append(f"| in words | {_value(before)} | {_value(after)} |")
    for name, instants in (("appear", view.outlook.appear), ("vanish", view.outlook.vanish)):
        if instants.count:
            cells = ("", _instants(instants, change.job)) if name == "appear" else (_instants(instants, change.job), "")
            lines.append(f"| runs that {name} | {' | '.join(cells)} |")
    if not lines:
        return []
    title = f"{SIGNS[change.action]} {code(str(change.key))} {code(f'{change.job.file}:{change.job.line}')}"
    opening = f"<details><summary>{title}</summary>"
    return ["", opening, "", "| Field | Before | After |", "| --- | --- | --- |", *lines, "", "</details>"]


def _instants(instants: Instants, job: Job) -> str:
    named = ", ".join(code(absolute(slot, job.schedule.zone)) for slot in instants.first)
    return f"{named} and {instants.more:,} more" if instants.more else named
