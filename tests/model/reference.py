"""Which slots there are, worked out by counting: every minute of every pass of the wall clock, one by one.

Forbidden here: the product's own notion of time. Nothing of ``reconciler`` is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_BLOCK = timedelta(minutes=15)  # zones change at multiples of this
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a manifest says of a job; exactly one of cron, every and after.

    Attributes:
        cron: five fields, or six with seconds first.
        every: seconds.
        after: the name of the job whose ends it follows.
    """

    cron: str = ""
    every: int = 0
    after: str = ""
    zone: str = "UTC"
    catch_up: str = "latest"
    deadline: int = 3600
    method: str = "GET"
    policy: str = "Forbid"
    jitter: int = 0
    retries: int = 0
    suspend: bool = False

    @property
    def times(self) -> tuple[str, int, str, str, bool]:
        """What its slots follow from: another one begins another era."""
        return self.cron, self.every, self.after, self.zone, self.suspend

    @property
    def is_rare(self) -> bool:
        """Whether it is due every few minutes at most."""
        return self.every >= 300 if self.every else not self.cron.startswith("*") or self.cron.startswith("*/5 ")

    @property
    def delivery(self) -> str:
        return "atMostOnce" if self.method == "POST" else "atLeastOnce"


def slots(declared: Declared, after: datetime, until: datetime) -> tuple[datetime, ...]:
    """The slots in (after, until], oldest first."""
    if declared.suspend or declared.after or after >= until:
        return ()
    if declared.every:
        return _intervals(declared.every, after, until)
    return _named(declared.cron, declared.zone, after, until)


def _intervals(seconds: int, after: datetime, until: datetime) -> tuple[datetime, ...]:
    step = timedelta(seconds=seconds)
    slot = _EPOCH + (after - _EPOCH) // step * step
    found = []
    while slot <= until:
        if slot > after:
            found.append(slot)
        slot += step
    return tuple(found)


@lru_cache(maxsize=512)
def _named(cron: str, zone: str, after: datetime, until: datetime) -> tuple[datetime, ...]:
    fields = cron.split()
    minute, hour = fields[-5:-3]
    names_times = not (minute.startswith("*") or hour.startswith("*"))
    found = _wall_times(fields, zone, after, until) if names_times else _real_times(fields, zone, after, until)
    return tuple(sorted({slot for slot in found if after < slot <= until}))


def _parts(fields: list[str]) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Seconds, minutes and hours; days are always all of them."""
    assert fields[-3:] == ["*", "*", "*"]
    seconds = _numbers(fields[0], 60) if len(fields) == 6 else frozenset({0})
    return seconds, _numbers(fields[-5], 60), _numbers(fields[-4], 24)


def _numbers(text: str, size: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low, high = (0, size - 1) if span == "*" else (int(first), int(last or first))
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _real_times(fields: list[str], zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every instant at which the wall clock of the zone shows a time that matches."""
    seconds, minutes, hours = _parts(fields)
    block = _EPOCH + (after - _EPOCH) // _BLOCK * _BLOCK
    while block <= until:
        wall = block.astimezone(ZoneInfo(zone))
        for more in range(15):
            shown = wall.hour * 60 + wall.minute + more
            if shown % 60 in minutes and shown // 60 % 24 in hours:
                yield from (block + more * _MINUTE + timedelta(seconds=second) for second in seconds)
        block += _BLOCK


def _wall_times(fields: list[str], zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every wall time that matches, once: at its first showing, or at the first instant after the gap that it is in."""
    seconds, minutes, hours = _parts(fields)
    day = datetime(after.year, after.month, after.day) - _DAY  # noqa: DTZ001 - wall time
    while day.replace(tzinfo=UTC) <= until + _DAY:
        for hour in hours:
            for minute in minutes:
                for second in seconds:
                    yield _first_showing(day.replace(hour=hour, minute=minute, second=second), ZoneInfo(zone))
        day += _DAY


def _first_showing(wall: datetime, zone: ZoneInfo) -> datetime:
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # It is in a gap: fold 0 counts on from before it, so that the gap ends less than a day before.
    probe = instant - timedelta(hours=3)
    offset = probe.astimezone(zone).utcoffset()
    probe = probe.replace(second=0, microsecond=0)
    while probe.astimezone(zone).utcoffset() == offset:
        probe += _MINUTE
    return probe


@dataclass
class Segment:
    """A stretch of wall time that was lived without the clock being set back: after its begin, up to its end."""

    begin: datetime
    end: datetime


@dataclass
class Lived:
    """Which wall times have come: one segment more for each time that the clock was set back."""

    begin: datetime
    segments: list[Segment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.segments = [Segment(self.begin, self.begin)]

    def until(self, instant: datetime) -> None:
        """Time has gone on until then."""
        self.segments[-1].end = max(self.segments[-1].end, instant)

    def jump(self, instant: datetime) -> None:
        """The clock was set: forward, the same segment goes on."""
        if instant < self.segments[-1].end:
            self.segments.append(Segment(instant, instant))
        self.until(instant)

    @property
    def latest(self) -> datetime:
        """The latest wall time that has ever come."""
        return max(segment.end for segment in self.segments)

    def passes(self, instant: datetime) -> int:
        """How often a wall time has come."""
        return sum(segment.begin <= instant <= segment.end for segment in self.segments)

    def through(self, begin: datetime, end: datetime) -> list[Segment]:
        """The passes that touch a stretch of wall time."""
        return [one for one in self.segments if one.begin <= end and begin <= one.end]

    def last_pass(self, instant: datetime) -> int:
        """In which segment a wall time came last; -1 where it has not come."""
        holding = (place for place, one in enumerate(self.segments) if one.begin < instant <= one.end)
        return max(holding, default=-1)
