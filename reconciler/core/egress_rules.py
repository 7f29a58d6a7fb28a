"""Rules of egress as operators write them: a network, an address or a host, each with a port where only that is meant.

``10.0.0.0/8``, ``127.0.0.1:8080``, ``fd00::/8``, ``[fd00::]/8:443``, ``[::1]:8080-8090``, ``api.example.com``,
``*.internal.example.com:443``, ``*:25``. Forbidden here: saying what follows from a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_BRACKETED: Final = re.compile(r"\[([^\[\]/]*)(?:(/[^\[\]:]*)\]|\](/[^\[\]:]*)?)(?::(.*))?", re.DOTALL)
_PORTS: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_LAST_PORT: Final = 65535
_LONGEST_NAME: Final = 253
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
EVERY_PORT: Final = (0, _LAST_PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one rule matches.

    Attributes:
        text: as it is written.
        network: addresses it matches; ``None`` where it names a host.
        host: ``*``, ``*.`` and a name for all names below it, or a name; empty where it names a network.
        ports: the first and the last port.
    """

    text: str
    network: Network | None = None
    host: str = ""
    ports: tuple[int, int] = EVERY_PORT

    def matches(self, address: Address, host: str, port: int) -> bool:
        """Whether a connection to ``address`` on behalf of ``host`` (see ``host_name``) is meant."""
        if not self.ports[0] <= port <= self.ports[1]:
            return False
        if self.network is not None:
            return address.version == self.network.version and address in self.network
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        return self.host in ("*", host)


def host_name(host: str) -> str:
    """A host as rules compare it: in small letters, without the dot of the root."""
    return host.lower().removesuffix(".")


def parse_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Read rules.

    Raises:
        ValueError: naming every rule that has no meaning.
    """
    rules, reasons = [], []
    for text in texts:
        try:
            rules.append(parse_rule(text))
        except ValueError as error:
            reasons.append(f"{text!r}: {error}")
    if reasons:
        raise ValueError("; ".join(reasons))
    return tuple(rules)


def parse_rule(text: str) -> Rule:
    """Read one rule.

    Raises:
        ValueError: it is neither a network nor a host, or its port is none.
    """
    if text.startswith("["):
        return _bracketed(text)
    if text.count(":") > 1:  # IPv6 without brackets leaves no room for a port
        return Rule(text=text, network=_network(text))
    place, colon, ports = text.partition(":")
    span = _ports(ports) if colon else EVERY_PORT
    last = place.partition("/")[0].rpartition(".")[2].lower()
    if "/" in place or _NUMBER.fullmatch(last):
        return Rule(text=text, network=_network(place), ports=span)
    return Rule(text=text, host=_host(place), ports=span)


def _bracketed(text: str) -> Rule:
    if (found := _BRACKETED.fullmatch(text)) is None:
        raise ValueError("write IPv6 with a port as [fd00::]/8:443 or [::1]:443")
    place, inside, outside, ports = found.groups()
    network = _network(place + (inside or outside or ""))
    if ":" not in place:
        raise ValueError("brackets are for IPv6 addresses")
    return Rule(text=text, network=network, ports=EVERY_PORT if ports is None else _ports(ports))


def _ports(text: str) -> tuple[int, int]:
    found = _PORTS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= _LAST_PORT:
        raise ValueError("a port is a number from 1 to 65535, or two of them such as 8000-8999")
    return first, last


def _network(text: str) -> Network:
    if "%" in text:
        raise ValueError("a scope such as %eth0 has no place in a rule")
    place, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdecimal()):
        raise ValueError("write a network as an address and the length of its prefix, such as 10.0.0.0/8")
    try:
        network, address = ip_network(text, strict=False), ip_address(place)
    except ValueError:  # its own words name the address in Python's terms
        raise ValueError("not an address or a network; write it in full, such as 127.0.0.1 or 10.0.0.0/8") from None
    if network.network_address != address:
        raise ValueError(f"the address has bits beyond its prefix; write {network}, or the address alone")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inner = IPv4Address(network.network_address.packed[12:])
        return IPv4Network((inner, network.prefixlen - _MAPPED.prefixlen))
    return network


def _host(text: str) -> str:
    name = host_name(text)
    if name == "*":
        return name
    if not name:
        raise ValueError("a rule names an address, a network or a host")
    if not name.isascii():
        raise ValueError("write the name as it stands in DNS, where it begins with xn--")
    labels = name.removeprefix("*.").split(".")
    if any("*" in label for label in labels):
        raise ValueError("a * stands alone, or first and before a dot, such as *.example.com")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not an address, a network or the name of a host")
    return name
