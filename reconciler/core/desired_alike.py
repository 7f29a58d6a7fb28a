"""What freeze windows and access tokens have in common: names that two of them claim, and patterns for nobody.

Forbidden here: what follows from it; that is different for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from reconciler.core.declared import Flawed, problem_at
from reconciler.core.model import Problem
from reconciler.core.suggest import excerpt
from reconciler.core.windows import matches
from reconciler.core.yaml import Place


class Named(Protocol):
    """What stands in a file under a name."""

    @property
    def name(self) -> str:
        """How it is called."""

    @property
    def file(self) -> str:
        """Where it is declared."""

    @property
    def name_place(self) -> Place:
        """Where its name stands."""


class Aimed(Named, Protocol):
    """What is for some Applications only."""

    @property
    def pattern_places(self) -> Sequence[Place]:
        """Where each pattern of Applications stands."""


N = TypeVar("N", bound=Named)


def with_others(same: Sequence[N]) -> Iterator[tuple[N, str]]:
    """Each of those that are alike, with where another one stands; nothing where one is alone."""
    for index, each in enumerate(same if len(same) > 1 else ()):
        other = same[0] if index else same[1]
        yield each, f"{other.file}:{other.name_place.line}"


def with_flawed(by_name: Mapping[str, Sequence[Named]], flawed: Iterable[Flawed], kind: str) -> dict[str, list[Named]]:
    """Those of one kind by their names, and behind them the documents with problems that surely have these names."""
    found = {name: [*same] for name, same in by_name.items()}
    for each in flawed:
        if each.is_certainly(kind):
            found.setdefault(each.name, []).append(each)
    return found


def for_nobody(
    declared: Aimed, patterns: Sequence[str], applications: Collection[str], hint: Callable[[str], str]
) -> Iterator[Problem]:
    """Patterns that fit no Application; a bare ``*`` is for whoever will be there."""
    for index, place in enumerate(declared.pattern_places):
        pattern = patterns[index]
        if pattern == "*" or pattern in applications or any(matches(pattern, name) for name in applications):
            continue
        message = f"no Application matches `{pattern}`"
        if "*" not in pattern:
            message = f"there is no Application `{excerpt(pattern)}`{hint(pattern)}"
        yield problem_at(declared.file, place, f"spec.applications[{index}]", message)
