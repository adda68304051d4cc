"""A body that fails after its first byte is never taken for whole: not by its framing, and not by curl."""

import asyncio
import uuid

import pytest

from .conftest import Server
from .fakes import CHUNK
from .origin import FIRST_BYTES
from .raw_client import Answer

SIZE = 2 * len(CHUNK)
CURL_PARTIAL_FILE = 18
CURL_RESET_STREAM = 92

FAILING_LATER = ("fail-later", "fail-later-thread")
SHORT_OR_LONG = {
    "a byte short": ("two-chunks", SIZE + 1),
    "a byte long": ("two-chunks", SIZE - 1),
    "a chunk long": ("two-chunks", len(CHUNK)),
}
OBJECTS_FAILING_LATER = (
    "fail-later",
    "fail-later-unsized",
    "bug-later",
    "bug-later-unsized",
    "short",
    "long",
)
WRAPPERS = {
    "bare": "",
    "BaseHTTPMiddleware": "/wrapped",
    "two of them": "/wrapped/twice",
    "another inside": "/handed",
}
S3_SOURCES = ("origin-obstore", "origin-aiobotocore", "origin-botocore")


async def _curl(url: str, *options: str) -> int | None:
    command = ("curl", "-sS", "-o", "/dev/null", *options, url)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


def _is_seen(answer: Answer) -> bool:
    """A reset takes bytes with it that were on their way; where that is all of them, a status tells."""
    return answer.status >= 500 or not answer.complete


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", FAILING_LATER)
@pytest.mark.parametrize("length", [None, 3 * len(CHUNK)], ids=["chunked", "content-length"])
async def test_failure_of_an_iterator_in_the_middle_is_seen(
    server: Server, name: str, length: int | None, wrapper: str
) -> None:
    path = f"{WRAPPERS[wrapper]}/script/{name}?id={uuid.uuid4().hex}" + (
        f"&length={length}" if length else ""
    )
    answer = await server.fetch(path)
    assert (answer.status, answer.content, answer.complete) == (200, CHUNK * 2, False)
    assert answer.get("content-length") == (str(length) if length else None)
    assert await _curl(server.url + path) == CURL_PARTIAL_FILE


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", ["fail-first", "fail-first-thread", "fail-later"])
async def test_failure_of_an_event_stream_is_seen(server: Server, name: str, wrapper: str) -> None:
    """Its head is sent before its first event, so that no failure of it can be a status."""
    answer = await server.fetch(
        f"{WRAPPERS[wrapper]}/script/{name}?id={uuid.uuid4().hex}&type=text/event-stream"
    )
    assert (answer.status, answer.complete) == (200, False)


@pytest.mark.parametrize("name", SHORT_OR_LONG)
async def test_body_of_another_length_than_its_header_is_seen(server: Server, name: str) -> None:
    script, length = SHORT_OR_LONG[name]
    path = f"/script/{script}?id={uuid.uuid4().hex}&length={length}"
    answer = await server.fetch(path)
    if (server.kind, name) == ("granian", "a chunk long"):
        # It holds the head back until there is content, and none went out yet.
        assert answer.status == 500
        return
    assert (answer.status, answer.complete, len(answer.content) < length) == (200, False, True)
    assert await _curl(server.url + path) == CURL_PARTIAL_FILE


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", OBJECTS_FAILING_LATER)
async def test_failure_of_an_object_in_the_middle_is_seen(server: Server, name: str, wrapper: str) -> None:
    path = f"{WRAPPERS[wrapper]}/scripted/{name}?id={uuid.uuid4().hex}"
    answer = await server.fetch(path)
    assert (answer.status, answer.complete) == (200, False)
    assert await _curl(server.url + path) == CURL_PARTIAL_FILE


@pytest.mark.parametrize("name", ["fail-later", "fail-later-thread", "two-chunks"])
async def test_failure_is_seen_where_a_middleware_took_the_length_away(server: Server, name: str) -> None:
    """Compression does: then the length that was promised is that of other bytes."""
    path = f"/compressed/script/{name}?id={uuid.uuid4().hex}&length={3 * len(CHUNK)}&type=text/plain"
    answer = await server.fetch(path, accept_encoding="gzip")
    assert (answer.status, answer.complete) == (200, False)
    assert (answer.get("content-encoding"), answer.get("content-length")) == ("gzip", None)


@pytest.mark.parametrize("behaviour", ["early-end", "reset"])
@pytest.mark.parametrize("source", [*S3_SOURCES, "origin-http"])
async def test_origin_that_breaks_off_is_seen(server: Server, source: str, behaviour: str) -> None:
    """A reset connection must not turn into an answer that ends as if all were well."""
    key = f"{behaviour}/{uuid.uuid4().hex}"
    answer = await server.fetch(f"/starlette/{source}/{key}")
    assert _is_seen(answer)
    assert len(answer.content) <= FIRST_BYTES


@pytest.mark.parametrize("behaviour", ["early-end", "reset"])
@pytest.mark.parametrize("client", ["aiobotocore", "botocore", "obstore", "aiohttp", "httpx", "httpx-sync"])
async def test_origin_of_a_client_library_that_breaks_off_is_seen(
    server: Server, client: str, behaviour: str
) -> None:
    answer = await server.fetch(f"/library/{client}/origin/{behaviour}/{uuid.uuid4().hex}")
    assert _is_seen(answer)


@pytest.mark.parametrize("source", ["aiohttp", "httpx", "httpx-sync"])
async def test_origin_that_forgets_its_last_chunk_is_seen(server: Server, source: str) -> None:
    answer = await server.fetch(f"/library/{source}/origin/unfinished-chunks/{uuid.uuid4().hex}")
    assert (answer.status, answer.complete, answer.get("content-length")) == (200, False, None)


async def test_http_2_stream_is_reset(server: Server) -> None:
    if server.kind != "granian":
        pytest.skip("uvicorn speaks HTTP/1.1 only")
    for name in OBJECTS_FAILING_LATER:
        url = f"{server.url}/scripted/{name}?id={uuid.uuid4().hex}"
        assert await _curl(url, "--http2-prior-knowledge") == CURL_RESET_STREAM


async def test_connection_serves_others_after_a_cut(server: Server) -> None:
    for _ in range(20):
        await server.fetch(f"/scripted/fail-later?id={uuid.uuid4().hex}")
    answer = await server.fetch(f"/scripted/whole?id={uuid.uuid4().hex}")
    assert (answer.status, answer.content, answer.complete) == (200, CHUNK * 2, True)
