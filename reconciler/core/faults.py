"""What is wrong with one document by itself: every fault at once, whichever of them keeps it from being a manifest.

Forbidden here: looking at a second document, and declaring anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from reconciler.core.annotations import annotation_faults
from reconciler.core.declared import Path
from reconciler.core.desired_windows import seed_of, window_faults
from reconciler.core.remnants import Remnant, found_at, sound_schedules
from reconciler.core.schedules import Declared, faults_among, faults_of
from reconciler.core.wording import describe, did_you_mean_choice, explain
from reconciler.core.yaml import Document, Place
from schemas.access_token import AccessToken
from schemas.api import Api, ApiSpec
from schemas.application import Application
from schemas.base import API_VERSION
from schemas.calendar import Calendar
from schemas.environment import Environment
from schemas.freeze_window import FreezeWindow, FreezeWindowSpec
from schemas.schedule import After

Kind = Application | Api | Calendar | FreezeWindow | Environment | AccessToken

KINDS: Final[Mapping[str, type[Kind]]] = {
    "Application": Application,
    "Api": Api,
    "Calendar": Calendar,
    "FreezeWindow": FreezeWindow,
    "Environment": Environment,
    "AccessToken": AccessToken,
}
_MOST_EXPLAINED: Final = 1_000  # of pydantic's errors in one document: putting them into words takes longest


class Fault(NamedTuple):
    """What is wrong at which path and place."""

    path: Path
    place: Place
    message: str


class Judged(NamedTuple):
    """What there is to say about a document.

    Attributes:
        manifest: only where nothing is wrong.
        faults: by place.
        untold: how many there are besides, at least.
        remnant: what is sound of it, where something is wrong and so much can be told.
    """

    manifest: Kind | None
    faults: list[Fault]
    untold: int = 0
    remnant: Remnant | None = None


def judge(document: Document) -> Judged:
    """The document's manifest, or every fault in it."""
    faults = [Fault(tuple(path), place, message) for path, place, message in document.problems]
    if not document.whole:
        return Judged(None, faults)
    value = document.value
    if not isinstance(value, dict):
        message = f"a manifest is a mapping with apiVersion, kind, …, not {describe(value)}"
        return Judged(None, [*faults, Fault((), document.place, message)])
    model = KINDS.get(value["kind"]) if isinstance(value.get("kind"), str) else None
    if model is None:
        return Judged(None, _with(faults, _unknown_kind(document, value)))
    errors: list[ErrorDetails] = []
    try:
        manifest = model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    else:
        faults += _window_faults(document, manifest)
        if not faults and next(_annotation_faults(document), None) is None:
            return Judged(manifest, faults)
    return _judged(document, model, faults, errors)


def _judged(document: Document, model: type[Kind], faults: list[Fault], errors: list[ErrorDetails]) -> Judged:
    """The same of a document that has faults."""
    more = chain(_explained(document, model, document.value, errors), _annotation_faults(document))
    remnant = None
    if len(errors) <= _MOST_EXPLAINED:
        remnant = Remnant(model, document.value, errors, [tuple(path) for path, _, _ in document.problems])
        more = chain(
            more, _explained(document, model, remnant.value, remnant.errors), _schedule_faults(document, remnant)
        )
    return Judged(None, _with(faults, more), max(0, len(errors) - _MOST_EXPLAINED), remnant)


def _with(faults: list[Fault], more: Iterable[Fault]) -> list[Fault]:
    """All of them by place; what is wrong in YAML already needs no second complaint."""
    known = {fault.place for fault in faults}
    found = dict.fromkeys((*faults, *(fault for fault in more if fault.place not in known)))
    return sorted(found, key=lambda fault: fault.place)


def _explained(document: Document, model: type[Kind], value: Any, errors: list[ErrorDetails]) -> Iterator[Fault]:
    for each in errors[:_MOST_EXPLAINED]:
        if fault := explain(each, model, value):
            place = document.key_at(fault.path) if fault.at_key else document.value_at(fault.path)
            yield Fault(fault.path, place, fault.message)


def _schedule_faults(document: Document, remnant: Remnant) -> Iterator[Fault]:
    """Schedules without meaning, and what does not go with them."""
    for path, held in sound_schedules(remnant):
        yield from _of_schedule(document, remnant, path, held)


def _of_schedule(document: Document, remnant: Remnant, path: Path, held: ApiSpec | FreezeWindowSpec) -> Iterator[Fault]:
    """What is wrong with the schedule that stands at a path, in ``held`` without what is wrong for other reasons."""
    name, zone = "schedule", held.time_zone
    schedule: Declared
    if isinstance(held, ApiSpec):
        schedule = held.schedule
    else:
        name, schedule = "start", held.start
        zone = zone or (None if remnant.may_have(path, "timeZone") else "UTC")  # an Api may inherit one
    if remnant.may_have((*path, name), "timeZone"):
        zone = None
    outside, inside = _given(document.value, path), _given(document.value, (*path, name))
    for fault in (
        *faults_among(outside, inside, name, follows=isinstance(schedule, After)),
        *faults_of(schedule, held, zone=zone, seed=_seed(document.value, path), name=name),
    ):
        yield Fault((*path, fault.field), document.value_at((*path, fault.field)), fault.message)


def _given(value: Any, path: Path) -> list[str]:
    """The names of the fields that are given in the mapping at a path, right or wrong."""
    found = found_at(value, path)
    return [name for name, each in found.items() if each is not None] if isinstance(found, dict) else []


def _seed(value: Mapping[str, Any], path: Path) -> str:
    """What ``H`` is derived from there, as far as names can be told."""
    metadata = value.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    if value["kind"] == "FreezeWindow":
        return seed_of(named.get("name"))
    if value["kind"] == "Api":
        return f"{named.get('application')}/{named.get('name')}"
    return f"{named.get('name')}/{value['spec']['apis'][path[-1]].get('name')}"


def _annotation_faults(document: Document) -> Iterator[Fault]:
    for path, at_key, message in annotation_faults(document.value):
        yield Fault(path, document.key_at(path) if at_key else document.value_at(path), message)


def _window_faults(document: Document, manifest: Kind) -> Iterator[Fault]:
    for name, message in window_faults(manifest) if isinstance(manifest, FreezeWindow) else ():
        yield Fault(("spec", name), document.value_at(("spec", name)), message)


def _unknown_kind(document: Document, value: Mapping[str, Any]) -> Iterator[Fault]:
    for key, choices in (("apiVersion", (API_VERSION,)), ("kind", tuple(KINDS))):
        if key not in value:
            yield Fault((key,), document.place, "this field is required")
        elif value[key] not in choices:
            yield Fault((key,), document.value_at((key,)), did_you_mean_choice(value[key], choices))
