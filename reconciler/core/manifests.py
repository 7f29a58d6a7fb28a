"""Manifest text to declarations and problems, one file at a time.

Nothing here looks at a second file: whether a name is taken or an Application exists is decided in
``reconciler.core.desired``. Forbidden here: raising for what a manifest says, and keeping text or nodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from reconciler.core.annotations import renamed_from, sound_annotations
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
from reconciler.core.desired_windows import declare_window
from reconciler.core.faults import KINDS, Judged, judge
from reconciler.core.model import JobKey, Problem
from reconciler.core.patches import declare_environment, declare_patches
from reconciler.core.remnants import ANY, Remnant, sound_apis, sound_patches
from reconciler.core.suggest import closest
from reconciler.core.yaml import Document, field_name, read
from reconciler.core.yaml_values import MAX_PROBLEMS
from schemas.access_token import AccessToken
from schemas.annotations import RENAMED_FROM
from schemas.api import Api, ApiMetadata, ApiSpec, InlineApi
from schemas.application import Application
from schemas.calendar import Calendar
from schemas.environment import Environment
from schemas.freeze_window import FreezeWindow

__all__ = ["DeclaredApi", "DeclaredApplication", "Flawed", "ParsedFile", "parse"]

MAX_FILE_PROBLEMS: Final = 1_000  # beyond that the rest of the file is not looked at
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PATTERNS: Final = ("spec", "applications")
# With a fault in one of these it is not certain whose document it is.
_IDENTITY: Final = frozenset({(), ("kind",), ("metadata",), ("metadata", "name"), ("metadata", "application")})


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
        self.remnants: list[DeclaredApi] = []
        self.patched: list[DeclaredEnvironment] = []
        self.problems: list[Problem] = []
        self.broken = False

    def take(self, document: Document) -> None:
        """Declare what the document says, or say what is wrong with it."""
        judged = judge(document)
        manifest = judged.manifest
        if manifest is None:
            self._refuse(document, judged)
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
            remnants=tuple(self.remnants),
            patched=tuple(self.patched),
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
            key = JobKey(manifest.metadata.name, api.name)
            self.apis.append(self._api(document, ("spec", "apis", index), key, api, api))

    def _declare_api(self, document: Document, manifest: Api) -> None:
        key = JobKey(manifest.metadata.application, manifest.metadata.name)
        self.apis.append(self._api(document, ("spec",), key, manifest.spec, manifest.metadata))

    def _api(self, document: Document, path: Path, key: JobKey, spec: ApiSpec, named: _Naming) -> DeclaredApi:
        """The Api whose spec stands at a path; ``named`` holds what else is said of it."""
        owner = path if len(path) > 1 else ("metadata",)
        line, column = document.value_at(path) if owner is path else document.place
        return DeclaredApi(
            key=key,
            spec=spec,
            labels=named.labels,
            renamed_from=renamed_from(named.annotations),
            file=self.file,
            line=line,
            column=column,
            field=f"spec.apis[{path[-1]}]" if owner is path else "spec",
            places=packed_places(document, owner, path, annotated=_annotated(owner, named.annotations)),
            references=references(document, path, spec),
        )

    def _refuse(self, document: Document, judged: Judged) -> None:
        faults = judged.faults
        problems = tuple(
            problem_at(self.file, place, field_name(path), message) for path, place, message in faults[:MAX_PROBLEMS]
        )
        if (more := len(faults) - MAX_PROBLEMS) > 0:
            counted = f"at least {more}" if judged.untold else f"{more}"
            problems += (problem_at(self.file, document.place, "", f"and {counted} more problems in this document"),)
        self.problems.extend(problems)
        owner = _owner(document.value)
        if owner.known:
            self.flawed.append(_flawed(owner, document, problems, judged.remnant))
        if judged.remnant is not None:
            self._keep(document, judged.remnant)
        if not owner.known or any(fault.path in _IDENTITY for fault in faults):
            self.broken = True

    def _keep(self, document: Document, remnant: Remnant) -> None:
        """What is sound in spite of the problems, because more may be wrong with it beside other manifests."""
        metadata = remnant.at(("metadata",)) or {}
        application = metadata.get("name" if remnant.model is Application else "application")
        for path, spec in sound_apis(remnant):
            named = metadata if remnant.model is Api else remnant.at(path) or {}
            if application is not None and "name" in named:
                annotations = sound_annotations(named.get("annotations", {}))
                key = JobKey(application, named["name"])
                self.remnants.append(self._api(document, path, key, spec, _Named({}, annotations)))
        if remnant.model is Environment:
            name = str(metadata.get("name", ""))
            self.patched.append(declare_patches(name, sound_patches(remnant), document, self.file))


class _Named(NamedTuple):
    """What is said of an Api beside its spec."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


_Naming = ApiMetadata | InlineApi | _Named


def _flawed(owner: _Owner, document: Document, problems: tuple[Problem, ...], remnant: Remnant | None) -> Flawed:
    patterns = [] if remnant is None else remnant.items(_PATTERNS)
    return Flawed(
        **owner._asdict(),
        place=document.place,
        problems=problems,
        name_place=document.value_at(("metadata", "name")),
        certain=remnant is not None and "name" in (remnant.at(("metadata",)) or ()),
        patterns=tuple(each if isinstance(each, str) else ANY for each in patterns),
        pattern_places=tuple(document.value_at((*_PATTERNS, index)) for index in range(len(patterns))),
    )


def _annotated(owner: Path, annotations: Mapping[str, str]) -> Path | None:
    return (*owner, "annotations", RENAMED_FROM) if RENAMED_FROM in annotations else None


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
    found = closest(kind, KINDS) if isinstance(kind, str) else None
    return found or ("Api" if "application" in metadata else "Application")


def _name_in(metadata: Mapping[str, Any], field: str) -> str:
    name = metadata.get(field)
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""
