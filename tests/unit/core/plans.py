"""Manifests, and what stands in a store after them, for tests of plans."""

from __future__ import annotations

from reconciler.core import plan as planning
from reconciler.core.desired import build
from reconciler.core.manifests import parse
from reconciler.core.plan_view import Side, SideKind, plan_view
from tests.fakes import START

STORE = Side(kind=SideKind.STORE, name="sqlite:///state.db")
FOLDER = Side(kind=SideKind.SOURCE, name="manifests/", revision="fedcba9876543210")


def application(name, *apis, extra="", annotations=""):
    """One Application; every Api at two in the night."""
    metadata = f"{{name: {name}, annotations: {{{annotations}}}}}" if annotations else f"{{name: {name}}}"
    lines = [
        f"apiVersion: reconciler/v1\nkind: Application\nmetadata: {metadata}\nspec:\n  baseUrl: http://127.0.0.1:1"
    ]
    lines += [extra] if extra else []
    lines += ["  apis:"] if apis else []
    lines += [f'  - {{name: {api}, schedule: "0 2 * * *", request: {{path: /{api}}}}}' for api in apis]
    return "\n".join(lines)


def declared(**files):
    """What these files declare."""
    return build({f"{name}.yaml": parse(f"{name}.yaml", text.encode()) for name, text in files.items()})


def stored(desired, revision="r1"):
    """The jobs after a sync from nothing, at START."""
    plan = planning.diff({}, desired)
    return {one.key: one for one in planning.stored_jobs(plan, {}, revision=revision, now=START)}


def states(desired):
    """The Applications after a sync from nothing, at START."""
    written, _ = planning.application_states(planning.diff({}, desired), desired, {}, now=START)
    return {state.name: state for state in written}


def actions(plan):
    """What becomes of which job."""
    return {str(change.key): change.action.value for change in plan.changes}


def view(plan, **more):
    """The plan against a store, seen at START."""
    return plan_view(plan, START, **({"before": STORE, "after": FOLDER} | more))
