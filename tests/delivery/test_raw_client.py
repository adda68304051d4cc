"""The client of these tests must not take a cut answer for a whole one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .raw_client import fetch

HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "all of its length": (HEAD + b"Content-Length: 3\r\n\r\nabc", b"abc", True),
    "shorter than its length": (HEAD + b"Content-Length: 4\r\n\r\nabc", b"abc", False),
    "longer than its length": (HEAD + b"Content-Length: 2\r\n\r\nabc", b"abc", False),
    "all chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        b"abcd",
        True,
    ),
    "no last chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"abc", False),
    "half a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", b"abc", False),
    "half a last chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", b"abc", False),
    "bytes after the last chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", b"", False),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
}


@asynccontextmanager
async def _answering(answer: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("name", ANSWERS)
async def test_client_knows_whole_answers(name: str) -> None:
    raw, content, complete = ANSWERS[name]
    async with _answering(raw) as url:
        answer = await fetch(url, "/")
    assert (answer.content, answer.complete) == (content, complete)
