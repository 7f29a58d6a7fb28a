"""All manifests together to jobs: references, names that are taken, and which Applications are held.

A mistake holds back the Application that it is in and no other. Forbidden here: reading text, and merging defaults
(``reconciler.core.inherit``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.core.inherit import Inheritance, faults_alone
from reconciler.core.manifests import DeclaredApi, DeclaredApplication, ParsedFile
from reconciler.core.model import FreezeWindow, Job, JobKey, Problem
from reconciler.core.suggest import did_you_mean, excerpt
from reconciler.core.yaml import Place


class _Resolved(NamedTuple):
    """What became of an Api, for as long as it and its Application are the same objects."""

    application: DeclaredApplication
    api: DeclaredApi
    job: Job | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What the manifests of one revision ask for.

    Attributes:
        jobs: of every Application that is not held.
        applications: every valid Application, held or not, by name; of two of one name the first.
        held: Applications with problems, and the problems; none of their jobs is in ``jobs``.
        problems: every problem of every file, by place, those of held Applications included.
        broken: files that cannot be read, or whose documents cannot be attributed to an Application: something may
            be declared there that is not in ``jobs``, so its absence means nothing.
        windows: the valid freeze windows, by name.
        held_windows: names of freeze windows with problems; what is stored of them stays.
        windows_unknown: a freeze window may be declared where nothing can be read: none is removed.
        renames: new key -> old key, as annotated.
        environment: whose patches were applied; empty for none.
    """

    jobs: Mapping[JobKey, Job]
    applications: Mapping[str, DeclaredApplication]
    held: Mapping[str, tuple[Problem, ...]]
    problems: tuple[Problem, ...]
    broken: frozenset[str]
    resolved: Mapping[JobKey, _Resolved] = field(default_factory=dict, repr=False, compare=False)
    windows: Mapping[str, FreezeWindow] = field(default_factory=dict)
    held_windows: frozenset[str] = frozenset()
    windows_unknown: bool = False
    renames: Mapping[JobKey, JobKey] = field(default_factory=dict)
    environment: str = ""


def build(files: Mapping[str, ParsedFile], previous: Desired | None = None) -> Desired:
    """Put the declarations of all files together.

    Args:
        files: by path.
        previous: an earlier result; jobs whose Api and Application are the same objects as then are taken from it.
    """
    building = _Building(files, previous.resolved if previous else {})
    building.take_problems()
    building.take_applications()
    building.take_apis()
    return building.finished()


class _Building:
    def __init__(self, files: Mapping[str, ParsedFile], known: Mapping[JobKey, _Resolved]) -> None:
        self.files = [files[name] for name in sorted(files)]
        self.known = known
        self.problems: list[Problem] = []
        self.held: dict[str, list[Problem]] = {}
        self.broken = {each.file for each in self.files if each.broken}
        self.applications: dict[str, DeclaredApplication] = {}
        self.resolved: dict[JobKey, _Resolved] = {}
        self.unread = frozenset(self.broken)
        self.flawed: set[str] = set()  # names of Applications with problems of their own
        self.doubled: set[str] = set()
        self.twice: set[JobKey] = set()

    def take_problems(self) -> None:
        """What is wrong with single documents."""
        for file in self.files:
            self.problems.extend(file.problems)
            for flawed in file.flawed:
                self.held.setdefault(flawed.application, []).extend(flawed.problems)
                if flawed.kind == "Application":
                    self.flawed.add(flawed.application)

    def take_applications(self) -> None:
        """Every Application by its name, and the names that are taken twice."""
        for file in self.files:
            for each in file.applications:
                first = self.applications.setdefault(each.name, each)
                if first is not each:
                    self._same_name(first, each)
        for file in self.files:
            if any(each.application not in self.applications.keys() | self.flawed for each in file.flawed):
                self.broken.add(file.file)  # whose Api it is, is as uncertain as with a name that is misspelt

    def take_apis(self) -> None:
        """Every Api as a job, and the Apis that have no Application or a name that is taken."""
        inheritances: dict[str, Inheritance] = {}
        for file in self.files:
            for api in file.apis:
                name = api.key.application
                application = self.applications.get(name)
                if application is None:
                    self._orphan(api)
                elif name in self.doubled:
                    self._alone(api)  # which of the two Applications it would inherit from is not known
                elif api.key in self.resolved:
                    self._same_api(self.resolved[api.key].api, api)
                elif (old := self.known.get(api.key)) and old.api is api and old.application is application:
                    self.resolved[api.key] = old
                else:
                    if name not in inheritances:
                        inheritances[name] = Inheritance(application)
                    self.resolved[api.key] = _resolve(application, api, inheritances[name])

    def finished(self) -> Desired:
        """All of it, frozen; what is held has no jobs."""
        for key, each in self.resolved.items():
            for problem in each.problems:
                self._hold(key.application, problem)
        return Desired(
            jobs={
                key: each.job
                for key, each in self.resolved.items()
                if each.job is not None and key.application not in self.held
            },
            applications=self.applications,
            held={name: _by_place(problems) for name, problems in sorted(self.held.items())},
            problems=_by_place(self.problems),
            broken=frozenset(self.broken),
            resolved=self.resolved,
        )

    def _hold(self, application: str, problem: Problem) -> None:
        self.problems.append(problem)
        self.held.setdefault(application, []).append(problem)

    def _same_name(self, first: DeclaredApplication, second: DeclaredApplication) -> None:
        pairs = [(second, first)] if first.name in self.doubled else [(second, first), (first, second)]
        self.doubled.add(first.name)
        for one, other in pairs:
            message = f"another Application has this name: {other.file}:{other.name_place.line}"
            self._hold(one.name, _problem(one.file, one.name_place, "metadata.name", message))

    def _same_api(self, first: DeclaredApi, second: DeclaredApi) -> None:
        pairs = [(second, first)] if first.key in self.twice else [(second, first), (first, second)]
        self.twice.add(first.key)
        for one, other in pairs:
            path = "metadata.name" if one.field == "spec" else f"{one.field}.name"
            place = f"{other.file}:{other.place_of('name').line}"
            message = f"another Api of {one.key.application} has this name: {place}"
            self._hold(one.key.application, _problem(one.file, one.place_of("name"), path, message))

    def _alone(self, api: DeclaredApi) -> None:
        """Every problem is told at once, also of an Api that cannot become a job for its Application's sake."""
        for fault in faults_alone(api):
            place = api.place_of(fault.field)
            self._hold(api.key.application, _problem(api.file, place, f"{api.field}.{fault.field}", fault.message))

    def _orphan(self, api: DeclaredApi) -> None:
        """Its Application was removed, misspelt or stands in what cannot be read: then that one must lose nothing."""
        name = api.key.application
        if name in self.flawed:  # that it has problems is known
            self._alone(api)
            return
        unread = sorted(self.unread - {api.file}) or sorted(self.unread)
        hint = did_you_mean(name, self.applications.keys() | self.flawed)
        if unread and not hint:
            hint = f"; it may stand in {unread[0]}, which cannot be read in full"
        place = api.place_of("application")
        message = f"there is no Application `{excerpt(name)}`{hint}"
        self._hold(name, _problem(api.file, place, "metadata.application", message))
        self.broken.add(api.file)


def _resolve(application: DeclaredApplication, api: DeclaredApi, inheritance: Inheritance) -> _Resolved:
    result = inheritance.job(api)
    if isinstance(result, Job):
        return _Resolved(application, api, result, ())
    problems = (
        _problem(api.file, api.place_of(fault.field), f"{api.field}.{fault.field}", fault.message) for fault in result
    )
    return _Resolved(application, api, None, tuple(problems))


def _problem(file: str, place: Place, path: str, message: str) -> Problem:
    return Problem(file=file, line=place.line, column=place.column, field=path, message=message)


def _by_place(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))
