"""Which addresses may be called, and that no embedding of an IPv4 address gets round it."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.egress import Policy, policy_of
from reconciler.core.egress_rules import parse_rule, parse_rules
from reconciler.core.embedded import embedded

OPEN, PUBLIC = Policy(), Policy(mode="public")


def refused(policy: Policy, address: str, host: str = "api.example.com", port: int = 443) -> bool:
    return policy.verdict(address, host, port) is not None


REFUSED = {
    "169.254.169.254": "link-local",
    "169.254.0.1": "link-local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "febf::1": "link-local",
    "100.100.100.200": "cloud metadata",
    "168.63.129.16": "cloud metadata",
    "192.0.0.192": "cloud metadata",
    "fd00:ec2::254": "cloud metadata",
    "fd00:ec2::23": "cloud metadata",
    "fd20:ce::254": "cloud metadata",
    "fd00:42::42": "cloud metadata",
    "fd00:c1::a9fe:a9fe": "cloud metadata",
    "0.0.0.0": "unspecified",  # noqa: S104 - an address, not a bind
    "::": "unspecified",
    "0.1.2.3": "reserved",
    "192.0.0.1": "reserved",
    "192.88.99.1": "reserved",
    "240.0.0.1": "reserved",
    "255.255.255.254": "reserved",
    "255.255.255.255": "broadcast",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "ff02::1": "multicast",
    "192.0.2.1": "documentation",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "2001:2::1": "benchmarking",
    "fec0::1": "site-local, which is no longer used",
    "100::1": "reserved",
    "100:0:0:1::1": "reserved",
    "2001:20::1": "reserved",
    "5f00::1": "reserved",
    "4000::1": "reserved",
    "::2:0:0:1": "reserved",
}


@pytest.mark.parametrize("mode", ["open", "public"])
@pytest.mark.parametrize("address", REFUSED)
def test_what_no_api_lives_at_is_refused_in_every_mode(address, mode):
    said = Policy(mode=mode).verdict(address, "api.example.com", 443)
    assert said == f"address {address} is refused: {REFUSED[address]}; see --egress-allow"


NEAR = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "shared by carriers (RFC 6598)",
    "100.127.255.255": "shared by carriers (RFC 6598)",
    "fc00::1": "unique local",
    "fdff::1": "unique local",
}


@pytest.mark.parametrize("address", NEAR)
def test_loopback_and_private_networks_may_be_called_unless_egress_is_public(address):
    assert OPEN.verdict(address, "api.example.com", 443) is None
    said = PUBLIC.verdict(address, "api.example.com", 443)
    assert said == f"address {address} is refused: {NEAR[address]}, and egress is public; see --egress-allow"


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "169.253.255.255", "223.255.255.255", "2606:4700::1111"],
)
def test_public_addresses_may_be_called_in_every_mode(address):
    assert not refused(OPEN, address)
    assert not refused(PUBLIC, address)


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "1.2.3.4.5", "::g", "/run/api.sock"])
def test_what_is_no_address_is_refused(address):
    assert OPEN.verdict(address, "a", 80) == f"address {address!r} is refused: it is neither IPv4 nor IPv6"


# --- embeddings ----------------------------------------------------------------------------------------------------

FREE = st.integers(0, 2**16 - 1)


def placed(prefix: str, length: int, inner: int, rest: int = 0) -> IPv6Address:
    """The inner address behind a NAT64 prefix of a length (RFC 6052, section 2.2): bits 64 to 71 are passed over."""
    bits = f"{int(IPv6Address(prefix)):0128b}"[:length]
    for bit in f"{inner:032b}":
        if len(bits) == 64:
            bits += "0" * 8
        bits += bit
    bits += f"{rest:0128b}"[len(bits) :] if len(bits) < 128 else ""
    return IPv6Address(int(bits, 2))


EMBEDDINGS = {
    "IPv4-mapped": lambda inner, free: IPv6Address(0xFFFF << 32 | inner),
    "IPv4-compatible": lambda inner, free: IPv6Address(inner),
    "IPv4-translated": lambda inner, free: IPv6Address(0xFFFF << 48 | inner),
    "NAT64": lambda inner, free: placed("64:ff9b::", 96, inner),
    "NAT64 of one's own, /48": lambda inner, free: placed("64:ff9b:1::", 48, inner, free),
    "NAT64 of one's own, /56": lambda inner, free: placed(f"64:ff9b:1:{free & 0xFF00:x}::", 56, inner),
    "NAT64 of one's own, /64": lambda inner, free: placed(f"64:ff9b:1:{free:x}::", 64, inner),
    "NAT64 of one's own, /96": lambda inner, free: placed(f"64:ff9b:1:{free:x}::", 96, inner),
    "6to4": lambda inner, free: IPv6Address(0x2002 << 112 | inner << 80 | free),
    "Teredo client": lambda inner, free: IPv6Address(
        0x20010000 << 96 | 0x08080808 << 64 | free << 32 | ~inner & 2**32 - 1
    ),
    "Teredo server": lambda inner, free: IPv6Address(0x20010000 << 96 | inner << 64 | free << 32 | 0xF7F7F7F7),
    "ISATAP": lambda inner, free: IPv6Address(0x2606 << 112 | free << 64 | 0x00005EFE << 32 | inner),
    "ISATAP, globally unique": lambda inner, free: IPv6Address(0x2606 << 112 | free << 64 | 0x02005EFE << 32 | inner),
    "ISATAP on a unique local network": lambda inner, free: IPv6Address(
        0xFD00 << 112 | free << 64 | 0x00005EFE << 32 | inner
    ),
}
INNER = st.one_of(
    st.sampled_from([int(IPv4Address(each)) for each in (*REFUSED, *NEAR) if ":" not in each]),
    st.integers(1 << 24, 2**32 - 1),
)


@pytest.mark.parametrize("mode", ["open", "public"])
@pytest.mark.parametrize("how", EMBEDDINGS)
@given(inner=INNER, free=FREE)
def test_an_address_that_is_refused_is_refused_within_every_ipv6_address(how, mode, inner, free):
    outer = EMBEDDINGS[how](inner, free)
    if "own" in how and "/96" not in how and (inner >> 24 == 0 or inner & 0xFFFF == 0):
        return  # the zeros of these cannot be told from the zeros around an address
    policy = Policy(mode=mode)
    if refused(policy, str(IPv4Address(inner))):
        assert refused(policy, str(outer))
    assert refused(Policy(deny=parse_rules([str(IPv4Address(inner))])), str(outer))


@pytest.mark.parametrize(
    "how", sorted(set(EMBEDDINGS) - {"IPv4-compatible", "IPv4-translated", "NAT64 of one's own, /48"})
)
@given(free=FREE)
def test_a_public_address_may_be_called_through_what_carries_it(how, free):
    outer = EMBEDDINGS[how](int(IPv4Address("8.8.8.8")), 0 if "own, /64" in how or "own, /56" in how else free)
    assert OPEN.verdict(str(outer), "api.example.com", 443) is None


@given(st.integers(0, 2**128 - 1))
def test_every_ipv6_address_gets_a_verdict_alike_in_every_spelling(number):
    address = IPv6Address(number)
    verdicts = {refused(OPEN, text) for text in (str(address), address.exploded, str(address).upper(), f"{address}%1")}
    assert len(verdicts) == 1
    if not refused(PUBLIC, str(address)):
        assert not refused(OPEN, str(address))
        assert address in IPv6Network("2000::/3") or embedded(address)


def test_a_refusal_within_names_both_addresses():
    said = OPEN.verdict("64:ff9b::a9fe:a9fe", "api.example.com", 80)
    assert said == (
        "address 64:ff9b::a9fe:a9fe is refused: it leads to 169.254.169.254, link-local; see --egress-allow"
    )


def test_the_addresses_with_a_meaning_of_their_own_carry_none():
    assert embedded(IPv6Address("::")) == embedded(IPv6Address("::1")) == ()


def test_a_local_translator_of_nothing_but_zeros_leads_to_zeros():
    assert embedded(IPv6Address("64:ff9b:1::")) == (IPv4Address("0.0.0.0"),)  # noqa: S104 - an address, not a bind
    assert refused(OPEN, "64:ff9b:1::")
    assert all(inner in IPv4Network("0.0.0.0/8") for inner in embedded(IPv6Address("64:ff9b:1:0:0:100::")))
    assert refused(OPEN, "64:ff9b:1:0:0:100::")


# --- rules ---------------------------------------------------------------------------------------------------------


def allowing(*rules: str, mode: str = "public") -> Policy:
    return Policy(mode=mode, allow=parse_rules(rules))


def denying(*rules: str) -> Policy:
    return Policy(deny=parse_rules(rules))


@pytest.mark.parametrize(
    ("rule", "address", "host", "port"),
    [
        ("10.0.0.0/8", "10.9.8.7", "a", 1),
        ("10.0.0.0/8:443", "10.9.8.7", "a", 443),
        ("10.0.0.0/8:8000-8999", "10.9.8.7", "a", 8999),
        ("127.0.0.1", "127.0.0.1", "a", 80),
        ("127.0.0.1:8080", "127.0.0.1", "a", 8080),
        ("127.0.0.1", "::ffff:127.0.0.1", "a", 80),
        ("::ffff:127.0.0.1", "127.0.0.1", "a", 80),
        ("::ffff:10.0.0.0/104", "10.1.2.3", "a", 80),
        ("fd00::/8", "fd12::1", "a", 80),
        ("[fd00::]/8:8080", "fd12::1", "a", 8080),
        ("[fd00::/8]:8080", "fd12::1", "a", 8080),
        ("[fd00::]/8", "fd12::1", "a", 8080),
        ("[::1]:80", "::1", "a", 80),
        ("[::1]", "::1", "a", 80),
        ("FD00::/8", "fd12::1%eth0", "a", 80),
        ("billing.internal", "10.0.0.1", "billing.internal", 80),
        ("Billing.Internal.", "10.0.0.1", "BILLING.internal.", 80),
        ("billing.internal:443", "10.0.0.1", "billing.internal", 443),
        ("*.internal.example.com", "10.0.0.1", "a.internal.example.com", 80),
        ("*.internal.example.com", "10.0.0.1", "a.b.internal.example.com", 80),
        ("*:8443", "10.0.0.1", "anything", 8443),
        ("*", "10.0.0.1", "anything", 80),
        ("xn--bcher-kva.example", "10.0.0.1", "xn--bcher-kva.example", 80),
        ("host_with-both", "10.0.0.1", "host_with-both", 80),
    ],
)
def test_a_rule_opens_and_shuts_what_it_matches(rule, address, host, port):
    assert not refused(allowing(rule), address, host, port)
    said = denying(rule).verdict(address, host, port)
    assert said is not None
    assert said.endswith(f"denied by {rule}; see --egress-deny")
    assert refused(Policy(mode="public", allow=parse_rules([rule]), deny=parse_rules([rule])), address, host, port)


@pytest.mark.parametrize(
    ("rule", "address", "host", "port"),
    [
        ("10.0.0.0/8:443", "10.9.8.7", "a", 80),
        ("10.0.0.0/8:8000-8999", "10.9.8.7", "a", 9000),
        ("10.0.0.0/8", "192.168.0.1", "a", 80),
        ("[fd00::]/8:8080", "fd12::1", "a", 8081),
        ("::1", "127.0.0.1", "a", 80),
        ("::/0", "127.0.0.1", "a", 80),
        ("0.0.0.0/0", "::1", "a", 80),
        ("*.internal.example.com", "10.0.0.1", "internal.example.com", 80),
        ("*.internal.example.com", "10.0.0.1", "xinternal.example.com", 80),
        ("*.internal.example.com", "10.0.0.1", "internal.example.com.evil.example", 80),
        ("billing.internal", "10.0.0.1", "billing.internal.evil.example", 80),
        ("billing.internal:443", "10.0.0.1", "billing.internal", 80),
    ],
)
def test_a_rule_touches_nothing_else(rule, address, host, port):
    assert refused(allowing(rule), address, host, port)
    assert not refused(denying(rule), address, host, port)


def test_allow_opens_what_is_refused_by_default_only_where_it_names_it():
    policy = allowing("169.254.169.254:80", mode="open")
    assert not refused(policy, "169.254.169.254", port=80)
    assert refused(policy, "169.254.169.254", port=81)
    assert refused(policy, "169.254.169.253", port=80)
    assert not refused(policy, "64:ff9b::a9fe:a9fe", port=80)


def test_allowing_all_of_ipv6_opens_no_ipv4_address_within():
    policy = allowing("::/0", mode="open")
    assert not refused(policy, "fe80::1")
    assert refused(policy, "64:ff9b::a9fe:a9fe")
    assert refused(policy, "::ffff:169.254.169.254")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("10.0.0.1/8", "the address has bits beyond its prefix; write 10.0.0.0/8, or the address alone"),
        ("10.0.0.0/33", "not an address or a network"),
        ("10.0.0.0/255.0.0.0", "the length of its prefix"),
        ("10.0.0.0/", "the length of its prefix"),
        ("10.0.0.0/\N{FULLWIDTH DIGIT EIGHT}", "the length of its prefix"),
        ("127.1", "not an address or a network; write it in full"),
        ("2130706433", "not an address or a network; write it in full"),
        ("0x7f.0.0.0x1", "not an address or a network; write it in full"),
        ("010.0.0.1", "not an address or a network; write it in full"),
        ("example.com/8", "not an address or a network"),
        ("fe80::1%eth0", "a scope such as %eth0 has no place in a rule"),
        ("[::1", "write IPv6 with a port as [fd00::]/8:443"),
        ("[::1]80", "write IPv6 with a port as [fd00::]/8:443"),
        ("[127.0.0.1]:80", "brackets are for IPv6 addresses"),
        ("[::g]:80", "not an address or a network"),
        ("10.0.0.1:", "a port is a number from 1 to 65535"),
        ("10.0.0.1:0", "a port is a number from 1 to 65535"),
        ("10.0.0.1:65536", "a port is a number from 1 to 65535"),
        ("10.0.0.1:90-80", "a port is a number from 1 to 65535"),
        ("10.0.0.1:http", "a port is a number from 1 to 65535"),
        ("host:\N{FULLWIDTH DIGIT EIGHT}0", "a port is a number from 1 to 65535"),
        ("", "a rule names an address, a network or a host"),
        (":443", "a rule names an address, a network or a host"),
        ("a*.example.com", "a * stands alone, or first and before a dot"),
        ("a.*.example.com", "a * stands alone, or first and before a dot"),
        ("**", "a * stands alone, or first and before a dot"),
        ("*.*", "a * stands alone, or first and before a dot"),
        ("bücher.example", "write the name as it stands in DNS, where it begins with xn--"),
        ("a..example", "not an address, a network or the name of a host"),
        ("-a.example", "not an address, a network or the name of a host"),
        ("a b", "not an address, a network or the name of a host"),
        ("user@host", "not an address, a network or the name of a host"),
        (f"{'a' * 64}.example", "not an address, a network or the name of a host"),
        (".".join(["a" * 60] * 5), "not an address, a network or the name of a host"),
        ("https://example.com", "a port is a number from 1 to 65535"),
    ],
)
def test_a_rule_without_meaning_is_refused_with_what_to_write(rule, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_rule(rule)


@given(st.text(alphabet="0123456789abcdefx.:/[]%*-,@ é", max_size=30))
def test_no_text_does_worse_than_being_refused(text):
    try:
        rule = parse_rule(text)
    except ValueError:
        return
    assert (rule.network is None) != (rule.host == "")
    assert 0 <= rule.ports[0] <= rule.ports[1] <= 65535


def test_a_policy_is_read_from_lists_with_commas_and_every_mistake_is_named():
    policy = policy_of("public", " 10.0.0.0/8 , api.example.com:443,", "*:25")
    assert [rule.text for rule in policy.allow] == ["10.0.0.0/8", "api.example.com:443"]
    assert [rule.text for rule in policy.deny] == ["*:25"]
    with pytest.raises(ValueError, match=r"'127\.1': not an address.*; 'a:0': a port is"):
        policy_of("open", "127.1,a:0")
