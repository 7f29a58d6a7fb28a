"""All manifests together to jobs: references, names that are taken, and which Applications are held.

A mistake holds back the Application that it is in and no other. Forbidden here: reading text, merging defaults
(``core.inherit``), and the rules of environments, windows and renames (``core.environments``,
``core.desired_windows``, ``core.desired_renames``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from reconciler.core.declared import (
    DeclaredApi,
    DeclaredApplication,
    DeclaredCalendar,
    DeclaredEnvironment,
    ParsedFile,
    problem_at,
)
from reconciler.core.desired_alike import Named
from reconciler.core.desired_calendars import FOLLOWED, Calendars, Days
from reconciler.core.desired_chains import chain_faults, declared_upstream
from reconciler.core.desired_renames import rename_problems
from reconciler.core.desired_tokens import tokens_together
from reconciler.core.desired_windows import DesiredWindows, windows_together
from reconciler.core.environments import (
    Choice,
    Complaint,
    PatchedApplication,
    Patching,
    Refused,
    Targets,
    blame,
    choose,
    complaints,
    doubled,
    told,
)
from reconciler.core.inherit import Inheritance, call_faults_alone, faults_alone
from reconciler.core.model import AccessToken, Calendar, FreezeWindow, Job, JobKey, Problem
from reconciler.core.resolved import Resolved, api_problem, resolve_api
from reconciler.core.schedules import Fault
from reconciler.core.suggest import MOST_HINTED, did_you_mean, excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What the manifests of one revision ask for.

    Attributes:
        jobs: of every Application that is not held.
        applications: every valid Application, held or not, by name, as it is in the environment; of two of one name
            the first.
        held: Applications with problems, and the problems; none of their jobs is in ``jobs``.
        problems: every problem of every file, by place, those of held Applications included.
        broken: files that cannot be read, or whose documents cannot be attributed to an Application: something may
            be declared there that is not in ``jobs``, so its absence means nothing.
        calendars: the valid ones, by name.
        windows: the valid freeze windows, by name.
        held_windows: names of freeze windows with problems; what is stored of them stays.
        windows_unknown: a freeze window may be declared where nothing can be read: none is removed.
        tokens: the access tokens by name, those with problems closed.
        renames: new key -> old key, as annotated, of ``jobs``.
        held_renames: the same of Apis that are held: what they would take over waits for them.
        environment: the chosen one; empty for none. Where it cannot be used, every Application is held.
    """

    jobs: Mapping[JobKey, Job]
    applications: Mapping[str, DeclaredApplication]
    held: Mapping[str, tuple[Problem, ...]]
    problems: tuple[Problem, ...]
    broken: frozenset[str]
    resolved: Mapping[JobKey, Resolved] = field(default_factory=dict, repr=False, compare=False)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    windows: Mapping[str, FreezeWindow] = field(default_factory=dict)
    held_windows: frozenset[str] = frozenset()
    windows_unknown: bool = False
    tokens: Mapping[str, AccessToken] = field(default_factory=dict)
    renames: Mapping[JobKey, JobKey] = field(default_factory=dict)
    held_renames: Mapping[JobKey, JobKey] = field(default_factory=dict)
    environment: str = ""
    chosen: DeclaredEnvironment | None = field(default=None, repr=False, compare=False)
    patched: Mapping[str, PatchedApplication] = field(default_factory=dict, repr=False, compare=False)

    def files_of(self, key: JobKey) -> frozenset[str]:
        """Every file that has a say in a job: its Api's, its Application's, its calendars', the environment's."""
        found = self.resolved.get(key)
        if found is None:
            return frozenset()
        files = {found.api.file, found.application.file}
        files |= {each.file for _, each in found.calendars if isinstance(each, DeclaredCalendar)}
        if self.chosen and (found.patches or self.patched[key.application].patches):
            files.add(self.chosen.file)
        return frozenset(files)


def build(
    files: Mapping[str, ParsedFile],
    previous: Desired | None = None,
    environment: str | None = None,
    source: str = ".",
) -> Desired:
    """Put the declarations of all files together.

    Args:
        files: by path.
        previous: an earlier result; jobs whose Api, Application and patches are the same as then are taken from it.
        environment: the name of the Environment whose patches are applied.
        source: what the files are called together, for a problem that stands in none of them.
    """
    building = _Building(files, previous)
    building.take_problems()
    building.take_applications()
    building.take_environment(environment or None, source)
    building.take_apis()
    building.take_chains()
    building.take_patches()
    building.take_renames()
    return building.finished(environment or "")


class _Building:
    def __init__(self, files: Mapping[str, ParsedFile], previous: Desired | None) -> None:
        self.files = [files[name] for name in sorted(files)]
        self.known = previous.resolved if previous else {}
        self.known_applications = previous.patched if previous else {}
        self.known_environment = previous.chosen if previous else None
        self.problems: list[Problem] = []
        self.held: dict[str, list[Problem]] = {}
        self.broken = {each.file for each in self.files if each.broken}
        self.unread = frozenset(self.broken)
        self.applications: dict[str, DeclaredApplication] = {}
        self.resolved: dict[JobKey, Resolved] = {}
        self.unresolved: dict[JobKey, DeclaredApi] = {}
        self.renamed: list[tuple[DeclaredApi, JobKey]] = []
        self.flawed: set[str] = set()  # names of Applications with problems of their own
        self.doubled: set[str] = set()
        self.twice: set[JobKey] = set()
        self.apis = [each for file in self.files for each in file.apis]
        self.environments = [each for file in self.files for each in file.environments]
        self.faulty = [each for file in self.files for each in file.flawed]
        self.choice = Choice()
        self.same_environment = True
        self.patching = Patching(None, {})
        self.calendars = Calendars(
            (each for file in self.files for each in file.calendars), self.faulty, frozenset(self.broken)
        )
        self.refused: list[Refused] = []  # patches that make a job follow what it cannot follow

    def take_problems(self) -> None:
        """What is wrong with single documents."""
        for file in self.files:
            self.problems.extend(file.problems)
        for flawed in self.faulty:
            if flawed.application:
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
        named: dict[str, Named] = {**self.applications}
        for flawed in self.faulty:
            if flawed.is_certainly("Application") and (other := named.setdefault(flawed.name, flawed)) is not flawed:
                self._same_name(other, flawed)
        names = self.applications.keys() | self.flawed
        for file in self.files:
            if file.flawed and any(each.application and each.application not in names for each in file.flawed):
                self.broken.add(file.file)  # whose Api it is, is as uncertain as with a name that is misspelt

    def take_environment(self, name: str | None, source: str) -> None:
        """The chosen environment and its Applications; where it cannot be used, everything is held."""
        self.choice = choose(name, self.environments, self.faulty, self.unread)
        self.same_environment = self.choice.environment is self.known_environment
        self.patching = Patching(self.choice.environment, self.known_applications)
        for each in [*self.applications.values()]:
            self.applications[each.name] = self.patching.application(each).declared
        if self.choice.refused:
            problem = Problem(file=source, line=1, column=1, field="", message=self.choice.refused)
            self.problems.append(problem)
            for each_name in self._names:
                self.held.setdefault(each_name, []).append(problem)

    def take_apis(self) -> None:
        """Every Api as a job, and the Apis that have no Application or a name that is taken."""
        uncertain = self.doubled | {name for name, each in self.patching.applications.items() if each.refusals}
        certain = {name: each for name, each in self.applications.items() if name not in uncertain}
        inheritances: dict[str, Inheritance] = {}
        for api in self.apis:  # most of them are what they were: for these it is to be quick
            if api.renamed_from is not None:
                self.renamed.append((api, api.renamed_from))
            application = certain.get(api.key.application)
            old = self._known(api, application)
            if old is None:
                self._take_api(api, application, inheritances)
            elif (first := self.resolved.setdefault(api.key, old)) is not old:
                self._same_api(first.api, api)
        for file in self.files:
            for api in file.remnants:
                self._take_remnant(api, certain.get(api.key.application), inheritances)

    def take_chains(self) -> None:
        """What is wrong with the jobs that follow others."""
        followed: dict[JobKey, JobKey] = {}
        for key, each in self.resolved.items():  # of thousands most follow none
            if each.job is None:
                other = declared_upstream(each.api)
            elif (after := each.job.schedule.after) is None:
                continue
            else:
                other = after.key
            if other is not None:
                followed[key] = other
        for key, api in self.unresolved.items():
            if (other := declared_upstream(api)) is not None:
                followed[key] = other
        if followed:
            for key, message in chain_faults(followed, self._why_missing):
                self._break_chain(key, Fault(FOLLOWED, message))

    def take_patches(self) -> None:
        """What is wrong with the environments: with the chosen one it holds Applications, with others nobody."""
        flawed = [each for each in self.faulty if each.is_certainly("Environment")]
        self.problems.extend(doubled((*self.environments, *flawed)))
        patched = [each for file in self.files for each in file.patched]
        if not (self.environments or patched):
            return
        targets = Targets(self._names, self._keys, self.flawed, self._hint)
        for environment in self.environments:
            is_chosen = environment is self.choice.environment
            for complaint in complaints(environment, targets):
                self._complain(complaint, holds=is_chosen)
            if is_chosen:
                for complaint in told(environment, self._refused()):
                    self._complain(complaint, holds=True)
        for environment in patched:
            for complaint in complaints(environment, targets):
                self._complain(complaint, holds=False)

    def take_renames(self) -> None:
        """What is wrong with the annotations that name a job to be taken over."""
        for api, problem in rename_problems(self.renamed, self._where):
            self._hold(api.key.application, problem)

    def finished(self, environment: str) -> Desired:
        """All of it, frozen; what is held has no jobs."""
        for key, each in self.resolved.items():
            for problem in each.problems:
                self._hold(key.application, problem)
        windows = self._windows()
        declared_tokens = (each for file in self.files for each in file.tokens)
        tokens = tokens_together(declared_tokens, self.faulty, self._names, self._hint)
        jobs = {key: each.job for key, each in self.resolved.items() if each.job is not None}
        if self.held:
            jobs = {key: job for key, job in jobs.items() if key.application not in self.held}
        return Desired(
            jobs=jobs,
            applications=self.applications,
            held={name: _by_place(problems) for name, problems in sorted(self.held.items())},
            problems=_by_place((*self.problems, *self.calendars.problems, *windows.problems, *tokens.problems)),
            broken=frozenset(self.broken),
            resolved=self.resolved,
            calendars=self.calendars.valid,
            windows=windows.valid,
            held_windows=windows.held,
            windows_unknown=bool(self.unread),
            tokens=tokens.tokens,
            renames={api.key: old for api, old in self.renamed if api.key in jobs},
            held_renames={api.key: old for api, old in self.renamed if api.key not in jobs},
            environment=environment,
            chosen=self.choice.environment,
            patched=self.patching.applications,
        )

    def _windows(self) -> DesiredWindows:
        declared = (each for file in self.files for each in file.windows)
        return windows_together(declared, self.faulty, self._names, self._hint)

    @property
    def _names(self) -> Collection[str]:
        """Every Application that there is, with problems or without."""
        return self.applications.keys() | self.flawed

    @cached_property
    def _keys(self) -> Collection[JobKey]:
        """Every Api that there is, with problems or without."""
        flawed = {JobKey(each.application, each.name) for each in self.faulty if each.kind == "Api"}
        return (
            self.resolved.keys() | self.unresolved.keys() | flawed
            if flawed or self.unresolved
            else self.resolved.keys()
        )

    @cached_property
    def _apis_of(self) -> Mapping[str, Collection[str]]:
        """The names of Apis by their Applications."""
        found: dict[str, set[str]] = {}
        for key in self._keys:
            found.setdefault(key.application, set()).add(key.api)
        return found

    def _where(self, key: JobKey) -> str | None:
        """File and line of an Api that is declared."""
        api = self.resolved[key].api if key in self.resolved else self.unresolved.get(key)
        if api is not None:
            return f"{api.file}:{api.line}"
        flawed = (each for each in self.faulty if each.kind == "Api" and (each.application, each.name) == key)
        return next((f"{each.problems[0].file}:{each.place.line}" for each in flawed), None)

    def _why_missing(self, key: JobKey) -> str:
        """Why there is no such job; empty where there is one, or where it is not known."""
        if key in self.resolved or key.application in self.flawed or key in self._keys:
            return ""
        if key.application not in self._names:
            return f"there is no Application `{excerpt(key.application)}`{self._hint(key.application)}"
        hint = self._meant(key.api, self._apis_of.get(key.application, ()))
        if self.unread and not hint:
            hint = f"; it may stand in {min(self.unread)}, which cannot be read in full"
        return f"there is no Api `{excerpt(key.api)}` of {key.application}{hint}"

    def _break_chain(self, key: JobKey, fault: Fault) -> None:
        """Blame the patch that makes a job follow what it cannot follow, or else its Api."""
        each = self.resolved.get(key)
        if each is None:
            self._hold(key.application, api_problem(self.unresolved[key], fault.field, fault.message))
        elif (refusal := blame(fault, each.patches, ())) is not None:
            self.refused.append(Refused(*key, refusal))
        else:
            self._hold(key.application, api_problem(each.api, fault.field, fault.message))

    def _refused(self) -> Iterator[Refused]:
        yield from self.refused
        for name, application in self.patching.applications.items():
            yield from (Refused(name, "", refusal) for refusal in application.refusals)
        for key, each in self.resolved.items():
            if each.refusals:
                yield from (Refused(*key, refusal) for refusal in each.refusals)

    def _take_api(
        self, api: DeclaredApi, application: DeclaredApplication | None, inheritances: dict[str, Inheritance]
    ) -> None:
        """An Api that is new, or is not what it was."""
        if application is None and api.key.application in self.applications:
            self._alone(api)  # what it would inherit is not known
        elif application is None:
            self._orphan(api)
        elif api.key in self.resolved:
            self._same_api(self.resolved[api.key].api, api)
        else:
            if application.name not in inheritances:
                inheritances[application.name] = Inheritance(application)
            self.resolved[api.key] = self._resolve(application, api, inheritances[application.name])

    def _known(self, api: DeclaredApi, application: DeclaredApplication | None) -> Resolved | None:
        """What became of the Api before, if that holds still."""
        old = self.known.get(api.key)
        if old is None or old.api is not api or old.application is not application:
            return None
        if old.calendars and not self.calendars.are(old.calendars):
            return None
        return old if self.same_environment else old.renewed(self.patching.patches_of(api.key))

    def _resolve(self, application: DeclaredApplication, api: DeclaredApi, inheritance: Inheritance) -> Resolved:
        return resolve_api(
            application,
            api,
            self.patching.patches_of(api.key),
            of_application=self.patching.applications[application.name].patches,
            inheritance=inheritance,
            calendars=self.calendars,
        )

    def _hold(self, application: str, problem: Problem) -> None:
        self.problems.append(problem)
        self.held.setdefault(application, []).append(problem)

    def _complain(self, complaint: Complaint, *, holds: bool) -> None:
        self.problems.append(complaint.problem)
        if holds and complaint.application:
            self.held.setdefault(complaint.application, []).append(complaint.problem)

    def _meant(self, name: str, known: Collection[str]) -> str:
        """What it was probably meant to be; not told to one who has hundreds of problems, for it takes a while."""
        return did_you_mean(name, known) if len(self.problems) < MOST_HINTED else ""

    def _hint(self, name: str) -> str:
        """What an Application's name was probably meant to be, or where it may stand."""
        hint = self._meant(name, self._names)
        if hint or not self.unread:
            return hint
        return f"; it may stand in {min(self.unread)}, which cannot be read in full"

    def _same_name(self, first: Named, second: Named) -> None:
        pairs = [(second, first)] if first.name in self.doubled else [(second, first), (first, second)]
        self.doubled.add(first.name)
        for one, other in pairs:
            message = f"another Application has this name: {other.file}:{other.name_place.line}"
            self._hold(one.name, problem_at(one.file, one.name_place, "metadata.name", message))

    def _same_api(self, first: DeclaredApi, second: DeclaredApi) -> None:
        pairs = [(second, first)] if first.key in self.twice else [(second, first), (first, second)]
        self.twice.add(first.key)
        for one, other in pairs:
            place = f"{other.file}:{other.place_of('name').line}"
            message = f"another Api of {one.key.application} has this name: {place}"
            self._hold(one.key.application, api_problem(one, "name", message))

    def _alone(self, api: DeclaredApi) -> None:
        """Every problem is told at once, also of an Api that cannot become a job for its Application's sake."""
        self._not_resolved(api)
        days = self.calendars.days(api.spec)
        self._tell(api, faults_alone(api), days)

    def _not_resolved(self, api: DeclaredApi) -> None:
        """An Api that does not become a job has a name all the same."""
        taken = self.resolved.get(api.key)
        first = self.unresolved.setdefault(api.key, api) if taken is None else taken.api
        if first is not api:
            self._same_api(first, api)

    def _tell(self, api: DeclaredApi, faults: Iterable[Fault], days: Days) -> None:
        """What is wrong with an Api that does not become a job."""
        for fault in (*days.faults, *faults):
            self._hold(api.key.application, api_problem(api, fault.field, fault.message))
        for problem in days.problems:
            self._hold(api.key.application, problem)

    def _take_remnant(
        self, api: DeclaredApi, application: DeclaredApplication | None, inheritances: dict[str, Inheritance]
    ) -> None:
        """What is sound of an Api with problems; of its schedule itself everything is said."""
        if api.renamed_from is not None:
            self.renamed.append((api, api.renamed_from))
        self._not_resolved(api)
        if api.key.application not in self._names:
            self._without_application(api)
        elif not self.patching.patches_of(api.key):  # with them it may be all right
            days = self.calendars.days(api.spec)
            if application is None:
                self._tell(api, call_faults_alone(api.spec), days)
            else:
                inheritance = inheritances.setdefault(application.name, Inheritance(application))
                self._tell(api, inheritance.call_faults(api.spec), days)

    def _orphan(self, api: DeclaredApi) -> None:
        """Its Application was removed, misspelt or stands in what cannot be read: then that one must lose nothing."""
        name = api.key.application
        if name in self.flawed:  # that it has problems is known
            self._alone(api)
            return
        self._not_resolved(api)
        self._without_application(api)
        self.broken.add(api.file)

    def _without_application(self, api: DeclaredApi) -> None:
        name = api.key.application
        unread = sorted(self.unread - {api.file}) or sorted(self.unread)
        hint = self._meant(name, self._names)
        if unread and not hint:
            hint = f"; it may stand in {unread[0]}, which cannot be read in full"
        self._hold(name, api_problem(api, "application", f"there is no Application `{excerpt(name)}`{hint}"))


def _by_place(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line, problem.column)))
