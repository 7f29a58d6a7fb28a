"""``kind: FreezeWindow``: a span of time that comes again and again, in which nothing is called, or outside which...

Forbidden here: which instants lie in a window, and what becomes of them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.base import MAX_ITEMS, Description, Few, Manifest, Pattern, PositiveDuration, Strict, Zone
from schemas.schedule import Instant, Start

_LONGEST = timedelta(days=366)  # a leap year; what never ends is `suspend`


def _not_too_long(value: timedelta) -> timedelta:
    if value > _LONGEST:
        raise ValueError("a window lasts at most 366d; `suspend` stops an Application for good")
    return value


class FreezeWindowSpec(Strict):
    """When it begins, how long it lasts, and whom it is for."""

    description: Description = ""
    mode: Literal["deny", "allow"] = Field(
        default="deny",
        description="deny: no slot runs in it. allow: no slot runs outside it, nor outside other windows that allow. "
        "deny wins.",
    )
    start: Start = Field(
        description="When it begins, in any form of a schedule; one that begins while the last one lasts prolongs it."
    )
    duration: Annotated[PositiveDuration, AfterValidator(_not_too_long)] = Field(
        description="How long it lasts from each beginning, 366d at most."
    )
    time_zone: Zone | None = Field(default=None, description="The zone of `start`; UTC unless declared.")
    starts_at: Instant | None = Field(default=None, description="It does not begin before this instant.")
    ends_at: Instant | None = Field(default=None, description="It does not begin after this instant.")
    applications: Annotated[tuple[Pattern, ...], Field(strict=False, min_length=1, max_length=MAX_ITEMS), Few] = Field(
        default=("*",), description="The Applications that it is for: names, or patterns with `*`."
    )
    catch_up: Literal["none", "latest"] = Field(
        default="none", description="latest: once it is over, each job whose slots it froze runs once."
    )


class FreezeWindow(Manifest):
    """A span of time in which nothing is called."""

    kind: Annotated[Literal["FreezeWindow"], Field(description="FreezeWindow")]
    spec: FreezeWindowSpec = Field(description="When it begins, how long it lasts, and whom it is for.")
