"""A part that an origin gave, relayed as one: where it is in the object is said with it."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.request import Request, urlopen

import aiobotocore.config
import aiobotocore.session
import aiohttp
import boto3
import botocore.config
import httpx
import obstore
import pytest
from obstore.store import HTTPStore

from sluicegate import StreamResponse
from sluicegate.delivery.recognition import recognise
from sluicegate.testing import FaultyOrigin, NoLength

from .apps import CHECKSUMS
from .fakes import Exchange

CONTENT = b"0123456789" * 10
ASKED = "bytes=10-19"
PLACE = "bytes 10-19/100"
PART = CONTENT[10:20]


@pytest.fixture
def origin() -> Iterator[FaultyOrigin]:
    with FaultyOrigin() as origin:
        origin.put("/b/a", CONTENT, etag='"v1"')
        yield origin


def _s3(origin: FaultyOrigin) -> dict[str, Any]:
    keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
    return {"endpoint_url": origin.url, "region_name": "us-east-1", **keys}


# Each gives what its client returns for `ASKED`.


@asynccontextmanager
async def _httpx(origin: FaultyOrigin) -> AsyncIterator[Any]:
    async with httpx.AsyncClient() as client:
        request = client.build_request("GET", f"{origin.url}/b/a", headers={"Range": ASKED})
        yield await client.send(request, stream=True)


@asynccontextmanager
async def _httpx_read(origin: FaultyOrigin) -> AsyncIterator[Any]:
    async with httpx.AsyncClient() as client:
        yield await client.get(f"{origin.url}/b/a", headers={"Range": ASKED})


@asynccontextmanager
async def _httpx_sync(origin: FaultyOrigin) -> AsyncIterator[Any]:
    with httpx.Client() as client:
        request = client.build_request("GET", f"{origin.url}/b/a", headers={"Range": ASKED})
        yield client.send(request, stream=True)


@asynccontextmanager
async def _aiohttp(origin: FaultyOrigin) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session:
        yield await session.get(f"{origin.url}/b/a", headers={"Range": ASKED})


@asynccontextmanager
async def _botocore(origin: FaultyOrigin) -> AsyncIterator[Any]:
    client = boto3.client("s3", config=botocore.config.Config(**CHECKSUMS), **_s3(origin))
    yield client.get_object(Bucket="b", Key="a", Range=ASKED)["Body"]


@asynccontextmanager
async def _aiobotocore(origin: FaultyOrigin) -> AsyncIterator[Any]:
    config = aiobotocore.config.AioConfig(**CHECKSUMS)
    session = aiobotocore.session.get_session()
    async with session.create_client("s3", config=config, **_s3(origin)) as client:
        yield (await client.get_object(Bucket="b", Key="a", Range=ASKED))["Body"]


@asynccontextmanager
async def _obstore(origin: FaultyOrigin) -> AsyncIterator[Any]:
    store = HTTPStore(f"{origin.url}/b", client_options={"allow_http": True})
    yield await obstore.get_async(store, "a", options={"range": (10, 20)})


@asynccontextmanager
async def _urllib(origin: FaultyOrigin) -> AsyncIterator[Any]:
    yield await asyncio.to_thread(urlopen, Request(f"{origin.url}/b/a", headers={"Range": ASKED}))


async def _place(content: object) -> str | None:
    recognised = recognise(content)
    await recognised.body.aclose()
    return None if recognised.place is None else str(recognised.place)


Answered = Callable[[FaultyOrigin], AbstractAsyncContextManager[Any]]
CLIENTS: dict[str, Answered] = {
    "httpx": _httpx,
    "httpx-read": _httpx_read,
    "httpx-sync": _httpx_sync,
    "aiohttp": _aiohttp,
    "botocore": _botocore,
    "aiobotocore": _aiobotocore,
    "obstore": _obstore,
    "urllib": _urllib,
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_part_that_is_answered_as_one_says_where_it_is(origin: FaultyOrigin, client: str) -> None:
    async with CLIENTS[client](origin) as content:
        exchange = await Exchange().call(StreamResponse(content, status_code=206))
    assert (exchange.status, exchange.content, exchange.is_complete) == (206, PART, True)
    assert (exchange.headers.get("content-range"), exchange.headers["etag"]) == (PLACE, '"v1"')


@pytest.mark.parametrize("client", CLIENTS)
async def test_part_that_is_answered_as_a_whole_is_a_content_of_its_own(
    origin: FaultyOrigin, client: str
) -> None:
    async with CLIENTS[client](origin) as content:
        exchange = await Exchange().call(StreamResponse(content))
    assert (exchange.status, exchange.content) == (200, PART)
    assert not {"content-range", "etag", "last-modified"} & set(exchange.headers)


async def test_place_that_the_caller_names_is_the_one(origin: FaultyOrigin) -> None:
    own = {"Content-Range": "bytes 0-9/10"}
    async with _httpx(origin) as content:
        exchange = await Exchange().call(StreamResponse(content, status_code=206, headers=own))
    assert [value for name, value in exchange.sent[0]["headers"] if name == b"content-range"] == [
        b"bytes 0-9/10"
    ]


@pytest.mark.parametrize("client", CLIENTS)
async def test_place_of_a_part_is_known(origin: FaultyOrigin, client: str) -> None:
    async with CLIENTS[client](origin) as content:
        assert await _place(content) == PLACE


async def test_place_of_a_part_that_was_begun_is_that_of_its_rest(origin: FaultyOrigin) -> None:
    async with _botocore(origin) as content:
        content.read(4)
        assert await _place(content) == "bytes 14-19/100"


async def test_place_of_a_part_that_was_read_is_none(origin: FaultyOrigin) -> None:
    async with _botocore(origin) as content:
        content.read()
        assert await _place(content) is None


async def test_place_of_a_part_without_a_length_is_known(origin: FaultyOrigin) -> None:
    origin.always(NoLength())
    async with _httpx(origin) as content:
        assert await _place(content) == PLACE


@pytest.mark.parametrize("named", ["bytes 10-29/100", "bytes */100", "bytes 10-/100", "pages 10-19/100"])
async def test_place_that_cannot_be_that_of_the_part_is_none(named: str) -> None:
    headers = {"content-range": named, "content-length": "10"}
    assert await _place(httpx.Response(206, headers=headers, stream=httpx.ByteStream(PART))) is None


async def test_place_of_what_its_client_decodes_is_none(origin: FaultyOrigin) -> None:
    origin.put("/b/a", gzip.compress(CONTENT), fields={"Content-Encoding": "gzip"})
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{origin.url}/b/a", headers={"Range": "bytes=0-"})
        assert "content-range" in answer.headers
        assert await _place(answer) is None
