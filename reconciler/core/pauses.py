"""What a person asks for who pauses or resumes: the target, the end, and why; and what is said where it cannot be done.

Forbidden here: the store, and the present time, which is always a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from reconciler.core.instants import absolute, read_instant, relative, stamp
from reconciler.core.model import JobKey, Pause
from reconciler.core.suggest import did_you_mean, excerpt
from reconciler.errors import NotFoundError, SettingsError
from schemas.base import clean_text, parse_duration

LONGEST = timedelta(days=366)
LONGEST_REASON = 500

# The end of a pause that somebody must end: nobody asks for one, but a job that failed too often is paused so.
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

_EXAMPLE = 'reconciler pause billing --reason "database migration" --until 2h'
_FORMS = "write a duration (2h), a time (18:00, 18:00+02:00) or an instant (2026-12-01T18:00:00Z); UTC unless it says"
_TIME = re.compile(r"(\d{2}:\d{2}(?::\d{2})?)([Zz]|[+-]\d{2}:\d{2})?", re.ASCII)


def ordered(reason: str | None, until: str | None, now: datetime) -> tuple[str, datetime]:
    """Read why a pause is wanted and when it ends.

    Raises:
        SettingsError: with every reason at once; both must be given.
    """
    wrong: list[str] = []
    said, end = "", now
    try:
        said = reason_of(reason)
    except SettingsError as error:
        wrong.append(str(error))
    try:
        end = until_of(until, now)
    except SettingsError as error:
        wrong.append(str(error))
    if wrong:
        raise SettingsError("\n".join([*wrong, f"for example: {_EXAMPLE}"]))
    return said, end


def reason_of(text: str | None) -> str:
    """Read why, as one line.

    Raises:
        SettingsError: nothing is said, or too much, or what nobody can see.
    """
    said = " ".join((text or "").split())
    if not said:
        raise SettingsError("--reason: say why, for those who wonder later")
    if len(said) > LONGEST_REASON:
        raise SettingsError(f"--reason: at most {LONGEST_REASON} characters")
    try:
        return clean_text(said)
    except ValueError as error:
        raise SettingsError(f"--reason: {error}") from None


def until_of(text: str | None, now: datetime) -> datetime:
    """Read an end: a duration from now, the next time that a clock in UTC (or at an offset) shows, or an instant.

    Raises:
        SettingsError: it is none of these, has passed, or is more than 366 days away.
    """
    if not (text or "").strip():
        raise SettingsError(f"--until: say when it ends; {_FORMS}")
    end = _instant((text or "").strip(), now)
    if end <= now:  # looked at before it is rounded: no time at all is no pause, and must not end a longer one
        raise SettingsError(f"--until: {stamp(end)} has passed")
    end += timedelta(microseconds=-end.microsecond % 1_000_000)  # people read it again and again: whole seconds
    if end - now > LONGEST:
        raise SettingsError(
            f"--until: {stamp(end)} is more than {LONGEST.days} days away; `suspend: true` in the manifest has no end"
        )
    return end


def _instant(text: str, now: datetime) -> datetime:
    try:
        return now + parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        if match := _TIME.fullmatch(text):
            return _next_time(match[1], match[2] or "Z", now)
        return read_instant(text)
    except (ValueError, SettingsError):
        raise SettingsError(f"--until: {excerpt(text)!r} is no end; {_FORMS}") from None


def _next_time(clock: str, offset: str, now: datetime) -> datetime:
    """Today or, where that has passed, tomorrow."""
    zone = datetime.fromisoformat(f"2000-01-01T00:00{'+00:00' if offset in 'Zz' else offset}").tzinfo
    today = now.astimezone(zone)
    end = datetime.fromisoformat(f"{today:%Y-%m-%d}T{clock}").replace(tzinfo=zone)
    return (end if end > now else end + timedelta(days=1)).astimezone(UTC)


def ends_in_words(until: datetime | None, now: datetime | None = None) -> str:
    """When a pause ends, after the word ``until``: an instant (and how far that is from ``now``), or ``resumed``."""
    if until is None or until >= FOREVER:
        return "resumed"
    return absolute(until) if now is None else f"{absolute(until)} ({relative(until, now)})"


def target_of(text: str) -> tuple[str, str | None]:
    """Read ``application`` or ``application/api``.

    Raises:
        NotFoundError: the text is of neither form.
    """
    if "/" not in text:
        return text, None
    return JobKey.parse(text)


def must_be_known(target: str, applications: Collection[str], jobs: Collection[JobKey]) -> None:
    """Refuse to pause what does not exist.

    Raises:
        NotFoundError: there is no such Application, or no such job.
    """
    names = set(applications) | {key.application for key in jobs}
    if "/" not in target and target not in names:
        raise NotFoundError(f"there is no Application {excerpt(target)}{did_you_mean(target, names)}")
    known = {str(key) for key in jobs}
    if "/" in target and target not in known:
        raise NotFoundError(f"there is no job {excerpt(target)}{did_you_mean(target, known)}")


def not_paused(target: str, pauses: Sequence[Pause]) -> NotFoundError:
    """What to say to somebody who resumes what is not paused by itself.

    Args:
        target: what was to be resumed.
        pauses: every open one.
    """
    application, _, api = target.partition("/")
    others = sorted({pause.target for pause in pauses})
    if api and application in others:
        return NotFoundError(
            f"{target} is not paused by itself; {application} is paused as a whole: `reconciler resume {application}`"
        )
    within = [other for other in others if other.startswith(f"{application}/")]
    if not api and within:
        return NotFoundError(
            f"{target} is not paused as a whole; paused are {', '.join(within)}: `reconciler resume {within[0]}`"
        )
    if not others:
        return NotFoundError(f"{excerpt(target)} is not paused; nothing is")
    return NotFoundError(
        f"{excerpt(target)} is not paused{did_you_mean(target, others)}; paused are {', '.join(others)}"
    )
