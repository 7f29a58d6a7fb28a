"""What a plan does to access tokens, and in words.

A token that is validly declared is open, any other is closed or gone. Neither the brake nor an Application that is held
keeps one open, but for a source that declares nothing at all any more, which says nothing about tokens either.
Forbidden here: who may do what (``core.access``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from reconciler.core.changes import Action, TokenChange
from reconciler.core.instants import stamp
from reconciler.core.model import AccessToken


def token_changes(
    stored: Mapping[str, AccessToken], declared: Mapping[str, AccessToken], broken: Collection[str]
) -> tuple[TokenChange, ...]:
    """What is to be written and removed, by name.

    Args:
        stored: those that are stored, by name.
        declared: those of the manifests that can be read; with problems they are closed.
        broken: files that cannot be read in full. A token may be declared there, so that it is closed, not removed.
    """
    changes: list[TokenChange] = []
    for name in sorted(stored.keys() | declared.keys()):
        before, after = stored.get(name), declared.get(name)
        if after is None and before is not None and broken:
            after = replace(before, closed=f"{min(broken)} cannot be read; it may be declared there")
        elif after is not None and not after.sha256 and before is not None:
            after = replace(before, closed=after.closed, file=after.file, line=after.line)
        if before == after:
            continue
        action = Action.ADD if before is None else Action.REMOVE if after is None else Action.CHANGE
        changes.append(TokenChange(action=action, before=before, after=after))
    return tuple(changes)


def notes(changes: Collection[TokenChange]) -> Iterator[str]:
    """What a sync report says: ``access token oncall added: operator, billing, until 2027-01-01T00:00:00Z``."""
    verbs = {Action.ADD: "added", Action.CHANGE: "changed", Action.REMOVE: "removed"}
    for change in changes:
        if change.fields:
            yield f"access token {change.token.name} {verbs[change.action]}: {described(change.token)}"


def described(token: AccessToken) -> str:
    """Role, Applications and end of a token, and why it is closed: ``operator, billing only, until 2027-01-01…``."""
    parts = [token.role.value]
    parts += [f"{', '.join(token.applications)} only"] if token.applications != ("*",) else []
    parts += [f"until {stamp(token.expires_at)}"] if token.expires_at else []
    parts += [f"lets nobody in: {token.closed}"] if token.closed else []
    return ", ".join(parts)
