"""One Environment's patches: what is wrong with them by themselves, and merging them into one spec.

Errors of a merged spec are told at the patch that brought them about, because the spec was valid before. Forbidden
here: which manifests a patch is for (``core.environments``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from reconciler.core.declared import DeclaredEnvironment, DeclaredPatch, PatchFault, Path
from reconciler.core.merge import merge
from reconciler.core.remnants import Remnant, errors_of, sound_api
from reconciler.core.schedules import faults_of
from reconciler.core.wording import Fault, explain
from reconciler.core.yaml import Document, Place
from reconciler.core.yaml_values import MAX_PROBLEMS
from schemas.api import ApiSpec
from schemas.application import ApplicationSpec
from schemas.environment import Environment, Patch

Spec = TypeVar("Spec", ApiSpec, ApplicationSpec)

_NO_FIELDS: Final = {
    "apis": "Apis are not patched here; name one with `api` beside `spec`",
    "name": "a name cannot be patched",
    "labels": "labels cannot be patched, only what stands in the spec",
    "annotations": "annotations cannot be patched, only what stands in the spec",
}
# What is no part of a patched spec, because it is no part of what may be patched.
_KEPT: Final = frozenset(_NO_FIELDS)
_MOST_EXPLAINED: Final = 1_000  # errors of one patch


class Refusal(NamedTuple):
    """Why a patched spec is none: which patch, the path within its spec, and the message."""

    patch: DeclaredPatch
    path: Path
    message: str

    @property
    def place(self) -> Place:
        """Where the patch says it, or else the innermost mapping around it."""
        return next(
            self.patch.places[self.path[:end]] for end in _ends(self.path) if self.path[:end] in self.patch.places
        )


def _ends(path: Path) -> Iterable[int]:
    return range(len(path), -1, -1)


def declare_environment(manifest: Environment, document: Document, file: str) -> DeclaredEnvironment:
    """The Environment of a manifest without faults; its patches may have some."""
    return declare_patches(manifest.metadata.name, enumerate(manifest.spec.patches), document, file)


def declare_patches(
    name: str, patches: Iterable[tuple[int, Patch]], document: Document, file: str
) -> DeclaredEnvironment:
    """The Environment that has these patches, each with its index."""
    return DeclaredEnvironment(
        name=name,
        file=file,
        name_place=document.value_at(("metadata", "name")),
        patches=tuple(_declare(index, patch, document) for index, patch in patches),
    )


def _declare(index: int, patch: Patch, document: Document) -> DeclaredPatch:
    root: Path = ("spec", "patches", index)
    faults = (
        PatchFault(
            fault.path,
            (document.key_at if fault.at_key else document.value_at)((*root, "spec", *fault.path)),
            fault.message,
        )
        for fault in islice(_faults_alone(patch), MAX_PROBLEMS)
    )
    return DeclaredPatch(
        index=index,
        application=patch.application,
        api=patch.api,
        spec=patch.spec,
        places={path: document.value_at((*root, "spec", *path)) for path in _paths(patch.spec)},
        targets={name: document.value_at((*root, name)) for name in ("application", "api")},
        faults=tuple(sorted(faults, key=lambda fault: fault.place)),
    )


def _paths(value: object, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))


def _faults_alone(patch: Patch) -> Iterator[Fault]:
    """What is wrong whatever the patch is merged with: names of fields, and values by themselves."""
    for key in _KEPT & patch.spec.keys():
        yield Fault((key,), True, _NO_FIELDS[key])  # noqa: FBT003 - a field of the tuple
    model: type[BaseModel] = ApplicationSpec if patch.api is None else ApiSpec
    spec = {key: value for key, value in patch.spec.items() if key not in _KEPT}
    errors = errors_of(model, spec)[:_MOST_EXPLAINED]
    remnant = Remnant(model, spec, errors)
    for error in errors:
        fault = explain(error, model, spec)
        if fault is not None and not _depends_on_the_rest(error, fault, spec):
            yield fault
    api = sound_api(remnant, ()) if patch.api is not None else None
    for message in {} if api is None else dict.fromkeys(_reasons(api)):
        yield Fault(("schedule",), False, message)  # noqa: FBT003 - as above


def _reasons(api: ApiSpec) -> Iterator[str]:
    """What is wrong with a schedule whatever else stands beside it."""
    alone = api.model_copy(update={"starts_at": None, "ends_at": None})
    return (fault.message for fault in faults_of(alone.schedule, alone, zone=api.time_zone, seed=""))


def _depends_on_the_rest(error: ErrorDetails, fault: Fault, spec: object) -> bool:
    """Whether what it is merged with may mend it: something is missing, removed, or does not fit together."""
    if error["type"] == "missing":
        return True
    if error["type"] == "extra_forbidden" or fault.at_key:
        return False
    found = spec
    for step in fault.path:
        found = found[step]  # type: ignore[index] # the path of an error leads through what was validated
    return found is None or (isinstance(found, dict) and error["type"] in ("value_error", "schedule_form"))


def patched(spec: Spec, patches: Sequence[DeclaredPatch]) -> Spec | tuple[Refusal, ...]:
    """A valid spec with patches merged in, one after the other, or why the result is not valid."""
    model = type(spec)
    # The warnings are about parameters, whose validator makes tuples where their JSON has lists.
    values = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=set(_KEPT), warnings=False)
    kept = {name: getattr(spec, name) for name in _KEPT & spec.model_fields_set}
    for patch in patches:
        values = merge(values, patch.spec)
    if "name" in kept:  # an Api that is written within its Application
        values["name"] = kept["name"]
    errors = errors_of(model, values)
    faults = (explain(error, model, values) for error in islice(errors, _MOST_EXPLAINED))
    refusals = tuple(_refusal(fault, patches) for fault in faults if fault is not None)
    return refusals or model.model_validate(values).model_copy(update=kept)


def _refusal(fault: Fault, patches: Sequence[DeclaredPatch]) -> Refusal:
    return Refusal(culprit(fault.path, patches), fault.path, fault.message)


def culprit(path: Path, patches: Sequence[DeclaredPatch]) -> DeclaredPatch:
    """The patch that says most about a field; of several the last, because it has the last word."""
    return next(patch for end in _ends(path) for patch in reversed(patches) if patch.names(path[:end]))
