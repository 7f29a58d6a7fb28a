"""The envelope of every manifest, and the small types that its fields share: names, durations, zones.

Forbidden here: rules that concern one kind only, and anything that needs a second manifest.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

API_VERSION = "reconciler/v1"
MAX_ITEMS = 10_000  # of one list; more fit in no file, but for lists of the shortest texts

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(?:\d{1,9}d)?(?:\d{1,9}h)?(?:\d{1,9}m(?!s))?(?:\d{1,9}s)?(?:\d{1,9}ms)?", re.ASCII)
_DURATION_PART = re.compile(r"(\d+)(ms|[dhms])", re.ASCII)
_DURATION_PATTERN = r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
_RATE = re.compile(r"(\d{1,6})/(\d[\ddhms]*|ms|[dhms])", re.ASCII)
_PATTERN = re.compile(r"^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}")
_LONGEST_NAME = 63

# Bidirectional controls can make a name read as another one (Unicode TR 36, section 2.4).
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class LackingError(ValueError):
    """Something is not there; it may stand in a field beside that is misspelt, or wrong for another reason."""


class Strict(BaseModel):
    """A piece of a manifest: camelCase outside, snake_case inside, no coercion, no unknown field."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        strict=True,
    )


def parse_duration(value: object) -> timedelta:
    """Read ``90s``, ``2h30m``, ``1d``, ``250ms``: whole numbers with units, largest unit first.

    Raises:
        ValueError: the text is not a duration, or is longer than 3,650 days.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("a duration is a string with a unit, such as 90s, 2h30m or 1d")  # noqa: TRY004 - pydantic collects ValueError
    if not value or not _DURATION.fullmatch(value):
        raise ValueError("not a duration; write it like 90s, 2h30m or 1d, largest unit first")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value))
    if seconds > 3650 * 86_400:
        raise ValueError("a duration may be at most 3650d")
    return timedelta(milliseconds=round(seconds * 1000))


def format_duration(value: timedelta) -> str:
    """Write a duration the way a manifest does: ``2h30m``; zero is ``0s``."""
    milliseconds = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_rate(value: object) -> tuple[int, timedelta]:
    """Read ``100/1m``, or ``10/s`` for ``10/1s``: how many in any span of which length.

    Raises:
        ValueError: not in that form, none at all, or a span of zero.
    """
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str) or not (match := _RATE.fullmatch(value)):
        raise ValueError("not a rate; write it like 100/1m or 10/s")
    calls, span = int(match[1]), parse_duration(match[2] if match[2][0].isdigit() else f"1{match[2]}")
    if calls < 1 or span <= timedelta(0):
        raise ValueError("a rate is at least one call in a span longer than zero")
    return calls, span


def format_rate(value: tuple[int, timedelta]) -> str:
    """Write a rate the way a manifest does: ``100/1m``."""
    return f"{value[0]}/{format_duration(value[1])}"


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than zero")
    return value


def clean_text(value: str) -> str:
    """Refuse what no one can see: control characters and bidirectional overrides.

    Raises:
        ValueError: naming the first such character by its code point.
    """
    if value.isascii() and value.isprintable():
        return value
    for character in value:
        if character in _BIDI or unicodedata.category(character) == "Cc":
            raise ValueError(f"contains the invisible character U+{ord(character):04X}")
    return value


def check_pattern(value: str) -> str:
    """Accept a name, or one in which ``*`` stands for any characters, none included.

    Raises:
        ValueError: it could match no name.
    """
    if len(value) > _LONGEST_NAME or not _PATTERN.fullmatch(value):
        raise ValueError("write a name, or a pattern such as billing-*: lower-case letters, digits, dashes and *")
    return value


def check_zone(value: str) -> str:
    """Accept the name of an IANA zone that this machine knows.

    Raises:
        ValueError: there is no such zone.
    """
    if _ZONE.fullmatch(value):  # what is looked up may be a path, or a package that is to be imported
        with suppress(ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            ZoneInfo(value)
            return value
    raise ValueError("there is no such time zone; zones are named like Europe/Berlin")


_duration = (
    PlainValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _DURATION_PATTERN, "examples": ["90s", "2h30m", "1d"]}),
)


def _few(value: object) -> object:
    """Refuse a list that is too long before its items are looked at; pydantic would look at each first."""
    if isinstance(value, list | tuple) and len(value) > MAX_ITEMS:
        raise ValueError(f"must have at most {MAX_ITEMS:,} items")
    return value


Few = BeforeValidator(_few)
Duration = Annotated[timedelta, *_duration]
PositiveDuration = Annotated[timedelta, *_duration, AfterValidator(_positive)]
CallRate = Annotated[
    tuple[int, timedelta],
    PlainValidator(parse_rate),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+/(\d[\ddhms]*|ms|[dhms])$", "examples": ["100/1m", "10/s"]}),
]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
    Field(description="A DNS label: lower-case letters, digits and dashes, at most 63 characters."),
]
Pattern = Annotated[
    str,
    AfterValidator(check_pattern),
    WithJsonSchema(
        {"type": "string", "pattern": _PATTERN.pattern, "maxLength": 63, "examples": ["billing", "billing-*"]}
    ),
]
LabelValue = Annotated[str, StringConstraints(max_length=253), AfterValidator(clean_text)]
ShortText = Annotated[str, AfterValidator(clean_text), StringConstraints(min_length=1, max_length=253)]
Description = Annotated[
    str, StringConstraints(max_length=2000), Field(description="For people; shown by `show` and in status.")
]
Zone = Annotated[
    str,
    AfterValidator(check_zone),
    Field(description="An IANA time zone.", examples=["Europe/Berlin", "US/Eastern", "UTC"]),
]


Labels = Annotated[
    Mapping[ShortText, LabelValue],
    Field(description="Free key-value pairs for people and filters."),
]
AnnotationValues = Mapping[ShortText, Annotated[str, StringConstraints(max_length=4096), AfterValidator(clean_text)]]
Annotations = Annotated[
    AnnotationValues,
    Field(
        description="Free key-value pairs for tools; no key begins with `reconciler/`.",
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 253, "not": {"pattern": "^reconciler/"}}},
    ),
]


class Metadata(Strict):
    """What every manifest is called, and how it is labelled."""

    name: Name
    labels: Labels = Field(default={})
    annotations: Annotations = Field(default={})


class Manifest(Strict):
    """One YAML document."""

    api_version: Literal["reconciler/v1"] = Field(description="The version of this format.")
    kind: str
    metadata: Metadata = Field(description="What it is called, and how it is labelled.")
    spec: Any
