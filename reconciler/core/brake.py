"""The prune brake: a commit that would take away more than a part of all jobs takes away nothing.

Applications may say otherwise of themselves (``reconciler/prune``): ``allow`` lets theirs go, ``never`` protects them
from everybody. Forbidden here: looking for removals; ``core.plan`` finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.annotations import prune_of
from reconciler.core.changes import Action, Kept, Plan
from reconciler.core.desired import Desired
from reconciler.core.model import ApplicationState, JobKey

DEFAULT_MAX_PRUNE = 0.5
UNKNOWN = "unknown"  # what an Application said whose record is damaged, and that is declared no more
FOREIGN = "the store follows another source"
_SHORT_REVISION = 12


def prune_policies(desired: Desired, applications: Mapping[str, ApplicationState]) -> Mapping[str, str]:
    """What each Application says of removals: as declared now, or as it was last good where it is declared no more."""
    policies = {name: state.prune for name, state in applications.items()}
    policies |= {name: prune_of(each) for name, each in desired.applications.items()}
    return {name: policy for name, policy in policies.items() if policy}


def brake(  # noqa: PLR0913 - what there is to weigh, and to say
    plan: Plan,
    *,
    declares_nothing: bool,
    allow_prune: bool,
    max_prune: float = DEFAULT_MAX_PRUNE,
    policies: Mapping[str, str] | None = None,
    revision: str = "",
    source: str = "",
) -> Plan:
    """Stop removals that nobody has said are meant, where too much would go; the rest of the plan stays.

    Args:
        plan: the plan to guard.
        declares_nothing: whether the source declares no Application at all.
        allow_prune: a person has said that this is meant.
        max_prune: the part of all stored jobs that may go at once, 0 to 1.
        policies: by Application, ``allow``, ``never`` (``prune_policies``) or ``UNKNOWN``.
        revision: of the source, to say what releases the brake.
        source: how it is named on a command line: without it, the command that is advised would read another one.
    """
    policies = policies or {}
    reasons = {
        key: f"{key.application} is protected (reconciler/prune: never)"
        for key in plan.removals
        if policies.get(key.application) == "never"
    }
    if not allow_prune:
        reasons |= {
            key: f"the record of {key.application} is damaged, and with it whether it is protected; "
            f"{_releasing(source, revision)} lets it go"
            for key in plan.removals
            if policies.get(key.application) == UNKNOWN
        }
    counted = [key for key in plan.removals if key not in reasons and policies.get(key.application) != "allow"]
    fault = "" if allow_prune else _fault(plan, len(counted), max_prune, declares_nothing=declares_nothing)
    if fault:
        reasons |= dict.fromkeys(counted, f"{fault}; {_releasing(source, revision)} lets them go")
    plan = _keeping(plan, reasons, braked=bool(fault))
    if fault and declares_nothing and all(change.action is Action.REMOVE for change in plan.token_changes):
        plan = replace(plan, token_changes=())  # an empty source says nothing about tokens either
    return plan


def _releasing(source: str, revision: str) -> str:
    return f"reconciler sync {source or 'SOURCE'} --allow-prune {revision[:_SHORT_REVISION] or 'REVISION'}"


def taken_over(plan: Plan, max_prune: float) -> int:
    """How many stored jobs another source than the one that declared them would remove or replace, if too many."""
    kept = sum(item.key.application not in plan.held for item in plan.kept)
    lost = kept + plan.count(Action.REMOVE) + plan.count(Action.CHANGE)
    return lost if lost > plan.total * max_prune else 0


def takeover_text(plan: Plan, lost: int, *, before: str, source: str, revision: str) -> str:
    """Why another source may not take a store over, and how it may."""
    return (
        f"{FOREIGN}: it holds what {before} declares, and {lost} of {plan.total} jobs would be removed or replaced, so "
        f"that nothing was applied; if that is meant, {_releasing(source, revision)} lets the new source take over"
    )


def _fault(plan: Plan, counted: int, max_prune: float, *, declares_nothing: bool) -> str:
    """Why the removals that count are too many; empty where they are not."""
    if declares_nothing and (counted or plan.removed_windows):
        return "the source declares nothing at all"
    if counted > plan.total * max_prune:
        return f"{counted} of {plan.total} jobs would go, more than {max_prune:.0%}"
    return ""


def _keeping(plan: Plan, reasons: Mapping[JobKey, str], *, braked: bool) -> Plan:
    """The plan without the removals of these jobs; with the brake on, freeze windows stay too."""
    if not (reasons or braked):
        return plan
    changes = (change for change in plan.changes if change.action is not Action.REMOVE or change.key not in reasons)
    kept = (*plan.kept, *(Kept(key=key, reason=reason) for key, reason in reasons.items()))
    plan = replace(plan, changes=tuple(changes), kept=tuple(sorted(kept, key=lambda item: item.key)), braked=braked)
    if not braked:
        return plan
    return replace(
        plan,
        window_changes=tuple(change for change in plan.window_changes if change.action is not Action.REMOVE),
        kept_windows=tuple(sorted((*plan.kept_windows, *plan.removed_windows))),
    )
