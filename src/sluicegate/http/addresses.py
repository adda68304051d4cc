"""Internet addresses: which of them are public, which a text means, and whose address stands behind proxies.

Decides about addresses that are known. Names are never looked up here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The special-purpose registries of IANA (RFC 6890 and what came after it), but for what is routed like any
# other address: the AS112 and AMT anycast prefixes outside 192.0.0.0/24.
_SPECIAL_IPV4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # RFC 791, section 3.2: "this network"; 0.0.0.0 connects to the machine itself
        "10.0.0.0/8",  # RFC 1918: private
        "100.64.0.0/10",  # RFC 6598: shared with the provider's NAT
        "127.0.0.0/8",  # RFC 1122, section 3.2.1.3: loopback
        "169.254.0.0/16",  # RFC 3927: link-local; clouds keep their metadata services here
        "172.16.0.0/12",  # RFC 1918: private
        "192.0.0.0/24",  # RFC 6890, section 2.1: IETF protocol assignments, DS-Lite among them
        "192.0.2.0/24",  # RFC 5737: documentation
        "192.88.99.0/24",  # RFC 7526: 6to4 relays, deprecated
        "192.168.0.0/16",  # RFC 1918: private
        "198.18.0.0/15",  # RFC 2544: benchmarks
        "198.51.100.0/24",  # RFC 5737: documentation
        "203.0.113.0/24",  # RFC 5737: documentation
        "224.0.0.0/4",  # RFC 5771: multicast
        "240.0.0.0/4",  # RFC 1112, section 4: reserved; 255.255.255.255 is broadcast
    )
)

# RFC 4291, section 2.4, and the registry of IANA: global unicast addresses are assigned from here alone. So
# these need no line of their own: ::1 and ::, 100::/64 (RFC 6666, discard), 5f00::/16 (RFC 9602, SRv6),
# fc00::/7 (RFC 4193, unique local), fe80::/10 (link-local), fec0::/10 (RFC 3879, site-local), ff00::/8
# (multicast), and 64:ff9b:1::/48 (RFC 8215), which hides an IPv4 address where only its network knows.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")

_SPECIAL_IPV6: Final = tuple(
    IPv6Network(text)
    for text in (
        # RFC 2928: IETF protocol assignments. Teredo (2001::/32, RFC 4380) with an IPv4 address inside,
        # benchmarks (2001:2::/48), ORCHID (2001:10::/28 and 2001:20::/28): none is a server's address.
        "2001::/23",
        "2001:db8::/32",  # RFC 3849: documentation
        "2002::/16",  # RFC 3056: 6to4, a tunnel to the IPv4 address inside; deprecated by RFC 7526
        "3fff::/20",  # RFC 9637: documentation
    )
)

# What reaches the IPv4 address in its last 32 bits, and is as public as that one.
_AROUND_IPV4: Final = tuple(
    IPv6Network(text)
    for text in (
        "::/96",  # RFC 4291, section 2.5.5.1: IPv4-compatible; ::1 and :: fall to 0.0.0.0/8
        "::ffff:0:0/96",  # RFC 4291, section 2.5.5.2: IPv4-mapped
        "64:ff9b::/96",  # RFC 6052, section 2.1: NAT64
    )
)

# `1.2.3.4:80`, `[::1]` and `[::1]:80`: the forms that have more than an address in them.
_WITH_PORT: Final = re.compile(r"(?:\[(?P<inner>[^\[\]]+)\]|(?P<ipv4>[0-9.]+))(?::[0-9]{1,5})?")

_MAPPED_BITS: Final = 96


def is_public(address: Address) -> bool:
    """Whether an address is global unicast: what any host on the internet may have, and no other.

    A scoped address (`fe80::1%eth0`) means something on one link only, and is not public. An IPv6 address
    that reaches an IPv4 address is judged by that one.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    if address.scope_id is not None:
        return False
    if any(address in network for network in _AROUND_IPV4):
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_IPV6)


def parse_address(text: str) -> Address | None:
    """The address that a text is, in its canonical form alone; `None` for anything else.

    `127.1`, `0x7f.1` and `2130706433` are none here, though some systems connect to what they take them
    for. An IPv4-mapped IPv6 address is the IPv4 address that it stands for.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def parse_network(text: str) -> Network:
    """The network that `10.0.0.0/8` or `fc00::/7` is; an address alone is the network of itself.

    IPv4-mapped IPv6 networks are the IPv4 networks that they stand for. Raises `ValueError` for anything
    else, an address with bits behind its prefix among it.
    """
    try:
        network = ip_network(text)
    except ValueError as exc:
        raise ValueError(
            f"{text!r} is no network: a network is 10.0.0.0/8 or fc00::/7, without bits behind the prefix"
        ) from exc
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of `networks`."""
    return any(address in network for network in networks)


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """The address of the client behind the proxies in `trusted`; `None` where `peer` is no address.

    `peer` is who has connected, `forwarded_for` the values of the `X-Forwarded-For` fields in their order.
    Each proxy adds whom it has heard from at the end, so they are read from there, as long as the one who
    wrote an entry is trusted. An entry that is no address ends this: what stands left of it is not believed,
    and the client is whoever wrote it.
    """
    address = None if peer is None else _unscoped(parse_address(peer))
    if address is None or not trusted:
        return address
    for entry in _from_the_right(forwarded_for):
        if not within(address, trusted):
            break
        hop = _hop_address(entry)
        if hop is None:
            break
        address = hop
    return address


def client_key(client: str | None) -> str:
    """What the client of an address is counted by; all that have none are one."""
    return _subscriber_of(client) if client is not None and ":" in client else client or ""


@lru_cache(maxsize=4096)
def _subscriber_of(address: str) -> str:
    """Of IPv6, what one subscriber has at least (RFC 6177)."""
    return str(IPv6Network((int(IPv6Address(address)) >> 64 << 64, 64)))


def _from_the_right(values: Sequence[str]) -> Iterator[str]:
    for value in reversed(values):
        yield from reversed(value.split(","))


def _hop_address(entry: str) -> Address | None:
    text = entry.strip(" \t")
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port["inner"] or with_port["ipv4"]
    return _unscoped(parse_address(text))


def _unscoped(address: Address | None) -> Address | None:
    """An address without its zone, which is a name that a host gives to a link, and no part of it."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return IPv6Address(int(address))
    return address
