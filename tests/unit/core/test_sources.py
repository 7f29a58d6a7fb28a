"""From which address a request comes, and under which name it is asked for."""

import pytest

from reconciler.core.sources import bucket_of, host_is_allowed, parse_hosts, parse_networks, parse_origins, source_of

PROXY = parse_networks("10.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["127.0.0.1, 203.0.113.9, 10.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["127.0.0.1", "203.0.113.9", "10.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, evil, 10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_right_most_hop_that_is_no_trusted_proxy_is_the_source(peer, forwarded, source):
    assert source_of(peer, forwarded, PROXY) == source


def test_nothing_is_believed_where_no_proxy_is_trusted():
    assert source_of("127.0.0.1", ["203.0.113.9"], ()) == "127.0.0.1"


@pytest.mark.parametrize(
    ("source", "bucket"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.9"),
        ("", ""),
    ],
)
def test_ipv6_addresses_of_one_subscriber_are_counted_together(source, bucket):
    assert bucket_of(source) == bucket


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:8080", "10.1.2.3", "[::1]:8080", "[fe80::1]"),
        *("reconciler.example.com", "Reconciler.Example.COM:443", "reconciler.example.com."),
        *("a.internal.example.com", "a.b.internal.example.com"),
    ],
)
def test_these_hosts_may_be_asked_for(host):
    assert host_is_allowed(host, parse_hosts("reconciler.example.com, *.internal.example.com"))


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", ":8080", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a:b:c", "::1"),
        *("internal.example.com", "xinternal.example.com", "reconciler.example.com@evil", "a/b", "localhost:99999x"),
        *("0x7f.1", "2130706433.example", "[evil.example]"),
    ],
)
def test_these_may_not(host):
    assert not host_is_allowed(host, parse_hosts("reconciler.example.com, *.internal.example.com"))


def test_a_star_alone_allows_any_name():
    assert host_is_allowed("evil.example", parse_hosts("*"))


@pytest.mark.parametrize("text", ["https://example.com", "example.com:80", "a b", "*.*.example.com", "-a"])
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ValueError, match="is no host"):
        parse_hosts(text)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=text.partition("/")[0]):
        parse_networks(text)


def test_origins_are_lists_with_commas():
    text = "https://status.example.com, http://localhost:3000,http://[::1]:3000,"
    assert parse_origins(text) == {"https://status.example.com", "http://localhost:3000", "http://[::1]:3000"}


@pytest.mark.parametrize(
    "text", ["*", "null", "status.example.com", "https://status.example.com/", "https://a b", "https://*.example.com"]
)
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(ValueError, match="is no origin"):
        parse_origins(text)
