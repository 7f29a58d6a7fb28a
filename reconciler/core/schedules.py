"""From a declared schedule to a resolved one: every ``H``, macro, wall time and default made explicit.

Forbidden here: which instants a schedule names (``core.timetable``), and the reading of cron fields (``core.cron``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from pydantic import TypeAdapter

from reconciler.core import cron
from reconciler.core.model import After, JobKey, Schedule, whole_milliseconds
from reconciler.core.zones import localise, zone_info
from reconciler.errors import NotFoundError, ScheduleError
from schemas.base import check_zone, format_duration
from schemas.schedule import After as Following
from schemas.schedule import At, Cron, Every, Frequency
from schemas.schedule import Schedule as Shape

Declared = str | Cron | Every | At | Frequency | Following
_SHAPE: TypeAdapter[Declared] = TypeAdapter(Shape)
BOUNDS: Final = (("timeZone", "time_zone"), ("startsAt", "starts_at"), ("endsAt", "ends_at"))
DAYS: Final = (("except", "but_not"), ("only", "only"))


class Bounded(Protocol):
    """What holds a schedule, and may give its zone and bounds beside it."""

    @property
    def time_zone(self) -> str | None:
        """IANA name."""

    @property
    def starts_at(self) -> datetime | None:
        """No slot before it."""

    @property
    def ends_at(self) -> datetime | None:
        """No slot after it."""


class Fault(NamedTuple):
    """What is wrong in which field of that which holds a schedule."""

    field: str
    message: str


def faults_beside(schedule: Declared, beside: Bounded, name: str = "schedule") -> Iterator[Fault]:
    """What stands beside a schedule and in it, too, or has no meaning there; ``name`` is the schedule's field."""
    if isinstance(schedule, str):
        return
    for alias, each in (*BOUNDS, *DAYS):
        if getattr(beside, each, None) is None:
            continue
        if getattr(schedule, each, None) is not None:
            yield Fault(alias, f"`{alias}` is given twice, here and in `{name}`; remove one of them")
        elif isinstance(schedule, Following) and each not in ("but_not", "only"):
            yield Fault(alias, f"`{alias}` has no meaning for a job that follows another one; remove it")


def fault_of(error: ScheduleError, beside: Bounded, name: str = "schedule") -> Fault:
    """The error of ``resolve`` with the field that it is about."""
    return Fault("endsAt" if beside.ends_at is not None and str(error).startswith("endsAt") else name, str(error))


def resolve(
    schedule: Declared,
    *,
    zone: str,
    starts_at: datetime | None,
    ends_at: datetime | None,
    seed: str,
    application: str = "",
) -> Schedule:
    """Make a declared schedule explicit, but for its calendars.

    Args:
        schedule: as the manifest declares it; its own zone and bounds win over those given beside it.
        zone: IANA name.
        starts_at: no slot before it; naive means wall time in the zone.
        ends_at: no slot after it; naive means wall time in the zone.
        seed: what ``H`` is derived from: the job's key.
        application: whose job is meant where only an api is named.

    Raises:
        ScheduleError: it has no meaning; the message names the field and what to write instead.
    """
    if isinstance(schedule, Following):
        return _following(schedule, application)
    if not isinstance(schedule, str):
        zone = schedule.time_zone or zone
        starts_at = schedule.starts_at or starts_at
        ends_at = schedule.ends_at or ends_at
    _check_zone(zone)
    starts, ends = _bounds(starts_at, ends_at, zone)
    if isinstance(schedule, At):
        return _once(schedule.at, zone, starts, ends)
    if isinstance(schedule, Every):
        declared = f"every {format_duration(schedule.every)}"
        return Schedule(declared=declared, every=schedule.every, zone=zone, starts_at=starts, ends_at=ends)
    declared, resolved = _cron(schedule, seed)
    return Schedule(declared=declared, cron=resolved, zone=zone, starts_at=starts, ends_at=ends)


def _following(schedule: Following, application: str) -> Schedule:
    key = upstream(schedule, application)
    on = "" if schedule.after.on == "success" else f" on {schedule.after.on}"
    return Schedule(declared=f"after {key}{on}", after=After(key=key, on=schedule.after.on))


def upstream(schedule: Following, application: str) -> JobKey:
    """The job that is followed; one of ``application`` where only an api is named."""
    owner, _, api = schedule.after.job.rpartition("/")
    return JobKey(owner or application, api)


def _bounds(starts_at: datetime | None, ends_at: datetime | None, zone: str) -> tuple[datetime | None, datetime | None]:
    starts = None if starts_at is None else _instant("startsAt", starts_at, zone)
    ends = None if ends_at is None else _instant("endsAt", ends_at, zone)
    if starts and ends and ends < starts:
        raise ScheduleError(f"endsAt {_written(ends)} lies before startsAt {_written(starts)}: there is no slot")
    return starts, ends


def _cron(schedule: str | Cron | Frequency, seed: str) -> tuple[str, str]:
    """As it was declared, and its cron fields with every ``H`` and macro made explicit."""
    if not isinstance(schedule, Frequency):
        declared = schedule if isinstance(schedule, str) else schedule.cron
        return declared, cron.normalise(declared, seed)
    declared = _in_words(schedule)
    try:
        return declared, cron.normalise(_fields(schedule), seed)
    except ScheduleError as error:  # its fields are ours, not the user's
        raise ScheduleError(f"{declared}: no year has such a day; change `day` or `month`") from error


def _once(at: datetime, zone: str, starts: datetime | None, ends: datetime | None) -> Schedule:
    instant = _instant("at", at, zone)
    if starts and instant < starts:
        raise ScheduleError(f"at {_written(instant)} lies before startsAt {_written(starts)}: there is no slot")
    if ends and instant > ends:
        raise ScheduleError(f"at {_written(instant)} lies after endsAt {_written(ends)}: there is no slot")
    return Schedule(declared=f"at {_written(at)}", at=instant, zone=zone, starts_at=starts, ends_at=ends)


def _check_zone(zone: str) -> None:
    try:
        zone_info(zone)
    except NotFoundError as error:
        raise ScheduleError(f"timeZone: {error}") from error


def _instant(field: str, value: datetime, zone: str) -> datetime:
    """An instant in UTC, in whole milliseconds; a naive one is wall time in ``zone``."""
    try:
        return whole_milliseconds(value if value.tzinfo else localise(value, zone))
    except OverflowError:
        raise ScheduleError(f"{field} {_written(value)} is outside the years 1 to 9999 in UTC") from None


def _written(value: datetime) -> str:
    timespec = "milliseconds" if value.microsecond else "seconds"
    return value.isoformat(sep=" ", timespec=timespec).replace("+00:00", " UTC")


def _fields(schedule: Frequency) -> str:
    """The cron fields of a frequency: five, or six where the time has seconds."""
    hour, minute, *second = (str(int(part)) for part in schedule.time.split(":"))
    day, month, weekday = "*", "*", "*"
    if schedule.on:
        weekday = ",".join(f"{name[:3]}L" if name.endswith("#L") else name for name in schedule.on)
    elif schedule.frequency != "daily":
        day = "L" if schedule.day == "last" else str(schedule.day or 1)
    if schedule.frequency == "quarterly":
        month = ",".join(str((schedule.month or 1) + quarter) for quarter in (0, 3, 6, 9))
    elif schedule.frequency == "yearly":
        month = str(schedule.month or 1)
    return " ".join([*second, minute, hour, day, month, weekday])


def _in_words(schedule: Frequency) -> str:
    """For people, in the manifest's own terms: ``weekly on SUN at 09:45``."""
    words: list[str] = [schedule.frequency]
    if schedule.on:
        words.append(f"on {', '.join(schedule.on)}")
    elif schedule.frequency != "daily":
        words.append("on the last day" if schedule.day == "last" else f"on day {schedule.day or 1}")
    if schedule.frequency in ("quarterly", "yearly"):
        words.append(f"of month {schedule.month or 1}")
    words.append(f"at {schedule.time}")
    return " ".join(words)


def loose_fault(spec: Mapping[str, Any]) -> str | None:
    """What is wrong with the schedule in the text of an Api that is no valid one for other reasons.

    ``None`` where nothing is, and where the schedule's very shape is wrong, which is said elsewhere.
    """
    try:
        schedule = _SHAPE.validate_python(spec.get("schedule"))
        zone = check_zone(str(spec.get("timeZone", "UTC")))
    except ValueError:  # pydantic's ValidationError is one
        return None
    try:
        resolve(schedule, zone=zone, starts_at=None, ends_at=None, seed="")
    except ScheduleError as error:
        return str(error)
    return None
