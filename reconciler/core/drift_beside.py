"""What stands in the store beside the jobs otherwise than it was declared: Applications, freeze windows, access tokens.

These have no digest that would tell an edit from another declaration. So they are compared while the revision is the
one that was synced last; under another one only what was left as it was then, and is declared just the same, counts.
Forbidden here: jobs (``core.drift``), and mending.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.core.applied import declared_state
from reconciler.core.changes import RESOLVED, differences, flatten_token, flatten_window
from reconciler.core.desired import Desired
from reconciler.core.drift import SURPLUS
from reconciler.core.model import AccessToken, ApplicationState, Drift, FreezeWindow, JobKey
from schemas.base import format_duration

APPLICATION = "Application"
WINDOW = "freeze window"
ACCESS = "access token"

_STORE = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Everything of one kind.

    Attributes:
        stored, declared: name -> its fields, flat.
        places: name -> ``file:line``, of what is declared.
        unsure: whether a name may be declared where nothing can be read.
        staying: names that are not compared, because what is stored of them stays whatever is declared.
        rewritten: names of which a record that cannot be read is written anew.
    """

    name: str
    stored: Mapping[str, Mapping[str, str]]
    declared: Mapping[str, Mapping[str, str]]
    places: Mapping[str, str]
    damaged: Mapping[str, str]
    staying: Container[str]
    rewritten: Container[str]
    unsure: bool


def found_beside(  # noqa: PLR0913 - what there is to compare
    *,
    applications: Mapping[str, ApplicationState],
    windows: Mapping[str, FreezeWindow],
    tokens: Mapping[str, AccessToken],
    desired: Desired,
    damaged_applications: Mapping[str, str],
    damaged_windows: Mapping[str, str],
    damaged_tokens: Mapping[str, str],
    same_revision: bool,
    left: Collection[Drift] = (),
    kept: Collection[str] = (),
) -> tuple[Drift, ...]:
    """Every difference, by kind and name.

    Args:
        applications: those that are stored and can be read, by name.
        windows: the same of freeze windows.
        tokens: the same of access tokens.
        desired: what the manifests declare.
        damaged_applications: name -> why that record cannot be read.
        damaged_windows: the same of freeze windows.
        damaged_tokens: the same of access tokens.
        same_revision: whether the store was last synced from exactly this revision.
        left: what the last sync found and left as it was.
        kept: jobs (``application/api``) that the last sync let stay undeclared; their Applications stay, too.
    """
    kinds = (
        _applications(applications, desired, damaged_applications, kept),
        _windows(windows, desired, damaged_windows),
        _tokens(tokens, desired, damaged_tokens),
    )
    return tuple(one for kind in kinds for one in _found(kind, same_revision=same_revision, left=left))


def _applications(
    stored: Mapping[str, ApplicationState], desired: Desired, damaged: Mapping[str, str], kept: Collection[str]
) -> _Kind:
    good = {name: one for name, one in desired.applications.items() if name not in desired.held}
    return _Kind(
        name=APPLICATION,
        stored={name: flatten_application(state) for name, state in stored.items()},
        declared={name: flatten_application(declared_state(name, one)) for name, one in good.items()},
        places={name: f"{one.file}:{one.line}" for name, one in desired.applications.items()},
        damaged=damaged,
        staying={*desired.held, *(key.partition("/")[0] for key in kept)},
        rewritten={*desired.held, *desired.applications},
        unsure=bool(desired.broken),
    )


def _windows(stored: Mapping[str, FreezeWindow], desired: Desired, damaged: Mapping[str, str]) -> _Kind:
    return _Kind(
        name=WINDOW,
        stored={name: _window_table(window) for name, window in stored.items()},
        declared={name: _window_table(window) for name, window in desired.windows.items()},
        places={name: f"{window.file}:{window.line}" for name, window in desired.windows.items()},
        damaged=damaged,
        staying=desired.held_windows,
        rewritten=desired.windows,
        unsure=desired.windows_unknown or bool(desired.broken),
    )


def _tokens(stored: Mapping[str, AccessToken], desired: Desired, damaged: Mapping[str, str]) -> _Kind:
    return _Kind(
        name=ACCESS,
        stored={name: flatten_token(token) for name, token in stored.items()},
        declared={name: flatten_token(token) for name, token in desired.tokens.items() if not token.closed},
        places={name: f"{token.file}:{token.line}" for name, token in desired.tokens.items()},
        damaged=damaged,
        staying={name for name, token in desired.tokens.items() if token.closed},
        rewritten=desired.tokens,
        unsure=bool(desired.broken),
    )


def flatten_application(state: ApplicationState) -> dict[str, str]:
    """A stored Application as a flat table of what somebody could edit; what is ``None`` is left out."""
    history = state.history
    fields: dict[str, str | None] = {
        "description": state.description or None,
        **{f"label {name}": value for name, value in state.labels.items()},
        "baseUrl": state.base_url,
        "suspend": str(state.suspend).lower(),
        "prune": state.prune or None,
        "history.keepFor": None if history is None else format_duration(history.keep_for),
        "history.keepFailuresFor": None if history is None else format_duration(history.keep_failures_for),
        "history.keepPerJob": None if history is None else str(history.keep_per_job),
        "held": str(state.held).lower(),
        "problems": "; ".join(state.problems) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _window_table(window: FreezeWindow) -> dict[str, str]:
    """As in a plan, but with what the start comes to in any case: that is what somebody edits."""
    cron = window.start.cron
    return flatten_window(window) | ({} if cron is None else {RESOLVED[0]: cron})


def _found(kind: _Kind, *, same_revision: bool, left: Collection[Drift]) -> Iterator[Drift]:
    for name, why in sorted(kind.damaged.items()):
        may_go = name not in kind.staying and not kind.unsure
        mended = name in kind.rewritten or may_go
        yield _drift(kind, name, found=why, declared=kind.places.get(name), put_back=mended)
    for name in sorted(kind.stored.keys() | kind.declared.keys()):
        if name in kind.damaged or name in kind.staying:
            continue
        yield from _compared(kind, name, same_revision=same_revision, left=left)


def _compared(kind: _Kind, name: str, *, same_revision: bool, left: Collection[Drift]) -> Iterator[Drift]:
    before, after = kind.stored.get(name), kind.declared.get(name)
    if before is not None and after is not None:
        fields = [
            _drift(kind, name, field=one.field, found=one.before, declared=one.after)
            for one in differences(before, after)
        ]
        if same_revision or all(replace(one, put_back=False) in left for one in fields):
            yield from fields
    elif not same_revision or kind.unsure:
        return
    elif after is not None:
        yield _drift(kind, name, declared=kind.places[name])
    else:
        yield _drift(kind, name, found=SURPLUS)


def _drift(
    kind: _Kind,
    name: str,
    *,
    field: str = "",
    found: str | None = None,
    declared: str | None = None,
    put_back: bool = True,
) -> Drift:
    return Drift(
        key=JobKey(name, ""),
        kind=kind.name,
        where=_STORE,
        field=field,
        found=found,
        declared=declared,
        put_back=put_back,
    )
