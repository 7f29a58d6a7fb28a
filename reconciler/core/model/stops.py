"""What keeps a job from running for a while. Forbidden here: decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.core.model.jobs import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWindow:
    """A declared span of time, coming again and again, in which slots are not run, or outside which they are not.

    Attributes:
        mode: ``deny``: no slot runs in it; ``allow``: for the Applications named, no slot runs outside all of these.
        start: when it begins.
        duration: how long it lasts from there; windows of one declaration may overlap.
        applications: names, or patterns with ``*``, of the Applications that it is for.
        catch_up: ``none``, or ``latest``: when it ends, each job whose slots it froze runs once.
        description: why, for people.
        file, line: where it is declared.
    """

    name: str
    mode: str
    start: Schedule
    duration: timedelta
    applications: tuple[str, ...] = ("*",)
    catch_up: str = "none"
    description: str = ""
    file: str = ""
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An operator's temporary stop of an Application or one job; syncs never undo it, and it ends by itself.

    Attributes:
        id: unique, sortable by time.
        api: ``None`` for the whole Application.
        by: who, as ``user@host``.
        until: its end; slots at or after it run.
        ended_at: when somebody ended it early.
        ended_by: who did.
    """

    id: str
    application: str
    api: str | None = None
    reason: str
    by: str
    since: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str = ""

    @property
    def target(self) -> str:
        """What is paused, as people write it: ``app`` or ``app/api``."""
        return self.application if self.api is None else f"{self.application}/{self.api}"


class StopKind(StrEnum):
    """Why a job is not run for now."""

    SUSPENDED = "suspended"
    PAUSED = "paused"
    FROZEN = "frozen"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One thing that keeps a job from running, declared or operational.

    Attributes:
        reason: for people; see ``core.stops.said`` for what a skipped run says.
        since: when it began; ``None`` where that is not known (a suspension).
        until: when it ends by itself; ``None`` if never.
        by: who paused it, or which window froze it.
    """

    kind: StopKind
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    by: str = ""
