"""``kind: AccessToken``: who may read status or trigger runs over HTTP, known by the SHA-256 of a token.

The token itself stands in no manifest. Forbidden here: who may do what with it (``reconciler.core.access``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from schemas.base import MAX_ITEMS, Description, Few, Manifest, Pattern, Strict
from schemas.schedule import Instant

TOKEN_PREFIX: Final = "rct_"  # noqa: S105 - by which people and scanners for leaked secrets know a token

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _digest(value: object) -> str:
    if isinstance(value, str) and value.startswith(TOKEN_PREFIX):
        raise ValueError(
            "this looks like the token itself; write its SHA-256, and make another token: this one is known now"
        )
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("must be 64 hexadecimal digits, lower case, in quotes; `reconciler token new` writes them")
    return value


def _in_utc(value: datetime) -> datetime:
    """A token belongs to no zone: without an offset it is UTC."""
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the last hours of 9999 and the first ones of the year 1, beyond them in UTC
        raise ValueError("in UTC this is not within the years 1 to 9999; leave it out for a token that stays") from None


class AccessTokenSpec(Strict):
    """What the token is for, and by what it is known."""

    description: Description = ""
    role: Literal["viewer", "operator", "admin"] = Field(
        description="viewer: reads. operator: also triggers. admin: also sees configuration."
    )
    applications: Annotated[tuple[Pattern, ...], Field(strict=False, min_length=1, max_length=MAX_ITEMS), Few] = Field(
        default=("*",), description="The Applications that it is limited to: names, or patterns with `*`."
    )
    expires_at: Annotated[Instant, AfterValidator(_in_utc)] | None = Field(
        default=None, description="It lets nobody in from this instant on; without an offset it is UTC."
    )
    sha256: Annotated[
        str,
        PlainValidator(_digest),
        WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{64}$"}),
        Field(description="SHA-256 of the token, in hexadecimal; `reconciler token new` writes it."),
    ]


class AccessToken(Manifest):
    """Lets somebody read status, or trigger runs, over HTTP."""

    kind: Annotated[Literal["AccessToken"], Field(description="AccessToken")]
    spec: AccessTokenSpec = Field(description="What the token is for, and by what it is known.")
