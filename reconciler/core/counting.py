"""How many slots a cron expression names in a stretch of time, without looking at each of them.

While a zone's clocks are steady a day has as many as any other that matches; those of the part of a day follow from the
values of the fields. Forbidden here: finding the slots themselves (``core.timetable``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from reconciler.core.cron import parsed
from reconciler.core.zones import steady_until

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
# Where clocks have just changed, wall times come late or not again; none has ever been set by more than a day.
_UNSETTLED = timedelta(days=2)

OneByOne = Callable[[datetime, datetime], int]


class _Times(NamedTuple):
    """The times that an expression names on each of its days."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def before(self, since_midnight: timedelta) -> int:
        """How many are earlier than this."""
        left = -(-since_midnight // _SECOND)
        hour, left = divmod(left, 3600)
        minute, second = divmod(left, 60)
        in_minute, in_hour = len(self.seconds), len(self.seconds) * len(self.minutes)
        count = bisect_left(self.hours, hour) * in_hour
        if hour in self.hours:
            count += bisect_left(self.minutes, minute) * in_minute
            if minute in self.minutes:
                count += bisect_left(self.seconds, second)
        return count


@lru_cache(maxsize=4096)
def _times(text: str) -> _Times:
    fields = parsed(text)
    return _Times(tuple(sorted(fields.hours)), tuple(sorted(fields.minutes)), tuple(sorted(fields.seconds)))


def count(text: str, zone: str, after: datetime, until: datetime, one_by_one: OneByOne | None) -> int:
    """How many slots lie in (after, until].

    Args:
        text: a normalised expression.
        zone: in which its fields are wall time.
        after: exclusive, in UTC.
        until: inclusive, in UTC.
        one_by_one: counts them in (after, until] one by one, where clocks have just changed; ``None`` for an expression
            that follows real time, of which every wall time counts whenever it is shown.
    """
    begin, end, found = after + _TICK, until + _TICK, 0
    while begin < end:
        offset, change = steady_until(begin if one_by_one is None else begin - _UNSETTLED, zone)
        if one_by_one is not None and change <= begin:
            stop = min(end, change + _UNSETTLED)
            found += one_by_one(begin - _TICK, stop - _TICK)
        else:
            stop = min(end, change)
            found += _steady(text, _wall(begin, offset), _wall(stop, offset))
        begin = stop
    return found


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None) + offset


def _steady(text: str, begin: datetime, end: datetime) -> int:
    """How many wall times lie in [begin, end)."""
    fields, times = parsed(text), _times(text)
    found, day = 0, begin.date()
    while (midnight := datetime.combine(day, time())) < end:
        if day.month in fields.months and fields.match_day(day):
            found += times.before(min(end - midnight, _DAY)) - times.before(max(begin - midnight, timedelta(0)))
        day += _DAY
    return found
