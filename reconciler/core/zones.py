"""Wall time and instants: what a clock on the wall in a zone shows, and when it is set.

``zoneinfo`` knows a zone's offset at an instant, but not where the offset changes; that is found here by bisection.
Forbidden here: schedules, and any rule about what should run.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from reconciler.errors import NotFoundError
from schemas.base import check_zone

# A year and two days from the calendar's ends, so that every offset can be added without leaving it.
FIRST = datetime(2, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 30, tzinfo=UTC)

# In the whole of the IANA database no zone changed its clocks twice within three days: a daily look misses no change.
_STEP = timedelta(days=1)


@lru_cache(maxsize=1024)
def zone_info(zone: str) -> ZoneInfo:
    """Look up an IANA zone.

    Raises:
        NotFoundError: there is no such zone.
    """
    try:
        return ZoneInfo(check_zone(zone))
    except (ValueError, OSError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise NotFoundError(f"there is no time zone {zone!r}; zones are named like Europe/Berlin") from error


def wall_time(instant: datetime, zone: str) -> datetime:
    """What a clock on the wall shows at an instant: naive, ``fold`` 0.

    Raises:
        NotFoundError: there is no such zone.
        OverflowError: the wall time lies outside the years 1 to 9999.
    """
    return instant.astimezone(zone_info(zone)).replace(tzinfo=None, fold=0)


def localise(wall: datetime, zone: str) -> datetime:
    """When a wall clock in ``zone`` first shows a naive time; in UTC.

    A time that is skipped becomes the first instant after the gap, one that comes twice the first of the two.

    Raises:
        NotFoundError: there is no such zone.
        OverflowError: the instant lies outside the years 1 to 9999.
    """
    tz = zone_info(zone)
    wall = wall.replace(fold=0)
    # PEP 495: within a gap, fold=0 reckons with the offset before the change and so lands after it.
    first = wall.replace(tzinfo=tz).astimezone(UTC)
    if first.astimezone(tz).replace(tzinfo=None) == wall:
        return first
    return _change_between(wall.replace(tzinfo=tz, fold=1).astimezone(UTC), first, tz)


def steady_until(instant: datetime, zone: str) -> tuple[timedelta, datetime]:
    """The offset from UTC at an instant, and until when (exclusive) it surely stays.

    That is the next change of the zone's clocks or the end of the UTC year, whichever comes first.
    ``instant`` lies from ``FIRST`` on and before ``LAST``.
    """
    year = instant.astimezone(UTC).year
    changes = _changes(zone, year)
    after = bisect_right(changes, instant)
    end = changes[after] if after < len(changes) else _new_year(year + 1)
    return _offset(instant, zone_info(zone)), end


def next_change(instant: datetime, zone: str, *, years: int = 3) -> datetime | None:
    """When the offset from UTC next changes, strictly after an instant; ``None`` if not within some years."""
    first = instant.astimezone(UTC).year
    for year in range(first, min(first + years, LAST.year) + 1):
        changes = _changes(zone, year)
        after = bisect_right(changes, instant)
        if after < len(changes):
            return changes[after]
    return None


def _offset(instant: datetime, tz: ZoneInfo) -> timedelta:
    offset = instant.astimezone(tz).utcoffset()
    return timedelta(0) if offset is None else offset


def _new_year(year: int) -> datetime:
    return LAST if year > LAST.year else datetime(year, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=8192)
def _changes(zone: str, year: int) -> tuple[datetime, ...]:
    """The instants of a UTC year (its first one excluded, its last one included) from which on another offset holds."""
    tz = zone_info(zone)
    low, end = _new_year(year), _new_year(year + 1)
    found = []
    while low < end:
        high = min(low + _STEP, end)
        if _offset(low, tz) != _offset(high, tz):
            found.append(_change_between(low, high, tz))
        low = high
    return tuple(found)


def _change_between(low: datetime, high: datetime, tz: ZoneInfo) -> datetime:
    """Bisect to the second: the first instant in (low, high] with the offset of ``high``."""
    after = _offset(high, tz)
    low = low.replace(microsecond=0)
    seconds = -(-(high - low) // timedelta(seconds=1))
    reached, missed = seconds, 0
    while reached - missed > 1:
        middle = (reached + missed) // 2
        if _offset(low + timedelta(seconds=middle), tz) == after:
            reached = middle
        else:
            missed = middle
    return low + timedelta(seconds=reached)
