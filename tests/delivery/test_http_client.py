"""What `urllib.request.urlopen` returns, as content: described, whole or cut, and let go of."""

import asyncio
import gzip
import http.client
import io
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.request import urlopen

import pytest

from sluicegate import StreamResponse
from sluicegate.delivery.http_client import ERRORS
from sluicegate.errors import BrokenBody, OriginTimeout, TransferCut
from sluicegate.testing import Close, Fault, FaultyOrigin, Generated, NoLength, Reset, Stall, Status

from .fakes import Exchange

CONTENT = Generated(100_000)
WHOLE = bytes(CONTENT.read())
ETAG = '"v1"'
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
DESCRIBED = {"content-type": "text/x-own", "etag": ETAG, "last-modified": MODIFIED}


@pytest.fixture
def origin() -> Iterator[FaultyOrigin]:
    with FaultyOrigin() as origin:
        origin.put("/a", CONTENT, content_type="text/x-own", etag=ETAG)
        yield origin


class _Wire:
    """A connection that has given all that it ever will."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def _answer(content: bytes) -> HTTPResponse:
    answer = HTTPResponse(_Wire(content))  # type: ignore[arg-type]
    answer.begin()
    return answer


def _get(origin: FaultyOrigin, **fields: str) -> Any:
    return urlopen(urllib.request.Request(f"{origin.url}/a", headers=fields))


async def test_answer_is_described_and_sent_whole(origin: FaultyOrigin) -> None:
    answer = _get(origin)
    exchange = await Exchange().call(StreamResponse(answer))
    assert (exchange.content, exchange.is_complete) == (WHOLE, True)
    assert exchange.headers == {**DESCRIBED, "content-length": "100000"}
    assert answer.closed


async def test_answer_in_chunks_has_no_length(origin: FaultyOrigin) -> None:
    origin.always(NoLength())
    exchange = await Exchange().call(StreamResponse(_get(origin)))
    assert (exchange.content, exchange.is_complete) == (WHOLE, True)
    assert exchange.headers == DESCRIBED


BREAKS: dict[str, tuple[Fault, ...]] = {
    "early end": (Close(after=50_000),),
    "reset": (Reset(after=50_000),),
    "early end in chunks": (NoLength(), Close(after=50_000)),
}


@pytest.mark.parametrize("breaks", BREAKS)
async def test_answer_that_breaks_is_cut(origin: FaultyOrigin, breaks: str) -> None:
    origin.always(*BREAKS[breaks])
    exchange = Exchange()
    with pytest.raises(TransferCut):
        await exchange.call(StreamResponse(_get(origin)))
    assert not exchange.is_complete
    assert WHOLE.startswith(exchange.content)


async def test_answer_that_stalls_for_longer_than_its_timeout_is_cut(origin: FaultyOrigin) -> None:
    origin.always(Stall(after=50_000))
    answer = urlopen(f"{origin.url}/a", timeout=0.2)
    with pytest.raises(TransferCut) as raised:
        await Exchange().call(StreamResponse(answer))
    assert isinstance(raised.value.__cause__, OriginTimeout)


async def test_short_answer_is_seen_also_where_the_caller_frames_it(origin: FaultyOrigin) -> None:
    origin.always(Close(after=50_000))
    exchange = Exchange()
    with pytest.raises(TransferCut, match="50000 bytes too early"):
        await exchange.call(StreamResponse(_get(origin), headers={"Transfer-Encoding": "chunked"}))
    assert not exchange.is_complete


async def test_answer_that_was_begun_is_the_rest_of_it(origin: FaultyOrigin) -> None:
    answer = _get(origin)
    answer.read(1000)
    exchange = await Exchange().call(StreamResponse(answer))
    assert (exchange.content, exchange.is_complete) == (WHOLE[1000:], True)
    assert exchange.headers == {"content-type": "text/x-own", "content-length": "99000"}


@pytest.mark.parametrize("faults", [(), (NoLength(),)], ids=["length", "chunks"])
async def test_answer_that_was_closed_is_an_error_before_the_head(
    origin: FaultyOrigin, faults: tuple[Fault, ...]
) -> None:
    origin.always(*faults)
    with _get(origin) as answer:
        response = StreamResponse(answer)
    exchange = Exchange()
    with pytest.raises(BrokenBody, match="leave it open"):
        await exchange.call(response)
    assert exchange.sent == []


async def test_part_has_no_validators_of_the_whole(origin: FaultyOrigin) -> None:
    exchange = await Exchange().call(StreamResponse(_get(origin, Range="bytes=10-19")))
    assert (exchange.content, exchange.headers) == (
        WHOLE[10:20],
        {"content-type": "text/x-own", "content-length": "10"},
    )


@pytest.mark.parametrize(("status", "kept"), [("200 OK", True), ("206 Partial Content", False)])
def test_several_parts_have_no_validators_of_the_whole(status: str, kept: bool) -> None:
    fields = 'Content-Type: multipart/byteranges; boundary=b\r\nContent-Length: 0\r\nETag: "e"'
    answer = _answer(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode())
    assert ("etag" in StreamResponse(answer).headers) is kept


async def test_length_beside_chunks_is_none() -> None:
    answer = _answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n"
    )
    exchange = await Exchange().call(StreamResponse(answer))
    assert (exchange.content, exchange.is_complete, exchange.headers) == (b"a", True, {})


async def test_coded_answer_is_relayed_in_its_coding(httpbin: str) -> None:
    exchange = await Exchange().call(StreamResponse(urlopen(f"{httpbin}/gzip")))
    assert exchange.headers["content-encoding"] == "gzip"
    assert exchange.headers["content-length"] == str(len(exchange.content))
    assert b'"gzipped": true' in gzip.decompress(exchange.content)


async def test_answer_of_a_connection_is_one_too(origin: FaultyOrigin) -> None:
    connection = HTTPConnection("127.0.0.1", origin.port)
    connection.request("GET", "/a")
    exchange = await Exchange().call(StreamResponse(connection.getresponse()))
    assert (exchange.content, exchange.headers["content-length"]) == (WHOLE, "100000")
    connection.close()


async def test_answer_with_an_error_is_content_too(origin: FaultyOrigin) -> None:
    origin.always(Status(404))
    try:
        _get(origin)
    except urllib.error.HTTPError as error:
        # The error is collected here, and would close its answer.
        response = StreamResponse(error, status_code=error.code)
    exchange = await Exchange().call(response)
    assert exchange.headers["content-length"] == str(len(exchange.content))
    assert exchange.headers["content-type"] == "application/xml"


async def test_error_that_is_no_answer_is_a_file() -> None:
    error = urllib.error.HTTPError("http://x/", 404, "", http.client.HTTPMessage(), io.BytesIO(b"none"))
    assert (await Exchange().call(StreamResponse(error))).content == b"none"


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_thread_that_waits_for_the_origin_is_woken_when_the_client_leaves(tls: bool) -> None:
    with FaultyOrigin(tls=tls) as origin:
        origin.put("/a", CONTENT)
        origin.always(Stall(after=50_000))
        context = ssl.create_default_context(cafile=origin.ca_file) if tls else None
        exchange = Exchange()
        answer = urlopen(f"{origin.url}/a", context=context)
        task = asyncio.create_task(exchange.call(StreamResponse(answer)))
        while len(exchange.content) < 50_000:
            await asyncio.sleep(0.01)
        exchange.leave()
        await task
        await asyncio.to_thread(origin.wait_until_idle, 1.0)
        assert answer.closed


async def test_head_reads_nothing_and_closes(origin: FaultyOrigin) -> None:
    answer = _get(origin)
    exchange = await Exchange(method="HEAD").call(StreamResponse(answer))
    assert (exchange.content, exchange.headers["content-length"]) == (b"", "100000")
    assert answer.closed


FAILURES = [
    failure
    for failure in vars(http.client).values()
    if isinstance(failure, type) and issubclass(failure, Exception) and failure.__module__ == "http.client"
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
def test_failure_of_the_library_is_ours(failure: type[Exception]) -> None:
    assert any(issubclass(failure, theirs) for theirs, _ in ERRORS)
