"""Who may read and trigger. Forbidden here: decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What whoever asks over HTTP may do; each may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether it may do what another may."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A declared token that lets whoever sends it read or trigger; the token itself is nowhere.

    Attributes:
        applications: names, or patterns with ``*``, of the Applications that it is limited to.
        expires_at: it lets nobody in from this instant on.
        sha256: of the token, in hexadecimal; empty where its manifest cannot be read.
        closed: why it lets nobody in; empty where it does.
        file, line: where it is declared.
    """

    name: str
    role: Role
    applications: tuple[str, ...] = ("*",)
    expires_at: datetime | None = None
    sha256: str = field(repr=False)
    description: str = ""
    closed: str = ""
    file: str = ""
    line: int = 1
