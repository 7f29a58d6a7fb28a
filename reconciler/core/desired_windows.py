"""Freeze windows from their manifests: the start resolved, the names taken, the Applications that they are for.

Forbidden here: when a window is open (``core.windows``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.declared import DeclaredWindow, Flawed, problem_at
from reconciler.core.desired_alike import Named, for_nobody, with_flawed, with_others
from reconciler.core.model import FreezeWindow, Problem, Schedule
from reconciler.core.schedules import Fault, faults_beside, faults_of, resolve
from reconciler.core.yaml import Document
from schemas.freeze_window import FreezeWindow as Manifest


def window_faults(manifest: Manifest) -> Iterator[Fault]:
    """What is wrong with the start of a window that is valid otherwise; the fields are those of its spec."""
    spec = manifest.spec
    yield from faults_beside(spec.start, spec, "start")
    yield from faults_of(
        spec.start, spec, zone=spec.time_zone or "UTC", seed=seed_of(manifest.metadata.name), name="start"
    )


def declare_window(manifest: Manifest, document: Document, file: str) -> DeclaredWindow:
    """The window of a manifest without faults."""
    spec = manifest.spec
    window = FreezeWindow(
        name=manifest.metadata.name,
        mode=spec.mode,
        start=_start(manifest),
        duration=spec.duration,
        applications=spec.applications,
        catch_up=spec.catch_up,
        description=spec.description,
        file=file,
        line=document.place.line,
    )
    count = len(spec.applications) if "applications" in spec.model_fields_set else 0
    return DeclaredWindow(
        window=window,
        name_place=document.value_at(("metadata", "name")),
        pattern_places=tuple(document.value_at(("spec", "applications", index)) for index in range(count)),
    )


def _start(manifest: Manifest) -> Schedule:
    spec = manifest.spec
    return resolve(
        spec.start,
        zone=spec.time_zone or "UTC",
        starts_at=spec.starts_at,
        ends_at=spec.ends_at,
        seed=seed_of(manifest.metadata.name),
    )


def seed_of(name: object) -> str:
    """What ``H`` is derived from in the start of the window of that name."""
    return f"FreezeWindow {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredWindows:
    """The windows that are valid, the names of those that are not, and the problems that only show together."""

    valid: dict[str, FreezeWindow]
    held: frozenset[str]
    problems: tuple[Problem, ...]


def windows_together(
    declared: Iterable[DeclaredWindow],
    flawed: Iterable[Flawed],
    applications: Collection[str],
    hint: Callable[[str], str],
) -> DesiredWindows:
    """Put the windows of all files together.

    Args:
        declared: in the order of their files.
        flawed: documents with problems, of any kind.
        applications: the names of all Applications, those with problems included.
        hint: what a name that no Application has was probably meant to be.
    """
    by_name: dict[str, list[DeclaredWindow]] = {}
    for each in declared:
        by_name.setdefault(each.name, []).append(each)
    flawed = [each for each in flawed if each.kind == "FreezeWindow"]
    held = {each.name for each in flawed}
    problems = [problem for each in flawed for problem in for_nobody(each, each.patterns, applications, hint)]
    named = with_flawed(by_name, flawed, "FreezeWindow")
    for name, alike in named.items():
        found = [
            *_same_name(alike),
            *(
                problem
                for each in by_name.get(name, ())
                for problem in for_nobody(each, each.window.applications, applications, hint)
            ),
        ]
        problems.extend(found)
        held |= {name} if found else set()
    return DesiredWindows(
        valid={name: same[0].window for name, same in sorted(by_name.items()) if name not in held},
        held=frozenset(held),
        problems=tuple(problems),
    )


def _same_name(windows: Sequence[Named]) -> Iterator[Problem]:
    for each, where in with_others(windows):
        yield problem_at(each.file, each.name_place, "metadata.name", f"another FreezeWindow has this name: {where}")
