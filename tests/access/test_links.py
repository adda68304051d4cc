"""Signed links: where they are sent, and which paths they allow."""

from urllib.parse import quote

import pytest
from hypothesis import assume, given

from sluicegate.access.base import AccessRequest, Grant, Refusal
from sluicegate.access.errors import BadCredentials
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import LinkOptions, SignedLinks
from sluicegate.http.paths import BadPath, canonical_path, canonical_segments
from sluicegate.testing.awkward_keys import AWKWARD_KEYS, AwkwardKey

from .signing import KEYS, RAW_PATHS, Clock, asked

OTHER_PATH = Refusal(reason="the signature is not that of this path", status=403)
NOT_BELOW = Refusal(reason="the path is not below the link's prefix", status=403)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock) -> SignedLinks:
    return SignedLinks(KEYS, clock=clock)


# Where a link is.


async def test_link_in_the_query_or_in_the_cookie_allows_its_path(links: SignedLinks) -> None:
    token = links.sign("/a/b.jpg", 60)
    for request in (asked("/a/b.jpg", token), asked("/a/b.jpg", cookie=token)):
        assert await links.verify(request) == Grant(subject="k1")


async def test_prefix_link_in_the_query_or_in_the_cookie_allows_what_is_below(links: SignedLinks) -> None:
    token = links.sign("", 60, LinkClaims(prefix="/hls/42/", subject="anna"))
    for path in ("/hls/42/index.m3u8", "/hls/42/a/1.ts", "/hls/42/", "/hls/42//x", "/hls/42/%2F"):
        for request in (asked(path, token), asked(path, cookie=token)):
            assert await links.verify(request) == Grant(subject="anna")


async def test_request_without_a_link_is_refused_as_one_that_shows_nothing(links: SignedLinks) -> None:
    nothing = Refusal(reason="no link", status=403, absent=True)
    others = AccessRequest("GET", "/a", "xlink=1&links=2&link", [(b"cookie", b"a=b; xsluicegate_link=c")])
    for request in (asked("/a"), others):
        assert await links.verify(request) == nothing


@pytest.mark.parametrize(
    ("query", "cookies"),
    [
        pytest.param("a=b&link={}&c=d", [], id="among-parameters"),
        pytest.param("link={}&link=nonsense", [], id="first-parameter"),
        pytest.param("link={}", ["sluicegate_link=nonsense"], id="query-before-cookie"),
        pytest.param("a=b", ["a=b; sluicegate_link={}; c=d"], id="among-cookies"),
        pytest.param("", ["sluicegate_link={}; sluicegate_link=nonsense"], id="first-cookie"),
        pytest.param("", ["a=b", "sluicegate_link={}"], id="second-cookie-field"),
    ],
)
async def test_link_is_found_among_other_things(links: SignedLinks, query: str, cookies: list[str]) -> None:
    token = links.sign("/a", 60)
    fields = [(b"cookie", text.format(token).encode()) for text in cookies]
    request = AccessRequest("GET", "/a", query.format(token), fields)
    assert await links.verify(request) == Grant(subject="k1")


async def test_names_of_parameter_and_cookie_are_the_operators(clock: Clock) -> None:
    links = SignedLinks(KEYS, LinkOptions(parameter="t", cookie="__Secure-t"), clock=clock)
    link = links.link("/a", 60)
    path, _, query = link.partition("?")
    token = query.removeprefix("t=")
    assert await links.verify(AccessRequest("GET", path, query)) == Grant(subject="k1")
    cookie = [(b"cookie", f"__Secure-t={token}".encode())]
    assert await links.verify(AccessRequest("GET", path, "", cookie)) == Grant(subject="k1")
    assert await links.verify(asked("/a", token)) == Refusal(reason="no link", status=403, absent=True)


def test_link_is_the_canonical_path_with_its_token(links: SignedLinks) -> None:
    assert links.link("/é a%2fb", 60) == f"/%C3%A9%20a%2Fb?link={links.sign('/%C3%A9%20a%2Fb', 60)}"
    below = LinkClaims(prefix="/a/")
    assert links.link("/%61/b", 60, below) == f"/a/b?link={links.sign('', 60, below)}"
    with pytest.raises(BadCredentials, match="'/ab' is not below the prefix '/a/'"):
        links.link("/ab", 60, below)


# Which paths.

PCHARS = "/!$&'()*+,;=:@~"
"""What may stand in a path as it is: the slashes, and RFC 3986, section 3.3 without letters and digits."""


def everything(key: str) -> str:
    """A key with every byte percent-encoded, in lower case, but for the slashes between its segments."""
    return "/".join("".join(f"%{byte:02x}" for byte in segment.encode()) for segment in key.split("/"))


@pytest.mark.parametrize("awkward", AWKWARD_KEYS.values(), ids=AWKWARD_KEYS.keys())
async def test_link_for_an_awkward_key_allows_each_spelling_of_it_and_no_other_key(
    links: SignedLinks, awkward: AwkwardKey
) -> None:
    spellings = [
        f"/{quote(awkward.key)}",
        f"/{quote(awkward.key, safe=PCHARS)}",
        f"/{everything(awkward.key)}",
    ]
    for signed in spellings:
        token = links.sign(signed, 60)
        for spelling in spellings:
            assert await links.verify(asked(spelling, token)) == Grant(subject="k1")
        for other in awkward.others:
            assert await links.verify(asked(f"/{quote(other)}", token)) == OTHER_PATH


@pytest.mark.parametrize(
    ("signed", "path"),
    [
        ("/a%2Fb", "/a/b"),
        ("/a/b", "/a%2Fb"),
        ("/a%252Fb", "/a%2Fb"),
        ("/a", "/a/"),
        ("/a/", "/a"),
        ("/a", "/a/b"),
        ("/a/b", "/a//b"),
        ("/a+b", "/a%20b"),
        ("/a", "/A"),
        ("/a%5Cb", "/a/b"),
        ("/caf%C3%A9", "/cafe%CC%81"),
    ],
)
async def test_link_for_a_path_is_not_one_for_a_path_alike(
    links: SignedLinks, signed: str, path: str
) -> None:
    assert await links.verify(asked(path, links.sign(signed, 60))) == OTHER_PATH
    assert await links.verify(asked(signed, links.sign(signed, 60))) == Grant(subject="k1")


@pytest.mark.parametrize("path", ["/ab", "/a", "/a%2Fb", "/A/b", "/", "/b/a/", "//a/", "/a%5Cb", "/a;/b"])
async def test_ghsa_mr74_928f_rw69_prefix_ends_at_a_slash(links: SignedLinks, path: str) -> None:
    token = links.sign("", 60, LinkClaims(prefix="/a/"))
    assert await links.verify(asked(path, token)) == NOT_BELOW
    assert await links.verify(asked("/a/b", token)) == Grant(subject="k1")


@given(RAW_PATHS, RAW_PATHS)
async def test_link_allows_the_path_that_it_was_signed_for_and_no_other(signed: str, path: str) -> None:
    try:
        same = canonical_segments(signed.encode()) == canonical_segments(path.encode())
    except BadPath:
        assume(False)
    links = SignedLinks(KEYS, clock=Clock())
    token = links.sign(signed, 60)
    assert await links.verify(asked(signed, token)) == Grant(subject="k1")
    assert (await links.verify(asked(path, token)) == Grant(subject="k1")) == same


@given(RAW_PATHS, RAW_PATHS | RAW_PATHS.map(lambda path: f"/a{path}"))
async def test_prefix_link_allows_what_has_all_of_its_segments_and_one_more(prefix: str, path: str) -> None:
    try:
        folder, segments = canonical_segments(prefix.encode()), canonical_segments(path.encode())
    except BadPath:
        assume(False)
    assume(not {";", ","}.intersection(prefix))
    claims = LinkClaims(prefix=canonical_path((*folder, "")))
    links = SignedLinks(KEYS, clock=Clock())
    verdict = await links.verify(asked(path, links.sign("", 60, claims)))
    below = len(segments) > len(folder) and segments[: len(folder)] == folder
    assert verdict == (Grant(subject="k1") if below else NOT_BELOW)


@pytest.mark.parametrize(
    "path", ["", "a", "*", "/a/..", "/%2e%2e/a", "/a?b", "/a#b", "/%zz", "/\ud800", "/\0", "/a\r\nb: c"]
)
def test_path_that_is_never_served_cannot_be_signed(links: SignedLinks, path: str) -> None:
    with pytest.raises(BadCredentials, match="cannot be signed"):
        links.sign(path, 60)


# Methods.


async def test_link_is_for_reading(links: SignedLinks) -> None:
    token = links.sign("/a", 60)
    for method in ("GET", "HEAD"):
        assert await links.verify(asked("/a", token, method=method)) == Grant(subject="k1")
    for method in ("PUT", "POST", "DELETE", "PATCH", "OPTIONS", "get", "Head", "", "GET\n"):
        verdict = await links.verify(asked("/a", token, method=method))
        assert verdict == Refusal(reason="links are for GET and HEAD", status=403)


async def test_cve_2026_48710_nothing_of_the_host_field_matters(links: SignedLinks) -> None:
    hosts = (b"example.com", b"example.com/b?", b"/b", b"a@b/b#", b"", b"\xff", b"example.com/a?link=x")
    token = links.sign("/a", 60)
    for host in hosts:
        for fields in (
            ((b"host", host),),
            ((b"host", host), (b"host", b"other"), (b"x-forwarded-host", host)),
        ):
            assert await links.verify(asked("/a", token, fields=fields)) == Grant(subject="k1")
            assert await links.verify(asked("/b", token, fields=fields)) == OTHER_PATH
