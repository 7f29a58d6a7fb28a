"""How it stands with an Application, as conditions: Ready, Held, Degraded, OutOfSync, each since when and why.

Forbidden here: reading anything; what is stored and the newest sync reports are parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from reconciler.core.brake import FOREIGN
from reconciler.core.drift_beside import ACCESS, WINDOW
from reconciler.core.model import ApplicationState, SyncReport
from reconciler.core.plural import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is true of an Application, or is not.

    Attributes:
        type: ``Ready``: what is declared is live; ``Held``: its manifests have problems, what ran before keeps running;
            ``Degraded``: the source cannot be read, or something that should be gone still runs; ``OutOfSync``:
            what is stored or scheduled is not what is declared.
        since: when this last changed, as far back as the reports go; ``None`` where that is not known.
        revision: at which it changed; for what the source has to do with, the last one that could be read.
        reason: for people; empty where there is nothing to say.
    """

    type: str
    status: bool
    since: datetime | None
    revision: str
    reason: str = ""


def conditions(state: ApplicationState, syncs: Sequence[SyncReport]) -> tuple[Condition, ...]:
    """Every condition of an Application.

    Args:
        state: as it is stored.
        syncs: the newest reports, newest first.
    """
    held = f"{plural(len(state.problems), 'problem')}: {state.problems[0]}" if state.problems else ""
    return (
        Condition(
            type="Ready", status=not state.held, since=state.since, revision=state.revision, reason=held and "held"
        ),
        Condition(type="Held", status=state.held, since=state.since, revision=state.revision, reason=held),
        _reported("Degraded", syncs, lambda report: degraded(report, state.name)),
        _reported("OutOfSync", syncs, lambda report: _drifted(report, state.name)),
    )


def source_condition(syncs: Sequence[SyncReport]) -> Condition:
    """Whether the source as a whole cannot be read, since when, and why."""
    return _reported("Degraded", syncs, source_fault)


def degraded(report: SyncReport, application: str) -> str:
    """Why an Application is not as good as its declaration, by one report; empty where it is."""
    if report.error:
        return source_fault(report)
    kept = sum(key.partition("/")[0] == application for key in report.kept)
    if not kept or application in report.held:
        return ""
    said = f"{plural(kept, 'job')} would be removed and {'stays' if kept == 1 else 'stay'}"
    texts = [text.partition(" stays: ") for text in report.kept_reasons]
    reasons = dict.fromkeys(why for key, _, why in texts if key.partition("/")[0] == application)
    return f"{said}: {'; '.join(reasons)}" if reasons else f"{said}; see `reconciler plan SOURCE`"


def source_fault(report: SyncReport) -> str:
    """Why nothing of the source was looked at; empty where it was."""
    if not report.error or report.error.startswith(FOREIGN):
        return report.error
    return f"the source cannot be read: {report.error}"


def _drifted(report: SyncReport, application: str) -> str:
    ours = (one for one in report.drift if one.key.application == application and one.kind not in (WINDOW, ACCESS))
    keys = sorted({one.name for one in ours if not one.put_back})
    return f"not as declared: {', '.join(keys)}" if keys else ""


def _reported(kind: str, syncs: Sequence[SyncReport], reason: Callable[[SyncReport], str]) -> Condition:
    """A condition that reports tell of: it lasts since the oldest of the newest ones that agree on it."""
    now = reason(syncs[0]) if syncs else ""
    agreeing = list(takewhile(lambda report: bool(reason(report)) == bool(now), syncs))
    return Condition(
        type=kind,
        status=bool(now),
        since=agreeing[-1].ended_at if agreeing else None,  # what it says was known then, and may have taken long
        revision=next((report.revision for report in syncs if report.revision), ""),
        reason=now,
    )
