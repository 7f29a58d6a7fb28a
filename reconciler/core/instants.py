"""Instants and spans of time in words for people, absolute and relative; and read from what people type.

Forbidden here: knowing what time it is. ``now`` is a parameter.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from reconciler.errors import SettingsError
from schemas.schedule import parse_instant

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def absolute(instant: datetime, zone: str = "UTC") -> str:
    """``2026-03-29 03:00:00 CEST``; milliseconds only where there are any."""
    local = instant.astimezone(ZoneInfo(zone))
    fraction = f".{local.microsecond // 1000:03}" if local.microsecond else ""
    return f"{local:%Y-%m-%d %H:%M:%S}{fraction} {local.tzname()}"


def stamp(instant: datetime) -> str:
    """RFC 3339 in UTC: ``2026-03-29T01:00:00Z``; milliseconds only where there are any."""
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds" if instant.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def span(duration: timedelta) -> str:
    """The two largest units: ``3d 4h``, ``2m 5s``, ``40s``, ``250ms``."""
    seconds = abs(duration.total_seconds())
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count)


def relative(instant: datetime, now: datetime) -> str:
    """``in 2h 5m``, ``3d 4h ago``, ``now``."""
    difference = instant - now
    if abs(difference) < timedelta(milliseconds=1):
        return "now"
    return f"in {span(difference)}" if difference > timedelta(0) else f"{span(difference)} ago"


def read_instant(text: str, *, zone: str = "UTC") -> datetime:
    """Read what a person typed: RFC 3339, a date, or a date and a time; without an offset it is wall time in ``zone``.

    Raises:
        SettingsError: it is none of these.
    """
    try:
        instant = parse_instant(text)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=ZoneInfo(zone))
        return instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"{text!r}: {error}") from None
