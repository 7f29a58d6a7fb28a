"""The way from what is stored to what is declared, decided as a value that can be printed, tested and refused.

What a plan consists of stands in ``core.changes``, when its removals are stopped in ``core.brake``, and what it
leaves in the store in ``core.applied``. Forbidden here: applying a plan, and words for people.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from reconciler.core.applied import application_states, eras_of, stored_jobs
from reconciler.core.brake import DEFAULT_MAX_PRUNE, brake, prune_policies, taken_over, takeover_text
from reconciler.core.changes import Action, Change, FieldChange, Kept, Plan, WindowChange, flatten, flatten_window
from reconciler.core.desired import Desired
from reconciler.core.model import AccessToken, ApplicationState, FreezeWindow, Job, JobKey, Problem, StoredJob
from reconciler.core.plan_chains import without_circles
from reconciler.core.token_changes import token_changes

__all__ = [
    "DEFAULT_MAX_PRUNE",
    "Action",
    "Change",
    "FieldChange",
    "Kept",
    "Plan",
    "WindowChange",
    "application_states",
    "brake",
    "diff",
    "eras_of",
    "flatten",
    "held_text",
    "leaving",
    "prune_policies",
    "stored_jobs",
    "taken_over",
    "takeover_text",
    "without_digest",
]


def diff(
    stored: Mapping[JobKey, StoredJob],
    desired: Desired,
    *,
    unread: Iterable[Problem] = (),
    applications: Mapping[str, ApplicationState] | None = None,
    windows: Mapping[str, FreezeWindow] | None = None,
    tokens: Mapping[str, AccessToken] | None = None,
) -> Plan:
    """Compare what is stored with what is declared.

    Args:
        stored: every stored job.
        desired: what the readable manifests declare.
        unread: files of the source that could not be read at all.
        applications: the stored Applications; a broken file holds those that it declared.
        windows: the stored freeze windows, by name.
        tokens: the stored access tokens, by name.
    """
    unread = tuple(unread)
    broken = desired.broken | {problem.file for problem in unread}
    held = _held(stored, desired, unread, broken, applications or {})
    comparison = _Comparison(stored=stored, desired=desired, held=held, broken=broken)
    comparison.take_renames()
    comparison.take_declared()
    comparison.take_gone()
    changes, unchanged = without_circles(comparison.changes, stored)
    window_changes, moved_windows, kept_windows = _windows(windows or {}, desired, unknown=bool(broken))
    return Plan(
        changes=tuple(sorted(changes, key=lambda change: change.key)),
        moved=tuple(comparison.moved),
        kept=tuple(sorted((*comparison.kept, *unchanged), key=lambda item: item.key)),
        held=held,
        total=len(stored),
        window_changes=window_changes,
        moved_windows=moved_windows,
        kept_windows=kept_windows,
        token_changes=token_changes(tokens or {}, desired.tokens, broken),
    )


@dataclass(kw_only=True)
class _Comparison:
    """Stored jobs against declared ones; what is found piles up in the lists."""

    stored: Mapping[JobKey, StoredJob]
    desired: Desired
    held: Container[str]
    broken: AbstractSet[str]
    changes: list[Change] = field(default_factory=list)
    moved: list[Job] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    settled: set[JobKey] = field(default_factory=set)  # keys of which a renaming has disposed, old ones and new ones

    def take_renames(self) -> None:
        """Jobs that are stored under another name than they are declared under.

        Where the annotation still stands after the renaming, the new name is stored, and nothing is to be done.
        """
        for new, old in sorted({**self.desired.held_renames, **self.desired.renames}.items()):
            known = self.stored.get(old)
            if known is None or old in self.settled or new in self.stored or old in self.desired.jobs:
                continue
            after = self.desired.jobs.get(new)
            reason = self._may_not_go(old, new, after)
            self.settled |= {old, new}
            if reason:
                waiting = f"; until then {new}, its new name, is not live" if after is not None else ""
                self.kept.append(Kept(key=old, reason=f"{reason}{waiting}"))
            else:
                self.changes.append(
                    Change(action=Action.RENAME, key=new, before=known.job, after=after, renamed_from=old)
                )

    def _may_not_go(self, old: JobKey, new: JobKey, after: Job | None) -> str:
        """Why a job keeps its old name for now: it must neither vanish nor run under both."""
        for application in (old.application, new.application):
            if application in self.held:
                return held_text(JobKey(application, ""))
        if self.broken:
            return _unknown(self.broken)
        return f"{new} is not declared" if after is None else ""

    def take_declared(self) -> None:
        """Additions and changes, and the jobs that only stand elsewhere now."""
        for key, job in self.desired.jobs.items():
            known = self.stored.get(key)
            if known is not None and known.job is job:
                continue  # as with most of them: it comes first, for there are thousands
            if key.application in self.held or key in self.settled:
                continue
            if known is None:
                self.changes.append(Change(action=Action.ADD, key=key, before=None, after=job))
            elif known.job.digest != job.digest:
                self.changes.append(Change(action=Action.CHANGE, key=key, before=known.job, after=job))
            elif (known.job.file, known.job.line) != (job.file, job.line):
                self.moved.append(job)

    def take_gone(self) -> None:
        """Removals, and the jobs that stay although nothing readable declares them."""
        for key, known in self.stored.items():
            if (key in self.desired.jobs and key.application not in self.held) or key in self.settled:
                continue
            if key.application in self.held:
                self.kept.append(Kept(key=key, reason=held_text(key)))
            elif self.broken:
                self.kept.append(Kept(key=key, reason=_unknown(self.broken)))
            else:
                self.changes.append(Change(action=Action.REMOVE, key=key, before=known.job, after=None))


def held_text(key: JobKey) -> str:
    """Why a job of a held Application stays; its problems say the rest."""
    return f"{key.application} is held"


def _unknown(broken: AbstractSet[str]) -> str:
    return f"{min(broken)} cannot be read; it may be declared there"


def _held(
    stored: Mapping[JobKey, StoredJob],
    desired: Desired,
    unread: Iterable[Problem],
    broken: Iterable[str],
    applications: Mapping[str, ApplicationState],
) -> dict[str, tuple[Problem, ...]]:
    """Applications with problems of their own, and those that a broken file is known to have declared."""
    held = dict(desired.held)
    files = set(broken)
    if not files:
        return held
    reasons: dict[str, list[Problem]] = {}
    for problem in (*desired.problems, *unread):
        if problem.file in files:
            reasons.setdefault(problem.file, []).append(problem)
    owners = {(known.key.application, known.job.file) for known in stored.values() if known.job.file in files}
    owners |= {(state.name, state.file) for state in applications.values() if state.file in files}
    for name, file in sorted(owners):
        merged = (*held.get(name, ()), *reasons.get(file, ()))
        held[name] = tuple(dict.fromkeys(merged))
    return held


def _windows(
    stored: Mapping[str, FreezeWindow], desired: Desired, *, unknown: bool
) -> tuple[tuple[WindowChange, ...], tuple[FreezeWindow, ...], tuple[str, ...]]:
    """Changes of freeze windows, those that only stand elsewhere now, and those that stay undeclared."""
    changes: list[WindowChange] = []
    moved: list[FreezeWindow] = []
    kept: list[str] = []
    for name in sorted(stored.keys() | desired.windows.keys()):
        before, after = stored.get(name), desired.windows.get(name)
        if name in desired.held_windows or (after is None and (unknown or desired.windows_unknown)):
            kept += [name] if before is not None else []
        elif before is None:
            changes.append(WindowChange(action=Action.ADD, before=None, after=after))
        elif after is None:
            changes.append(WindowChange(action=Action.REMOVE, before=before, after=None))
        elif flatten_window(before) != flatten_window(after):
            changes.append(WindowChange(action=Action.CHANGE, before=before, after=after))
        elif before != after:
            moved.append(after)
    return tuple(changes), tuple(moved), tuple(kept)


def without_digest(stored: Mapping[JobKey, StoredJob], edited: Collection[JobKey]) -> Mapping[JobKey, StoredJob]:
    """What is stored, so that a job edited by hand is a change although its digest says it is what is declared."""
    cleared = {key: replace(stored[key], job=replace(stored[key].job, digest="")) for key in edited if key in stored}
    return {**stored, **cleared} if cleared else stored


def leaving(
    plan: Plan, edited: Container[JobKey], stored: Mapping[JobKey, StoredJob], windows: Container[str] = ()
) -> Plan:
    """The plan without what would only put back jobs and freeze windows that were edited, removed or made by hand.

    A job that the revision itself declares anew is changed all the same: its digest is not the one it was stored with.
    """

    def stays(change: Change) -> bool:
        if change.key not in edited:
            return True
        known = stored.get(change.key)
        return (
            known is not None
            and change.after is not None
            and change.before is not None
            and known.job.digest != change.after.digest
        )

    return replace(
        plan,
        changes=tuple(change for change in plan.changes if stays(change)),
        window_changes=tuple(change for change in plan.window_changes if change.window.name not in windows),
    )
