"""Instants as they are kept. Forbidden here: decisions."""

from __future__ import annotations

from datetime import UTC, datetime


def whole_milliseconds(instant: datetime) -> datetime:
    """Cut an aware instant to milliseconds, in UTC."""
    instant = instant.astimezone(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
