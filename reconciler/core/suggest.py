"""Did you mean …? What a misspelt word was probably meant to be, and how foreign text is quoted in a message.

Forbidden here: knowledge of manifests; and an excerpt longer than a line of a terminal can take.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

_LONGEST = 48
_MOST_COMPARED = 5_000  # difflib compares with each one: beyond this many a hint would cost more than it is worth


def excerpt(text: str) -> str:
    """Quote foreign text for a message: printable ASCII as it is, the rest escaped, at most 48 characters."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in short)


def closest(word: str, known: Collection[str]) -> str | None:
    """The known word that ``word`` most resembles, capitals aside; ``None`` if none does."""
    if len(word) > _LONGEST or len(known) > _MOST_COMPARED:
        return None
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`` (did you mean `request`?)``, to be appended to a message; empty if nothing comes close."""
    found = closest(word, known)
    return f" (did you mean `{found}`?)" if found and found != word else ""
