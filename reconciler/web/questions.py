"""What the reading addresses may be asked: query parameters, strict, every fault reported at once.

Forbidden here: answering.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from reconciler.core.acts import ActKind, ActQuery
from reconciler.core.model import Cause, JobKey, Outcome, RunQuery
from reconciler.web.paging import DEFAULT_LIMIT, HIGHEST_LIMIT, decode_cursor

STATS_WINDOW = timedelta(days=7)
LONGEST_STATS_WINDOW = timedelta(days=400)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+ -]\d\d:\d\d))?", re.ASCII)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


def is_name(text: str) -> bool:
    """Whether an Application or Api could be called so."""
    return _NAME.fullmatch(text) is not None


def is_run_id(text: str) -> bool:
    """Whether a run could have this id."""
    return _RUN_ID.fullmatch(text) is not None


def parse_moment(value: object) -> datetime:
    """Read an RFC 3339 date-time, or a date, which is its first instant in UTC.

    Raises:
        ValueError: not of that form, no such date, or outside the years 1970 to 9998.
    """
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("write it like 2026-03-29T01:00:00Z or 2026-03-29")
    try:
        if len(value) == len("2026-03-29"):
            day = date.fromisoformat(value)
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:  # an unescaped + of the offset arrives as a space
            text = f"{value[:10]}T{value[11:].replace(' ', '+').upper()}"
            moment = datetime.fromisoformat(_six_digits(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such date or time of day") from None
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("the year must be from 1970 to 9998")
    return moment


def _six_digits(text: str) -> str:
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _check_name(value: str) -> str:
    if not is_name(value):
        raise ValueError("a name has lower-case letters, digits and dashes, at most 63 characters")
    return value


Moment = Annotated[
    datetime,
    BeforeValidator(parse_moment),
    WithJsonSchema({"type": "string", "examples": ["2026-03-29T01:00:00Z", "2026-03-29"]}),
]
Name = Annotated[str, AfterValidator(_check_name)]


class Question(BaseModel):
    """Query parameters; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Paged(Question):
    """Which page of a list."""

    kind: ClassVar[str] = ""

    cursor: str | None = Field(default=None, description="`next` of the page before; leave out for the first page.")
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=HIGHEST_LIMIT, description="At most so many items.")

    @field_validator("cursor")
    @classmethod
    def _position(cls, value: str | None) -> str | None:
        return None if value is None else decode_cursor(cls.kind, value)


class Window(Question):
    """A span of slots: at or after ``from``, before ``to``."""

    since: Moment | None = Field(
        default=None, alias="from", description="Slots at or after this instant; a date is its 00:00 UTC."
    )
    until: Moment | None = Field(
        default=None, alias="to", description="Slots before this instant; a date is its 00:00 UTC."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("`from` must be before `to`")
        return self


class HistoryQuestion(Paged, Window):
    """Which runs of a job."""

    kind: ClassVar[str] = "run"

    status: list[Outcome] = Field(default=[], description="Only runs with this status; may be repeated.")
    cause: Cause | None = Field(default=None, description="Only runs on schedule, or only manual ones.")

    @field_validator("cursor")
    @classmethod
    def _names_a_run(cls, value: str | None) -> str | None:
        if value is not None and not is_run_id(value):
            raise ValueError("not a cursor; take the value of `next` from a page of this list")
        return value

    def query(self, *, application: str | None, api: str | None = None) -> RunQuery:
        """What the store is asked: one run more than a page holds, to see whether another page follows."""
        return RunQuery(
            application=application,
            api=api,
            outcomes=tuple(dict.fromkeys(self.status)),
            cause=self.cause,
            since=self.since,
            until=self.until,
            before=self.cursor,
            limit=self.limit + 1,
        )


class RunsQuestion(HistoryQuestion):
    """Which runs."""

    application: Name | None = Field(default=None, description="Only runs of this Application.")


class ApisQuestion(Paged):
    """Which jobs of an Application."""

    kind: ClassVar[str] = "job"

    status: list[Outcome] = Field(default=[], description="Only jobs whose last run has this status; repeatable.")
    suspend: bool | None = Field(default=None, description="Only suspended jobs, or only active ones.")


class JobsQuestion(ApisQuestion):
    """Which jobs."""

    application: Name | None = Field(default=None, description="Only jobs of this Application.")


class ApplicationsQuestion(Paged):
    """Which Applications."""

    kind: ClassVar[str] = "application"

    held: bool | None = Field(default=None, description="Only held Applications, or only those in order.")


class SyncsQuestion(Paged):
    """Which sync reports."""

    kind: ClassVar[str] = "sync"


class ActsQuestion(Paged):
    """Which acts."""

    kind: ClassVar[str] = "act"

    kinds: list[ActKind] = Field(default=[], alias="kind", description="Only acts of this kind; may be repeated.")
    application: Name | None = Field(default=None, description="Only acts on this Application and its jobs.")
    api: Name | None = Field(
        default=None, description="Only acts on this Api, and on the whole of its `application`, with which it goes."
    )
    since: Moment | None = Field(
        default=None, alias="from", description="Done at or after this instant; a date is its 00:00 UTC."
    )
    until: Moment | None = Field(
        default=None, alias="to", description="Done before this instant; a date is its 00:00 UTC."
    )

    @field_validator("cursor")
    @classmethod
    def _names_an_act(cls, value: str | None) -> str | None:
        if value is not None and not is_run_id(value):  # of one form with it
            raise ValueError("not a cursor; take the value of `next` from a page of this list")
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> ActsQuestion:
        if self.api and not self.application:
            raise ValueError("`api` goes with `application`")
        if self.since and self.until and self.since >= self.until:
            raise ValueError("`from` must be before `to`")
        return self

    def query(self) -> ActQuery:
        """What the store is asked: one act more than a page holds, to see whether another page follows."""
        return ActQuery(
            kinds=tuple(dict.fromkeys(self.kinds)),
            application=self.application,
            api=self.api,
            since=self.since,
            until=self.until,
            before=self.cursor,
            limit=self.limit + 1,
        )


class StatsQuestion(Window):
    """Which runs to sum up."""

    application: Name | None = Field(default=None, description="Only runs of this Application.")
    api: Name | None = Field(default=None, description="Only runs of this Api; goes with `application`.")

    @model_validator(mode="after")
    def _api_of_an_application(self) -> StatsQuestion:
        if self.api and not self.application:
            raise ValueError("`api` goes with `application`")
        return self

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """From and to; the last seven days unless told.

        Raises:
            ValueError: the window is empty, or longer than 400 days.
        """
        until = self.until or (max(now, self.since) if self.since else now)
        since = self.since or until - STATS_WINDOW
        if until - since > LONGEST_STATS_WINDOW:
            raise ValueError(f"from `from` to `to` may be at most {LONGEST_STATS_WINDOW.days} days")
        return since, until

    def query(self, *, since: datetime, until: datetime) -> RunQuery:
        """What the store is asked."""
        return RunQuery(application=self.application, api=self.api, since=since, until=until)


def job_key(application: str, api: str) -> JobKey | None:
    """The key, or ``None`` where no job could be called so: then the store need not be asked."""
    return JobKey(application, api) if is_name(application) and is_name(api) else None
