"""From a declared schedule to a resolved one: every ``H``, macro, wall time and default made explicit.

Forbidden here: which instants a schedule names (``core.timetable``), and the reading of cron fields (``core.cron``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from reconciler.core import cron
from reconciler.core.model import After, JobKey, Schedule, whole_milliseconds
from reconciler.core.zones import localise, zone_info
from reconciler.errors import NotFoundError, ScheduleError
from schemas.base import format_duration
from schemas.schedule import After as Following
from schemas.schedule import At, Cron, Every, Frequency

Declared = str | Cron | Every | At | Frequency | Following
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
    if outside := _given(beside):
        yield from faults_among(outside, _given(schedule), name, follows=isinstance(schedule, Following))


def _given(owner: object) -> list[str]:
    return [alias for alias, each in (*BOUNDS, *DAYS) if getattr(owner, each, None) is not None]


def faults_among(outside: Collection[str], inside: Collection[str], name: str, *, follows: bool) -> Iterator[Fault]:
    """As ``faults_beside``, of the names of the fields that are given beside the schedule ``name`` and in it."""
    for alias, each in (*BOUNDS, *DAYS):
        if alias not in outside:
            continue
        if alias in inside:
            yield Fault(alias, f"`{alias}` is given twice, here and in `{name}`; remove one of them")
        elif follows and each not in ("but_not", "only"):
            yield Fault(alias, f"`{alias}` has no meaning for a job that follows another one; remove it")


def faults_of(
    schedule: Declared, beside: Bounded, *, zone: str | None, seed: str, name: str = "schedule"
) -> Iterator[Fault]:
    """Every reason why a schedule has no meaning, where ``resolve`` raises the first one; none where it does not.

    Args:
        schedule: as for ``resolve``.
        beside: what gives its bounds, unless it does so itself.
        zone: IANA name; ``None`` where it cannot be told: then no wall time is compared with an instant.
        seed: as for ``resolve``.
        name: the schedule's field.
    """
    for message in _reasons(schedule, beside, zone, seed):
        is_end = beside.ends_at is not None and message.startswith("endsAt")
        yield Fault("endsAt" if is_end else name, message)


def _reasons(schedule: Declared, beside: Bounded, zone: str | None, seed: str) -> Iterator[str]:
    if isinstance(schedule, Following):
        return
    starts_at, ends_at, at = beside.starts_at, beside.ends_at, schedule.at if isinstance(schedule, At) else None
    if not isinstance(schedule, str):
        zone = schedule.time_zone or zone
        starts_at, ends_at = schedule.starts_at or starts_at, schedule.ends_at or ends_at
    found: dict[str, datetime] = {}
    try:
        _check_zone(zone or "UTC")
        for field, value in (("startsAt", starts_at), ("endsAt", ends_at), ("at", at)):
            found |= {} if value is None else {field: _instant(field, value, zone)}
    except ScheduleError as error:
        yield str(error)
    if (message := _misplaced(found.get("startsAt"), found.get("endsAt"), found.get("at"))) is not None:
        yield message
    if not isinstance(schedule, At | Every):
        try:
            _cron(schedule, seed)
        except ScheduleError as error:
            yield str(error)


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
    starts = None if starts_at is None else _instant("startsAt", starts_at, zone)
    ends = None if ends_at is None else _instant("endsAt", ends_at, zone)
    at = _instant("at", schedule.at, zone) if isinstance(schedule, At) else None
    if (message := _misplaced(starts, ends, at)) is not None:
        raise ScheduleError(message)
    if isinstance(schedule, At):
        declared = f"at {_written(schedule.at)}"
        return Schedule(declared=declared, at=at, zone=zone, starts_at=starts, ends_at=ends)
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


def _misplaced(starts: datetime | None, ends: datetime | None, at: datetime | None) -> str | None:
    """Why bounds leave no slot, if they leave none."""
    if starts and ends and _before(ends, starts):
        return f"endsAt {_written(ends)} lies before startsAt {_written(starts)}: there is no slot"
    if at and starts and _before(at, starts):
        return f"at {_written(at)} lies before startsAt {_written(starts)}: there is no slot"
    if at and ends and _before(ends, at):
        return f"at {_written(at)} lies after endsAt {_written(ends)}: there is no slot"
    return None


def _before(one: datetime, other: datetime) -> bool:
    """Whether it surely lies before; of a wall time in no known zone and an instant that cannot be told."""
    return (one.tzinfo is None) == (other.tzinfo is None) and one < other


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


def _check_zone(zone: str) -> None:
    """Raise for a zone that has gone since it was read; the schema has refused any other."""
    try:
        zone_info(zone)
    except NotFoundError as error:
        raise ScheduleError(f"timeZone: {error}") from error


def _instant(field: str, value: datetime, zone: str | None) -> datetime:
    """An instant in UTC, in whole milliseconds; a naive one is wall time in ``zone``, and stays so without one."""
    if value.tzinfo is None and zone is None:
        return value
    try:
        return whole_milliseconds(value if value.tzinfo or zone is None else localise(value, zone))
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
