"""Targets that need nothing but their bytes: paths, fields, addresses, configurations.

Each raises for a broken promise alone: what its subject refuses is no finding.
"""

import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from itertools import pairwise

from yarl import URL

from sluicegate import __version__
from sluicegate.gateway.config import Config, ConfigError, parse_config
from sluicegate.gateway.openapi import openapi_document
from sluicegate.gateway.shown_config import hidden
from sluicegate.http.addresses import client_address, parse_network, within
from sluicegate.http.conditions import (
    Verdict,
    evaluate,
    forwardable,
    range_applies,
    read_conditions,
    read_if_range,
)
from sluicegate.http.cors import CorsPolicy, answer_fields, is_origin, preflight_fields
from sluicegate.http.fields import Fields, is_value
from sluicegate.http.metadata import Metadata
from sluicegate.http.paths import BadPath, canonical_path, canonical_segments
from sluicegate.http.ranges import MAX_RANGES, Span, format_range, parse_content_range, parse_range, select
from sluicegate.http.validators import parse_date, parse_etag
from sluicegate.sources.redirects import HostPattern, Origin, Policy, parse_host_pattern
from sluicegate.sources.urls import located, origin_of

SIZES = (0, 1, 5, 1000, 2**40)
"""Bytes of objects that ranges are taken of."""

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DOTS = re.compile(r"(?:^|[/\\])\.\.?(?:$|[/\\])")

TRUSTED = tuple(map(parse_network, ("127.0.0.0/8", "10.0.0.0/8", "::1/128", "fc00::/7")))

APP = "https://app.example.com"
POLICIES = (
    CorsPolicy(origins=frozenset({APP}), credentials=True),
    CorsPolicy(origins=frozenset({APP, "http://localhost:3000"})),
)
EVERYBODY = CorsPolicy(origins=frozenset({"*"}))

METADATA = Metadata(
    etag=parse_etag('"v1"'),
    last_modified=parse_date("Sun, 06 Nov 1994 08:49:37 GMT"),
    size=1000,
)

ENVIRON = {"NAME": "value", "EMPTY": ""}

BASE = URL("https://files.example.com/bucket/key?signed=1")
OWN = Origin("https", "files.example.com", 443)
HOSTS = ("cdn.example.com", "*.example.net:8443", "[2606:4700::1111]", "8.8.8.8")


def path(data: bytes) -> None:
    """A path means one thing, says it in one way, and never climbs."""
    try:
        segments = canonical_segments(data)
    except BadPath:
        return
    written = canonical_path(segments)
    assert canonical_segments(written.encode()) == segments, "another path when it is read again"
    assert written.isascii(), "a canonical path is percent-encoded"
    for segment in segments:
        assert not CONTROL.search(segment), "a control character"
        assert not DOTS.search(segment), "a dot segment"


def ranges(data: bytes) -> None:
    """A `Range` is read or ignored; what it selects lies inside the object, and is no more than it."""
    value = data.decode("latin-1")
    place = parse_content_range(value)
    assert place is None or parse_content_range(str(place)) == place
    specs = parse_range(value)
    if specs is None:
        return
    assert 0 < len(specs) <= MAX_RANGES
    assert tuple(spec for one in specs for spec in parse_range(format_range(one)) or ()) == specs
    for size in SIZES:
        _check_spans(select(specs, size) or (), size)


def _check_spans(spans: tuple[Span, ...], size: int) -> None:
    assert all(0 <= span.start < span.stop <= size for span in spans), "outside the object"
    assert sum(span.length for span in spans) <= size, "more than the object"
    ordered = sorted(spans)
    assert all(one.stop < other.start for one, other in pairwise(ordered)), "overlap"


def conditions(data: bytes) -> None:
    """A precondition that cannot be read is not met, and none is met by a tag that it does not name."""
    fields = {name.lower(): value for name, value in _named(data)}
    read = read_conditions(fields)
    verdict = evaluate(read, METADATA)
    if "if-match" in fields and verdict is not Verdict.FAILED:
        assert any(tag in fields["if-match"] for tag in ('"v1"', "*")), "met by another tag"
    if "if-none-match" in fields and verdict is Verdict.NOT_MODIFIED:
        assert any(tag in fields["if-none-match"] for tag in ('"v1"', "*")), "the same as another tag"
    sent = forwardable(read)
    for tags in (sent.if_match, sent.if_none_match):
        assert tags is None or str(tags).isascii(), "bytes that origins understand in many ways"
    if_range = read_if_range(fields)
    if "if-range" in fields and range_applies(if_range, METADATA):
        assert '"v1"' in fields["if-range"] or "1994" in fields["if-range"] or "94" in fields["if-range"]


def _named(data: bytes) -> Iterable[tuple[str, str]]:
    for line in data.split(b"\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            yield name.strip(), value.strip(" \t")


def forwarded(data: bytes) -> None:
    """The client is who has connected, or whom those named who are trusted, and nobody else's invention."""
    peer, *values = data.decode("latin-1").split("\n")
    client = client_address(peer, values, TRUSTED)
    if client is None:
        return
    direct = client_address(peer, (), TRUSTED)
    assert direct is not None
    if not within(direct, TRUSTED):
        assert client == direct, "a stranger was believed"
    if not within(client, TRUSTED):
        invented = client_address(peer, ["203.0.113.66, 198.51.100.66", *values], TRUSTED)
        assert invented == client, "what a client wrote in front was believed"


def redirect(data: bytes) -> None:
    """A redirect is followed to the own origin or a host of the list, and never to an internal address."""
    first, newline, location = data.decode("utf-8", "replace").partition("\n")
    patterns = (*HOSTS, first) if newline else HOSTS
    try:
        hosts = tuple(parse_host_pattern(text) for text in patterns)
    except ValueError:
        hosts = tuple(parse_host_pattern(text) for text in HOSTS)
    policy = Policy(own=OWN, hosts=hosts)
    try:
        there = origin_of(located(BASE, location if newline else first))
    except ValueError:
        return
    if policy.refusal(OWN, there) is not None or there == OWN:
        return
    assert there.scheme == "https", "from https to something else"
    assert any(pattern.fits(there) for pattern in hosts)
    assert _may_be_public(there.host), f"internal: {there}"


def literal(data: bytes) -> None:
    """A host that is an address, however it is written, is not internal, even if the list names it."""
    host = data.decode("latin-1").lower()
    # No URL has white space in its host; and 0x7f.1 is a name here, whose addresses are looked at.
    if re.search(r"[\sx]", host):
        return
    there = Origin("https", host, 443)
    if Policy(own=OWN, hosts=(HostPattern(host),)).refusal(OWN, there) is None:
        assert _may_be_public(host), f"internal: {there}"


def _may_be_public(host: str) -> bool:
    address = _as_systems_read(host)
    return address is None or (address.is_global and not address.is_multicast)


def _as_systems_read(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that an operating system takes a host for, in any of the ways to write one."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def origin(data: bytes) -> None:
    """Only origins that were named may read, as they were named, and no value splits a header."""
    text = data.decode("latin-1")
    for policy in POLICIES:
        fields = dict(_checked(answer_fields(policy, text)))
        early = dict(_checked(preflight_fields(policy, text, ("GET", "HEAD"))))
        expected = text if text in policy.origins else None
        assert fields.get("access-control-allow-origin") == expected
        assert early.get("access-control-allow-origin") == expected
        assert "origin" in fields["vary"]
    everybody = dict(_checked(answer_fields(EVERYBODY, text)))
    assert everybody["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in everybody
    if is_origin(text):
        assert is_value(text)
        assert text.count("://") == 1
        assert not re.search(r"[\s,/@?#]", text.partition("://")[2]), "more than an origin"


def _checked(fields: Fields) -> Fields:
    for name, value in fields:
        assert name == name.lower()
        assert is_value(value), f"{name} splits the header"
    return fields


def config(data: bytes) -> None:
    """Any text is a configuration or has mistakes; one that is good can be shown and documented."""
    read = _read(data.decode("utf-8", "replace"))
    if isinstance(read, ConfigError):
        assert read.mistakes
        assert str(read)
        return
    assert read.routes
    json.dumps(hidden(read), allow_nan=False)
    json.dumps(openapi_document(read, __version__), allow_nan=False)


def _read(text: str) -> Config | ConfigError:
    try:
        return parse_config(text, ENVIRON, name="/nonexistent/sluicegate.toml")
    except ConfigError as exc:
        return exc
