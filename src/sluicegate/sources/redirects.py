"""Where an upstream may send us: which hosts a redirect may name, and which addresses these may have.

Decides and connects to nothing. The operator named the base address, so it is trusted; what an upstream
names is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluicegate.http.addresses import Address, Network, is_public, parse_address, within
from sluicegate.http.fields import Fields

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

MAX_PORT: Final = 65535

NOT_PUBLIC: Final = "not a public address; allow_networks may name its network"

SHOWN_ADDRESSES: Final = 3
"""How many addresses of a host a message shows: a name server may answer with hundreds."""

# RFC 1035, section 2.3.4: labels of 63 characters. The underscore is used, if not allowed.
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_PATTERN: Final = re.compile(
    rf"(?:\[(?P<literal>[0-9a-f:.]+)\]|(?P<below>\*\.)?(?P<name>{_NAME.pattern}))(?::(?P<port>[0-9]{{1,5}}))?"
)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

# What says which bytes a client can use, and nothing of who it is.
_HARMLESS: Final = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language", "range"),
        *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
    }
)


@dataclass(frozen=True, slots=True)
class Origin:
    """RFC 9110, section 4.3.1: scheme, host and port. `host` is as it is looked up, without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """Hosts that a redirect may lead to: `host`, or with `subdomains` all names below it and not itself.

    Without a port it is the scheme's default port.
    """

    host: str
    subdomains: bool = False
    port: int | None = None

    def fits(self, origin: Origin) -> bool:
        """Whether `origin` is among those that are meant."""
        if origin.port != (DEFAULT_PORTS[origin.scheme] if self.port is None else self.port):
            return False
        host = origin.host.removesuffix(".")
        if self.subdomains:
            return host.endswith(f".{self.host}") and _NAME.fullmatch(host) is not None
        return host == self.host or _is_same_address(host, self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Where the requests of one source may go: to its `own` origin, and from there to `hosts`.

    All addresses must be public, or in `networks`. The own origin may have any, unless `public_only`.
    """

    own: Origin
    hosts: tuple[HostPattern, ...] = ()
    networks: tuple[Network, ...] = ()
    public_only: bool = False

    def refusal(self, here: Origin, there: Origin) -> str | None:
        """Why a redirect from `here` to `there` is not followed; `None` where it is."""
        if here.scheme == "https" and there.scheme != "https":
            return f"redirect from https to {there}"
        if there == self.own:
            return None
        if there.scheme not in DEFAULT_PORTS or not any(pattern.fits(there) for pattern in self.hosts):
            return f"redirect to another origin, {there}; redirects may name its host"
        literal = self.literal_refusal(there)
        return None if literal is None else f"redirect to {literal}"

    def literal_refusal(self, origin: Origin) -> str | None:
        """Why an origin whose host is an address and no name is not connected to; `None` where it may be."""
        try:
            address = literal_address(origin.host)
        except ValueError as exc:
            return f"{origin}: {exc}"
        if address is None or self.is_trusted(origin.host, origin.port) or self._allows(address):
            return None
        return f"{origin}: {NOT_PUBLIC}"

    def is_trusted(self, host: str, port: int) -> bool:
        """Whether a host may have any address at all."""
        return not self.public_only and (host, port) == (self.own.host, self.own.port)

    def allows(self, address: str) -> bool:
        """Whether `address`, which a name server gave for a host that is not trusted, may be connected to."""
        parsed = parse_address(address)
        return parsed is not None and self._allows(parsed)

    def _allows(self, address: Address) -> bool:
        return is_public(address) or within(address, self.networks)


def shown_addresses(addresses: Iterable[str]) -> str:
    """The first few of a host's addresses, for a message."""
    texts = sorted(set(addresses))
    more = ["..."] if len(texts) > SHOWN_ADDRESSES else []
    return ", ".join([*texts[:SHOWN_ADDRESSES], *more])


def harmless(fields: Fields) -> Fields:
    """Those of a client's fields that any host may see: what it accepts, ranges and conditions."""
    return tuple((name, value) for name, value in fields if name in _HARMLESS)


def literal_address(host: str) -> Address | None:
    """The address that a host is, so that no name server is asked for it; `None` for a name.

    Raises `ValueError` for what is neither, and what some systems read as an address: `127.1`, `2130706433`.
    """
    address = parse_address(host)
    if address is None and (":" in host or host.replace(".", "").isdigit()):
        raise ValueError(f"{host!r} is no address in its canonical form, and no name")
    return address


def parse_host_pattern(text: str) -> HostPattern:
    """The pattern that `cdn.example.com`, `*.example.com`, `cdn.example.com:8443` or `[2001:db8::1]` is.

    Raises `ValueError` for anything else. Names beyond ASCII are given in their `xn--` form.
    """
    found = _PATTERN.fullmatch(text.lower())
    if found is None:
        raise ValueError(_unusable(text))
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 1 <= port <= MAX_PORT:
        raise ValueError(f"{text!r}: a port is 1 to {MAX_PORT}, got {port}")
    host, below = found["literal"] or found["name"], found["below"] is not None
    if not _is_name(host) and (below or parse_address(host) is None):
        raise ValueError(_unusable(text))
    return HostPattern(host, below, port)


def _is_name(host: str) -> bool:
    # A host that ends in a number is read as an IPv4 address, in one of too many forms.
    return ":" not in host and _NUMBER.fullmatch(host.rpartition(".")[2]) is None


def _unusable(text: str) -> str:
    return f"{text!r} is no host: cdn.example.com, *.example.com, or an address, and perhaps :port behind it"


def _is_same_address(one: str, other: str) -> bool:
    address = parse_address(one)
    return address is not None and address == parse_address(other)
