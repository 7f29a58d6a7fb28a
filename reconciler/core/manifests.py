"""Manifest text to declarations and problems, one file at a time.

Nothing here looks at a second file: whether a name is taken or an Application exists is decided in
``reconciler.core.desired``. Forbidden here: raising for what a manifest says, and keeping text or nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from struct import Struct
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from reconciler.core.model import JobKey, Problem
from reconciler.core.schedules import loose_fault
from reconciler.core.wording import describe, did_you_mean_choice, explain
from reconciler.core.yaml import Document, Place, field_name, read
from reconciler.core.yaml_values import MAX_PROBLEMS
from schemas.api import Api, ApiSpec
from schemas.application import Application
from schemas.base import API_VERSION

_KINDS: Final[Mapping[str, type[Application | Api]]] = {"Application": Application, "Api": Api}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Where these stand is kept, because a problem that takes a second manifest to see may be with them. It is kept packed:
# as objects, the places of 10,000 Apis are 12 MB.
_PLACED: Final = ("application", "endsAt", "name", "request", "schedule", "startsAt", "timeZone")
_PACKED: Final = Struct(f"<{2 * len(_PLACED)}I")
# With a fault in one of these it is not certain whose document it is.
_IDENTITY: Final = frozenset({(), ("kind",), ("metadata",), ("metadata", "name"), ("metadata", "application")})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredApplication:
    """A valid Application and where it stands; two of them are equal only if they are one."""

    manifest: Application
    file: str
    line: int
    column: int
    name_place: Place

    @property
    def name(self) -> str:
        """The Application's name."""
        return self.manifest.metadata.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredApi:
    """A valid Api, of its own document or inline, and where it stands; two are equal only if they are one.

    Attributes:
        field: the path of what ``spec`` holds: ``spec`` or ``spec.apis[3]``.
        places: where the values of some fields stand, for ``place_of``.
    """

    key: JobKey
    spec: ApiSpec
    labels: Mapping[str, str]
    file: str
    line: int
    column: int
    field: str
    places: bytes

    def place_of(self, name: str) -> Place:
        """Where the value of a field stands (one of those that problems are found with), or else the Api."""
        index = 2 * _PLACED.index(name)
        line, column = _PACKED.unpack(self.places)[index : index + 2]
        return Place(line, column) if line else Place(self.line, self.column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flawed:
    """A document with problems, as far as it can be told whose it is.

    Attributes:
        kind: ``Application`` or ``Api``.
        application: the Application that it is or belongs to.
        problems: what is wrong with it.
    """

    kind: str
    application: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """What one file declares.

    Attributes:
        applications: the valid ones.
        apis: the valid ones, those within valid Applications included.
        flawed: documents with problems that can be attributed.
        problems: every problem, those of ``flawed`` included, by place.
        broken: some of the file cannot be read, or not be attributed: what it declares is not fully known.
    """

    file: str
    applications: tuple[DeclaredApplication, ...] = ()
    apis: tuple[DeclaredApi, ...] = ()
    flawed: tuple[Flawed, ...] = ()
    problems: tuple[Problem, ...] = ()
    broken: bool = False


class _Fault(NamedTuple):
    path: tuple[str | int, ...]
    place: Place
    message: str


def parse(file: str, content: bytes) -> ParsedFile:
    """Read every document of a file; whatever is wrong is in ``problems``, nothing is raised."""
    reading = _Reading(file)
    for each in read(file, content):
        if isinstance(each, Problem):
            reading.problems.append(each)
            reading.broken = True
        else:
            reading.take(each)
    return reading.finished()


class _Reading:
    """What has been read of one file so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.applications: list[DeclaredApplication] = []
        self.apis: list[DeclaredApi] = []
        self.flawed: list[Flawed] = []
        self.problems: list[Problem] = []
        self.broken = False

    def take(self, document: Document) -> None:
        """Declare what the document says, or say what is wrong with it."""
        manifest, faults = _validate(document)
        if faults or manifest is None:
            self._refuse(document, faults)
        elif isinstance(manifest, Application):
            self._declare_application(document, manifest)
        else:
            self._declare_api(document, manifest)

    def finished(self) -> ParsedFile:
        """All of it, frozen."""
        return ParsedFile(
            file=self.file,
            applications=tuple(self.applications),
            apis=tuple(self.apis),
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
            line, column = document.value_at(("spec", "apis", index))
            self.apis.append(
                DeclaredApi(
                    key=JobKey(manifest.metadata.name, api.name),
                    spec=api,
                    labels=api.labels,
                    file=self.file,
                    line=line,
                    column=column,
                    field=f"spec.apis[{index}]",
                    places=_places(document, ("spec", "apis", index)),
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
                file=self.file,
                line=line,
                column=column,
                field="spec",
                places=_places(document, ("metadata",), ("spec",)),
            )
        )

    def _refuse(self, document: Document, faults: list[_Fault]) -> None:
        problems = tuple(
            Problem(file=self.file, line=place.line, column=place.column, field=field_name(path), message=message)
            for path, place, message in faults[:MAX_PROBLEMS]
        )
        if (more := len(faults) - MAX_PROBLEMS) > 0:
            line, column = document.place
            text = f"and {more} more problems in this document"
            problems += (Problem(file=self.file, line=line, column=column, field="", message=text),)
        self.problems.extend(problems)
        kind, application = _owner(document.value)
        if application is not None:
            self.flawed.append(Flawed(kind=kind, application=application, problems=problems))
        if application is None or any(fault.path in _IDENTITY for fault in faults):
            self.broken = True


def _places(document: Document, *paths: tuple[str | int, ...]) -> bytes:
    found = {name: place for path in paths for name, place in document.entries(*path)}
    return _PACKED.pack(*(part for name in _PLACED for part in found.get(name, (0, 0))))


def _validate(document: Document) -> tuple[Application | Api | None, list[_Fault]]:
    """The document's manifest, or every fault in it, by place."""
    faults = [_Fault(tuple(path), place, message) for path, place, message in document.problems]
    if not document.whole:
        return None, faults
    value = document.value
    if not isinstance(value, dict):
        faults.append(
            _Fault((), document.place, f"a manifest is a mapping with apiVersion, kind, …, not {describe(value)}")
        )
        return None, faults
    model = _KINDS.get(value["kind"]) if isinstance(value.get("kind"), str) else None
    if model is None:
        more = _unknown_kind(document, value)
    else:
        try:
            manifest = model.model_validate(value)
        except ValidationError as error:
            more = chain(_explained(document, model, error), _schedule_faults(document))
        else:
            return manifest, faults
    known = {fault.place for fault in faults}  # what is wrong in YAML already needs no second complaint
    faults.extend(fault for fault in more if fault.place not in known)
    return None, sorted(faults, key=lambda fault: fault.place)


def _explained(document: Document, model: type[Application | Api], error: ValidationError) -> Iterator[_Fault]:
    for each in error.errors(include_url=False, include_input=False):
        if fault := explain(each, model, document.value):
            place = document.key_at(fault.path) if fault.at_key else document.value_at(fault.path)
            yield _Fault(fault.path, place, fault.message)


def _schedule_faults(document: Document) -> Iterator[_Fault]:
    """Schedules without meaning in a document that is refused anyway: every problem is told at once."""
    spec = document.value.get("spec")
    if not isinstance(spec, dict):
        return
    apis = spec.get("apis")
    inline = apis if isinstance(apis, list) else []
    paths = [("spec",), *(("spec", "apis", index) for index in range(len(inline)))]
    for path, each in zip(paths, [spec, *inline], strict=True):
        if isinstance(each, dict) and (message := loose_fault(each)):
            yield _Fault((*path, "schedule"), document.value_at((*path, "schedule")), message)


def _unknown_kind(document: Document, value: Mapping[str, Any]) -> Iterator[_Fault]:
    for key, choices in (("apiVersion", (API_VERSION,)), ("kind", tuple(_KINDS))):
        if key not in value:
            yield _Fault((key,), document.place, "this field is required")
        elif value[key] not in choices:
            yield _Fault((key,), document.value_at((key,)), did_you_mean_choice(value[key], choices))


def _owner(value: Any) -> tuple[str, str | None]:
    """The kind of a document with problems, and the Application that it is or belongs to, if that can be told."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        return "Api", None
    kind = value.get("kind")
    if kind not in ("Application", "Api"):
        kind = "Api" if "application" in metadata else "Application"
    name = metadata.get("name" if kind == "Application" else "application")
    return kind, name if isinstance(name, str) and _NAME.fullmatch(name) else None
