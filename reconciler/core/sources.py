"""From which address a request comes, and under which name it is asked for: what headers say, and when it is believed.

Forbidden here: reading a socket.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?", re.ASCII)
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?", re.ASCII)
_SHARED = 64  # bits: one subscriber has as many IPv6 addresses as there are below this prefix
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?", re.ASCII)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read ``10.0.0.0/8, ::1``.

    Raises:
        ValueError: one of them is no network.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def parse_hosts(text: str) -> tuple[str, ...]:
    """Read ``reconciler.example.com, *.internal.example.com``; ``*`` alone for any.

    Raises:
        ValueError: one of them is no name of a host.
    """
    names = tuple(part.strip().lower().rstrip(".") for part in text.split(",") if part.strip())
    for name in names:
        if name != "*" and not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no host; write names without scheme and port, such as *.example.com")
    return names


def parse_origins(text: str) -> frozenset[str]:
    """Read ``https://status.example.com, http://localhost:3000``.

    Raises:
        ValueError: one of them is no origin; ``*`` is none.
    """
    origins = [part.strip() for part in text.split(",") if part.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is no origin; write scheme and host in lower case, without a slash at the end"
            )
    return frozenset(origins)


def source_of(peer: str, forwarded: Sequence[str], trusted: Collection[Network]) -> str:
    """Where a request comes from: the right-most hop that is no trusted proxy, or the connection's own other end.

    Args:
        peer: the other end of the connection.
        forwarded: the values of every ``X-Forwarded-For``, in their order.
        trusted: proxies that are believed; nothing is where the connection does not come from one of them.
    """
    source = _address(peer)
    if source is None:
        return peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and _is_in(source, trusted):
        hop = _address(hops.pop())
        if hop is None:  # a proxy that is trusted says nothing of use: then it is the one that comes
            break
        source = hop
    return str(source)


def _address(text: str) -> _Address | None:
    match = _PORT.fullmatch(text)
    bare = match["host"].strip("[]") if match and ("[" in text or "." in text) else text
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: _Address, networks: Collection[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def bucket_of(source: str) -> str:
    """Under which a source is counted: an IPv6 address stands for the network of its subscriber."""
    address = _address(source)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _SHARED), strict=False))
    return source


def host_is_allowed(host: str | None, allowed: Collection[str]) -> bool:
    """Whether a request may ask for this ``Host``: an address in digits, ``localhost``, or one of those allowed.

    A page of somebody else, whose name its owner lets point here (DNS rebinding), asks for that name. It can ask for
    neither of these.

    Args:
        host: the header's text; ``None`` where it is missing.
        allowed: in lower case; ``*.example.com`` for all names below it, ``*`` for any.
    """
    match = _PORT.fullmatch(host or "")
    if match is None:
        return False
    name = match["host"].lower().rstrip(".")
    if name == "localhost" or _address(name.strip("[]")) is not None or "*" in allowed or name in allowed:
        return True
    parents = (name.split(".", count)[-1] for count in range(1, name.count(".") + 1))
    return any(f"*.{parent}" in allowed for parent in parents)
