"""Reading a source once, for the commands that look at what is declared. Forbidden here: printing, and any store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from reconciler.app import wiring
from reconciler.cli import console
from reconciler.core.desired import Desired
from reconciler.core.model import Problem, Snapshot
from reconciler.services.declarations import Declarations
from reconciler.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a source declares.

    Attributes:
        name: what people call the source.
        place: what stands as the file of a problem of the source as a whole.
        problems: every problem of every file, by place.
    """

    name: str
    place: str
    snapshot: Snapshot
    desired: Desired
    problems: tuple[Problem, ...]


def read(settings: Settings) -> Reading:
    """Read the source that the settings name, with a progress bar where it takes long.

    Raises:
        SourceError: it cannot be read as a whole.
        SettingsError: it is none.
    """
    source = wiring.open_source(settings)
    declarations = Declarations(source.name, settings.environment)
    snapshot = asyncio.run(source.fetch({}))
    with console.Progress("Reading manifests") as progress:
        desired = declarations.update(snapshot, progress.step)
    return Reading(
        name=source.name, place=source.name, snapshot=snapshot, desired=desired, problems=declarations.problems
    )
