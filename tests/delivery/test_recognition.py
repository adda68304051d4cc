"""What is known of a content before any of it is read."""

import asyncio
import gzip
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiobotocore.config
import aiobotocore.session
import aiohttp
import boto3
import botocore.config
import httpx
import obstore
import pytest
from obstore.store import MemoryStore
from starlette.datastructures import UploadFile

from sluicegate import StreamResponse
from sluicegate.delivery.recognition import FILE_READ_SIZE, recognise

from .apps import BUCKET, CHECKSUMS
from .fakes import Exchange
from .origin import FIRST_BYTES, PROMISED_BYTES, Origin
from .raw_client import until

CONTENT = b"0123456789\n" * 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


async def _sent(content: object, *, has_length: bool) -> bytes:
    exchange = await Exchange().call(StreamResponse(content))
    assert exchange.is_complete
    assert exchange.headers.get("content-length") == (str(len(exchange.content)) if has_length else None)
    return exchange.content


# Files.


async def test_file_is_as_long_as_what_is_left_of_it(path: Path) -> None:
    with path.open("rb") as file:
        file.read(100)
        assert await _sent(file, has_length=True) == CONTENT[100:]


async def test_file_that_grows_is_sent_as_it_was(path: Path) -> None:
    with path.open("rb") as file:
        response = StreamResponse(file)
        with path.open("ab") as more:
            more.write(b"more")
        exchange = await Exchange().call(response)
    assert (exchange.content, exchange.is_complete) == (CONTENT, True)


async def test_file_of_the_kernel_has_no_length_and_some_bytes() -> None:
    with Path("/proc/self/status").open("rb") as file:
        assert (await _sent(file, has_length=False)).startswith(b"Name:")


async def test_descriptor_of_a_compressed_file_says_nothing_of_its_content(tmp_path: Path) -> None:
    packed = tmp_path / "file.gz"
    packed.write_bytes(gzip.compress(CONTENT))
    with gzip.open(packed) as file:
        assert await _sent(file, has_length=False) == CONTENT


async def test_temporary_file_in_memory_stays_there() -> None:
    with tempfile.SpooledTemporaryFile(max_size=1_000_000) as file:
        file.write(CONTENT)
        file.seek(0)
        assert await _sent(file, has_length=False) == CONTENT
        assert not file._rolled


async def test_named_temporary_file_has_a_length() -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(CONTENT)
        file.seek(0)
        assert await _sent(file, has_length=True) == CONTENT


async def test_uploaded_file_can_be_sent_back() -> None:
    upload = UploadFile(io.BytesIO(CONTENT))
    assert await _sent(upload, has_length=False) == CONTENT
    assert upload.file.closed


async def test_text_file_is_sent_as_text(path: Path) -> None:
    with path.open() as file:
        assert await _sent(file, has_length=False) == CONTENT


async def test_stream_of_asyncio_is_read_to_its_end() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(CONTENT)
    reader.feed_eof()
    assert await _sent(reader, has_length=False) == CONTENT


async def test_closed_file_is_an_error_before_the_head(path: Path) -> None:
    file = path.open("rb")
    file.close()
    exchange = Exchange()
    with pytest.raises(ValueError, match="closed file"):
        await exchange.call(StreamResponse(file))
    assert exchange.sent == []


async def test_reader_that_blocks_hands_over_what_it_has() -> None:
    reading, writing = os.pipe()
    body = recognise(os.fdopen(reading, "rb")).body
    os.write(writing, b"first")
    assert bytes(await body.read()) == b"first"
    os.close(writing)
    assert bytes(await body.read()) == b""
    await body.aclose()


# obstore.


async def _stored() -> MemoryStore:
    store = MemoryStore()
    await obstore.put_async(store, "a.txt", CONTENT)
    return store


async def test_object_of_obstore_is_described() -> None:
    store = await _stored()
    etag = (await obstore.head_async(store, "a.txt"))["e_tag"]
    response = StreamResponse(await obstore.get_async(store, "a.txt"))
    assert (response.headers["etag"], response.headers["content-type"]) == (
        f'"{(etag or "").strip(chr(34))}"',
        "text/plain",
    )
    assert (await Exchange().call(response)).content == CONTENT


async def test_part_of_an_object_has_no_validators_of_the_whole() -> None:
    result = await obstore.get_async(await _stored(), "a.txt", options={"range": (0, 10)})
    exchange = await Exchange().call(StreamResponse(result))
    assert (exchange.content, exchange.headers) == (
        CONTENT[:10],
        {"content-type": "text/plain", "content-length": "10"},
    )


async def test_part_that_is_called_one_keeps_them() -> None:
    result = await obstore.get_async(await _stored(), "a.txt", options={"range": (0, 10)})
    place = {"content-range": f"bytes 0-9/{len(CONTENT)}"}
    exchange = await Exchange().call(StreamResponse(result, status_code=206, headers=place))
    assert {"etag", "last-modified"} <= set(exchange.headers)


async def test_stream_and_bytes_of_obstore_are_content_too() -> None:
    store = await _stored()
    result = await obstore.get_async(store, "a.txt")
    assert await _sent(result.stream(), has_length=False) == CONTENT
    result = await obstore.get_async(store, "a.txt")
    assert await _sent(await result.bytes_async(), has_length=True) == CONTENT
    assert await _sent(obstore.get(store, "a.txt"), has_length=True) == CONTENT


async def test_what_the_caller_says_wins() -> None:
    result = await obstore.get_async(await _stored(), "a.txt")
    own = {"ETag": '"own"', "Content-Type": "text/x-own"}
    headers = StreamResponse(result, headers=own).headers
    assert (headers["etag"], headers["content-type"]) == ('"own"', "text/x-own")
    result = await obstore.get_async(await _stored(), "a.txt")
    assert StreamResponse(result, media_type="image/png").headers["content-type"] == "image/png"


async def test_callers_framing_wins() -> None:
    chunked = StreamResponse(b"abc", headers={"Transfer-Encoding": "chunked"})
    assert "content-length" not in chunked.headers


# httpx.


def _compressed(_: httpx.Request) -> httpx.Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield gzip.compress(CONTENT)

    headers = {"content-encoding": "gzip", "content-type": "text/plain", "etag": '"e"'}
    return httpx.Response(200, headers=headers, content=chunks())


async def test_httpx_body_is_relayed_in_its_coding() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(_compressed)) as client:
        answer = await client.send(client.build_request("GET", "http://x/"), stream=True)
        exchange = await Exchange().call(StreamResponse(answer))
    assert gzip.decompress(exchange.content) == CONTENT
    assert (exchange.headers["content-encoding"], exchange.headers["etag"]) == ("gzip", '"e"')
    assert answer.is_closed


async def test_httpx_body_that_was_read_is_decoded_already() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(_compressed)) as client:
        answer = await client.get("http://x/")
    exchange = await Exchange().call(StreamResponse(answer))
    assert exchange.content == CONTENT
    assert exchange.headers == {"content-type": "text/plain", "content-length": str(len(CONTENT))}


async def test_httpx_body_that_was_read_and_not_decoded_keeps_its_description() -> None:
    answer = httpx.Response(200, headers={"etag": '"e"'}, content=CONTENT)
    exchange = await Exchange().call(StreamResponse(answer))
    assert (exchange.content, exchange.headers["etag"]) == (CONTENT, '"e"')


async def test_httpx_answer_to_head_describes_what_is_not_there() -> None:
    answer = httpx.Response(200, headers={"etag": '"e"', "content-length": "1000"}, content=b"")
    exchange = await Exchange().call(StreamResponse(answer))
    assert (exchange.content, exchange.headers) == (b"", {"content-length": "0"})


async def test_synchronous_httpx_body_is_closed_by_its_thread() -> None:
    def chunks() -> Iterator[bytes]:
        yield CONTENT

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=chunks()))
    with httpx.Client(transport=transport) as client:
        answer = client.send(client.build_request("GET", "http://x/"), stream=True)
        assert await _sent(answer, has_length=False) == CONTENT
    assert answer.is_closed


# aiohttp and botocore, against an origin.


async def test_aiohttp_coding_that_it_cannot_undo_is_kept(httpbin: str) -> None:
    url = f"{httpbin}/response-headers?Content-Encoding=x-own"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        exchange = await Exchange().call(StreamResponse(answer))
    assert exchange.headers["content-encoding"] == "x-own"
    assert exchange.headers["content-length"] == str(len(exchange.content))


@pytest.mark.parametrize("session_decodes", [True, False])
@pytest.mark.parametrize("request_decodes", [None, True, False])
@pytest.mark.parametrize("arrived", [True, False])
async def test_aiohttp_body_is_framed_by_what_becomes_of_its_coding(
    httpbin: str, session_decodes: bool, request_decodes: bool | None, arrived: bool
) -> None:
    decodes = session_decodes if request_decodes is None else request_decodes
    async with aiohttp.ClientSession(auto_decompress=session_decodes) as session:
        more = {} if request_decodes is None else {"auto_decompress": request_decodes}
        answer = await session.get(f"{httpbin}/gzip", **more)  # type: ignore[arg-type]
        while arrived and not answer.content.is_eof():
            await asyncio.sleep(0)
        exchange = await Exchange().call(StreamResponse(answer))
    assert exchange.headers.get("content-encoding") == (None if decodes else "gzip")
    content = exchange.content if decodes else gzip.decompress(exchange.content)
    assert b'"gzipped": true' in content


def _s3(origin: Origin) -> dict[str, Any]:
    keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
    return {"endpoint_url": origin.url, "region_name": "us-east-1", **keys}


async def test_botocore_body_that_was_begun_is_shorter(origin: Origin) -> None:
    client = boto3.client("s3", config=botocore.config.Config(**CHECKSUMS), **_s3(origin))
    body = client.get_object(Bucket=BUCKET, Key="stall-later/begun")["Body"]
    body.read(1000)
    response = StreamResponse(body)
    assert response.headers["content-length"] == str(PROMISED_BYTES - 1000)
    assert "etag" not in response.headers
    await response(Exchange(method="HEAD").scope, Exchange().receive, Exchange().send)


@pytest.mark.parametrize("begun", [0, 1000])
@pytest.mark.parametrize("backend", ["aiohttp", "httpx"])
async def test_aiobotocore_body_of_either_backend(origin: Origin, backend: str, begun: int) -> None:
    settings: dict[str, Any] = dict(CHECKSUMS)
    if backend == "httpx":
        settings["http_session_cls"] = pytest.importorskip("aiobotocore.httpxsession").HttpxSession
    config = aiobotocore.config.AioConfig(**settings)
    session = aiobotocore.session.get_session()
    async with session.create_client("s3", config=config, **_s3(origin)) as client:
        name = f"{backend}-{begun}"
        body = (await client.get_object(Bucket=BUCKET, Key=f"stall-later/{name}"))["Body"]
        await body.read(begun)
        response = StreamResponse(body)
        assert response.headers["content-length"] == str(PROMISED_BYTES - begun)
        exchange = Exchange()
        task = asyncio.create_task(exchange.call(response))
        # A body of httpx's that was begun hands on whole pieces only.
        while len(exchange.content) < FIRST_BYTES - begun - FILE_READ_SIZE * bool(begun):
            await asyncio.sleep(0.01)
        exchange.leave()
        await task
        assert not exchange.is_complete
        await until(lambda: origin.is_released(name))
