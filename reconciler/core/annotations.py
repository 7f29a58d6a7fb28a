"""What the reconciler's own annotations say, and which of them stand where they mean nothing.

Forbidden here: what follows from an annotation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.declared import DeclaredApplication
from reconciler.core.model import JobKey
from reconciler.core.suggest import closest, excerpt
from reconciler.core.wording import Fault, Path, did_you_mean_choice
from schemas.annotations import OF_API, OF_APPLICATION, PREFIX, PRUNE, RENAMED_FROM, Known

_OF_KIND: Final[Mapping[str, Known]] = {"Application": OF_APPLICATION, "Api": OF_API}


def prune_of(application: DeclaredApplication) -> str:
    """What an Application says of the removal of its jobs: ``allow``, ``never`` or nothing."""
    return application.manifest.metadata.annotations.get(PRUNE, "")


def renamed_from(annotations: Mapping[str, str]) -> JobKey | None:
    """The job that an Api takes over, if it says so; the annotations are without faults."""
    text = annotations.get(RENAMED_FROM)
    return None if text is None else JobKey.parse(text)


def sound_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """Those by which an Api takes over a job, as far as they name one."""
    text = annotations.get(RENAMED_FROM)
    return {} if text is None or _value_fault(text, OF_API[RENAMED_FROM]) else {RENAMED_FROM: text}


def annotation_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with the annotations of a document that begin as ours do, those of inline Apis included."""
    kind = document.get("kind")
    metadata, spec = document.get("metadata"), document.get("spec")
    yield from _faults_at(("metadata", "annotations"), metadata, _OF_KIND.get(str(kind), {}))
    apis = spec.get("apis") if kind == "Application" and isinstance(spec, dict) else None
    for index, api in enumerate(apis if isinstance(apis, list) else ()):
        yield from _faults_at(("spec", "apis", index, "annotations"), api, OF_API)


def _faults_at(path: Path, owner: object, known: Known) -> Iterator[Fault]:
    annotations = owner.get("annotations") if isinstance(owner, dict) else None
    if not isinstance(annotations, dict):
        return
    for key, value in annotations.items():
        if not key.startswith(PREFIX):
            continue
        if key not in known:
            yield Fault((*path, key), True, _unknown(key, known))  # noqa: FBT003 - a field of the tuple
        elif isinstance(value, str) and (message := _value_fault(value, known[key])):
            yield Fault((*path, key), False, message)  # noqa: FBT003 - as above


def _unknown(key: str, known: Known) -> str:
    elsewhere = [f"an {kind}" for kind, keys in _OF_KIND.items() if key in keys]
    if elsewhere:
        return f"this annotation belongs on {elsewhere[0]}"
    found = closest(key.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known])  # that is always alike
    hint = f" (did you mean `{PREFIX}{found}`?)" if found else f"; here there is {', '.join(known) or 'none'}"
    return f"there is no such annotation; keys that begin with {PREFIX} are the reconciler's own{hint}"


def _value_fault(value: str, rule: Mapping[str, Any]) -> str | None:
    if "enum" in rule:
        return None if value in rule["enum"] else did_you_mean_choice(value, rule["enum"])
    if re.fullmatch(rule["pattern"].removesuffix("$"), value):
        return None
    return f"`{excerpt(value)}` names no job; jobs are named application/api"
