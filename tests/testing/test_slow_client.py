"""The raw client: it reads by its framing, at the pace that it is told, and leaves in three ways."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from sluicegate.testing import FaultyOrigin, Generated, SlowClient, Stall
from sluicegate.testing.framing import ChunkedBody, ClientHead
from tests.sources.raw_origin import CLOSE, RESET, Answer, raw_origin

CONTENT = Generated(2_000_000)


@pytest.fixture
def origin() -> Iterator[FaultyOrigin]:
    with FaultyOrigin() as running:
        running.put("/a", CONTENT)
        running.put("/chunks", CONTENT, length=False)
        yield running


@asynccontextmanager
async def asking(*steps: Answer) -> AsyncIterator[SlowClient]:
    """A client that has asked an origin which answers with these steps."""
    async with raw_origin(*steps) as server, SlowClient(server.url) as client:
        await client.send("GET", "/")
        yield client


@pytest.mark.parametrize("path", ["/a", "/chunks"])
async def test_content_is_read_bit_by_bit(path: str, origin: FaultyOrigin) -> None:
    async with SlowClient(origin.url, receive_buffer=8192) as client:
        await client.send("GET", path)
        assert (await client.read_head()).status == 200
        first = await client.read(1000)
        paced = await client.read_at(50_000_000, 99_000)
        assert not client.complete
        rest = await client.drain()
    assert first + paced + rest.content == CONTENT.read()
    assert (rest.complete, client.complete) == (True, True)


async def test_read_ends_with_the_body(origin: FaultyOrigin) -> None:
    async with SlowClient(origin.url) as client:
        await client.send("GET", "/a", {"Range": "bytes=-5"})
        assert await client.read_at(1_000_000, 50) == CONTENT.read(-5)
        assert await client.read(50) == b""


async def test_connection_is_used_again(origin: FaultyOrigin) -> None:
    async with SlowClient(origin.url) as client:
        for _ in range(3):
            await client.send("GET", "/chunks", keep_alive=True)
            answer = await client.drain()
            assert (answer.complete, len(answer.content)) == (True, CONTENT.size)
    assert origin.total_connections == 1


@pytest.mark.parametrize(
    ("steps", "content", "complete", "reset"),
    [
        pytest.param([b"Content-Length: 3\r\n\r\nabc", CLOSE], b"abc", True, False, id="length"),
        pytest.param([b"Content-Length: 3\r\n\r\nab", CLOSE], b"ab", False, False, id="too-short"),
        pytest.param([b"Content-Length: 3\r\n\r\nabcd", CLOSE], b"abcd", False, False, id="too-long"),
        pytest.param([b"Content-Length: 3\r\n\r\nab", RESET], b"ab", False, True, id="reset"),
        pytest.param([b"\r\nabc", CLOSE], b"abc", False, False, id="until-close"),
        pytest.param(
            [b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n", CLOSE],
            *(b"abc", True, False),
            id="chunks",
        ),
        pytest.param(
            [b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", CLOSE],
            b"abc",
            False,
            False,
            id="no-last-chunk",
        ),
        pytest.param(
            [b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", CLOSE], b"", False, False, id="behind-the-last"
        ),
    ],
)
async def test_framing_tells_what_is_whole(
    steps: Sequence[object], content: bytes, complete: bool, reset: bool
) -> None:
    first, *rest = steps
    assert isinstance(first, bytes)
    separator = b"" if first.startswith(b"\r\n") else b"\r\n"
    async with asking([b"HTTP/1.1 200 OK" + (separator or b"\r\n") + first, *rest]) as client:  # type: ignore[list-item]
        answer = await client.drain()
    assert (answer.content, answer.complete, answer.reset) == (content, complete, reset)


async def test_answer_without_a_body_is_complete(origin: FaultyOrigin) -> None:
    async with SlowClient(origin.url) as client:
        answer = await client.get("/a", method="HEAD")
    assert (answer.status, answer.content, answer.complete) == (200, b"", True)
    assert answer.get("content-length") == str(CONTENT.size)


async def test_interim_answer_is_passed_over() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
    async with asking([interim, b"HTTP/1.1 204 No Content\r\nA: 1\r\nA: 2\r\n\r\n", CLOSE]) as client:
        head = await client.read_head()
    assert head == ClientHead(204, (("a", "1"), ("a", "2")))
    assert (head.get("a"), head.all("a"), head.get("b")) == ("1", ["1", "2"], None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(b"HTTP/1.1 200", "inside the head", id="cut"),
        pytest.param(b"SSH-2.0\r\n\r\n", "not the status line", id="not-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Content-Length", id="length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "two framings",
            id="two-framings",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no chunks", id="no-chunks"
        ),
    ],
)
async def test_answer_that_is_none(answer: bytes, words: str) -> None:
    async with asking([answer, CLOSE]) as client:
        with pytest.raises(ConnectionError, match=words):
            await client.drain()


async def test_step_has_a_limit(origin: FaultyOrigin) -> None:
    origin.fail("/a", Stall(after=10))
    async with SlowClient(origin.url, limit=0.01) as client:
        await client.send("GET", "/a")
        with pytest.raises(TimeoutError):
            await client.drain()


async def test_half_closed_client_still_reads() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with SlowClient(f"http://127.0.0.1:{port}") as client:
            await client.send("GET", "/")
            client.leave("half_close")
            assert (await client.drain()).content == b"ok"


async def test_client_that_left_is_not_connected(origin: FaultyOrigin) -> None:
    async with SlowClient(origin.url) as client:
        client.leave()
        client.close()
        with pytest.raises(ConnectionError, match="has left"):
            await client.send("GET", "/a")


@pytest.mark.parametrize("url", ["https://127.0.0.1", "127.0.0.1:80", "http://"])
def test_address_that_it_cannot_use(url: str) -> None:
    with pytest.raises(ValueError, match="connects to http://HOST:PORT"):
        SlowClient(url)


def test_chunks_are_read_however_they_are_cut() -> None:
    raw = b"5;name=value\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n"
    for size in range(1, len(raw)):
        body = ChunkedBody()
        content = b"".join(body.feed(raw[start : start + size]) for start in range(0, len(raw), size))
        assert (content, body.complete) == (b"hello world", True)
