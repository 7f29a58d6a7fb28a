"""A plan as JSON types. The shape is a promise: ``docs/plan.md`` describes every field.

Fields are added, and none is renamed or removed without another ``format``. Forbidden here: words made for people.
"""

from __future__ import annotations

from typing import Any

from reconciler.core.changes import Action, FieldChange, Plan, TokenChange, WindowChange
from reconciler.core.instants import stamp
from reconciler.core.model import Problem
from reconciler.core.outlook import Instants, Outlook
from reconciler.core.plan_view import ChangeView, PlanView, Side

FORMAT = 1


def as_json(view: PlanView) -> dict[str, Any]:
    """The whole plan; instants are RFC 3339 in UTC."""
    plan = view.plan
    return {
        "format": FORMAT,
        "at": stamp(view.now),
        "from": _side(view.before),
        "to": _side(view.after),
        "environment": view.environment or None,
        "summary": _summary(plan),
        "runs": _outlook(view.outlook),
        "changes": [_change(each) for each in view.changes],
        "windows": [_window(each) for each in plan.window_changes],
        "accessTokens": [_token(each) for each in plan.shown_tokens],
        "kept": [{"job": str(item.key), "reason": item.reason} for item in plan.kept],
        "keptWindows": list(plan.kept_windows),
        "braked": plan.braked,
        "held": [
            {"application": name, "problems": [_problem(one, view) for one in problems]}
            for name, problems in sorted(plan.held.items())
        ],
        "heldBefore": list(view.held_before),
        "problems": [_problem(one, view) for one in view.problems],
    }


def _side(side: Side) -> dict[str, Any]:
    return {"kind": side.kind.value, "name": side.name, "revision": side.revision or None}


def _summary(plan: Plan) -> dict[str, int]:
    return {action.value: plan.count(action) for action in Action}


def _change(view: ChangeView) -> dict[str, Any]:
    change = view.change
    before, after = view.schedules
    return {
        "action": change.action.value,
        "job": str(change.key),
        "renamedFrom": str(change.renamed_from) if change.renamed_from else None,
        "file": change.job.file,
        "line": change.job.line,
        "fields": [_field(one) for one in change.fields],
        "scheduleBefore": before,
        "scheduleAfter": after,
        "nextBefore": stamp(view.next_before) if view.next_before else None,
        "nextAfter": stamp(view.next_after) if view.next_after else None,
        "runs": _outlook(view.outlook),
    }


def _window(change: WindowChange) -> dict[str, Any]:
    return {
        "action": change.action.value,
        "name": change.window.name,
        "file": change.window.file,
        "line": change.window.line,
        "fields": [_field(one) for one in change.fields],
    }


def _token(change: TokenChange) -> dict[str, Any]:
    token = change.token
    return {
        "action": change.action.value,
        "name": token.name,
        "role": token.role.value,
        "applications": list(token.applications),
        "expiresAt": stamp(token.expires_at) if token.expires_at else None,
        "closed": token.closed or None,
        "file": token.file,
        "line": token.line,
        "fields": [_field(one) for one in change.fields],
    }


def _field(field: FieldChange) -> dict[str, Any]:
    return {"field": field.field, "before": field.before, "after": field.after}


def _outlook(outlook: Outlook) -> dict[str, Any]:
    return {"appear": _instants(outlook.appear), "vanish": _instants(outlook.vanish)}


def _instants(instants: Instants) -> dict[str, Any]:
    return {"count": instants.count, "exact": instants.exact, "first": [stamp(slot) for slot in instants.first]}


def _problem(problem: Problem, view: PlanView) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "field": problem.field,
        "message": problem.message,
        "new": problem not in view.known,
    }
