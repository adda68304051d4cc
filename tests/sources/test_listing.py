"""The first objects of a store: how many, under which keys, and what a store that refuses raises."""

from pathlib import Path

import pytest

from sluicegate import SourceError, StoreOptions
from sluicegate.errors import Denied, NotFound, Unavailable
from sluicegate.sources.listing import Listed, some_objects
from sluicegate.sources.options import BadOptions
from sluicegate.testing import FaultyOrigin, Status
from tests.conftest import BUCKET
from tests.servers.process import free_port
from tests.servers.s3 import S3Server


def anonymous(url: str) -> StoreOptions:
    return StoreOptions(endpoint_url=url, region="us-east-1", anonymous=True, attempts=1)


async def test_keys_are_those_below_the_prefix_and_of_no_other() -> None:
    with FaultyOrigin() as origin:
        for path in ("b/p/1", "b/p/q/2", "b/pq/3", "b/4"):
            origin.put(path, path.encode())
        found = await some_objects("s3://b/p", anonymous(origin.url))
    assert found == (Listed("1", 5), Listed("q/2", 7))


async def test_real_store_lists_and_stops_at_the_limit(juicefs_server: S3Server) -> None:
    client = juicefs_server.client()
    for number in range(5):
        client.put_object(Bucket=BUCKET, Key=f"listing/{number}", Body=b"x" * number)
    options = StoreOptions(
        endpoint_url=juicefs_server.endpoint_url,
        region=juicefs_server.region,
        access_key_id=juicefs_server.access_key,
        secret_access_key=juicefs_server.secret_key,
    )
    url = f"s3://{BUCKET}/listing"
    assert await some_objects(url, options, limit=3) == tuple(Listed(str(n), n) for n in range(3))
    assert await some_objects(url, options) == tuple(Listed(str(n), n) for n in range(5))


async def test_folder_and_memory_are_listed_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").write_bytes(b"123")
    assert await some_objects(tmp_path.as_uri()) == (Listed("a/b.txt", 3),)
    assert await some_objects("memory://") == ()


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (Status(403), Denied, "listing s3://b: 403 AccessDenied"),
        (Status(403, error="ExpiredToken"), Denied, "listing s3://b: 403 ExpiredToken"),
        (Status(404, error="NoSuchBucket"), NotFound, "listing s3://b: 404 NoSuchBucket"),
        (Status(500), Unavailable, "listing s3://b: 500 InternalError"),
    ],
    ids=["denied", "expired", "no-bucket", "broken"],
)
async def test_refusal_is_a_source_error_with_the_stores_code(
    status: Status, kind: type[SourceError], text: str
) -> None:
    with FaultyOrigin() as origin:
        origin.always(status)
        with pytest.raises(kind) as raised:
            await some_objects("s3://b", anonymous(origin.url))
    assert str(raised.value) == text


async def test_store_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await some_objects("s3://b", anonymous(f"http://127.0.0.1:{free_port()}"))


async def test_limit_below_one_is_refused() -> None:
    with pytest.raises(BadOptions, match="limit is a whole number, at least 1, got 0"):
        await some_objects("memory://", limit=0)
