"""Texts as they were before somebody escaped them, with the places where each character stood.

A target may quote what was sent to it in any notation, and several of them at once: percent-encoded as it likes best,
within JSON, within HTML. Reading it back is sure where listing every way of writing it is not. Forbidden here: knowing
what is looked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from html.entities import html5
from typing import Final, NamedTuple

DEEPEST: Final = 3  # escapings of escapings

MOST: Final = 40  # of all the ways in which one text can be read back; a hostile one has many…
MOST_CHARACTERS: Final = 20_000  # …and all of them together, so that whoever answers so holds nobody up

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


class Piece(NamedTuple):
    """Characters, and with how many each of them was written."""

    text: str
    width: int


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
    return _replaced(layer, [(match.start(), match.end(), _meant(match)) for match in matches])


def _replaced(layer: Layer, found: Iterable[tuple[int, int, Iterable[Piece]]]) -> Layer:
    """Put pieces in the place of what stands there."""
    parts: list[str] = []
    places: list[int] = []
    ends: list[int] = []

    def keep(text: str, start: int, end: int, width: int = 1) -> None:
        parts.append(text)
        places.extend(layer.places[start:end:width])
        ends.extend(layer.ends[start + width - 1 : end : width])

    done = 0
    for start, end, pieces in found:
        keep(layer.text[done:start], done, start)
        at = start
        for text, width in pieces:
            keep(text, at, at + len(text) * width, width)
            at += len(text) * width
        done = end
    keep(layer.text[done:], done, len(layer.text))
    return Layer("".join(parts), places, ends)


def _meant(match: re.Match[str]) -> Iterable[Piece]:
    """The characters that an escape stands for."""
    kind, written = match.lastgroup, match[0]
    if kind == "percent":
        return _percent(bytes.fromhex(written.replace("%", "")))
    if kind == "unicode":
        return _units(bytes.fromhex(written.replace("\\u", "")))
    if kind == "entity":
        return _entity(written)
    one = ""
    if kind == "byte":
        one = chr(int(written.removeprefix("\\x"), base=16))
    elif kind == "plus":  # in forms
        one = " "
    elif kind == "plain":
        one = written[1]
    elif kind == "control":
        one = _CONTROLS[written[1]]
    return [Piece(one, len(written))] if one else ()


def _entity(written: str) -> Iterable[Piece]:
    name = written[1:-1]
    if name.startswith("#"):
        number = int(f"0{name[1:]}".lower(), 0) if name[1] in "xX" else int(name[1:])
        meant = chr(number) if number <= sys.maxunicode else ""
    else:
        meant = html5.get(f"{name};", "")
    return [Piece(meant, len(written)) if len(meant) == 1 else Piece(written, 1)]  # it is none, or more than one


def _percent(data: bytes) -> Iterable[Piece]:
    if data.isascii():
        return [Piece(data.decode("ascii"), 3)]
    try:
        return [Piece(character, 3 * len(character.encode())) for character in data.decode()]
    except UnicodeDecodeError:
        return [Piece(data.decode("latin-1"), 3)]


def _units(data: bytes) -> Iterable[Piece]:
    text = data.decode("utf-16-be", "replace")
    if len(text) * 2 == len(data):
        return [Piece(text, 6)]
    return [Piece(character, 12 if ord(character) > 0xFFFF else 6) for character in text]  # noqa: PLR2004 - UTF-16
