"""Where real servers depart from S3, and what comes out for each client."""

import pytest

from sluicegate import OpenRequest
from sluicegate.errors import NotFound
from sluicegate.http.conditions import Conditions, pinned_to
from sluicegate.http.exchange import Unsatisfiable
from sluicegate.http.ranges import FromTo, Span, Suffix
from sluicegate.http.validators import ETag
from sluicegate.sources.opening import Client, store_source
from tests.conftest import BUCKET
from tests.servers.s3 import S3Server
from tests.sources.stores import CLIENTS, content_of, found, options_for

CONTENT = bytes(range(200))


def put(server: S3Server, key: str, content: bytes = CONTENT) -> None:
    server.client().put_object(Bucket=BUCKET, Key=key, Body=content)


@pytest.mark.parametrize("client", CLIENTS)
async def test_rclone_answers_a_range_with_200_and_the_part(rclone_server: S3Server, client: Client) -> None:
    put(rclone_server, "ranged")
    async with store_source(f"s3://{BUCKET}", options_for(rclone_server), client=client) as source:
        outcome = await source.open("ranged", OpenRequest(range=FromTo(10, 19)))
        content = await content_of(outcome)
    if client == "obstore":
        # It refuses the answer, so the object is asked for as a whole.
        assert (found(outcome).span, content) == (None, CONTENT)
    else:
        assert (found(outcome).span, content) == (Span(10, 20), CONTENT[10:20])
    assert found(outcome).metadata.size == len(CONTENT)


@pytest.mark.parametrize("client", CLIENTS)
async def test_rclone_refuses_a_suffix_longer_than_the_object(
    rclone_server: S3Server, client: Client
) -> None:
    put(rclone_server, "suffix")
    async with store_source(f"s3://{BUCKET}", options_for(rclone_server), client=client) as source:
        outcome = await source.open("suffix", OpenRequest(range=Suffix(1000)))
    assert outcome == Unsatisfiable(None)


@pytest.mark.parametrize("client", CLIENTS)
async def test_rclone_ignores_if_match(rclone_server: S3Server, client: Client) -> None:
    put(rclone_server, "pinned")
    request = OpenRequest(conditions=pinned_to(ETag("another")))
    async with store_source(f"s3://{BUCKET}", options_for(rclone_server), client=client) as source:
        outcome = await source.open("pinned", request)
        # Whoever asked finds out from the metadata.
        assert await content_of(outcome) == CONTENT
    assert found(outcome).metadata.etag not in (None, ETag("another"))


@pytest.mark.parametrize("client", CLIENTS)
async def test_rclone_ignores_if_modified_since(rclone_server: S3Server, client: Client) -> None:
    put(rclone_server, "dated")
    async with store_source(f"s3://{BUCKET}", options_for(rclone_server), client=client) as source:
        modified = found(await source.open("dated", OpenRequest(head=True))).metadata.last_modified
        outcome = await source.open("dated", OpenRequest(conditions=Conditions(if_modified_since=modified)))
        assert await content_of(outcome) == CONTENT


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("store", ["juicefs", "seaweedfs"])
async def test_juicefs_and_seaweedfs_drop_empty_segments(
    request: pytest.FixtureRequest, store: str, client: Client
) -> None:
    # What S3 and moto hold as two objects; the request says "//", see test_wire.py.
    server = request.getfixturevalue(f"{store}_server")
    put(server, f"{client}/folder/object")
    async with store_source(f"s3://{BUCKET}", options_for(server), client=client) as source:
        assert await content_of(await source.open(f"{client}//folder/object", OpenRequest())) == CONTENT


@pytest.mark.parametrize("client", CLIENTS)
async def test_moto_holds_keys_with_empty_segments_apart(moto_server: S3Server, client: Client) -> None:
    put(moto_server, f"{client}/folder/object")
    async with store_source(f"s3://{BUCKET}", options_for(moto_server), client=client) as source:
        with pytest.raises(NotFound):
            await source.open(f"{client}//folder/object", OpenRequest())


@pytest.mark.parametrize("client", CLIENTS)
async def test_juicefs_ignores_a_range_beyond_63_bits(juicefs_server: S3Server, client: Client) -> None:
    put(juicefs_server, "absurd")
    async with store_source(f"s3://{BUCKET}", options_for(juicefs_server), client=client) as source:
        outcome = await source.open("absurd", OpenRequest(range=FromTo(0, 9_999_999_999_999_999_999)))
        assert await content_of(outcome) == CONTENT
    assert found(outcome).span is None


@pytest.mark.parametrize("client", CLIENTS)
async def test_seaweedfs_versions_are_told(seaweedfs_server: S3Server, client: Client) -> None:
    boto, bucket = seaweedfs_server.client(), f"versions-{client}"
    boto.create_bucket(Bucket=bucket)
    boto.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = boto.put_object(Bucket=bucket, Key="key", Body=b"content")["VersionId"]
    async with store_source(f"s3://{bucket}", options_for(seaweedfs_server), client=client) as source:
        outcome = await source.open("key", OpenRequest())
        assert await content_of(outcome) == b"content"
    assert found(outcome).metadata.version == version
