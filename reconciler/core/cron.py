"""Cron expressions: from what people write to what cronsim reads.

Spelling only: macros, names, ``?``, ranges that wrap around, ``H``. Which instants an expression names is cronsim's
affair. Forbidden here: matching a time against an expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

from cronsim import CronSim, CronSimError

from reconciler.errors import ScheduleError

LONGEST = 255

_MACROS = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
_REFUSED_MACROS = {
    "@REBOOT": "@reboot has no meaning here: a schedule names instants, and a restart is not one",
    "@EVERY": "@every is not cron; write the schedule as `every: 2h30m`",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

_HASHED = re.compile(r"H(?:\((?P<low>[^-()]+)-(?P<high>[^-()]+)\))?")
_NTH = re.compile(r"(?P<day>[^#]+)#(?P<nth>.*)", re.DOTALL)


class _BadTermError(ValueError):
    """What is wrong with one term of a field."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the six fields: its name, the values that it takes, and what else may stand there."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    hashed_high: int | None = None

    @property
    def allowed(self) -> str:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names}"

    @property
    def last(self) -> int:
        """The highest value that stands for itself: 7 is Sunday once more."""
        return 6 if self.name == "day-of-week" else self.high

    @property
    def is_day(self) -> bool:
        return self.name.startswith("day-")

    def number(self, text: str) -> int:
        """Read a number or a name."""
        if text in self.names:
            return self.names.index(text) + self.low
        if not (text.isascii() and text.isdigit()):
            raise _BadTermError(f"{_shown(text)} is not understood")
        if len(text) > 4 or not self.low <= int(text) <= self.high:  # noqa: PLR2004 - no field has longer numbers
            raise _BadTermError(f"{_shown(text)} is out of range")
        return int(text)

    def step(self, text: str) -> int:
        """Read what stands behind a slash."""
        most = self.last - self.low + 1
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= most):  # noqa: PLR2004 - as above
            raise _BadTermError(f"the step {_shown(text)} is not one of 1-{most}")
        return int(text)


_SECOND = _Field("second", 0, 59)
_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
# H keeps to days that every month has, as in Jenkins.
_DAY = _Field("day-of-month", 1, 31, hashed_high=28)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day-of-week", 0, 7, _WEEKDAYS, hashed_high=6)
_FIVE = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)
_SIX = (_SECOND, *_FIVE)


@lru_cache(maxsize=16_384)
def normalise(expression: str, seed: str) -> str:
    """Write an expression in the five or six fields that cronsim reads.

    The rules are those of Debian's cron (crontab(5)); ``H`` is that of Jenkins, derived from ``seed`` and the field;
    ``L``, ``LW``, ``5L`` and ``MON#2`` are cronsim's.

    Raises:
        ScheduleError: naming every field that is wrong, its value and what may stand there.
    """
    if len(expression) > LONGEST:
        raise ScheduleError(f"a cron expression has at most {LONGEST} characters; this one has {len(expression)}")
    fields = _split(expression)
    kinds = _SIX if len(fields) == len(_SIX) else _FIVE
    written, problems = [], []
    for kind, field in zip(kinds, fields, strict=True):
        try:
            written.append(_field(kind, field, seed))
        except _BadTermError as error:
            problems.append(f"{kind.name} {_shown(field)}: {error}; allowed: {_allowed(kind)}")
    if problems:
        raise ScheduleError("; ".join(problems))
    text = " ".join(written)
    _check_that_it_comes(text)
    return text


def parsed(text: str) -> CronSim:
    """A fresh iterator over a normalised expression; set its ``dt`` before use. Parsing is done once."""
    fresh = CronSim.__new__(CronSim)
    fresh.__dict__.update(_parsed(text).__dict__)
    return fresh


@dataclass(frozen=True, slots=True)
class DayTimes:
    """The times that an expression names on each of its days: the first, the last, and the widest gap between two."""

    first: timedelta
    last: timedelta
    widest: timedelta


@lru_cache(maxsize=1024)
def day_times(text: str) -> DayTimes:
    """What a normalised expression names within a day."""
    fields = parsed(text)
    first = last = widest = timedelta(0)
    for values, unit in ((fields.seconds, 1), (fields.minutes, 60), (fields.hours, 3600)):
        ordered = sorted(values)
        within = last - first
        gaps = (timedelta(seconds=(b - a) * unit) - within for a, b in pairwise(ordered))
        widest = max([widest, *gaps])
        first += timedelta(seconds=ordered[0] * unit)
        last += timedelta(seconds=ordered[-1] * unit)
    return DayTimes(first, last, widest)


@lru_cache(maxsize=16_384)
def _parsed(text: str) -> CronSim:
    return CronSim(text, datetime(2000, 1, 1))  # noqa: DTZ001 - wall time, of no zone


def _split(expression: str) -> list[str]:
    if expression.lstrip().startswith("@"):
        return _macro(expression.strip()).split()
    fields = expression.split()
    if len(fields) not in (len(_FIVE), len(_SIX)):
        raise ScheduleError(
            "a cron expression has five fields (minute, hour, day-of-month, month, day-of-week), "
            f"or six with seconds first; {_shown(expression)} has {len(fields)}"
        )
    return fields


def _macro(text: str) -> str:
    macro = text.upper()
    if refusal := _REFUSED_MACROS.get(macro.split()[0]):
        raise ScheduleError(refusal)
    if macro not in _MACROS:
        known = ", ".join(each.lower() for each in _MACROS)
        raise ScheduleError(f"{_shown(text)} is not known; write one of {known}, or five fields")
    return _MACROS[macro]


def _field(kind: _Field, text: str, seed: str) -> str:
    return ",".join(_term(kind, term, seed) for term in text.upper().split(","))


def _term(kind: _Field, term: str, seed: str) -> str:
    """Write one term of a list as cronsim reads it."""
    if not term:
        raise _BadTermError("a value is missing beside a comma")
    body, slash, step = term.partition("/")
    pace = kind.step(step) if slash else None
    if kind.is_day and (special := _special_day(kind, body)) is not None:
        if pace is not None and special != "*":
            raise _BadTermError(f"{_shown(body)} takes no step")
        return special if pace is None else f"{special}/{pace}"
    if body == "*":
        return term
    if body.startswith("H"):
        return _hashed(kind, body, pace, seed)
    return _values(kind, body, pace)


def _special_day(kind: _Field, body: str) -> str | None:
    """``?``, ``L``, ``LW``, ``5L`` and ``MON#2``; ``None`` for anything else."""
    if body == "?":
        return "*"
    if kind is _DAY:
        if body.endswith("W") and body != "LW":
            raise _BadTermError("the nearest weekday cannot be named; LW is the last weekday of the month")
        return body if body in ("L", "LW") else None
    if body == "L":
        raise _BadTermError("L needs a weekday here, such as 5L or FRIL")
    if match := _NTH.fullmatch(body):
        if match["nth"] not in ("1", "2", "3", "4", "5"):
            raise _BadTermError(f"#{match['nth']} is not one of #1-#5; the last one is written 5L or FRIL")
        return f"{kind.number(match['day']) % 7}#{match['nth']}"
    if body.endswith("L"):
        return f"{kind.number(body[:-1]) % 7}L"
    return None


def _values(kind: _Field, body: str, pace: int | None) -> str:
    """A value or a range; spelled out as a list where cronsim would refuse it or read it differently."""
    start, dash, end = body.partition("-")
    low = kind.number(start)
    high = kind.number(end) if dash else low
    if not dash and pace is None:
        return body
    if not dash:
        # cronsim would go on to 7, a second Sunday.
        return _listed(range(low, max(low, kind.last) + 1, pace or 1))
    if low <= high:
        return body if pace is None else f"{body}/{pace}"
    return _listed(_wrapped(kind, low, high)[:: pace or 1])


def _wrapped(kind: _Field, low: int, high: int) -> list[int]:
    """The values from ``low`` up to the field's end and on from its beginning to ``high``."""
    start = kind.low if low > kind.last else low
    if start <= high:
        return list(range(start, high + 1))
    return [*range(start, kind.last + 1), *range(kind.low, high + 1)]


def _hashed(kind: _Field, body: str, pace: int | None, seed: str) -> str:
    """``H``, ``H(0-29)``, each with or without a step, as Jenkins reads them, but derived from sha256."""
    match = _HASHED.fullmatch(body)
    if not match:
        raise _BadTermError(f"{_shown(body)} is not understood; write H, H/15, H(0-29) or H(0-29)/10")
    low, high = kind.low, kind.high if kind.hashed_high is None else kind.hashed_high
    if match["low"]:
        low, high = kind.number(match["low"]), kind.number(match["high"])
    if low > high:
        raise _BadTermError(f"{_shown(body)} ends before it begins")
    number = int.from_bytes(sha256(f"{seed}\0{kind.name}".encode()).digest()[:8])
    size = high - low + 1
    if pace is None:
        return str(low + number % size)
    return _listed(range(low + number % min(pace, size), high + 1, pace))


def _listed(values: range | list[int]) -> str:
    return ",".join(str(value) for value in values)


def _check_that_it_comes(text: str) -> None:
    """Refuse what no calendar has.

    Raises:
        ScheduleError: cronsim finds no date, or none within 50 years.
    """
    day, month, weekday = text.split()[-3:]
    try:
        next(parsed(text))
    except (CronSimError, StopIteration):
        also = "" if weekday == "*" else f", day-of-week {weekday}"
        raise ScheduleError(f"no year has such a date: day-of-month {day}, month {month}{also}") from None


def _allowed(kind: _Field) -> str:
    more = {"day-of-month": ", L, LW, ?", "day-of-week": ", 5L, MON#2, ?"}.get(kind.name, "")
    return f"{kind.allowed}, *{more}, H, lists, ranges and steps such as */2"


def _shown(text: str) -> str:
    """A value in a message: quoted, and never long."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")  # noqa: PLR2004 - enough to find it again
