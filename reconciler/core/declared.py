"""What the documents of one file declare, each with the places that a later problem may need.

Forbidden here: reading text (``core.manifests``), and what two files mean together (``core.desired``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, NamedTuple

from reconciler.core.model import AccessToken, Calendar, FreezeWindow, JobKey, Problem
from reconciler.core.yaml import Document, Place, field_name
from schemas.annotations import RENAMED_FROM
from schemas.api import ApiSpec
from schemas.application import Application

Path = tuple[str | int, ...]

# Where these stand is kept, because a problem that takes a second manifest to see may be with them. It is kept packed:
# as objects, the places of 10,000 Apis are 12 MB.
_PLACED: Final = (
    *("application", "auth", "endsAt", "except", "name", "only"),
    *("request", "schedule", "startsAt", "timeZone", RENAMED_FROM),
)
_PACKED: Final = Struct(f"<{2 * len(_PLACED)}I")


def problem_at(file: str, place: Place, path: str, message: str) -> Problem:
    """A problem at a place."""
    return Problem(file=file, line=place.line, column=place.column, field=path, message=message)


def packed_places(document: Document, *paths: Path, annotated: Path | None = None) -> bytes:
    """Where the fields stand that ``DeclaredApi.place_of`` tells, each in the last of these mappings that has it.

    ``annotated`` is the path of the annotation by which the Api takes over a job, if it has it.
    """
    found = {name: place for path in paths for name, place in document.entries(*path)}
    if annotated is not None:
        found[RENAMED_FROM] = document.value_at(annotated)
    return _PACKED.pack(*(part for name in _PLACED for part in found.get(name, (0, 0))))


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


class Reference(NamedTuple):
    """Where another manifest is named: which field that is, how it is called there, and its place."""

    name: str
    field: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredApi:
    """A valid Api, of its own document or inline, and where it stands; two are equal only if they are one.

    Attributes:
        renamed_from: the job that it takes over, as annotated.
        field: the path of what ``spec`` holds: ``spec`` or ``spec.apis[3]``.
        places: where the values of some fields stand, for ``place_of``.
        references: the same of the names of calendars and of the job that it follows.
    """

    key: JobKey
    spec: ApiSpec
    labels: Mapping[str, str]
    renamed_from: JobKey | None = None
    file: str
    line: int
    column: int
    field: str
    places: bytes
    references: tuple[Reference, ...] = ()

    @property
    def seed(self) -> str:
        """What is derived from a job's key is derived from this: a renamed job stays when it was."""
        return str(self.renamed_from or self.key)

    def place_of(self, name: str) -> Place:
        """Where the value of a field stands (one of those that problems are found with), or else the Api."""
        if (reference := self._reference(name)) is not None:
            return reference.place
        index = 2 * _PLACED.index(name)
        line, column = _PACKED.unpack(self.places)[index : index + 2]
        return Place(line, column) if line else Place(self.line, self.column)

    def path_of(self, name: str) -> str:
        """What that field is called in a problem."""
        if name in ("name", "application", RENAMED_FROM):
            path = field_name(("annotations", name) if name == RENAMED_FROM else (name,))
            return f"{'metadata' if self.field == 'spec' else self.field}.{path}"
        reference = self._reference(name)
        return f"{self.field}.{reference.field if reference else name}"

    def _reference(self, name: str) -> Reference | None:
        return next((each for each in self.references if each.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredCalendar:
    """A valid calendar; two are equal only if they are one."""

    calendar: Calendar
    file: str
    name_place: Place

    @property
    def name(self) -> str:
        """The calendar's name."""
        return self.calendar.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredWindow:
    """A valid freeze window.

    Attributes:
        pattern_places: where each of its ``applications`` stands; empty where none is written.
    """

    window: FreezeWindow
    name_place: Place
    pattern_places: tuple[Place, ...]

    @property
    def name(self) -> str:
        """The window's name."""
        return self.window.name

    @property
    def file(self) -> str:
        """Where it is declared."""
        return self.window.file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredToken:
    """A valid access token.

    Attributes:
        pattern_places: where each of its ``applications`` stands; empty where none is written.
    """

    token: AccessToken
    name_place: Place
    digest_place: Place
    pattern_places: tuple[Place, ...]

    @property
    def name(self) -> str:
        """The token's name."""
        return self.token.name

    @property
    def file(self) -> str:
        """Where it is declared."""
        return self.token.file


class PatchFault(NamedTuple):
    """What is wrong with a patch: the path within its ``spec``, the place, and the message."""

    path: Path
    place: Place
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredPatch:
    """One patch of an Environment; two are equal only if they are one.

    Attributes:
        index: its place among the patches, from 0.
        application: a name or a pattern.
        api: a name or a pattern; ``None`` where the Application itself is patched.
        spec: what is merged in, in plain values.
        places: where the value of each field of ``spec`` stands, by path; that of the whole under the empty one.
        targets: where ``application`` and ``api`` stand.
        faults: what is wrong with it whatever it is merged with.
    """

    index: int
    application: str
    api: str | None
    spec: Mapping[str, Any]
    places: Mapping[Path, Place]
    targets: Mapping[str, Place]
    faults: tuple[PatchFault, ...] = ()

    def names(self, path: Path) -> bool:
        """Whether it says something about exactly this field."""
        return path in self.places


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeclaredEnvironment:
    """A valid Environment, as far as one can tell without what it patches."""

    name: str
    file: str
    name_place: Place
    patches: tuple[DeclaredPatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flawed:
    """A document with problems, as far as it can be told whose it is.

    Attributes:
        kind: of the document, or the kind that was meant.
        application: the Application that it is or belongs to; empty where it is of a kind that belongs to none.
        name: its own; empty where that cannot be told.
        place: where it begins.
        problems: what is wrong with it.
        name_place: where its name stands.
        certain: its kind and its name are what they were meant to be.
        patterns: the Applications that it is for, as far as they are sound: names, or patterns with ``*``.
        pattern_places: where each of them stands.
    """

    kind: str
    application: str
    name: str
    place: Place
    problems: tuple[Problem, ...]
    name_place: Place
    certain: bool = False
    patterns: tuple[str, ...] = ()
    pattern_places: tuple[Place, ...] = ()

    @property
    def file(self) -> str:
        """Where it is declared."""
        return self.problems[0].file

    def is_certainly(self, kind: str) -> bool:
        """Whether it surely is a document of this kind with this name."""
        return self.certain and self.kind == kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """What one file declares.

    Attributes:
        applications: the valid ones.
        apis: the valid ones, those within valid Applications included.
        calendars: the valid ones.
        windows: the valid freeze windows.
        tokens: the valid access tokens.
        environments: the valid ones.
        flawed: documents with problems that can be attributed.
        remnants: what is sound of the Apis in ``flawed``; what is wrong with it besides is told as well.
        patched: what is sound of the environments in ``flawed``.
        problems: every problem, those of ``flawed`` included, by place.
        broken: some of the file cannot be read, or not be attributed: what it declares is not fully known.
    """

    file: str
    applications: tuple[DeclaredApplication, ...] = ()
    apis: tuple[DeclaredApi, ...] = ()
    calendars: tuple[DeclaredCalendar, ...] = ()
    windows: tuple[DeclaredWindow, ...] = ()
    tokens: tuple[DeclaredToken, ...] = ()
    environments: tuple[DeclaredEnvironment, ...] = ()
    flawed: tuple[Flawed, ...] = ()
    remnants: tuple[DeclaredApi, ...] = ()
    patched: tuple[DeclaredEnvironment, ...] = ()
    problems: tuple[Problem, ...] = ()
    broken: bool = False
