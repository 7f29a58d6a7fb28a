"""One Api of an Application to what became of it: a job, problems of its own, or refusals of patches.

Forbidden here: looking at a second Api.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.core.declared import DeclaredApi, DeclaredApplication, problem_at
from reconciler.core.desired_calendars import Calendars, Found
from reconciler.core.environments import Patches, blame, patched_api, still_good
from reconciler.core.inherit import Inheritance
from reconciler.core.model import Job, Problem
from reconciler.core.patches import Refusal


class Resolved(NamedTuple):
    """What became of an Api, for as long as it, its Application and its patches are the same.

    Attributes:
        application: as it is in the environment.
        api: as its manifest has it.
        calendars: the names of those that it refers to, each with what stood under it.
    """

    application: DeclaredApplication
    api: DeclaredApi
    patches: Patches
    job: Job | None = None
    problems: tuple[Problem, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    calendars: tuple[tuple[str, Found], ...] = ()

    def renewed(self, patches: Patches) -> Resolved | None:
        """The same with these patches, if nothing else comes of them."""
        if not still_good(self.patches, patches, clean=not (self.problems or self.refusals)):
            return None
        return self._replace(patches=patches)


def resolve_api(
    application: DeclaredApplication,
    api: DeclaredApi,
    patches: Patches,
    *,
    of_application: Patches,
    inheritance: Inheritance,
    calendars: Calendars,
) -> Resolved:
    """Patch an Api and let it inherit.

    Args:
        application: as it is in the environment.
        api: as its manifest has it.
        patches: those of the Api, in their order.
        of_application: those that the Application has been through.
        inheritance: of the Application.
        calendars: those that there are.
    """
    resolved = Resolved(application, api, patches)
    declared = patched_api(api, patches)
    if isinstance(declared, tuple):
        return resolved._replace(refusals=declared)
    days = calendars.days(declared.spec)
    resolved = resolved._replace(problems=days.problems, calendars=days.found)
    result = inheritance.job(declared, days)
    if isinstance(result, Job) and not (days.faults or days.problems):
        return resolved._replace(job=result)
    problems: list[Problem] = [*days.problems]
    refusals: list[Refusal] = []
    for fault in (*days.faults, *(() if isinstance(result, Job) else result)):
        if (refusal := blame(fault, patches, of_application)) is not None:
            refusals.append(refusal)
        else:
            problems.append(api_problem(api, fault.field, fault.message))
    return resolved._replace(problems=tuple(problems), refusals=tuple(refusals))


def api_problem(api: DeclaredApi, name: str, message: str) -> Problem:
    """A problem with one field of an Api."""
    return problem_at(api.file, api.place_of(name), api.path_of(name), message)
