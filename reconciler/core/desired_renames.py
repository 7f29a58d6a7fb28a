"""Jobs that take over others, as annotated: which do, and which cannot.

Forbidden here: what is carried over, which is the store's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from reconciler.core.declared import DeclaredApi
from reconciler.core.model import JobKey, Problem
from reconciler.core.resolved import api_problem
from schemas.annotations import RENAMED_FROM


def rename_problems(
    renamed: Iterable[tuple[DeclaredApi, JobKey]], where: Callable[[JobKey], str | None]
) -> Iterator[tuple[DeclaredApi, Problem]]:
    """What stands in the way of a renaming, each with the Api that asks for it.

    Args:
        renamed: every Api that has the annotation, and the job that it names.
        where: file and line where a job is declared, if it is.
    """
    by_old: dict[JobKey, list[DeclaredApi]] = {}
    for api, old in renamed:
        by_old.setdefault(old, []).append(api)
    for old, takers in by_old.items():
        place = where(old)
        for api in takers:
            rival = next((each for each in takers if each.key != api.key), None)
            if api.key == old:
                yield api, api_problem(api, RENAMED_FROM, f"{old} cannot be renamed from itself; remove the annotation")
            elif place is not None:
                yield (
                    api,
                    api_problem(api, RENAMED_FROM, f"{old} is declared still, at {place}; remove it or the annotation"),
                )
            elif rival is not None:
                message = (
                    f"{rival.key} is renamed from {old} too ({rival.file}:{rival.line}); only one can take it over"
                )
                yield api, api_problem(api, RENAMED_FROM, message)
