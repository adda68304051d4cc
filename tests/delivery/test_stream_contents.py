"""What client libraries and files return, as content: right bytes, good chunks, length and type kept."""

import gzip
import hashlib
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .apps import BUCKET
from .conftest import Server
from .raw_client import Answer, Connection, fetch, until

# With newlines all over, which is what splits an open file into lines.
CONTENT = b"".join(hashlib.sha256(b"%d" % number).digest()[:15] + b"\n" for number in range(655_360))
SIZE = len(CONTENT)
MOST_SENDS = 400
"""For 10 MB: chunks of 26 KB on average. 1 KiB pieces would make ten thousand."""

FILE_KINDS = ("open", "unbuffered", "bytesio", "half-read", "pipe", "gzip", "async")
S3_CLIENTS = ("aiobotocore", "botocore", "obstore")
HTTP_CLIENTS = ("aiohttp", "aiohttp-raw", "aiohttp-reader", "httpx", "httpx-sync", "urllib")


@pytest.fixture(scope="module")
def big(s3: Any) -> Any:
    """The ETag of a 10 MB object."""
    s3.put_object(Bucket=BUCKET, Key="big.txt", Body=CONTENT, ContentType="text/x-lines")
    return s3.head_object(Bucket=BUCKET, Key="big.txt")["ETag"]


@pytest.fixture(scope="module")
def big_url(s3: Any, big: str) -> str:
    """An address that needs no signature."""
    return str(s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "big.txt"}))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "lines").write_bytes(CONTENT)
    (folder / "lines.gz").write_bytes(gzip.compress(CONTENT, 1))
    return {"plain": folder / "lines", "gzip": folder / "lines.gz"}


def _quoted(url: str) -> str:
    return quote(url, safe="")


async def fetched(server: Server, path: str) -> tuple[Answer, int]:
    """An answer, and how many sends it took.

    What a client library gives is what has come by then. From a store that is held up that may be little now
    and then, so that the answer is asked for again; never is it little each time.
    """
    for _ in range(5):
        name = uuid.uuid4().hex
        answer = await fetch(server.url, f"{path}id={name}")
        sends = int((await server.stats(name))["sends"])
        if sends <= MOST_SENDS:
            break
    return answer, sends


@pytest.mark.parametrize("client", S3_CLIENTS)
async def test_s3_body_keeps_its_length_and_description(server: Server, client: str, big: str) -> None:
    answer, sends = await fetched(server, f"/library/{client}/store/big.txt?")
    assert (answer.status, answer.content == CONTENT, answer.complete) == (200, True, True)
    described = {key: answer.get(key) for key in ("content-length", "content-type", "etag")}
    assert described == {"content-length": str(SIZE), "content-type": "text/x-lines", "etag": big}
    assert answer.get("last-modified") is not None
    assert sends <= MOST_SENDS


@pytest.mark.parametrize("client", HTTP_CLIENTS)
async def test_http_body_keeps_its_length_and_description(
    server: Server, client: str, big: str, big_url: str
) -> None:
    answer, sends = await fetched(server, f"/library/{client}/store/x?url={_quoted(big_url)}&")
    assert (answer.status, answer.content == CONTENT, answer.complete) == (200, True, True)
    if client != "aiohttp-reader":  # a reader knows nothing but bytes
        described = {key: answer.get(key) for key in ("content-length", "content-type", "etag")}
        assert described == {"content-length": str(SIZE), "content-type": "text/x-lines", "etag": big}
    assert sends <= MOST_SENDS


@pytest.mark.parametrize("kind", FILE_KINDS)
async def test_file_is_sent_in_large_pieces_and_not_in_lines(
    server: Server, kind: str, files: dict[str, Path]
) -> None:
    name = uuid.uuid4().hex
    path = files["gzip" if kind == "gzip" else "plain"]
    answer = await fetch(server.url, f"/file/{kind}?id={name}&path={path}")
    expected = CONTENT[SIZE // 2 :] if kind == "half-read" else CONTENT
    assert (answer.status, answer.content == expected, answer.complete) == (200, True, True)
    has_length = kind in ("open", "unbuffered", "bytesio", "half-read")
    assert answer.get("content-length") == (str(len(expected)) if has_length else None)
    stats = await server.stats(name)
    assert stats["files_open"] == 0
    if kind != "gzip":  # which comes in the 8 KiB pieces that Python decodes at a time
        assert stats["sends"] <= MOST_SENDS


@pytest.mark.parametrize("kind", FILE_KINDS)
async def test_file_is_closed_when_the_client_leaves(
    server: Server, kind: str, files: dict[str, Path]
) -> None:
    name = uuid.uuid4().hex
    path = files["gzip" if kind == "gzip" else "plain"]
    connection = await Connection.open(server.url, receive_buffer=4096)
    await connection.send("GET", f"/file/{kind}?id={name}&path={path}")
    await connection.read_head()
    connection.leave("reset")

    async def closed() -> bool:
        return bool((await server.stats(name))["files_open"] == 0)

    await until(closed)


@pytest.mark.parametrize("client", ["aiohttp", "aiohttp-raw", "httpx", "httpx-sync", "urllib"])
async def test_compressed_body_is_framed_as_what_it_is(server: Server, client: str, httpbin: str) -> None:
    """aiohttp decodes: then length and coding are of other bytes. The others relay what came."""
    answer = await fetch(server.url, f"/library/{client}/x/x?url={_quoted(httpbin + '/gzip')}")
    assert (answer.status, answer.complete) == (200, True)
    assert answer.get("content-type") == "application/json"
    if client == "aiohttp":
        assert (answer.get("content-encoding"), answer.get("content-length")) == (None, None)
        plain = answer.content
    else:
        assert answer.get("content-encoding") == "gzip"
        assert answer.get("content-length") == str(len(answer.content))
        plain = gzip.decompress(answer.content)
    assert b'"gzipped": true' in plain
