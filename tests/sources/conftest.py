"""Sources under contract, one for all tests of a class: a botocore client costs tens of milliseconds."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sluicegate.sources.opening import store_source
from sluicegate.testing import Subject
from tests.conftest import BUCKET
from tests.servers.s3 import S3Server
from tests.sources.stores import options_for


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def s3_subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A source on the server and through the client that the test class names."""
    server: S3Server = request.getfixturevalue(f"{request.cls.server}_server")
    boto = server.client()

    async def put(key: str, content: bytes, content_type: str = "application/octet-stream") -> None:
        arguments = {"Bucket": BUCKET, "Key": key, "Body": content, "ContentType": content_type}
        await asyncio.to_thread(boto.put_object, **arguments)

    async with store_source(f"s3://{BUCKET}", options_for(server), client=request.cls.client) as source:
        yield Subject(source, put)
