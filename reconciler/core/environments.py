"""Environments: which one is chosen, what its patches are for, and the Applications and Apis as they are there.

It fails closed: where it is not certain what an environment changes, what it might change is held, so that nothing that
is meant for production is called from elsewhere. Forbidden here: merging (``core.merge``), and words about fields
(``core.patches``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from reconciler.core.declared import (
    DeclaredApi,
    DeclaredApplication,
    DeclaredEnvironment,
    DeclaredPatch,
    Flawed,
    Path,
    problem_at,
)
from reconciler.core.desired_alike import Named
from reconciler.core.model import JobKey, Problem
from reconciler.core.patches import Refusal, culprit, patched
from reconciler.core.schedules import Fault
from reconciler.core.suggest import closest, did_you_mean, excerpt
from reconciler.core.windows import matches
from reconciler.core.yaml import field_name

Patches = tuple[DeclaredPatch, ...]

# Which fields of an Api may be the reason that another one has no meaning.
_CAUSES: Final[Mapping[str, tuple[Path, ...]]] = {
    "schedule": (("schedule",), ("startsAt",), ("endsAt",), ("timeZone",)),
    "endsAt": (("endsAt",), ("startsAt",), ("schedule",), ("timeZone",)),
    "startsAt": (("startsAt",), ("schedule",)),
    "timeZone": (("timeZone",), ("schedule",)),
    "except": (("except",), ("schedule",)),
    "only": (("only",), ("schedule",)),
    "auth": (("auth",), ("request", "headers")),
}
# The same among the patches of the Application.
_CAUSES_ABOVE: Final[Mapping[str, tuple[Path, ...]]] = {
    "request": (("baseUrl",),),
    "auth": (("auth",), ("baseUrl",), ("defaults", "headers")),
}
_MOST_PLACES: Final = 3  # that one message names
_INDEX: Final = re.compile(r"\[\d+\]$")


class Choice(NamedTuple):
    """The chosen environment, or why it cannot be used; neither where none is chosen."""

    environment: DeclaredEnvironment | None = None
    refused: str = ""


def choose(
    name: str | None, declared: Iterable[DeclaredEnvironment], flawed: Iterable[Flawed], unread: Collection[str]
) -> Choice:
    """Find the environment of that name.

    Args:
        name: ``None`` for none.
        declared: the valid ones of all files.
        flawed: documents with problems, of any kind.
        unread: files that cannot be read in full.
    """
    if name is None:
        return Choice()
    found = [each for each in declared if each.name == name]
    bad = [each for each in flawed if each.kind == "Environment" and each.name == name]
    held = "every Application is held"
    if bad:
        first = bad[0].problems[0]
        return Choice(refused=f"Environment `{name}` has problems ({first.file}:{first.line}); {held}")
    if len(found) > 1:
        places = ", ".join(f"{each.file}:{each.name_place.line}" for each in found[:_MOST_PLACES])
        places += f" and {more} more" if (more := len(found) - _MOST_PLACES) > 0 else ""
        return Choice(refused=f"Environment `{name}` is declared {len(found)} times ({places}); {held}")
    if not found:
        hint = did_you_mean(name, {each.name for each in declared} | _names(flawed))
        if unread and not hint:
            hint = f"; it may stand in {min(unread)}, which cannot be read in full"
        return Choice(refused=f"there is no Environment `{excerpt(name)}`{hint}; {held}")
    return Choice(environment=found[0])


def _names(flawed: Iterable[Flawed]) -> set[str]:
    return {each.name for each in flawed if each.kind == "Environment"}


def doubled(declared: Iterable[Named]) -> Iterator[Problem]:
    """Environments of one name; each names another."""
    first: dict[str, Named] = {}
    told: set[str] = set()
    for each in declared:
        other = first.setdefault(each.name, each)
        if other is each:
            continue
        pairs = [(each, other)] if each.name in told else [(each, other), (other, each)]
        told.add(each.name)
        for one, another in pairs:
            message = f"another Environment has this name: {another.file}:{another.name_place.line}"
            yield problem_at(one.file, one.name_place, "metadata.name", message)


class Targets:
    """What there is to be patched.

    Args:
        applications: the names of all Applications, those with problems included.
        apis: the keys of all Apis, those with problems included.
        uncertain: Applications whose Apis are not all known.
        hint: what a name that no Application has was probably meant to be.
    """

    def __init__(
        self,
        applications: Collection[str],
        apis: Collection[JobKey],
        uncertain: Collection[str],
        hint: Callable[[str], str],
    ) -> None:
        self._applications = applications
        self._apis = apis
        self._uncertain = uncertain
        self._hint = hint
        self._apis_of: dict[str, set[str]] = {}
        for key in apis:
            self._apis_of.setdefault(key.application, set()).add(key.api)

    def applications_of(self, patch: DeclaredPatch) -> list[str]:
        """The Applications that it is for, or that the Apis are of."""
        if "*" not in patch.application:
            return [patch.application] if patch.application in self._applications else []
        return [name for name in self._applications if matches(patch.application, name)]

    def fault(self, patch: DeclaredPatch) -> tuple[str, str, str] | None:
        """The field that is for nothing, why, and the Application that may be meant; ``None`` if all is well."""
        if not self._has_application(patch.application):
            if "*" in patch.application:
                return "application", f"no Application matches `{patch.application}`", ""
            name = excerpt(patch.application)
            meant = closest(patch.application, self._applications) or ""
            return "application", f"there is no Application `{name}`{self._hint(patch.application)}", meant
        if patch.api is None or self._has_api(patch.application, patch.api):
            return None
        only = patch.application if "*" not in patch.application else ""
        if "*" in patch.api:
            return "api", f"no Api of `{patch.application}` matches `{patch.api}`", only
        known = {name for names in self._of(patch.application) for name in names}
        owner = only or f"any Application that matches `{patch.application}`"
        return "api", f"there is no Api `{excerpt(patch.api)}` of {owner}{did_you_mean(patch.api, known)}", only

    def _has_application(self, pattern: str) -> bool:
        if "*" not in pattern:
            return pattern in self._applications
        return pattern == "*" or any(matches(pattern, name) for name in self._applications)

    def _has_api(self, application: str, api: str) -> bool:
        if "*" not in application:
            if application in self._uncertain or JobKey(application, api) in self._apis:
                return True
        elif any(matches(application, name) for name in self._uncertain):
            return True
        if api == "*":
            return True
        return any(
            api in names or ("*" in api and any(matches(api, name) for name in names))
            for names in self._of(application)
        )

    def _of(self, pattern: str) -> Iterator[set[str]]:
        """The names of the Apis of each Application that is meant."""
        if "*" not in pattern:
            yield self._apis_of.get(pattern, set())
            return
        yield from (names for application, names in self._apis_of.items() if matches(pattern, application))


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Why a patch cannot be applied: the problem, and the Application that is held for it; empty for none."""

    problem: Problem
    application: str = ""


def complaints(environment: DeclaredEnvironment, targets: Targets) -> Iterator[Complaint]:
    """What is wrong with an environment's patches by themselves, and with what they name."""
    for patch in environment.patches:
        for path, place, message in patch.faults:
            problem = problem_at(environment.file, place, _field(patch, path), message)
            yield Complaint(problem=problem)
            yield from (Complaint(problem=problem, application=name) for name in targets.applications_of(patch))
        if (found := targets.fault(patch)) is not None:
            name, message, held = found
            field = field_name(("spec", "patches", patch.index, name))
            problem = problem_at(environment.file, patch.targets[name], field, message)
            yield Complaint(problem=problem, application=held)


def _field(patch: DeclaredPatch, path: Path) -> str:
    return field_name(("spec", "patches", patch.index, "spec", *path))


class Refused(NamedTuple):
    """A refusal and whom it is about: an Application, or an Api of it."""

    application: str
    api: str
    refusal: Refusal

    @property
    def target(self) -> str:
        """Whom, as people write it."""
        return f"{self.application}/{self.api}" if self.api else self.application


def told(environment: DeclaredEnvironment, refused: Iterable[Refused]) -> Iterator[Complaint]:
    """Refusals as complaints: of one patch for thousands of Apis, one problem that names the first of them."""
    alike: dict[tuple[int, Path, str], list[Refused]] = {}
    for each in refused:
        _, path, message = each.refusal
        alike.setdefault((each.refusal.patch.index, path, message), []).append(each)
    for (_, path, message), same in alike.items():
        patch, place = same[0].refusal.patch, same[0].refusal.place
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        where = f" (in {same[0].target}{more})" if "*" in f"{patch.application}{patch.api}" else ""
        problem = problem_at(environment.file, place, _field(patch, path), f"{message}{where}")
        yield from (Complaint(problem=problem, application=each.application) for each in same)


class PatchedApplication(NamedTuple):
    """An Application as it is in the environment; the original where the patches are refused."""

    original: DeclaredApplication
    patches: Patches
    declared: DeclaredApplication
    refusals: tuple[Refusal, ...] = ()


class Patching:
    """The chosen environment's patches, put to use; without an environment everything stays what it is.

    What was patched before and has not changed is the same object again, so that what rests on it can be kept too.
    """

    def __init__(self, environment: DeclaredEnvironment | None, known: Mapping[str, PatchedApplication]) -> None:
        usable = [patch for patch in environment.patches if not patch.faults] if environment else []
        self._of_applications = [patch for patch in usable if patch.api is None]
        self._of_apis = [patch for patch in usable if patch.api is not None]
        self._known = known
        self._for_apis: dict[str, Patches] = {}
        self.applications: dict[str, PatchedApplication] = {}

    def application(self, declared: DeclaredApplication) -> PatchedApplication:
        """The Application with its own patches merged in."""
        patches = tuple(each for each in self._of_applications if matches(each.application, declared.name))
        known = self._known.get(declared.name)
        if known and known.original is declared and still_good(known.patches, patches, clean=not known.refusals):
            result = known._replace(patches=patches)
        else:
            result = _patched_application(declared, patches)
        self.applications[declared.name] = result
        return result

    def patches_of(self, key: JobKey) -> Patches:
        """The patches of one Api, in their order."""
        if not self._of_apis:
            return ()
        found = self._for_apis.get(key.application)
        if found is None:
            found = tuple(each for each in self._of_apis if matches(each.application, key.application))
            self._for_apis[key.application] = found
        return tuple(each for each in found if each.api in ("*", key.api) or matches(each.api or "", key.api))


def still_good(known: Patches, patches: Patches, *, clean: bool) -> bool:
    """Whether what came of some patches holds for these: the same ones, or equal ones where nothing was wrong."""
    if known == patches:
        return True
    return clean and [each.spec for each in known] == [each.spec for each in patches]


def _patched_application(declared: DeclaredApplication, patches: Patches) -> PatchedApplication:
    if not patches:
        return PatchedApplication(declared, patches, declared)
    spec = patched(declared.manifest.spec, patches)
    if isinstance(spec, tuple):
        return PatchedApplication(declared, patches, declared, spec)
    manifest = declared.manifest.model_copy(update={"spec": spec})
    return PatchedApplication(declared, patches, replace(declared, manifest=manifest))


def patched_api(api: DeclaredApi, patches: Patches) -> DeclaredApi | tuple[Refusal, ...]:
    """An Api with its patches merged in."""
    if not patches:
        return api
    spec = patched(api.spec, patches)
    return spec if isinstance(spec, tuple) else replace(api, spec=spec)


def _ends_of(field: str) -> tuple[Path, ...]:
    """``schedule.after.job``, ``schedule.after`` and ``schedule``, as paths."""
    steps = tuple(field.split("."))
    return tuple(steps[:end] for end in range(len(steps), 0, -1))


def blame(fault: Fault, patches: Patches, of_application: Patches) -> Refusal | None:
    """The patch that an Api with its patches cannot become a job for; ``None`` where none of them is the reason."""
    field = _INDEX.sub("", fault.field)
    for path in _CAUSES.get(field, _ends_of(field)):
        if any(patch.names(path) for patch in patches):
            return Refusal(culprit(path, patches), path, fault.message)
    for path in _CAUSES_ABOVE.get(field, (("defaults", "timeZone"),)):
        if any(patch.names(path) for patch in of_application):
            return Refusal(culprit(path, of_application), path, fault.message)
    return None
