"""What a delivery of a forge says: which refs were pushed or deleted, and nothing else.

Of a body only refs are read, and of a push the commit id, to know that it is one.
Forbidden here: trusting any of it; whose delivery it is, is looked at before.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

_COMMIT: Final = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_STANDARD_PREFIX: Final = "whsec_"  # Standard Webhooks 1.0.0, "Signature scheme"
_FOLDERS: Final = {"branch": "refs/heads/", "named_branch": "refs/heads/", "tag": "refs/tags/"}


class Forge(StrEnum):
    """Who delivers; ``GENERIC`` is whoever has the secret, a CI job for example."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    FORGEJO = "forgejo"
    BITBUCKET = "bitbucket"
    GENERIC = "generic"


EVENT_HEADERS: Final[Mapping[Forge, str]] = {
    Forge.GITHUB: "X-GitHub-Event",
    Forge.GITLAB: "X-Gitlab-Event",
    Forge.GITEA: "X-Gitea-Event",
    Forge.FORGEJO: "X-Forgejo-Event",
    Forge.BITBUCKET: "X-Event-Key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a body: at which field, and what."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a body says: refs by their full names, or else what is wrong with it."""

    refs: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


Content = Mapping[str, Any]
Reader = Callable[[Content], Reading]


def signing_key(secret: str) -> bytes:
    """The key with which senders of Standard Webhooks sign, GitLab among them.

    Raises:
        ValueError: it begins like one of their secrets, but is not Base64 from there on.
    """
    if not secret.startswith(_STANDARD_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
    except ValueError:  # binascii.Error is one; others come of letters beyond ASCII
        raise ValueError(f"what follows {_STANDARD_PREFIX} must be Base64") from None


def is_ping(forge: Forge, event: str) -> bool:
    """Whether the forge only asks if anybody is there."""
    return (forge, event) in _PINGS


def reader_of(forge: Forge, event: str) -> Reader | None:
    """What reads the body of such an event; ``None`` where it pushes nothing."""
    return _READERS.get((forge, event))


def _pushed(content: Content) -> Reading:
    """One push to one ref; a deleted ref has an ``after`` of zeros."""
    ref = _text(content, "ref") or _full_name(content["ref"])
    after = _text(content, "after") or _commit_id(content["after"])
    faults = tuple(fault for fault in (ref, after) if fault)
    return Reading(faults=faults) if faults else Reading(refs=(content["ref"],))


def _deleted(content: Content) -> Reading:
    """One deleted ref. Gitea and Forgejo tell of a deleted branch by this event alone."""
    ref, kind = _text(content, "ref"), _kind(content, "ref_type")
    faults = tuple(fault for fault in (ref, kind) if fault)
    if faults:
        return Reading(faults=faults)
    return Reading(refs=(_FOLDERS[content["ref_type"]] + content["ref"],))


def _system(content: Content) -> Reading:
    """Whatever happens on a whole GitLab server; ``event_name`` says what."""
    if fault := _text(content, "event_name"):
        return Reading(faults=(fault,))
    return _pushed(content) if content["event_name"] in ("push", "tag_push") else Reading()


def _changed_cloud(content: Content) -> Reading:
    """Every ref of a push to Bitbucket Cloud: ``new`` is null for a deleted ref, ``old`` for a new one."""
    return _changed(content, _cloud_ref)


def _changed_server(content: Content) -> Reading:
    """Every ref of a push to Bitbucket Data Center."""
    return _changed(content, _server_ref)


def _changed(content: Content, ref_of: Callable[[Any, str], str | Fault]) -> Reading:
    if fault := _present(content, "changes"):
        return Reading(faults=(fault,))
    if not isinstance(content["changes"], list):
        return Reading(faults=(Fault(field="changes", message="must be a list"),))
    found = [ref_of(change, f"changes.{number}") for number, change in enumerate(content["changes"])]
    faults = tuple(one for one in found if isinstance(one, Fault))
    return Reading(faults=faults) if faults else Reading(refs=tuple(str(one) for one in found))


def _cloud_ref(change: Any, place: str) -> str | Fault:
    new, old = (change.get("new"), change.get("old")) if isinstance(change, dict) else (None, None)
    which, ref = ("new", new) if new is not None else ("old", old)
    if ref is None:
        return Fault(field=place, message="must have new or old")
    fault = _text(ref, "name", f"{place}.{which}.") or _kind(ref, "type", f"{place}.{which}.")
    return fault or str(_FOLDERS[ref["type"]] + ref["name"])


def _server_ref(change: Any, place: str) -> str | Fault:
    fault = _present(change, "ref", f"{place}.") or _text(change["ref"], "id", f"{place}.ref.")
    return fault or str(change["ref"]["id"])


def _present(content: Any, name: str, place: str = "") -> Fault | None:
    """The field's fault, if the value has no such field, or null in it."""
    if not isinstance(content, dict):
        return Fault(field=place.removesuffix("."), message="must be a JSON object")
    if content.get(name) is None:
        return Fault(field=place + name, message="must not be null" if name in content else "is missing")
    return None


def _text(content: Any, name: str, place: str = "") -> Fault | None:
    if fault := _present(content, name, place):
        return fault
    if not isinstance(content[name], str):
        return Fault(field=place + name, message="must be a string")
    return None if content[name] else Fault(field=place + name, message="must not be empty")


def _kind(content: Any, name: str, place: str = "") -> Fault | None:
    if fault := _text(content, name, place):
        return fault
    return None if content[name] in _FOLDERS else Fault(field=place + name, message="must be branch or tag")


def _full_name(ref: str) -> Fault | None:
    if ref.startswith("refs/"):
        return None
    return Fault(field="ref", message="must be the full name, such as refs/heads/main")


def _commit_id(after: str) -> Fault | None:
    if _COMMIT.fullmatch(after):
        return None
    return Fault(field="after", message="must be a commit id: 40 or 64 hexadecimal digits")


_PINGS: Final = {(Forge.GITHUB, "ping"), (Forge.BITBUCKET, "diagnostics:ping")}
_READERS: Final[Mapping[tuple[Forge, str], Reader]] = {
    **{(forge, "push"): _pushed for forge in (Forge.GITHUB, Forge.GITEA, Forge.FORGEJO)},
    **{(forge, "delete"): _deleted for forge in (Forge.GITHUB, Forge.GITEA, Forge.FORGEJO)},
    (Forge.GITLAB, "Push Hook"): _pushed,
    (Forge.GITLAB, "Tag Push Hook"): _pushed,
    (Forge.GITLAB, "System Hook"): _system,
    (Forge.BITBUCKET, "repo:push"): _changed_cloud,
    (Forge.BITBUCKET, "repo:refs_changed"): _changed_server,
    (Forge.GENERIC, ""): _pushed,
}
