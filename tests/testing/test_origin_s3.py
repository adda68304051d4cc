"""The faulty origin as S3 clients and HTTP clients see it while nothing goes wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import boto3
import obstore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store

from sluicegate.testing import FaultyOrigin, Generated, held_object

CONTENT = bytes(range(256)) * 40
MODIFIED = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
def origin() -> Iterator[FaultyOrigin]:
    with FaultyOrigin() as running:
        yield running


@pytest.fixture
def boto(origin: FaultyOrigin) -> Any:
    return boto_client(origin)


@pytest.fixture
def store(origin: FaultyOrigin) -> S3Store:
    return obstore_store(origin)


def boto_client(origin: FaultyOrigin, verify: str | None = None) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=origin.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        verify=verify,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def obstore_store(origin: FaultyOrigin) -> S3Store:
    return S3Store(
        "bucket",
        endpoint=origin.url,
        region="us-east-1",
        access_key_id="any",
        secret_access_key="any",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def test_boto_puts_gets_and_deletes(origin: FaultyOrigin, boto: Any) -> None:
    boto.create_bucket(Bucket="bucket")
    put = boto.put_object(Bucket="bucket", Key="a b+ü.txt", Body=CONTENT, ContentType="text/plain")
    got = boto.get_object(Bucket="bucket", Key="a b+ü.txt")
    assert (got["Body"].read(), got["ETag"], got["ContentType"]) == (CONTENT, put["ETag"], "text/plain")
    assert origin.content("/bucket/a b+ü.txt") == CONTENT
    boto.delete_object(Bucket="bucket", Key="a b+ü.txt")
    with pytest.raises(ClientError) as missing:
        boto.get_object(Bucket="bucket", Key="a b+ü.txt")
    assert missing.value.response["Error"]["Code"] == "NoSuchKey"


def test_boto_uploads_in_chunks_over_tls() -> None:
    with FaultyOrigin(tls=True) as origin:
        boto = boto_client(origin, str(origin.ca_file))
        boto.put_object(Bucket="bucket", Key="key", Body=CONTENT, ChecksumAlgorithm="CRC32")
        assert origin.content("bucket/key") == CONTENT
        assert "aws-chunked" in origin.requests[0].fields["content-encoding"]


def test_boto_reads_what_is_there(origin: FaultyOrigin, boto: Any) -> None:
    origin.put("/bucket/key.jpg", CONTENT, etag="v1", last_modified=MODIFIED)
    head = boto.head_object(Bucket="bucket", Key="key.jpg")
    assert (head["ContentLength"], head["ETag"], head["LastModified"], head["ContentType"]) == (
        len(CONTENT),
        '"v1"',
        MODIFIED,
        "image/jpeg",
    )
    part = boto.get_object(Bucket="bucket", Key="key.jpg", Range="bytes=100-199", IfMatch='"v1"')
    assert (part["Body"].read(), part["ContentRange"]) == (CONTENT[100:200], f"bytes 100-199/{len(CONTENT)}")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        pytest.param({"IfMatch": '"other"'}, "PreconditionFailed", id="other-version"),
        pytest.param({"IfNoneMatch": '"v1"'}, "304", id="same-version"),
        pytest.param({"IfModifiedSince": MODIFIED}, "304", id="not-since"),
        pytest.param({"Range": "bytes=99999-"}, "InvalidRange", id="behind-the-end"),
    ],
)
def test_boto_is_refused(asked: dict[str, Any], code: str, origin: FaultyOrigin, boto: Any) -> None:
    origin.put("/bucket/key", CONTENT, etag="v1", last_modified=MODIFIED)
    with pytest.raises(ClientError) as refused:
        boto.get_object(Bucket="bucket", Key="key", **asked)
    assert refused.value.response["Error"]["Code"] == code


def test_boto_lists_pages(origin: FaultyOrigin, boto: Any) -> None:
    keys = sorted(f"folder/{number:02} ü+.txt" for number in range(25))
    for key in [*keys, "other", "folder/sub/1", "folder/sub/2"]:
        origin.put(f"/bucket/{key}", b"x")
    origin.put("/elsewhere/folder/0", b"x")
    pages = boto.get_paginator("list_objects_v2").paginate(
        Bucket="bucket", Prefix="folder/", Delimiter="/", PaginationConfig={"PageSize": 10}
    )
    found = list(pages)
    assert [item["Key"] for page in found for item in page.get("Contents", [])] == keys
    assert [item["Prefix"] for page in found for item in page.get("CommonPrefixes", [])] == ["folder/sub/"]
    assert len(found) == 3


async def test_obstore_puts_gets_and_lists(origin: FaultyOrigin, store: S3Store) -> None:
    await obstore.put_async(store, "folder/key.bin", CONTENT)
    result = await obstore.get_async(store, "folder/key.bin", options={"range": (10, 20)})
    assert bytes(await result.bytes_async()) == CONTENT[10:20]
    assert (await obstore.head_async(store, "folder/key.bin"))["size"] == len(CONTENT)
    listed = [meta["path"] for batch in obstore.list(store, "folder") for meta in batch]
    assert listed == ["folder/key.bin"]


async def test_obstore_is_refused_another_version(origin: FaultyOrigin, store: S3Store) -> None:
    origin.put("/bucket/key", CONTENT, etag="v1")
    with pytest.raises(obstore.exceptions.PreconditionError):
        await obstore.get_async(store, "key", options={"if_match": '"v2"'})
    with pytest.raises(obstore.exceptions.NotModifiedError):
        await obstore.get_async(store, "key", options={"if_none_match": '"v1"'})


async def test_obstore_creates_once(origin: FaultyOrigin, store: S3Store) -> None:
    await obstore.put_async(store, "key", b"first", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        await obstore.put_async(store, "key", b"second", mode="create")
    assert origin.content("bucket/key") == b"first"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, (200, CONTENT), id="whole"),
        pytest.param({"Range": "bytes=0-0"}, (206, CONTENT[:1]), id="first-byte"),
        pytest.param({"Range": "bytes=10000-"}, (206, CONTENT[10000:]), id="open"),
        pytest.param({"Range": "bytes=-5"}, (206, CONTENT[-5:]), id="suffix"),
        pytest.param({"Range": "bytes=0-1,4-5"}, (200, CONTENT), id="several"),
        pytest.param({"Range": "lines=1-2"}, (200, CONTENT), id="another-unit"),
        pytest.param({"Range": "bytes=0-3", "If-Range": '"v1"'}, (206, CONTENT[:4]), id="if-range"),
        pytest.param({"Range": "bytes=0-3", "If-Range": '"v2"'}, (200, CONTENT), id="if-range-of-another"),
        pytest.param({"If-None-Match": 'W/"v1"'}, (304, b""), id="same"),
        pytest.param({"If-Match": 'W/"v1"', "Range": "bytes=99999-"}, (412, None), id="weak-match"),
        pytest.param(
            {"If-Unmodified-Since": "Mon, 06 May 2024 07:08:08 GMT"}, (412, None), id="modified-since"
        ),
        pytest.param({"Range": "bytes=10240-"}, (416, None), id="behind-the-end"),
    ],
)
async def test_http_client_gets(
    fields: dict[str, str], expected: tuple[int, bytes | None], origin: FaultyOrigin
) -> None:
    origin.put("/a/b.bin", CONTENT, etag="v1", last_modified=MODIFIED)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{origin.url}/a/b.bin", headers=fields) as got,
    ):
        status, content = expected
        assert got.status == status
        if content is not None:
            assert await got.read() == content
        if status == 416:
            assert got.headers["content-range"] == "bytes */10240"


async def test_object_without_ranges_or_length(origin: FaultyOrigin) -> None:
    origin.put("/a", CONTENT, ranges=False, length=False, weak=True, fields={"Cache-Control": "no-store"})
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{origin.url}/a", headers={"Range": "bytes=0-3"}) as got,
    ):
        assert (got.status, await got.read()) == (200, CONTENT)
        assert got.headers["transfer-encoding"] == "chunked"
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["etag"].startswith('W/"')
        assert "content-length" not in got.headers
        assert "accept-ranges" not in got.headers


async def test_object_of_a_tebibyte_is_served_where_it_is_asked_for(origin: FaultyOrigin) -> None:
    huge = Generated(1 << 40, seed=3)
    origin.put("/huge", huge)
    fields = {"Range": "bytes=1099511000000-1099511099999"}
    async with aiohttp.ClientSession() as session, session.get(f"{origin.url}/huge", headers=fields) as got:
        assert await got.read() == huge.read(1099511000000, 1099511100000)
        assert got.headers["content-range"] == "bytes 1099511000000-1099511099999/1099511627776"


async def test_connection_is_kept(origin: FaultyOrigin) -> None:
    origin.put("/a", CONTENT)
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(f"{origin.url}/a") as got:
                await got.read()
            async with session.head(f"{origin.url}/missing") as got:
                assert got.status == 404
    assert origin.total_connections == 1


async def test_objects_are_made_on_demand(origin: FaultyOrigin) -> None:
    origin.on_missing(lambda path: held_object(path, path.encode()) if path.startswith("made/") else None)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{origin.url}/made/of%20words") as got:
            assert await got.read() == b"made/of words"
        async with session.get(f"{origin.url}/other") as got:
            assert got.status == 404
