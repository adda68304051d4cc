"""Redirects: an API may send us elsewhere on the same origin, and to the hosts that the options name."""

import pytest

from sluicegate import OpenRequest
from sluicegate.errors import BadAnswer, Unavailable
from sluicegate.http.addresses import parse_network
from sluicegate.sources.http import MAX_REDIRECTS
from sluicegate.sources.redirects import (
    HostPattern,
    Origin,
    Policy,
    literal_address,
    parse_host_pattern,
    shown_addresses,
)
from tests.sources.raw_origin import Answer, answer, raw_origin, served
from tests.sources.stores import Kind, content_of, source_at

API = Origin("https", "api.example", 443)


def to(location: str | None, status: str = "302 Found") -> Answer:
    return (answer(status, b"elsewhere", location=location),)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        pytest.param("/other/key?x=1", "/other/key?x=1", id="path"),
        pytest.param("other", "/bucket/other", id="relative"),
        pytest.param("?x=1", "/bucket/key?x=1", id="query"),
        pytest.param("/a%2Fb%20c", "/a%2Fb%20c", id="escapes"),
        pytest.param("/b#fragment", "/b", id="fragment"),
    ],
)
@pytest.mark.parametrize("status", ["301 A", "302 B", "303 C", "307 D", "308 E"])
async def test_same_origin_is_followed(location: str, target: str, status: str) -> None:
    async with (
        raw_origin(to(location, status), (served(b"content"),)) as origin,
        source_at("http", origin.url, headers={"Authorization": "Bearer secret"}) as source,
    ):
        assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert [request.target for request in origin.requests] == ["/bucket/key", target]
        assert [request.fields["authorization"] for request in origin.requests] == ["Bearer secret"] * 2
        assert origin.connections == 1


async def test_same_origin_by_its_whole_address_is_followed() -> None:
    async with raw_origin((b"",)) as origin, source_at("http", origin.url) as source:
        origin.answers = [to(f"{origin.url}/there"), (served(b"content"),)]
        assert await content_of(await source.open("key", OpenRequest())) == b"content"


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://127.0.0.1:1/", id="other-port"),
        pytest.param("http://169.254.169.254/latest/meta-data/", id="other-host"),
        pytest.param("//example.com/key", id="host-without-scheme"),
        pytest.param("https://127.0.0.1/", id="other-scheme"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("gopher:x", id="no-host"),
        pytest.param("http://[::1/", id="broken-address"),
        pytest.param("http://a:99999999/", id="broken-port"),
    ],
)
async def test_any_other_place_is_refused(location: str) -> None:
    async with raw_origin(to(location)) as origin, source_at("http", origin.url) as source:
        with pytest.raises(BadAnswer, match="redirect to"):
            await source.open("key", OpenRequest())
        assert len(origin.requests) == 1


@pytest.mark.parametrize("location", [None, "http://", "http:///path", "\xff\xfe", "\t", "%%%", "?" * 5000])
async def test_what_names_no_place_stays_at_the_origin_and_ends(location: str | None) -> None:
    async with raw_origin(to(location)) as origin, source_at("http", origin.url) as source:
        with pytest.raises(BadAnswer, match="redirects"):
            await source.open("key", OpenRequest())
        assert len(origin.requests) == MAX_REDIRECTS + 1


async def test_loop_ends() -> None:
    async with raw_origin(to("/bucket/key")) as origin, source_at("http", origin.url) as source:
        with pytest.raises(BadAnswer, match="redirects"):
            await source.open("key", OpenRequest())
        assert len(origin.requests) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("kind", ["aiobotocore", "botocore"])
@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_store_that_redirects_is_not_followed(kind: Kind, status: str) -> None:
    async with (
        raw_origin((served(b"what nobody may see"),)) as elsewhere,
        raw_origin(to(f"{elsewhere.url}/bucket/key", status)) as origin,
        source_at(kind, origin.url) as source,
    ):
        with pytest.raises(BadAnswer):
            await source.open("key", OpenRequest())
        assert elsewhere.requests == []
        # botocore asks for the region of the bucket, once.
        assert [request.method for request in origin.requests] == ["GET", "HEAD"]


async def test_obstore_follows_a_store_that_redirects() -> None:
    # It has no setting for it. The signature stays behind, since it is of another host.
    async with (
        raw_origin((served(b"content"),)) as elsewhere,
        raw_origin(to(f"{elsewhere.url}/bucket/key")) as origin,
        source_at("obstore", origin.url) as source,
    ):
        assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert "authorization" not in elsewhere.requests[0].fields


async def test_obstore_goes_nowhere_when_nobody_is_there() -> None:
    async with raw_origin(to("http://127.0.0.1:1/")) as origin, source_at("obstore", origin.url) as source:
        with pytest.raises(Unavailable):
            await source.open("key", OpenRequest())


# The policy.


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        pytest.param("cdn.example.com", HostPattern("cdn.example.com"), id="name"),
        pytest.param("CDN.Example.com", HostPattern("cdn.example.com"), id="any-case"),
        pytest.param("cdn", HostPattern("cdn"), id="one-label"),
        pytest.param("my_cdn-1.example", HostPattern("my_cdn-1.example"), id="underscore"),
        pytest.param("xn--bcher-kva.example", HostPattern("xn--bcher-kva.example"), id="international"),
        pytest.param("*.example.com", HostPattern("example.com", subdomains=True), id="below"),
        pytest.param("*.example.com:8443", HostPattern("example.com", True, 8443), id="below-at-a-port"),
        pytest.param("cdn:80", HostPattern("cdn", port=80), id="port"),
        pytest.param("10.0.0.5", HostPattern("10.0.0.5"), id="ipv4"),
        pytest.param("[2001:db8::1]:8443", HostPattern("2001:db8::1", port=8443), id="ipv6"),
    ],
)
def test_pattern_is_read(text: str, pattern: HostPattern) -> None:
    assert parse_host_pattern(text) == pattern


UNUSABLE = (
    *("", ".", "a..b", ".a", "a.", " a", "a b", "a/", "http://a", "a@b", "bücher.example", "a%2eb", "a\n"),
    *("*", "*.", "**.a", "a.*.b", "*a", "*:80", "*.1", "*.0.0.1", "*.[::1]", "x" * 64),
    *("a:b", "a:", "a:0", "a:65536", "a:999999"),
    *(
        "127.1",
        "2130706433",
        "0",
        "0x7f.1",
        "a.1",
        "a.0x1",
        "1.2.3.4.5",
        "::1",
        "[::1",
        "[]",
        "[g]",
        "[1.2.3]",
    ),
)


@pytest.mark.parametrize("text", UNUSABLE)
def test_pattern_that_cannot_be_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|port") as caught:
        parse_host_pattern(text)
    assert repr(text) in str(caught.value)


FOLLOWED = [
    pytest.param("cdn.example", "https", "cdn.example", 443, id="https"),
    pytest.param("cdn.example", "https", "cdn.example.", 443, id="final-dot"),
    pytest.param("cdn.example:8443", "https", "cdn.example", 8443, id="port"),
    pytest.param("*.cdn.example", "https", "a.cdn.example", 443, id="below"),
    pytest.param("*.cdn.example", "https", "a.b.cdn.example", 443, id="further-below"),
    pytest.param("api.example:8443", "https", "api.example", 8443, id="own-host-at-another-port"),
    pytest.param("93.184.216.34", "https", "93.184.216.34", 443, id="public-address"),
    pytest.param("10.1.0.5", "https", "10.1.0.5", 443, id="address-in-an-allowed-network"),
    pytest.param("[2606:2800:220:1::1]", "https", "2606:2800:220:1:0:0:0:1", 443, id="another-spelling"),
    pytest.param("other.example", "https", "api.example", 443, id="own-origin"),
]

NOT_FOLLOWED = [
    pytest.param("cdn.example", "http", "cdn.example", 80, id="from-https-to-http"),
    pytest.param("cdn.example", "http", "api.example", 443, id="from-https-to-http-at-its-port"),
    pytest.param("cdn.example", "https", "cdn.example", 8443, id="port-that-is-not-named"),
    pytest.param("cdn.example", "https", "cdn.example", 80, id="port-of-the-other-scheme"),
    pytest.param("cdn.example:8443", "https", "cdn.example", 443, id="default-port-that-is-not-named"),
    pytest.param("cdn.example", "https", "a.cdn.example", 443, id="below-what-is-named"),
    pytest.param("*.cdn.example", "https", "cdn.example", 443, id="above-what-is-named"),
    pytest.param("*.cdn.example", "https", "evilcdn.example", 443, id="end-of-another-label"),
    pytest.param("*.cdn.example", "https", ".cdn.example", 443, id="empty-label-below"),
    pytest.param("*.cdn.example", "https", "a b.cdn.example", 443, id="no-label-below"),
    pytest.param("*.cdn.example", "https", "127.0.0.1%00.cdn.example", 443, id="escape-below"),
    pytest.param("cdn.example", "https", "cdn.example.evil.example", 443, id="beginning-of-another-name"),
    pytest.param("cdn.example", "https", "cdn.example..", 443, id="two-dots"),
    pytest.param("api.example", "https", "api.example", 8443, id="own-host-at-a-port-that-is-not-named"),
    pytest.param("cdn.example", "ftp", "cdn.example", 443, id="other-scheme"),
    pytest.param("10.0.0.5", "https", "10.0.0.5", 443, id="private-address"),
    pytest.param("[::1]", "https", "::1", 443, id="loopback"),
    pytest.param("10.0.0.5", "https", "::ffff:10.0.0.5", 443, id="mapped"),
]


def policy(pattern: str) -> Policy:
    return Policy(own=API, hosts=(parse_host_pattern(pattern),), networks=(parse_network("10.1.0.0/16"),))


@pytest.mark.parametrize(("pattern", "scheme", "host", "port"), FOLLOWED)
def test_redirect_within_the_policy_is_followed(pattern: str, scheme: str, host: str, port: int) -> None:
    assert policy(pattern).refusal(API, Origin(scheme, host, port)) is None


@pytest.mark.parametrize(("pattern", "scheme", "host", "port"), NOT_FOLLOWED)
def test_any_other_redirect_is_not(pattern: str, scheme: str, host: str, port: int) -> None:
    assert "redirect" in (policy(pattern).refusal(API, Origin(scheme, host, port)) or "")


def test_http_may_be_left_for_https_where_it_is_named() -> None:
    own = Origin("http", "api.example", 80)
    policies = [Policy(own=own), Policy(own=own, hosts=(HostPattern("api.example"),))]
    assert [one.refusal(own, API) is None for one in policies] == [False, True]


def test_own_origin_is_trusted_at_its_port_alone() -> None:
    named, public = Policy(own=API), Policy(own=API, public_only=True)
    places = [("api.example", 443), ("api.example", 80), ("api.example.", 443), ("other.example", 443)]
    assert [named.is_trusted(*place) for place in places] == [True, False, False, False]
    assert [public.is_trusted(*place) for place in places] == [False] * 4


@pytest.mark.parametrize(
    "host", ["127.1", "0", "2130706433", "127.0.0.1.", "1.2.3.4.5", "::g", "a:b", "\u0661"]
)
def test_what_is_neither_a_name_nor_an_address_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        literal_address(host)
    own = Policy(own=API, hosts=(HostPattern(host),))
    assert own.refusal(API, Origin("https", host, 443)) is not None


def test_only_the_first_addresses_are_shown() -> None:
    assert shown_addresses(["10.0.0.2", "10.0.0.1", "10.0.0.2"]) == "10.0.0.1, 10.0.0.2"
    assert shown_addresses(f"10.0.0.{n}" for n in range(4)) == "10.0.0.0, 10.0.0.1, 10.0.0.2, ..."
