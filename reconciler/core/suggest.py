"""Did you mean …? What a misspelt word was probably meant to be, and how foreign text is quoted in a message.

Forbidden here: knowledge of manifests; and an excerpt longer than a line of a terminal can take.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache

MOST_HINTED = 200  # names among many; whoever has more wrong has one mistake in all of them

_LONGEST = 48
_FEW = 16  # known words; of more, only so many that share most with the word are compared
_SHARED = 2  # characters in a row
_MOST_COMPARED = 5_000  # difflib compares with each one: beyond this many a hint would cost more than it is worth


def excerpt(text: str) -> str:
    """Quote foreign text for a message: printable ASCII as it is, the rest escaped, at most 48 characters."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in short)


def closest(word: str, known: Collection[str]) -> str | None:
    """The known word that ``word`` most resembles, capitals aside; ``None`` if none does."""
    if len(word) > _LONGEST or len(known) > _MOST_COMPARED:
        return None
    lower = word.lower()
    by_lower = {each.lower(): each for each in (known if len(known) <= _FEW else _alike(lower, known))}
    found = get_close_matches(lower, by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def _alike(word: str, known: Collection[str]) -> Collection[str]:
    """Those of many words that have the word's rarest pieces."""
    having = _by_piece(frozenset(known))
    found: dict[str, None] = {}
    for words in sorted((having.get(piece, ()) for piece in sorted(_pieces(word))), key=len):
        found.update(dict.fromkeys(words[: _FEW - len(found)]))
    return found


def _pieces(word: str) -> set[str]:
    return {word[place : place + _SHARED] for place in range(len(word) - _SHARED + 1)}


@lru_cache(maxsize=32)
def _by_piece(known: frozenset[str]) -> Mapping[str, Sequence[str]]:
    """The words that have each piece, in their order; the same words are asked for over and over."""
    having: dict[str, list[str]] = {}
    for word in sorted(known):
        for piece in _pieces(word.lower()):
            having.setdefault(piece, []).append(word)
    return having


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`` (did you mean `request`?)``, to be appended to a message; empty if nothing comes close."""
    found = closest(word, known)
    return f" (did you mean `{found}`?)" if found and found != word else ""
