"""IPv4 addresses within IPv6 ones: every way in which a packet to an IPv6 address ends at an IPv4 one.

Forbidden here: saying which addresses may be called; that is ``core.egress``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

_INVERTED: Final = 0xFFFF_FFFF
_ISATAP: Final = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")  # RFC 5214, section 6.1
_LAST: Final = slice(12, 16)


def _at(*places: slice) -> Callable[[bytes], Iterator[IPv4Address]]:
    def read(packed: bytes) -> Iterator[IPv4Address]:
        yield IPv4Address(b"".join(packed[place] for place in places))

    return read


def _teredo(packed: bytes) -> Iterator[IPv4Address]:
    """The server, and the client behind it, whose bits are inverted (RFC 4380, section 4)."""
    yield IPv4Address(packed[4:8])
    yield IPv4Address(int.from_bytes(packed[_LAST], "big") ^ _INVERTED)


def _local_nat64(packed: bytes) -> Iterator[IPv4Address]:
    """Wherever the address may stand, for the length of the translator's own prefix is not known (RFC 6052, 2.2).

    Zeros right before the last 32 bits end a prefix of 96, the usual length. Otherwise an address that stands at one
    place leaves zeros at the others, or zeros before its own first bytes: 0.0.0.0/8, to which no translator sends.
    That counts only where there is nothing else.
    """
    last = IPv4Address(packed[_LAST])
    if not any(packed[8:12]):
        yield last
        return
    places = (packed[6:8] + packed[9:11], packed[7:8] + packed[9:12], packed[9:13])
    found = {last, *map(IPv4Address, places)}
    yield from sorted({address for address in found if address.packed[0]} or found)


# Compatible addresses are 0:0:0:0:0:0:a.b.c.d; among them ``::`` and ``::1`` are not, they have meanings of their own.
_FORMS: Final = (
    (IPv6Network("::/96"), _at(_LAST)),  # IPv4-compatible, RFC 4291, section 2.5.5.1
    (IPv6Network("::ffff:0:0/96"), _at(_LAST)),  # IPv4-mapped, RFC 4291, section 2.5.5.2
    (IPv6Network("::ffff:0:0:0/96"), _at(_LAST)),  # IPv4-translated, RFC 2765, section 2.1
    (IPv6Network("64:ff9b::/96"), _at(_LAST)),  # NAT64, RFC 6052, section 2.1
    (IPv6Network("64:ff9b:1::/48"), _local_nat64),  # NAT64 of one's own, RFC 8215
    (IPv6Network("2001::/32"), _teredo),
    (IPv6Network("2002::/16"), _at(slice(2, 6))),  # 6to4, RFC 3056, section 2
)
_OWN_MEANING: Final = frozenset({IPv6Address("::"), IPv6Address("::1")})


def embedded(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Every IPv4 address to which a packet for ``address`` may be sent on."""
    if address in _OWN_MEANING:
        return ()
    packed = address.packed
    found = [inner for network, read in _FORMS if address in network for inner in read(packed)]
    if packed[8:12] in _ISATAP:
        found.append(IPv4Address(packed[_LAST]))
    return tuple(dict.fromkeys(found))


def is_mapped(address: IPv6Address) -> bool:
    """Whether it is an IPv4 address in another spelling: what is sent to it is an IPv4 packet."""
    return address.ipv4_mapped is not None
