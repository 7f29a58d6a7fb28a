"""Texts as they were before somebody escaped them, with the places where each character stood.

A target may quote what was sent to it in any notation, and several of them at once: percent-encoded as it likes best,
within JSON, within HTML. Reading it back is sure where listing every way of writing it is not. Forbidden here: knowing
what is looked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from html.entities import html5
from typing import Final, NamedTuple

DEEPEST: Final = 3  # escapings of escapings

MOST: Final = 40  # of all the ways in which one text can be read back; a hostile one has many…
MOST_CHARACTERS: Final = 48_000  # …and all of them together, so that whoever answers so holds nobody up

_PERCENT: Final = r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)|(?P<cut_percent>%[0-9A-Fa-f]?\Z)"
_PLUS: Final = r"(?P<plus>\+)"
_BACKSLASH: Final = (
    r"(?P<unicode>(?:\\u[0-9A-Fa-f]{4})+)"
    r"|(?P<byte>\\x[0-9A-Fa-f]{2})"
    r"|(?P<plain>\\[\"'\\/])"
    r"|(?P<control>\\[bfnrt])"
    r"|(?P<cut_backslash>\\(?:[ux][0-9A-Fa-f]{0,3})?\Z)"
)
_ENTITY: Final = (
    r"(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)|(?P<cut_entity>&#?[A-Za-z0-9]{0,7}\Z)"
)
# All at once, as where one part of a text was escaped in one way and the next one in another; and each by itself, for
# what is an escape in one notation may be meant as it stands in another.
_NOTATIONS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        f"{_PERCENT}|{_BACKSLASH}|{_ENTITY}",
        _PERCENT,
        f"{_PERCENT}|{_PLUS}",
        _BACKSLASH,
        _ENTITY,
    )
)
_CONTROLS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_BREAK: Final = re.compile(r"[ \t]*\r?\n[ \t]*")


class Layer(NamedTuple):
    """A text that was read back, and where in the first one each of its characters begins, and where it ends."""

    text: str
    places: Sequence[int]
    ends: Sequence[int]


def layers(text: str) -> Iterator[Layer]:
    """What a text may be when it is read back, once and more often, and without line breaks; none that is itself."""
    first = Layer(text, range(len(text)), range(1, len(text) + 1))
    seen, reached, left = {text}, [first], MOST_CHARACTERS
    if "\n" in text:
        yield _joined(first)
    for _ in range(DEEPEST):
        further: list[Layer] = []
        for layer in (_read_back(known, notation) for known in reached for notation in _NOTATIONS):
            if layer is None or layer.text in seen:
                continue
            left -= len(layer.text)
            if left < 0 or len(seen) > MOST:
                return
            seen.add(layer.text)
            further.append(layer)
            yield layer
            if "\n" in layer.text:
                yield _joined(layer)
        reached = further


def _joined(layer: Layer) -> Layer:
    """Without line breaks, as base64 is before it is written in lines of one length."""
    return _replaced(layer, [(match.start(), match.end(), ()) for match in _BREAK.finditer(layer.text)])


def _read_back(layer: Layer, notation: re.Pattern[str]) -> Layer | None:
    matches = list(notation.finditer(layer.text))
    if all(match.lastgroup == "plus" for match in matches):  # without anything else, text and base64 have these
        return None
    return _replaced(layer, [(match.start(), match.end(), tuple(_meant(match))) for match in matches])


def _replaced(layer: Layer, found: Sequence[tuple[int, int, Sequence[tuple[str, int]]]]) -> Layer:
    """Put characters in the place of others; each comes with how many characters it is written with."""
    parts: list[str] = []
    places: list[int] = []
    ends: list[int] = []

    def keep(start: int, end: int) -> None:
        parts.append(layer.text[start:end])
        places.extend(layer.places[start:end])
        ends.extend(layer.ends[start:end])

    done = 0
    for start, end, characters in found:
        keep(done, start)
        at = start
        for character, length in characters:
            parts.append(character)
            places.append(layer.places[at])
            ends.append(layer.ends[at + length - 1])
            at += length
        done = end
    keep(done, len(layer.text))
    return Layer("".join(parts), places, ends)


def _meant(match: re.Match[str]) -> Iterator[tuple[str, int]]:
    """The characters that an escape stands for, each with how many characters it takes."""
    kind, written = match.lastgroup, match[0]
    if kind == "percent":
        yield from _percent(bytes.fromhex(written.replace("%", "")))
    elif kind == "unicode":
        yield from _units(bytes.fromhex(written.replace("\\u", "")))
    elif kind == "byte":
        yield chr(int(written.removeprefix("\\x"), base=16)), len(written)
    elif kind == "plus":  # in forms
        yield " ", 1
    elif kind == "plain":
        yield written[1], len(written)
    elif kind == "control":
        yield _CONTROLS[written[1]], len(written)
    elif kind == "entity":
        yield from _entity(written)


def _entity(written: str) -> Iterator[tuple[str, int]]:
    name = written[1:-1]
    if name.startswith("#"):
        number = int(f"0{name[1:]}".lower(), 0) if name[1] in "xX" else int(name[1:])
        meant = chr(number) if number <= sys.maxunicode else ""
    else:
        meant = html5.get(f"{name};", "")
    if len(meant) == 1:
        yield meant, len(written)
    else:  # it is none
        yield from ((character, 1) for character in written)


def _percent(data: bytes) -> Iterator[tuple[str, int]]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        yield from ((character, 3) for character in text)
        return
    yield from ((character, 3 * len(character.encode())) for character in text)


def _units(data: bytes) -> Iterator[tuple[str, int]]:
    text = data.decode("utf-16-be", "replace")
    yield from ((character, 12 if ord(character) > 0xFFFF else 6) for character in text)  # noqa: PLR2004 - UTF-16
