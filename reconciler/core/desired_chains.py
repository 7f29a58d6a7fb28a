"""Jobs that follow other jobs, as declared: what they name must be there, and no job may come to follow itself.

Forbidden here: what starts when a run has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconciler.core.declared import DeclaredApi
from reconciler.core.model import JobKey
from reconciler.core.schedules import upstream
from schemas.schedule import After

_MOST_NAMED = 10  # members of a circle in one problem


def declared_upstream(api: DeclaredApi) -> JobKey | None:
    """The job that an Api follows, as its manifest has it."""
    schedule = api.spec.schedule
    return upstream(schedule, api.key.application) if isinstance(schedule, After) else None


def chain_faults(followed: Mapping[JobKey, JobKey], missing: Callable[[JobKey], str]) -> Iterator[tuple[JobKey, str]]:
    """What is wrong with following: the job that follows, and why it cannot.

    Args:
        followed: each job that follows another one, and which.
        missing: why there is no such job; empty where there is, or may be.
    """
    closed = circles(followed)
    for key, other in followed.items():
        if (message := missing(other)) or (message := closed.get(key, "")):
            yield key, message


def circles(followed: Mapping[JobKey, JobKey]) -> dict[JobKey, str]:
    """Each job that comes to follow itself, with the circle in words, which begins with that job."""
    found: dict[JobKey, str] = {}
    passed: set[JobKey] = set()
    for start in followed:
        walk: dict[JobKey, None] = {}
        key: JobKey | None = start
        while key is not None and key not in passed and key not in walk:
            walk[key] = None
            key = followed.get(key)
        if key is not None and key in walk:
            members = [*walk][[*walk].index(key) :]
            for index, member in enumerate(members):
                found[member] = _in_words(members, index)
        passed |= walk.keys()
    return found


def _in_words(members: list[JobKey], first: int) -> str:
    if len(members) == 1:
        return "a job cannot follow itself"
    named = [
        str(key) for key in (members[first : first + _MOST_NAMED] + members[: min(first, _MOST_NAMED)])[:_MOST_NAMED]
    ]
    named += [f"{len(members) - _MOST_NAMED} more"] if len(members) > _MOST_NAMED else []
    return f"these jobs follow each other in a circle: {' after '.join([*named, str(members[first])])}"
