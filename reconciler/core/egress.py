"""Which addresses calls may go to: what is refused by default, and what the operator opens and shuts.

An address is judged by what stands on the socket, however it was written, and so is each IPv4 address that it carries
within (``core.embedded``): all of them must pass. Forbidden here: looking a name up, and opening a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from reconciler.core.egress_rules import Address, Network, Rule, host_name, parse_rules
from reconciler.core.embedded import embedded, is_mapped

Mode = Literal["open", "public"]


def _table(*rows: tuple[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(text), name) for texts, name in rows for text in texts.split())


# What no API lives at, by IANA's registries of special-purpose addresses (RFC 6890), and the services of clouds that
# hand credentials to whoever asks: most are link-local, these are the others. The first row that matches names it.
_REFUSED: Final = _table(
    # Alibaba Cloud; Azure's host; Oracle Cloud's older one; then AWS (metadata, pod identity), Google Cloud, Scaleway
    # and Oracle Cloud over IPv6. All are documented by those who run them.
    ("100.100.100.200/32 168.63.129.16/32 192.0.0.192/32", "cloud metadata"),
    ("fd00:ec2::254/128 fd00:ec2::23/128 fd20:ce::254/128 fd00:42::42/128 fd00:c1::a9fe:a9fe/128", "cloud metadata"),
    ("0.0.0.0/32 ::/128", "unspecified"),
    ("169.254.0.0/16 fe80::/10", "link-local"),
    ("224.0.0.0/4 ff00::/8", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20", "documentation"),
    ("198.18.0.0/15 2001:2::/48", "benchmarking"),
    ("0.0.0.0/8 192.0.0.0/24 192.88.99.0/24 240.0.0.0/4", "reserved"),
    ("fec0::/10", "site-local, which is no longer used"),
)
_NEAR: Final = _table(
    ("127.0.0.0/8 ::1/128", "loopback"),
    ("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16", "private"),
    ("100.64.0.0/10", "shared by carriers (RFC 6598)"),
    ("fc00::/7", "unique local"),
)
# All that is given out of IPv6 stands in the first of these (RFC 4291, section 2.4); the rest of it is reserved. So is
# the IETF's own /23 but for Teredo, which is judged by what it carries, as are the two prefixes of NAT64.
_GIVEN_OUT: Final = IPv6Network("2000::/3")
_OF_THE_IETF: Final = IPv6Network("2001::/23")
_CARRIERS: Final = (IPv6Network("2001::/32"), IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which addresses may be called.

    Attributes:
        mode: ``open`` lets loopback and private networks be called, ``public`` does not.
        allow: opens what it matches, whatever the mode, the metadata services of clouds included.
        deny: shuts what it matches, whatever ``allow`` says.
    """

    mode: Mode = "open"
    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()

    def verdict(self, address: str, host: str, port: int) -> str | None:
        """Say why a connection is refused; ``None`` where it is not.

        Args:
            address: of the socket, as the system writes it.
            host: that the URL names, as it goes out; whatever the letters, with or without the dot of the root.
            port: that is dialled.
        """
        name = host_name(host)
        try:
            whole = ip_address(address.partition("%")[0])  # a scope says which wire, not which address
        except ValueError:
            return f"address {address!r} is refused: it is neither IPv4 nor IPv6"
        readings = tuple(_readings(whole))
        for reading in readings:
            if (rule := _first(self.deny, reading, name, port)) is not None:
                return _refusal(address, whole, reading, f"denied by {rule.text}; see --egress-deny")
        for reading in readings:
            if (reason := self._closed(reading)) and _first(self.allow, reading, name, port) is None:
                return _refusal(address, whole, reading, f"{reason}; see --egress-allow")
        return None

    def _closed(self, address: Address) -> str:
        if (kind := _kind(_REFUSED, address)) or (kind := _unassigned(address)):
            return kind
        if self.mode == "public" and (kind := _kind(_NEAR, address)):
            return f"{kind}, and egress is public"
        return ""


def policy_of(mode: Mode, allow: str = "", deny: str = "") -> Policy:
    """Read a policy from what its settings say: lists with commas.

    Raises:
        ValueError: naming every rule that has no meaning.
    """
    return Policy(mode=mode, allow=parse_rules(split(allow)), deny=parse_rules(split(deny)))


def split(texts: str) -> list[str]:
    """The items of a list with commas; blanks around them do not count, nor does a comma at the end."""
    return [item for part in texts.split(",") if (item := part.strip())]


def _readings(whole: Address) -> Iterator[Address]:
    """The address, and those within it; of a mapped one only that: it is IPv4 in another spelling."""
    inner: tuple[IPv4Address, ...] = embedded(whole) if isinstance(whole, IPv6Address) else ()
    yield from inner
    if not (isinstance(whole, IPv6Address) and is_mapped(whole)):
        yield whole


def _first(rules: tuple[Rule, ...], address: Address, host: str, port: int) -> Rule | None:
    return next((rule for rule in rules if rule.matches(address, host, port)), None)


def _kind(table: tuple[tuple[Network, str], ...], address: Address) -> str:
    return next((kind for network, kind in table if network.version == address.version and address in network), "")


def _unassigned(address: Address) -> str:
    if isinstance(address, IPv4Address) or any(address in network for network in _CARRIERS) or _kind(_NEAR, address):
        return ""
    return "" if address in _GIVEN_OUT and address not in _OF_THE_IETF else "reserved"


def _refusal(address: str, whole: Address, reading: Address, reason: str) -> str:
    within = "" if reading == whole else f"it leads to {reading}, "
    return f"address {address} is refused: {within}{reason}"
