"""Calendars from their manifests, and the schedules that refer to them.

A calendar with a mistake, or one of two with the same name, holds every Application that refers to it: without it
nobody knows on which days its jobs may run. Forbidden here: which days a calendar names (``core.calendars``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from reconciler.core.declared import DeclaredCalendar, Flawed, Path, Reference, problem_at
from reconciler.core.desired_alike import Named, with_flawed, with_others
from reconciler.core.model import Calendar, Problem
from reconciler.core.schedules import DAYS, Fault
from reconciler.core.suggest import MOST_HINTED, did_you_mean, excerpt
from reconciler.core.yaml import Document, field_name
from schemas.api import ApiSpec
from schemas.calendar import Calendar as Manifest
from schemas.schedule import WEEKDAYS, After

# What stands under a name: a calendar, what is wrong with it, or nothing.
Found: TypeAlias = DeclaredCalendar | tuple[Problem, ...] | None

_JOB: Final[Path] = ("schedule", "after", "job")
FOLLOWED: Final = field_name(_JOB)


def declare_calendar(manifest: Manifest, document: Document, file: str) -> DeclaredCalendar:
    """The calendar of a manifest without faults; in which order its days are written makes no difference."""
    spec = manifest.spec
    calendar = Calendar(
        name=manifest.metadata.name,
        zone=spec.time_zone or "UTC",
        dates=tuple(sorted(set(spec.dates))),
        weekly=tuple(sorted(set(spec.weekly), key=WEEKDAYS.index)),
        ranges=tuple(sorted({(each.first, each.last) for each in spec.ranges})),
    )
    return DeclaredCalendar(calendar=calendar, file=file, name_place=document.value_at(("metadata", "name")))


def references(document: Document, root: Path, spec: ApiSpec) -> tuple[Reference, ...]:
    """Where an Api names calendars and the job that it follows; ``root`` is the path of its spec."""
    paths = [path for path, _ in _named(spec)]
    if isinstance(spec.schedule, After):
        paths.append(_JOB)
    return tuple(
        Reference(
            field_name(path), field_name(_standing(document.value, root, path)), document.value_at((*root, *path))
        )
        for path in paths
    )


def _named(spec: ApiSpec) -> Iterator[tuple[Path, str]]:
    """Every calendar that an Api names, in its schedule or beside it, with its field."""
    for owner, path in ((spec, ()), (spec.schedule, ("schedule",))):
        for alias, name in DAYS:
            for index, each in enumerate(getattr(owner, name, None) or ()):
                yield (*path, alias, index), each


def _standing(value: Any, root: Path, path: Path) -> Path:
    """The path without its index where one name stands instead of a list."""
    for step in (*root, *path[:-1]):
        value = value[step]
    return path[:-1] if isinstance(value, str) else path


class Days(NamedTuple):
    """The calendars of one Api.

    Attributes:
        faults: names that no calendar has.
        problems: of the calendars themselves.
        found: every name with what stands under it.
    """

    but_not: tuple[Calendar, ...] = ()
    only: tuple[Calendar, ...] = ()
    faults: tuple[Fault, ...] = ()
    problems: tuple[Problem, ...] = ()
    found: tuple[tuple[str, Found], ...] = ()


_EVERY_DAY: Final = Days()


class Calendars:
    """All calendars by their names, and what is wrong with them.

    Attributes:
        problems: those that only show together.
    """

    def __init__(self, declared: Iterable[DeclaredCalendar], flawed: Iterable[Flawed], unread: Collection[str]) -> None:
        """Put the calendars of all files together.

        Args:
            declared: the valid ones, in the order of their files.
            flawed: documents with problems, of any kind.
            unread: files that cannot be read in full.
        """
        self._unread = unread
        self._hinted = 0
        self._found: dict[str, DeclaredCalendar | tuple[Problem, ...]] = {}
        by_name: dict[str, list[DeclaredCalendar]] = {}
        for each in declared:
            by_name.setdefault(each.name, []).append(each)
        flawed = [each for each in flawed if each.kind == "Calendar"]
        named = with_flawed(by_name, flawed, "Calendar")
        wrong = {name: [*_same_name(alike)] for name, alike in named.items() if len(alike) > 1}
        self.problems = tuple(problem for problems in wrong.values() for problem in problems)
        for document in flawed:
            wrong.setdefault(document.name, []).extend(document.problems)
        self._found.update({name: same[0] for name, same in by_name.items()})
        self._found.update({name: tuple(problems) for name, problems in wrong.items()})

    @property
    def valid(self) -> dict[str, Calendar]:
        """Those without problems, by name."""
        found = sorted(self._found.items())
        return {name: each.calendar for name, each in found if isinstance(each, DeclaredCalendar)}

    def are(self, found: Iterable[tuple[str, Found]]) -> bool:
        """Whether the same stands under these names as when it was looked up."""
        return all(self._found.get(name) == each for name, each in found)

    def days(self, spec: ApiSpec) -> Days:
        """The calendars that an Api names."""
        named = [*_named(spec)]
        if not named:
            return _EVERY_DAY
        calendars: dict[str, list[Calendar]] = {"except": [], "only": []}
        faults: list[Fault] = []
        problems: list[Problem] = []
        for path, name in named:
            each = self._found.get(name)
            if isinstance(each, DeclaredCalendar):
                calendars[str(path[-2])].append(each.calendar)
            elif each is None:
                faults.append(Fault(field_name(path), f"there is no Calendar `{excerpt(name)}`{self._hint(name)}"))
            else:
                problems.extend(each)
        return Days(
            but_not=_once(calendars["except"]),
            only=_once(calendars["only"]),
            faults=tuple(faults),
            problems=tuple(problems),
            found=tuple((name, self._found.get(name)) for _, name in named),
        )

    def _hint(self, name: str) -> str:
        self._hinted += 1
        hint = did_you_mean(name, self._found) if self._hinted <= MOST_HINTED else ""
        if hint or not self._unread:
            return hint
        return f"; it may stand in {min(self._unread)}, which cannot be read in full"


def _once(calendars: Iterable[Calendar]) -> tuple[Calendar, ...]:
    """Each calendar once, in the order of names: in which order they are written makes no difference."""
    return tuple(sorted({each.name: each for each in calendars}.values(), key=lambda each: each.name))


def _same_name(calendars: Sequence[Named]) -> Iterator[Problem]:
    for each, where in with_others(calendars):
        yield problem_at(each.file, each.name_place, "metadata.name", f"another Calendar has this name: {where}")
