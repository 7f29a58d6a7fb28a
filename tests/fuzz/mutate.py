"""Bytes to other bytes, by chance that a seed decides: flips, splices, repetitions, and words known to hurt.

Forbidden here: knowing what the bytes mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

Mutation = Callable[[Random, bytes], bytes]

# Characters that hide, reorder or end lines, that no encoding has, and that readers of text treat differently.
CHARACTERS: Final = (
    *("\x00", "\x07", "\x1b[2J", "\x7f", "\x85", "\xa0", "\u00ad", "\u200b", "\u200f", "\u202e", "\u2028", "\u2029"),
    *("\u2066", "\u2069", "\ufeff", "\ufffe", "\uffff", "\U000e0041", "\U0010ffff", "İ", "ß", "ǆ", "🜃", "e\u0301"),
)
BROKEN: Final = (
    b"\xff",
    b"\xfe\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\x80",
    b"\xff\xfe",
)
NUMBERS: Final = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "-0",
        "0.5",
        "1e3",
        "1e-400",
        "1e400",
        "00",
        "01",
        "0x10",
        "0o17",
        "1_000",
        "+1",
        "1.",
        ".5",
    ),
    *("255", "256", "32767", "65536", "2147483647", "2147483648", "4294967296", "9007199254740993"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" + "0" * 63, "1" + "0" * 64, "9" * 5000),
    *(".inf", "-.INF", ".nan", "NaN", "Infinity", "1e308", "1.7976931348623159e308", "5e-324"),
)
_MOST: Final = 1 << 16  # bytes: what grows beyond this by repetition is cut, but for the rare giants made on purpose


def flip(random: Random, data: bytes) -> bytes:
    """One bit is another one."""
    if not data:
        return b"\x01"
    place = random.randrange(len(data))
    return data[:place] + bytes((data[place] ^ (1 << random.randrange(8)),)) + data[place + 1 :]


def replace_byte(random: Random, data: bytes) -> bytes:
    """One byte is any other."""
    place = random.randrange(len(data) + 1)
    return data[:place] + bytes((random.randrange(256),)) + data[place + 1 :]


def cut(random: Random, data: bytes) -> bytes:
    """A part is missing."""
    begin, end = _span(random, data)
    return data[:begin] + data[end:]


def truncate(random: Random, data: bytes) -> bytes:
    """It ends early."""
    return data[: random.randrange(len(data) + 1)]


def repeat(random: Random, data: bytes) -> bytes:
    """A part stands there several times."""
    begin, end = _span(random, data)
    return data[:end] + data[begin:end] * random.choice((1, 1, 1, 2, 3, 20)) + data[end:]


def move(random: Random, data: bytes) -> bytes:
    """A part stands elsewhere."""
    begin, end = _span(random, data)
    rest = data[:begin] + data[end:]
    place = random.randrange(len(rest) + 1)
    return rest[:place] + data[begin:end] + rest[place:]


def character(random: Random, data: bytes) -> bytes:
    """A character that hides, reorders or breaks."""
    return _insert(random, data, random.choice(CHARACTERS).encode())


def broken(random: Random, data: bytes) -> bytes:
    """Bytes that are not UTF-8."""
    return _insert(random, data, random.choice(BROKEN))


def number(random: Random, data: bytes) -> bytes:
    """A number is another one, at the bound of something."""
    found = [*re.finditer(rb"\d+(?:\.\d+)?", data)]
    if not found:
        return _insert(random, data, random.choice(NUMBERS).encode())
    match = random.choice(found)
    return data[: match.start()] + random.choice(NUMBERS).encode() + data[match.end() :]


def line_ends(random: Random, data: bytes) -> bytes:
    """Lines end as elsewhere, all of them or one."""
    end = random.choice((b"\r\n", b"\r", "\x85".encode(), "\u2028".encode(), b"\n\n", b""))
    return data.replace(b"\n", end, random.choice((1, -1)))


def inserting(words: Sequence[bytes]) -> Mutation:
    """One of these words stands anywhere."""
    return lambda random, data: _insert(random, data, random.choice(words))


def splicing(corpus: Sequence[bytes]) -> Mutation:
    """A part of it is a part of another one of the corpus."""

    def splice(random: Random, data: bytes) -> bytes:
        other = random.choice(corpus)
        begin, end = _span(random, data)
        first, last = _span(random, other)
        return data[:begin] + other[first:last] + data[end:]

    return splice


BYTES: Final = (flip, replace_byte, cut, truncate, repeat, move, character, broken, number, line_ends)


def mutated(random: Random, data: bytes, mutations: Sequence[Mutation], most: int = 6) -> bytes:
    """Several mutations one after the other; mostly few, so that much of what was there still means something."""
    for _ in range(min(random.randint(1, most), random.randint(1, most))):
        data = random.choice(mutations)(random, data)[:_MOST]
    return data


def _span(random: Random, data: bytes) -> tuple[int, int]:
    begin = random.randrange(len(data) + 1)
    return begin, min(len(data), begin + int(2 ** random.uniform(0, 8)))


def _insert(random: Random, data: bytes, word: bytes) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + word + data[place:]
