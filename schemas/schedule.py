"""When a call is due: a cron string, ``every``, ``at`` or ``frequency``; or ``after`` another job's runs.

Shapes only. Whether a cron expression has a meaning, and which instants it names, is decided by
``reconciler.core.cron`` and ``reconciler.core.timetable``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from schemas.base import MAX_ITEMS, Few, LackingError, Name, PositiveDuration, Strict, Zone, format_duration

_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)([Zz]|[+-]\d{2}:\d{2})?)?", re.ASCII
)
_SHORTEST = timedelta(milliseconds=100)
_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?", re.ASCII)
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_WEEKDAY = re.compile(rf"({'|'.join(WEEKDAYS)})(#[1-5]|#L)?")


def parse_instant(value: object) -> datetime:
    """Read an ISO 8601 date or date-time; without an offset it is wall time in the job's zone, hence naive.

    Raises:
        ValueError: not in that form, or a date that does not exist.
    """
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not (match := _INSTANT.fullmatch(value)):
        raise ValueError("not an instant; write it like 2026-12-01T10:00:00 or 2026-12-01T10:00:00Z")
    day, clock, offset = match.groups()
    try:
        date.fromisoformat(day)
        text = f"{day}T{clock or '00:00'}{'+00:00' if offset in ('Z', 'z') else offset or ''}"
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{value} does not exist: {error}") from None


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_too_often(value: timedelta) -> timedelta:
    if value < _SHORTEST:
        raise ValueError(f"shorter than {format_duration(_SHORTEST)}: a schedule is no load generator")
    return value


def _weekday(value: str) -> str:
    if not _WEEKDAY.fullmatch(value):
        raise ValueError(f"not a weekday; write {', '.join(WEEKDAYS)}, or MON#2 and FRI#L within a month")
    return value


def _day(value: object) -> int | str:
    if value == "last" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 31):  # noqa: PLR2004 - days of a month
        return value
    raise ValueError("must be a day of the month, from 1 to 31, or last")


def _time(value: object) -> str:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError('not a time of day; write it like "09:45"')
    return value


Instant = Annotated[
    datetime,
    PlainValidator(parse_instant),
    PlainSerializer(lambda value: value.isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2026-12-01T10:00:00", "2026-12-01T10:00:00Z"]}),
]
_WEEKDAY_SCHEMA = {"type": "string", "examples": ["SUN", "MON#2", "FRI#L"]}
Weekday = Annotated[
    str,
    BeforeValidator(_upper),
    AfterValidator(_weekday),
    WithJsonSchema(_WEEKDAY_SCHEMA),
]
Weekdays = Annotated[
    tuple[Weekday, ...],
    Field(strict=False),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_WEEKDAY_SCHEMA, {"type": "array", "items": _WEEKDAY_SCHEMA}]}),
]
DayOfMonth = Annotated[
    int | Literal["last"],
    PlainValidator(_day),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, {"const": "last"}]}),
]
TimeOfDay = Annotated[str, BeforeValidator(_time), Field(examples=["09:45", "23:59:30"])]
CronText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    Field(
        description="Five cron fields, six with seconds first, or @hourly … @yearly. H spreads jobs.",
        examples=["0 2 * * *", "*/15 9-17 * * MON-FRI", "H H * * *", "@daily"],
    ),
]


_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_JOB = re.compile(rf"({_NAME}/)?{_NAME}")


def _job(value: str) -> str:
    if not _JOB.fullmatch(value):
        raise ValueError("not a job; write application/api, or the api alone for one of the same Application")
    return value


_CALENDAR = {"type": "string", "examples": ["holidays"]}
CalendarNames = Annotated[
    tuple[Name, ...],
    Field(strict=False, min_length=1, max_length=MAX_ITEMS),
    Few,
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_CALENDAR, {"type": "array", "items": _CALENDAR, "minItems": 1}]}),
]
Except = Annotated[
    CalendarNames | None,
    Field(alias="except", description="Calendars, one or several, on whose days no slot runs."),
]
Only = Annotated[
    CalendarNames | None,
    Field(description="Calendars, one or several: slots run only on days that one of them names."),
]


class Bounds(Strict):
    """What every schedule may carry: its zone, and when it begins and ends."""

    time_zone: Zone | None = Field(default=None, description="IANA zone; UTC unless declared.")
    starts_at: Instant | None = Field(default=None, description="No slot before this instant.")
    ends_at: Instant | None = Field(default=None, description="No slot after this instant.")


class Cron(Bounds):
    """A cron expression as a mapping, for when it carries bounds."""

    cron: CronText


class Every(Bounds):
    """An interval, anchored at ``startsAt`` or the epoch, so that no restart ever moves it."""

    every: Annotated[PositiveDuration, AfterValidator(_not_too_often)] = Field(
        description="The time from one slot to the next, 100ms at least."
    )


class At(Bounds):
    """Once."""

    at: Instant = Field(description="The one instant; without an offset it is wall time in the zone.")


class Frequency(Bounds):
    """A calendar rhythm in words."""

    frequency: Literal["daily", "weekly", "monthly", "quarterly", "yearly"] = Field(description="How often.")
    time: TimeOfDay = Field(default="00:00", description="Wall time of day.")
    on: Weekdays = Field(
        default=(), description="Weekdays: SUN, or in a month MON#2 (the second) and FRI#L (the last)."
    )
    day: DayOfMonth | None = Field(default=None, description="Day of the month; months without it are skipped.")
    month: Annotated[int, Field(ge=1, le=12)] | None = Field(
        default=None, description="yearly: the month; quarterly: the month within the quarter, 1 to 3."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Frequency:
        checks = {"daily": self._check_daily, "weekly": self._check_weekly}
        checks.get(self.frequency, self._check_monthly)()
        return self

    def _check_daily(self) -> None:
        if self.day is not None or self.month is not None or self.on:
            raise ValueError("daily takes `time` only; use weekly with `on` for certain weekdays")

    def _check_weekly(self) -> None:
        if self.day is not None or self.month is not None:
            raise ValueError("weekly takes `on` and `time`, neither `day` nor `month`")
        if not self.on:
            raise LackingError("weekly needs `on`, for example `on: SUN`")
        if any("#" in weekday for weekday in self.on):
            raise ValueError("weekly takes plain weekdays; MON#2 is for monthly, quarterly and yearly")

    def _check_monthly(self) -> None:
        if self.on and self.day is not None:
            raise ValueError("give either `day` or `on`, not both")
        if any("#" not in weekday for weekday in self.on):
            raise ValueError(f"{self.frequency} takes weekdays with their place, such as MON#2 or FRI#L")
        if self.month is not None and self.frequency == "monthly":
            raise ValueError("monthly takes no `month`; use yearly for one month of the year")
        if self.month is not None and self.frequency == "quarterly" and self.month > 3:  # noqa: PLR2004 - months of a quarter
            raise ValueError("quarterly counts `month` within the quarter, 1 to 3")


class OnDays(Strict):
    """On which days slots run."""

    but_not: Except = None
    only: Only = None


class CronOnDays(Cron, OnDays):
    """A cron expression as a mapping, for when it carries bounds or calendars."""


class EveryOnDays(Every, OnDays):
    """An interval, anchored at ``startsAt`` or the epoch, so that no restart ever moves it."""


class AtOnDays(At, OnDays):
    """Once."""


class FrequencyOnDays(Frequency, OnDays):
    """A calendar rhythm in words."""


class Following(Strict):
    """Another job, and which of its runs are followed."""

    job: Annotated[
        str,
        AfterValidator(_job),
        WithJsonSchema({"type": "string", "pattern": f"^{_JOB.pattern}$", "examples": ["billing/nightly", "nightly"]}),
    ] = Field(description="The job, as application/api; the api alone for one of the same Application.")
    on: Literal["success", "failure", "completion"] = Field(
        default="success",
        description="Which ends are followed: success; failure (failed, missed or unknown); completion (any of these).",
    )


class After(OnDays):
    """After another job: one run for each of its runs that ends so. It has no slots of its own."""

    after: Following = Field(description="Which job, and which of its runs.")


_FORMS: dict[str, type[Strict]] = {"cron": Cron, "every": Every, "at": At, "frequency": Frequency}


def _form_among(forms: dict[str, type[Strict]]) -> Callable[[Any], str | None]:
    def form_of(value: Any) -> str | None:
        if isinstance(value, str):
            return "text"
        if isinstance(value, dict):
            found = [form for form in forms if form in value]
            return found[0] if len(found) == 1 else None
        return next((form for form, model in forms.items() if isinstance(value, model)), None)

    return form_of


Schedule = Annotated[
    Annotated[CronText, Tag("text")]
    | Annotated[CronOnDays, Tag("cron")]
    | Annotated[EveryOnDays, Tag("every")]
    | Annotated[AtOnDays, Tag("at")]
    | Annotated[FrequencyOnDays, Tag("frequency")]
    | Annotated[After, Tag("after")],
    Discriminator(
        _form_among(_FORMS | {"after": After}),
        custom_error_type="schedule_form",
        custom_error_message="a schedule is a cron string, "
        "or a mapping with exactly one of cron, every, at, frequency, after",
    ),
]
# Of what begins by the clock alone.
Start = Annotated[
    Annotated[CronText, Tag("text")]
    | Annotated[Cron, Tag("cron")]
    | Annotated[Every, Tag("every")]
    | Annotated[At, Tag("at")]
    | Annotated[Frequency, Tag("frequency")],
    Discriminator(
        _form_among(_FORMS),
        custom_error_type="schedule_form",
        custom_error_message="a start is a cron string, or a mapping with exactly one of cron, every, at, frequency",
    ),
]
