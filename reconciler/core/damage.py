"""What is said of records in the store that cannot be read, because somebody has changed them by hand.

Forbidden here: mending them; a sync does that for what is declared.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.visible import visible_line

MENDED = "the next sync that looks for drift writes it anew, or removes it where nothing declares it"
PASSED_OVER = "it is passed over"
PAUSE = (
    "where nothing tells any more what it pauses, only a reconciler that has read it before keeps to it: "
    "pause anew what is to stay paused"
)


class Damage:
    """Gathers them, one line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def of(self, kind: str, then: str = MENDED) -> Callable[[str, str], None]:
        """What a store is given to tell of records of one kind; ``then`` is what becomes of such a one."""

        def told(name: str, why: str) -> None:
            self.lines.append(damage_text(kind, name, why, then))

        return told


def damage_text(kind: str, name: str, why: str, then: str = MENDED) -> str:
    """One record that cannot be read: which, why, and what becomes of it."""
    return visible_line(f"the store's record of the {kind} {name} cannot be read: {why}; {then}")


def unheard(_name: str, _why: str) -> None:
    """Pass over what cannot be read, where somebody else tells of it."""
