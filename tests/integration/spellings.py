"""The ways in which one address can be written as the host of a URL, those that somebody once got through with first.

Forbidden here: saying what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import product

DOTS = ("\N{IDEOGRAPHIC FULL STOP}", "\N{FULLWIDTH FULL STOP}", "\N{HALFWIDTH IDEOGRAPHIC FULL STOP}", "%2e", "%2E")
_FULLWIDTH = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
_CIRCLED = str.maketrans("0123456789", "\N{CIRCLED DIGIT ZERO}" + "".join(chr(0x2460 + digit) for digit in range(9)))
_BASES = ("{:d}", "0x{:x}", "0{:o}")


def spelled(address: str) -> list[str]:
    """Every spelling of an address, brackets included; each once."""
    parsed = IPv4Address(address) if ":" not in address else IPv6Address(address)
    found = _of_ipv4(parsed) if isinstance(parsed, IPv4Address) else _of_ipv6(parsed)
    return list(dict.fromkeys(found))


def _of_ipv4(address: IPv4Address) -> Iterator[str]:
    number, parts, text = int(address), tuple(address.packed), str(address)
    yield from (text, f"{text}.", f"{text}..")
    for bases in product(_BASES, repeat=4):  # decimal, hexadecimal and octal, mixed as one likes
        yield ".".join(base.format(part) for base, part in zip(bases, parts, strict=True))
    for base in (*_BASES, "0X{:X}", "0{:o}.", "0x{:x}.", "{:d}.", "0000000{:o}", "0x00000000{:x}", "0x{:x}%2e"):
        yield base.format(number)
    for base in _BASES:  # the short forms of inet_aton: the last part takes what is left
        yield ".".join((base.format(parts[0]), base.format(number & 0xFFFFFF)))
        yield ".".join((base.format(parts[0]), base.format(parts[1]), base.format(number & 0xFFFF)))
    yield ".".join(f"{part:03d}" for part in parts)
    yield ".".join(f"0x{part:08X}" for part in parts)
    yield ".".join(f"{part + 256}" for part in parts)  # wraps round in parsers that do not look
    yield f"{number + 2**32}"
    for dot in DOTS:
        yield text.replace(".", dot)
    yield text.translate(_FULLWIDTH)
    yield text.translate(_CIRCLED)
    yield "".join(f"%{ord(character):02x}" for character in text)
    yield f"%{ord(text[0]):02x}{text[1:]}"
    for before in ("user@", "user:pass@", "api.example.com@", "api.example.com%23@", "api.example.com\\@"):
        yield f"{before}{text}"
    yield from (f"[{each}]" for each in carriers(address))


def carriers(address: IPv4Address) -> Iterator[str]:
    """IPv6 addresses that lead to an IPv4 one."""
    number, text = int(address), str(address)
    last = f"{number >> 16:x}:{number & 0xFFFF:x}"
    inverted = number ^ 0xFFFFFFFF
    for each in (f"::ffff:{text}", f"::ffff:{last}", f"0:0:0:0:0:ffff:{text}", f"::FFFF:{last.upper()}"):
        yield each
        yield f"{each}%1"
    yield from (f"::{text}", f"::{last}", f"::ffff:0:{text}", f"::ffff:0:{last}")
    yield from (
        f"64:ff9b::{text}",
        f"64:ff9b::{last}",
        f"0064:FF9B::{last}",
        f"64:ff9b:1::{text}",
        f"64:ff9b:1:fffe::{last}",
    )
    yield from (f"2002:{last}::", f"2002:{last}:0:0:0:0:1", f"2002:{last}::1")
    yield f"2001:0:808:808:0:0:{inverted >> 16:x}:{inverted & 0xFFFF:x}"
    yield f"2001::{inverted >> 16:x}:{inverted & 0xFFFF:x}"
    yield from (f"fe80::5efe:{text}", f"2606:4700::5efe:{last}", f"2606:4700::200:5efe:{last}", f"fd00::5efe:{last}")


def _of_ipv6(address: IPv6Address) -> Iterator[str]:
    short, full = str(address), address.exploded
    for each in (short, full, ":".join(f"{int(part, 16):x}" for part in full.split(":"))):
        for text in (each, each.upper(), f"{each}%1", f"{each}%25lo", f"{each}%lo"):
            yield f"[{text}]"
    number = int(address) & 0xFFFFFFFF
    yield f"[{full.rpartition(':')[0].rpartition(':')[0]}:{IPv4Address(number)}]"
    yield f"%5B{short}%5D"
    yield f"[{short}]."
