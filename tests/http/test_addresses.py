"""Addresses: which are public, what a text means, and whose address stands behind proxies."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.http.addresses import (
    Address,
    Network,
    client_address,
    client_key,
    is_public,
    parse_address,
    parse_network,
    within,
)

from .texts import ANYTHING

PUBLIC = {
    "host": "93.184.216.34",
    "before-private-10": "9.255.255.255",
    "after-private-10": "11.0.0.0",
    "before-provider-nat": "100.63.255.255",
    "after-provider-nat": "100.128.0.0",
    "before-loopback": "126.255.255.255",
    "after-loopback": "128.0.0.0",
    "before-link-local": "169.253.255.255",
    "after-link-local": "169.255.0.0",
    "before-private-172": "172.15.255.255",
    "after-private-172": "172.32.0.0",
    "after-ietf-protocols": "192.0.1.0",
    "as112-anycast": "192.31.196.1",
    "amt-anycast": "192.52.193.1",
    "before-private-192": "192.167.255.255",
    "after-private-192": "192.169.0.0",
    "before-benchmarks": "198.17.255.255",
    "after-benchmarks": "198.20.0.0",
    "before-multicast": "223.255.255.255",
    "ipv6-host": "2606:2800:220:1:248:1893:25c8:1946",
    "first-global-unicast": "2000::",
    "after-ietf-protocols-ipv6": "2001:200::",
    "after-6to4": "2003::",
    "before-documentation-ipv6": "2001:db7:ffff::",
    "after-documentation-ipv6": "2001:db9::",
    "before-documentation-3fff": "3ffe:ffff::",
    "after-documentation-3fff": "3fff:1000::",
    "mapped-public": "::ffff:93.184.216.34",
    "compatible-public": "::93.184.216.34",
    "nat64-public": "64:ff9b::93.184.216.34",
}

NOT_PUBLIC = {
    "unspecified": "0.0.0.0",
    "this-network": "0.1.2.3",
    "private-10": "10.0.0.5",
    "provider-nat": "100.64.0.1",
    "provider-nat-end": "100.127.255.255",
    "alibaba-metadata": "100.100.100.200",
    "loopback": "127.0.0.1",
    "loopback-end": "127.255.255.255",
    "link-local": "169.254.0.1",
    "metadata": "169.254.169.254",
    "private-172": "172.16.0.1",
    "private-172-end": "172.31.255.255",
    "ietf-protocols": "192.0.0.1",
    "ietf-port-control": "192.0.0.9",
    "oracle-metadata": "192.0.0.192",
    "documentation-1": "192.0.2.1",
    "6to4-relay": "192.88.99.1",
    "private-192": "192.168.0.1",
    "benchmarks": "198.18.0.1",
    "benchmarks-end": "198.19.255.255",
    "documentation-2": "198.51.100.1",
    "documentation-3": "203.0.113.1",
    "multicast": "224.0.0.1",
    "multicast-end": "239.255.255.255",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "ipv6-unspecified": "::",
    "ipv6-loopback": "::1",
    "compatible-loopback": "::127.0.0.1",
    "mapped-loopback": "::ffff:127.0.0.1",
    "mapped-private": "::ffff:10.0.0.5",
    "mapped-metadata": "::ffff:a9fe:a9fe",
    "translated": "::ffff:0:93.184.216.34",
    "nat64-loopback": "64:ff9b::127.0.0.1",
    "nat64-metadata": "64:ff9b::169.254.169.254",
    "nat64-local": "64:ff9b:1::93.184.216.34",
    "nat64-local-private": "64:ff9b:1::10.0.0.5",
    "discard": "100::1",
    "teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "benchmarks-ipv6": "2001:2::1",
    "orchid": "2001:10::1",
    "orchid-2": "2001:20::1",
    "documentation-ipv6": "2001:db8::1",
    "6to4-of-private": "2002:a00:5::1",
    "6to4-of-public": "2002:5db8:d822::1",
    "documentation-3fff": "3fff::1",
    "never-assigned": "4000::1",
    "segment-routing": "5f00::1",
    "unique-local": "fc00::1",
    "unique-local-assigned": "fd12:3456:789a::1",
    "aws-metadata-ipv6": "fd00:ec2::254",
    "link-local-ipv6": "fe80::1",
    "scoped": "fe80::1%eth0",
    "scoped-global": "2606:2800:220:1::1%eth0",
    "site-local": "fec0::1",
    "multicast-ipv6": "ff02::1",
}

# Where the standard library says something else, in some of its versions at least.
DIFFERENT: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # .9 and .10 are anycast of protocols that are not HTTP
    IPv4Network("192.88.99.0/24"),  # deprecated, and global there
    IPv4Network("224.0.0.0/4"),  # multicast is global there
    IPv6Network("::/3"),  # but for three prefixes, what it does not know is global there
    IPv6Network("2001::/23"),  # anycast and ORCHID are global there
    IPv6Network("2002::/16"),  # global there in older versions
    IPv6Network("3fff::/20"),  # not known to older versions
    IPv6Network("4000::/2"),  # never assigned, and global there
    IPv6Network("8000::/1"),  # multicast and site-local, and what was never assigned, are global there
)

EVERY_ADDRESS = st.one_of(
    st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 2**128 - 1).map(IPv6Address)
)

TRUSTED = (IPv4Network("10.0.0.0/8"), IPv6Network("fd00::/8"), IPv4Network("192.0.2.7/32"))


@pytest.mark.parametrize("text", PUBLIC.values(), ids=PUBLIC)
def test_global_unicast_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC.values(), ids=NOT_PUBLIC)
def test_imgproxy_3_27_2_special_address_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@given(address=EVERY_ADDRESS)
def test_standard_library_agrees_but_where_it_is_said(address: Address) -> None:
    assert within(address, DIFFERENT) or is_public(address) == address.is_global


def test_standard_library_agrees_at_every_edge() -> None:
    edges = {edge for text in (*PUBLIC.values(), *NOT_PUBLIC.values()) for edge in _around(ip_address(text))}
    told = {edge: is_public(edge) for edge in edges if not within(edge, DIFFERENT)}
    assert told == {edge: edge.is_global for edge in told}


def _around(address: Address) -> Iterator[Address]:
    """The first and the last address of every network that `address` is in, and their neighbours."""
    kind, bits = type(address), address.max_prefixlen
    for width in range(bits):
        first = int(address) >> width << width
        last = first + (1 << width) - 1
        yield from (kind(number) for number in (first - 1, first, last, last + 1) if 0 <= number < 1 << bits)


@given(inner=st.ip_addresses(v=4), prefix=st.sampled_from(["::", "::ffff:0:0", "64:ff9b::"]))
def test_imgproxy_4_0_12_ipv4_inside_ipv6_is_as_public_as_itself(inner: IPv4Address, prefix: str) -> None:
    assert is_public(IPv6Address(int(IPv6Address(prefix)) + int(inner))) == is_public(inner)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("1.2.3.4", IPv4Address("1.2.3.4"), id="ipv4"),
        pytest.param("2001:DB8::1", IPv6Address("2001:db8::1"), id="ipv6"),
        pytest.param("::ffff:1.2.3.4", IPv4Address("1.2.3.4"), id="mapped"),
        pytest.param("::ffff:102:304", IPv4Address("1.2.3.4"), id="mapped-in-hex"),
        pytest.param("fe80::1%eth0", IPv6Address("fe80::1%eth0"), id="scoped"),
    ],
)
def test_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "127.1",
            "0",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "1.2.3.4 ",
        ),
        *("1.2.3", "1.2.3.256", "1.2.3.4/32", "[::1]", "::1%", "::g", "1.2.3.4:80", "localhost"),
        *("\uff11\uff12\uff17.0.0.1", "1.2.3.4\n", "\u0661.2.3.4"),
    ],
)
def test_what_is_no_canonical_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("text", "network"),
    [
        pytest.param("10.0.0.0/8", IPv4Network("10.0.0.0/8"), id="ipv4"),
        pytest.param("10.0.0.1", IPv4Network("10.0.0.1/32"), id="address"),
        pytest.param("fc00::/7", IPv6Network("fc00::/7"), id="ipv6"),
        pytest.param("::1", IPv6Network("::1/128"), id="ipv6-address"),
        pytest.param("::ffff:10.0.0.0/104", IPv4Network("10.0.0.0/8"), id="mapped"),
        pytest.param("::ffff:0:0/96", IPv4Network("0.0.0.0/0"), id="all-mapped"),
        pytest.param("::/0", IPv6Network("::/0"), id="everything"),
    ],
)
def test_network_is_read(text: str, network: Network) -> None:
    assert parse_network(text) == network


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1/8", "10.0.0.0/33", "10/8", "host", "10.0.0.0/-1", "fc00::1/7"]
)
def test_network_that_cannot_be_is_told_with_what_can(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8 or fc00::/7") as caught:
        parse_network(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        pytest.param("203.0.113.9", ["1.2.3.4"], "203.0.113.9", id="peer-that-nobody-trusts"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="proxy-that-says-nothing"),
        pytest.param("10.0.0.1", ["1.2.3.4"], "1.2.3.4", id="one-proxy"),
        pytest.param("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4", id="client-that-lies"),
        pytest.param("10.0.0.1", ["6.6.6.6", "1.2.3.4, 10.0.0.2"], "1.2.3.4", id="two-proxies-two-fields"),
        pytest.param("10.0.0.1", ["10.0.0.3,10.0.0.2"], "10.0.0.3", id="all-of-them-trusted"),
        pytest.param("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4", id="first-stranger-ends-it"),
        pytest.param("10.0.0.1", ["1.2.3.4, unknown"], "10.0.0.1", id="entry-that-is-none"),
        pytest.param("10.0.0.1", ["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2", id="entry-that-is-none-further"),
        pytest.param("10.0.0.1", ["1.2.3.4, "], "10.0.0.1", id="empty-entry"),
        pytest.param("10.0.0.1", [""], "10.0.0.1", id="empty-field"),
        pytest.param("10.0.0.1", ["1.2.3.4:5678"], "1.2.3.4", id="port"),
        pytest.param("10.0.0.1", ["1.2.3.4:567890"], "10.0.0.1", id="port-that-is-none"),
        pytest.param("10.0.0.1", ["[2001:db8::1]:80"], "2001:db8::1", id="brackets-and-port"),
        pytest.param("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1", id="brackets"),
        pytest.param("10.0.0.1", ["2001:db8::1"], "2001:db8::1", id="ipv6"),
        pytest.param("10.0.0.1", ["\t 1.2.3.4 "], "1.2.3.4", id="spaces"),
        pytest.param("10.0.0.1", ["1.2.3.4, 0x0a.0.0.1"], "10.0.0.1", id="odd-form-is-not-believed"),
        pytest.param("10.0.0.1", ["::ffff:1.2.3.4"], "1.2.3.4", id="mapped-entry"),
        pytest.param("::ffff:10.0.0.1", ["1.2.3.4, ::ffff:10.0.0.2"], "1.2.3.4", id="mapped-proxies"),
        pytest.param("fd00::1%eth0", ["1.2.3.4"], "1.2.3.4", id="scoped-proxy"),
        pytest.param("fe80::1%eth0", ["1.2.3.4"], "fe80::1", id="scope-is-no-part-of-an-address"),
        pytest.param("192.0.2.7", ["1.2.3.4"], "1.2.3.4", id="proxy-by-its-address"),
        pytest.param("192.0.2.8", ["1.2.3.4"], "192.0.2.8", id="neighbour-of-a-proxy"),
        pytest.param(None, ["1.2.3.4"], None, id="no-peer"),
        pytest.param("", ["1.2.3.4"], None, id="peer-that-is-none"),
        pytest.param("unix:/run/socket", ["1.2.3.4"], None, id="peer-of-another-kind"),
    ],
)
def test_client_behind_proxies(peer: str | None, forwarded_for: Sequence[str], expected: str | None) -> None:
    found = client_address(peer, forwarded_for, TRUSTED)
    assert found == (None if expected is None else ip_address(expected))


@pytest.mark.parametrize(("peer", "expected"), [("::ffff:1.2.3.4", "1.2.3.4"), ("fe80::1%eth0", "fe80::1")])
def test_without_trusted_proxies_the_client_is_who_has_connected(peer: str, expected: str) -> None:
    assert client_address(peer, ["6.6.6.6"], ()) == ip_address(expected)


@given(values=st.lists(ANYTHING, max_size=3), peer=st.one_of(st.none(), ANYTHING, st.just("10.0.0.1")))
@example(values=["9" * 100_000], peer="10.0.0.1")
def test_no_field_breaks_the_search_for_a_client(values: list[str], peer: str | None) -> None:
    found = client_address(peer, values, TRUSTED)
    assert found is None or parse_address(str(found)) == found


@given(hops=st.lists(st.ip_addresses(v=4), min_size=1, max_size=6), lies=st.lists(ANYTHING, max_size=2))
def test_client_cannot_choose_its_address_by_what_it_sends(hops: list[IPv4Address], lies: list[str]) -> None:
    told = ", ".join(map(str, hops))
    client = next((hop for hop in reversed(hops) if not within(hop, TRUSTED)), None)
    if client is not None:
        assert client_address("10.0.0.1", [*lies, told], TRUSTED) == client


@pytest.mark.parametrize(
    ("client", "key"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), (None, "")],
)
def test_clients_are_counted_by_what_one_subscriber_has(client: str | None, key: str) -> None:
    assert client_key(client) == key
