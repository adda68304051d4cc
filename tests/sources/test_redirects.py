"""Redirects: an API may send us elsewhere on the same origin; nobody may send us to another one."""

import pytest

from sluicegate import OpenRequest
from sluicegate.errors import BadAnswer, Unavailable
from sluicegate.sources.http import MAX_REDIRECTS
from tests.sources.raw_origin import Answer, answer, raw_origin, served
from tests.sources.stores import Kind, content_of, source_at


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
