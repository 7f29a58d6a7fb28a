"""``kind: Calendar``: days by name, so that schedules can leave them out, or run on them alone.

Forbidden here: which instants lie on a day, and what becomes of their slots.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from schemas.base import MAX_ITEMS, Description, Few, Manifest, Strict, Zone
from schemas.schedule import WEEKDAYS

_DATE: Final = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})", re.ASCII)
_LEAP_YEAR: Final = 2024  # has every day that some year has


def parse_day(value: object) -> str:
    """Accept ``2026-12-25``, or ``12-25`` for every year; one of ``02-29`` comes in leap years alone.

    Raises:
        ValueError: not in that form, or a day that does not exist.
    """
    if not isinstance(value, str) or not (match := _DATE.fullmatch(value)):
        raise ValueError("not a day; write it like 2026-12-25, or 12-25 for every year")
    year, month, day = match.groups()
    try:
        date(int(year or _LEAP_YEAR), int(month), int(day))
    except ValueError:
        raise ValueError(f"{value} does not exist") from None
    return value


def has_year(day: str) -> bool:
    """Whether it is one day, and not one of every year."""
    return len(day) > len("12-25")


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _weekday(value: str) -> str:
    if value not in WEEKDAYS:
        raise ValueError(f"not a weekday; write {', '.join(WEEKDAYS)}")
    return value


Day = Annotated[
    str,
    PlainValidator(parse_day),
    WithJsonSchema({"type": "string", "pattern": r"^(\d{4}-)?\d{2}-\d{2}$", "examples": ["2026-12-25", "12-25"]}),
]
PlainWeekday = Annotated[
    str,
    BeforeValidator(_upper),
    AfterValidator(_weekday),
    WithJsonSchema({"type": "string", "examples": ["SAT", "SUN"]}),
]


class Range(Strict):
    """Days that follow each other."""

    first: Day = Field(alias="from", description="The first day, included: 2026-12-24, or 12-24 for every year.")
    last: Day = Field(alias="to", description="The last day, included; without a year it may lie before `from`.")

    @model_validator(mode="after")
    def _fits_together(self) -> Range:
        if has_year(self.first) != has_year(self.last):
            raise ValueError("give both days with a year, or both without")
        if has_year(self.first) and self.first > self.last:
            raise ValueError(f"`from` {self.first} lies after `to` {self.last}: there is no day between them")
        return self


class CalendarSpec(Strict):
    """Which days it names; a day that is named twice is one day."""

    description: Description = ""
    time_zone: Zone | None = Field(default=None, description="Where its days begin and end; UTC unless declared.")
    dates: Annotated[tuple[Day, ...], Field(strict=False, max_length=MAX_ITEMS), Few] = Field(
        default=(), description="Single days: 2026-12-25, or 12-25 for every year."
    )
    weekly: Annotated[tuple[PlainWeekday, ...], Field(strict=False, max_length=MAX_ITEMS), Few] = Field(
        default=(), description="Days of every week, SUN to SAT."
    )
    ranges: Annotated[tuple[Range, ...], Field(strict=False, max_length=MAX_ITEMS), Few] = Field(
        default=(), description="Days that follow each other, the first and the last included."
    )


class Calendar(Manifest):
    """Days by name."""

    kind: Annotated[Literal["Calendar"], Field(description="Calendar")]
    spec: CalendarSpec = Field(description="Which days it names.")
