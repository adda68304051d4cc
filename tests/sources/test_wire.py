"""What goes out: keys in the request line, hosts, fields. Whatever a client library encodes, it does once."""

from urllib.parse import unquote

import pytest

from sluicegate import HttpOptions, OpenRequest, StoreOptions
from sluicegate.errors import InvalidKey, NotFound
from sluicegate.http.exchange import Unsatisfiable
from sluicegate.http.ranges import FromTo, Suffix
from sluicegate.sources.opening import Client, http_source, store_source
from sluicegate.testing.awkward_keys import AWKWARD_KEYS
from tests.sources.raw_origin import Answer, answer, raw_origin, served
from tests.sources.stores import CLIENTS, KINDS, Kind, content_of, found, source_at

MISSING: Answer = (answer("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>"),)


@pytest.mark.parametrize("kind", KINDS)
async def test_key_goes_out_as_it_is(kind: Kind) -> None:
    keys = [awkward.key for awkward in AWKWARD_KEYS.values()]
    async with raw_origin((served(b"content"),)) as origin, source_at(kind, origin.url) as source:
        for key in keys:
            assert await content_of(await source.open(key, OpenRequest())) == b"content"
        assert [unquote(request.target) for request in origin.requests] == [f"/bucket/{key}" for key in keys]


@pytest.mark.parametrize("client", CLIENTS)
async def test_prefix_stands_before_the_key(client: Client) -> None:
    async with raw_origin((served(b"content"),)) as origin:
        options = StoreOptions(endpoint_url=origin.url, anonymous=True, region="us-east-1")
        async with store_source("s3://bucket/a/b c/", options, client=client) as source:
            for key in ("key", "/key", "a//b"):
                await content_of(await source.open(key, OpenRequest()))
        assert [request.target for request in origin.requests] == [
            "/bucket/a/b%20c/key",
            "/bucket/a/b%20c//key",
            "/bucket/a/b%20c/a//b",
        ]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("key", ["key", "a//b", "/a", "a/", "a b"])
async def test_virtual_style_has_the_bucket_in_the_host_name(
    client: Client, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a proxy the origin gets the whole address, and no name has to be resolved.
    async with raw_origin((served(b"content"),)) as origin:
        monkeypatch.setenv("http_proxy", origin.url)
        options = StoreOptions(
            endpoint_url="http://s3.example:8333", anonymous=True, region="us-east-1", addressing="virtual"
        )
        async with store_source("s3://bucket", options, client=client) as source:
            assert await content_of(await source.open(key, OpenRequest())) == b"content"
        (request,) = origin.requests
        assert unquote(request.target) == f"http://bucket.s3.example:8333/{key}"
        assert request.fields["host"] == "bucket.s3.example:8333"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("addressing", "target"),
    [
        ("path", "http://s3.example/bucket/key"),
        ("virtual", "http://bucket.s3.example/key"),
    ],
)
async def test_addressing_of_an_endpoint_from_the_environment(
    client: Client, addressing: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw_origin((served(b"content"),)) as origin:
        monkeypatch.setenv("http_proxy", origin.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3.example")
        options = StoreOptions(anonymous=True, region="us-east-1", addressing=addressing)  # type: ignore[arg-type]
        async with store_source("s3://bucket", options, client=client) as source:
            assert await content_of(await source.open("key", OpenRequest())) == b"content"
        assert [request.target for request in origin.requests] == [target]


@pytest.mark.parametrize("client", CLIENTS)
async def test_anonymous_requests_are_not_signed(client: Client) -> None:
    async with raw_origin((served(b"content"),)) as origin:
        options = StoreOptions(endpoint_url=origin.url, anonymous=True, region="us-east-1")
        async with store_source("s3://bucket", options, client=client) as source:
            await content_of(await source.open("key", OpenRequest()))
        assert "authorization" not in origin.requests[0].fields


@pytest.mark.parametrize("client", CLIENTS)
async def test_session_token_and_region_go_out_with_the_signature(client: Client) -> None:
    async with (
        raw_origin((served(b"content"),)) as origin,
        source_at(client, origin.url, session_token="the-token", region="eu-central-1") as source,
    ):
        await content_of(await source.open("key", OpenRequest()))
        fields = origin.requests[0].fields
        assert fields["x-amz-security-token"] == "the-token"
        assert "/eu-central-1/s3/aws4_request" in fields["authorization"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_no_checksum_is_demanded(client: Client) -> None:
    async with raw_origin((served(b"content"),)) as origin, source_at(client, origin.url) as source:
        await content_of(await source.open("key", OpenRequest()))
        assert "x-amz-checksum-mode" not in origin.requests[0].fields


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (FromTo(0, 0), "bytes=0-0"),
        (FromTo(5), "bytes=5-"),
        (Suffix(7), "bytes=-7"),
    ],
)
async def test_range_goes_out_as_it_is(kind: Kind, spec: FromTo | Suffix, value: str) -> None:
    async with raw_origin(MISSING) as origin, source_at(kind, origin.url) as source:
        with pytest.raises(NotFound):
            await source.open("key", OpenRequest(range=spec))
        assert origin.requests[0].fields["range"] == value


# HTTP APIs.


async def test_fields_of_the_client_and_of_the_operator_go_out() -> None:
    headers = {"Authorization": "Bearer secret", "Accept-Language": "de"}
    forwarded = (("accept", "image/*"), ("accept-language", "fr"), ("accept-encoding", "gzip"))
    async with (
        raw_origin((served(b"content"),)) as origin,
        source_at("http", origin.url, headers=headers) as source,
    ):
        await content_of(await source.open("key", OpenRequest(fields=forwarded)))
        fields = origin.requests[0].fields
        assert fields == {
            "host": f"127.0.0.1:{origin.port}",
            "accept": "image/*",
            # The operator's word counts, and a coding would be relayed to a client that did not ask for it.
            "accept-language": "de",
            "accept-encoding": "identity",
            "authorization": "Bearer secret",
        }


@pytest.mark.parametrize("base", ["", "/", "/api", "/api/", "/a%2Fb c"])
async def test_key_is_a_path_below_the_base_address(base: str) -> None:
    async with raw_origin((served(b"content"),)) as origin:
        async with http_source(origin.url + base) as source:
            await content_of(await source.open("a b/c?d", OpenRequest()))
        below = base.rstrip("/").replace(" ", "%20")
        assert [request.target for request in origin.requests] == [f"{below}/a%20b/c%3Fd"]


@pytest.mark.parametrize("key", ["", "a%20b%2Fc", "a?b=c%26d&e", "?x=1", "a//b", "%E9", "a?b/../c"])
async def test_encoded_key_goes_out_untouched(key: str) -> None:
    async with raw_origin((served(b"content"),)) as origin:
        async with http_source(f"{origin.url}/api", HttpOptions(encoded_keys=True)) as source:
            await content_of(await source.open(key, OpenRequest()))
        assert [request.target for request in origin.requests] == [f"/api/{key}"]


@pytest.mark.parametrize(
    "key", ["..", "a/../b", "a/%2e%2e/b", "a/.%2E?x", "a b", "a#b", "é", "a%00b", "a\r\nb", "x" * 1025]
)
async def test_encoded_key_that_is_not_one_is_invalid(key: str) -> None:
    async with http_source("http://127.0.0.1:1", HttpOptions(encoded_keys=True)) as source:
        with pytest.raises(InvalidKey):
            await source.open(key, OpenRequest())


async def test_query_and_password_stay_out_of_messages() -> None:
    async with raw_origin(MISSING) as origin:
        async with http_source(origin.url, HttpOptions(encoded_keys=True)) as source:
            with pytest.raises(NotFound) as caught:
                await source.open("key?token=secret", OpenRequest())
        assert str(caught.value) == f"{origin.url}/key: 404"


# Google Cloud Storage and Azure, which have no server that runs here: the request is what can be shown.


async def test_google_cloud_storage() -> None:
    async with raw_origin((served(b"content", x_goog_generation="7"),)) as origin:
        options = StoreOptions(endpoint_url=origin.url, anonymous=True, attempts=1)
        async with store_source("gs://bucket/folder", options) as source:
            outcome = await source.open("a b/ü+.jpg", OpenRequest())
            assert await content_of(outcome) == b"content"
            with pytest.raises(InvalidKey):
                await source.open("a//b", OpenRequest())
        assert [unquote(request.target) for request in origin.requests] == ["/bucket/folder/a b/ü+.jpg"]
    assert found(outcome).metadata.version == "7"


async def test_azure() -> None:
    part = answer(
        "206 Partial Content",
        b"c",
        etag='"a"',
        last_modified="Wed, 21 Oct 2015 07:28:00 GMT",
        content_range="bytes 0-0/7",
        content_type="image/jpeg",
    )
    async with raw_origin((part,)) as origin:
        options = StoreOptions(endpoint_url=origin.url, anonymous=True, account_name="account", attempts=1)
        async with store_source("az://container", options) as source:
            outcome = await source.open("a b/ü+.jpg", OpenRequest(range=FromTo(0, 0)))
            assert await content_of(outcome) == b"c"
        (request,) = origin.requests
        assert (request.method, unquote(request.target)) == ("GET", "/container/a b/ü+.jpg")
        assert request.fields["range"] == "bytes=0-0"
    assert (found(outcome).metadata.size, found(outcome).metadata.content_type) == (7, "image/jpeg")


async def test_suffix_that_azure_does_not_know_is_left_to_be_asked_by_positions() -> None:
    async with raw_origin(()) as origin:
        options = StoreOptions(endpoint_url=origin.url, anonymous=True, account_name="account", attempts=1)
        async with store_source("az://container", options) as source:
            assert await source.open("key", OpenRequest(range=Suffix(3))) == Unsatisfiable(None)
        assert origin.requests == []
