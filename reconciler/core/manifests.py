"""Manifest text to declarations and problems, one file at a time.

Nothing here looks at a second file: whether a name is taken or an Application exists is decided in
``reconciler.core.desired``. Forbidden here: raising for what a manifest says, and keeping text or nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from reconciler.core.annotations import annotation_faults, renamed_from
from reconciler.core.declared import (
    DeclaredApi,
    DeclaredApplication,
    DeclaredCalendar,
    DeclaredEnvironment,
    DeclaredToken,
    DeclaredWindow,
    Flawed,
    ParsedFile,
    Path,
    packed_places,
    problem_at,
)
from reconciler.core.desired_calendars import declare_calendar, references
from reconciler.core.desired_tokens import declare_token
from reconciler.core.desired_windows import declare_window, window_faults
from reconciler.core.model import JobKey, Problem
from reconciler.core.patches import declare_environment
from reconciler.core.schedules import loose_fault
from reconciler.core.suggest import closest
from reconciler.core.wording import describe, did_you_mean_choice, explain
from reconciler.core.yaml import Document, Place, field_name, read
from reconciler.core.yaml_values import MAX_PROBLEMS
from schemas.access_token import AccessToken
from schemas.annotations import RENAMED_FROM
from schemas.api import Api
from schemas.application import Application
from schemas.base import API_VERSION
from schemas.calendar import Calendar
from schemas.environment import Environment
from schemas.freeze_window import FreezeWindow

__all__ = ["DeclaredApi", "DeclaredApplication", "Flawed", "ParsedFile", "parse"]

Kind = Application | Api | Calendar | FreezeWindow | Environment | AccessToken

_KINDS: Final[Mapping[str, type[Kind]]] = {
    "Application": Application,
    "Api": Api,
    "Calendar": Calendar,
    "FreezeWindow": FreezeWindow,
    "Environment": Environment,
    "AccessToken": AccessToken,
}
MAX_FILE_PROBLEMS: Final = 1_000  # beyond that the rest of the file is not looked at
_MOST_EXPLAINED: Final = 1_000  # of pydantic's errors in one document: putting them into words takes longest
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# With a fault in one of these it is not certain whose document it is.
_IDENTITY: Final = frozenset({(), ("kind",), ("metadata",), ("metadata", "name"), ("metadata", "application")})


class _Fault(NamedTuple):
    path: tuple[str | int, ...]
    place: Place
    message: str


def parse(file: str, content: bytes) -> ParsedFile:
    """Read every document of a file; whatever is wrong is in ``problems``, nothing is raised."""
    reading = _Reading(file)
    for each in read(file, content):
        if isinstance(each, Problem):
            reading.end(each)
        elif len(reading.problems) < MAX_FILE_PROBLEMS:
            reading.take(each)
        else:
            message = f"the file has more than {MAX_FILE_PROBLEMS:,} problems; what begins here is not looked at"
            reading.end(problem_at(file, each.place, "", message))
            break
    return reading.finished()


class _Reading:
    """What has been read of one file so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.applications: list[DeclaredApplication] = []
        self.apis: list[DeclaredApi] = []
        self.calendars: list[DeclaredCalendar] = []
        self.windows: list[DeclaredWindow] = []
        self.tokens: list[DeclaredToken] = []
        self.environments: list[DeclaredEnvironment] = []
        self.flawed: list[Flawed] = []
        self.problems: list[Problem] = []
        self.broken = False

    def take(self, document: Document) -> None:
        """Declare what the document says, or say what is wrong with it."""
        manifest, faults, untold = _validate(document)
        if faults or manifest is None:
            self._refuse(document, faults, untold)
        elif isinstance(manifest, Application):
            self._declare_application(document, manifest)
        elif isinstance(manifest, Api):
            self._declare_api(document, manifest)
        elif isinstance(manifest, Calendar):
            self.calendars.append(declare_calendar(manifest, document, self.file))
        elif isinstance(manifest, FreezeWindow):
            self.windows.append(declare_window(manifest, document, self.file))
        elif isinstance(manifest, AccessToken):
            self.tokens.append(declare_token(manifest, document, self.file))
        else:
            self.environments.append(declare_environment(manifest, document, self.file))

    def end(self, problem: Problem) -> None:
        """The rest of the file is not known."""
        self.problems.append(problem)
        self.broken = True

    def finished(self) -> ParsedFile:
        """All of it, frozen."""
        return ParsedFile(
            file=self.file,
            applications=tuple(self.applications),
            apis=tuple(self.apis),
            calendars=tuple(self.calendars),
            windows=tuple(self.windows),
            tokens=tuple(self.tokens),
            environments=tuple(self.environments),
            flawed=tuple(self.flawed),
            problems=tuple(self.problems),
            broken=self.broken,
        )

    def _declare_application(self, document: Document, manifest: Application) -> None:
        line, column = document.place
        self.applications.append(
            DeclaredApplication(
                manifest=manifest,
                file=self.file,
                line=line,
                column=column,
                name_place=document.value_at(("metadata", "name")),
            )
        )
        for index, api in enumerate(manifest.spec.apis):
            path: Path = ("spec", "apis", index)
            line, column = document.value_at(path)
            self.apis.append(
                DeclaredApi(
                    key=JobKey(manifest.metadata.name, api.name),
                    spec=api,
                    labels=api.labels,
                    renamed_from=renamed_from(api.annotations),
                    file=self.file,
                    line=line,
                    column=column,
                    field=f"spec.apis[{index}]",
                    places=packed_places(document, path, annotated=_annotated(path, api.annotations)),
                    references=references(document, path, api),
                )
            )

    def _declare_api(self, document: Document, manifest: Api) -> None:
        line, column = document.place
        metadata = manifest.metadata
        self.apis.append(
            DeclaredApi(
                key=JobKey(metadata.application, metadata.name),
                spec=manifest.spec,
                labels=metadata.labels,
                renamed_from=renamed_from(metadata.annotations),
                file=self.file,
                line=line,
                column=column,
                field="spec",
                places=packed_places(
                    document, ("metadata",), ("spec",), annotated=_annotated(("metadata",), metadata.annotations)
                ),
                references=references(document, ("spec",), manifest.spec),
            )
        )

    def _refuse(self, document: Document, faults: list[_Fault], untold: int) -> None:
        problems = tuple(
            problem_at(self.file, place, field_name(path), message) for path, place, message in faults[:MAX_PROBLEMS]
        )
        if (more := len(faults) - MAX_PROBLEMS) > 0:
            counted = f"at least {more}" if untold else f"{more}"
            problems += (problem_at(self.file, document.place, "", f"and {counted} more problems in this document"),)
        self.problems.extend(problems)
        owner = _owner(document.value)
        if owner.known:
            self.flawed.append(Flawed(**owner._asdict(), place=document.place, problems=problems))
        if not owner.known or any(fault.path in _IDENTITY for fault in faults):
            self.broken = True


def _annotated(owner: Path, annotations: Mapping[str, str]) -> Path | None:
    return (*owner, "annotations", RENAMED_FROM) if RENAMED_FROM in annotations else None


def _validate(document: Document) -> tuple[Kind | None, list[_Fault], int]:
    """The document's manifest, or the faults in it, by place, and how many errors there are besides."""
    faults = [_Fault(tuple(path), place, message) for path, place, message in document.problems]
    if not document.whole:
        return None, faults, 0
    value = document.value
    if not isinstance(value, dict):
        faults.append(
            _Fault((), document.place, f"a manifest is a mapping with apiVersion, kind, …, not {describe(value)}")
        )
        return None, faults, 0
    untold = 0
    model = _KINDS.get(value["kind"]) if isinstance(value.get("kind"), str) else None
    if model is None:
        more = _unknown_kind(document, value)
    else:
        try:
            manifest = model.model_validate(value)
        except ValidationError as error:
            untold = max(0, error.error_count() - _MOST_EXPLAINED)
            more = chain(_explained(document, model, error), _schedule_faults(document), _annotation_faults(document))
        else:
            more = chain(_window_faults(document, manifest), _annotation_faults(document))
            if not (found := list(more)):
                return manifest, faults, 0
            more = iter(found)
    known = {fault.place for fault in faults}  # what is wrong in YAML already needs no second complaint
    faults.extend(fault for fault in more if fault.place not in known)
    return None, sorted(faults, key=lambda fault: fault.place), untold


def _explained(document: Document, model: type[Kind], error: ValidationError) -> Iterator[_Fault]:
    for each in islice(error.errors(include_url=False, include_input=False), _MOST_EXPLAINED):
        if fault := explain(each, model, document.value):
            place = document.key_at(fault.path) if fault.at_key else document.value_at(fault.path)
            yield _Fault(fault.path, place, fault.message)


def _schedule_faults(document: Document) -> Iterator[_Fault]:
    """Schedules without meaning in a document that is refused anyway: every problem is told at once."""
    spec = document.value.get("spec")
    if not isinstance(spec, dict):
        return
    if document.value["kind"] == "FreezeWindow":
        if message := loose_fault(spec | {"schedule": spec.get("start")}):
            yield _Fault(("spec", "start"), document.value_at(("spec", "start")), message)
        return
    apis = spec.get("apis")
    inline = apis[:_MOST_EXPLAINED] if isinstance(apis, list) else []
    paths = [("spec",), *(("spec", "apis", index) for index in range(len(inline)))]
    for path, each in zip(paths, [spec, *inline], strict=True):
        if isinstance(each, dict) and (message := loose_fault(each)):
            yield _Fault((*path, "schedule"), document.value_at((*path, "schedule")), message)


def _annotation_faults(document: Document) -> Iterator[_Fault]:
    for path, at_key, message in annotation_faults(document.value):
        yield _Fault(path, document.key_at(path) if at_key else document.value_at(path), message)


def _window_faults(document: Document, manifest: Kind) -> Iterator[_Fault]:
    for name, message in window_faults(manifest) if isinstance(manifest, FreezeWindow) else ():
        yield _Fault(("spec", name), document.value_at(("spec", name)), message)


def _unknown_kind(document: Document, value: Mapping[str, Any]) -> Iterator[_Fault]:
    for key, choices in (("apiVersion", (API_VERSION,)), ("kind", tuple(_KINDS))):
        if key not in value:
            yield _Fault((key,), document.place, "this field is required")
        elif value[key] not in choices:
            yield _Fault((key,), document.value_at((key,)), did_you_mean_choice(value[key], choices))


class _Owner(NamedTuple):
    """Whose a document with problems is, as far as it can be told; empty where it cannot."""

    kind: str
    application: str = ""
    name: str = ""

    @property
    def known(self) -> bool:
        """Whether it is known what is not to be touched for its sake."""
        return bool(self.application if self.kind in ("Application", "Api") else self.name)


def _owner(value: Any) -> _Owner:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        return _Owner("Api")
    kind = _meant(value.get("kind"), metadata)
    name = _name_in(metadata, "name")
    if kind == "Api":
        return _Owner(kind, _name_in(metadata, "application"), name)
    return _Owner(kind, name if kind == "Application" else "", name)


def _meant(kind: object, metadata: Mapping[str, Any]) -> str:
    """The kind that a document has, or was probably meant to have."""
    found = closest(kind, _KINDS) if isinstance(kind, str) else None
    return found or ("Api" if "application" in metadata else "Application")


def _name_in(metadata: Mapping[str, Any], field: str) -> str:
    name = metadata.get(field)
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""
