"""Iterables that are not their own iterators: both are closed, the iterator first, on every path."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from sluicegate import StreamResponse
from sluicegate.testing import FaultyOrigin, Generated

from .fakes import CHUNK, Exchange


class Plain:
    """An iterable that notes what is closed."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.closed: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        finally:
            self.closed.append("iterator")

    def close(self) -> None:
        self.closed.append("iterable")


class Async:
    """The same in asynchronous; it has an `aclose`."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.closed: list[str] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self._chunks:
                yield chunk
        finally:
            self.closed.append("iterator")

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed.append("iterable")


class AsyncOfClose(Async):
    """As asynchronous things that are closed without waiting."""

    aclose = None  # type: ignore[assignment]

    def close(self) -> None:
        self.closed.append("iterable")


KINDS: list[Callable[..., Any]] = [Plain, Async, AsyncOfClose]


@pytest.mark.parametrize("kind", KINDS)
async def test_iterable_is_closed_after_its_iterator(kind: Callable[..., Any]) -> None:
    content = kind(b"a", b"b")
    exchange = await Exchange().call(StreamResponse(content))
    assert (exchange.content, content.closed) == (b"ab", ["iterator", "iterable"])


@pytest.mark.parametrize("kind", KINDS)
async def test_iterable_that_nobody_reads_is_closed(kind: Callable[..., Any]) -> None:
    content = kind(b"a")
    await Exchange(method="HEAD").call(StreamResponse(content))
    assert content.closed == ["iterable"]


@pytest.mark.parametrize("kind", KINDS)
async def test_iterable_of_a_response_that_is_never_sent_is_closed(kind: Callable[..., Any]) -> None:
    content = kind(b"a")
    StreamResponse(content)
    gc.collect()
    await asyncio.sleep(0.02)
    assert content.closed == ["iterable"]


@pytest.mark.parametrize("kind", KINDS)
async def test_iterable_is_closed_where_the_client_left(kind: Callable[..., Any]) -> None:
    content = kind(*[CHUNK] * 100)
    await Exchange(fail_after=3).call(StreamResponse(content))
    assert content.closed == ["iterator", "iterable"]


@pytest.mark.parametrize("kind", KINDS)
async def test_iterable_is_closed_where_its_iterator_cannot_be(kind: Callable[..., Any]) -> None:
    class Broken(kind):  # type: ignore[misc]
        pass

    method, iterator = ("__iter__", _Unclosable) if kind is Plain else ("__aiter__", _AsyncUnclosable)
    setattr(Broken, method, lambda _: iterator())
    content = Broken()
    await _tried(StreamResponse(content))
    assert content.closed == ["iterable"]


async def _tried(response: StreamResponse) -> None:
    with suppress(RuntimeError):
        await Exchange().call(response)


class _Unclosable:
    def __iter__(self) -> Any:
        return self

    def __next__(self) -> bytes:
        raise StopIteration

    def close(self) -> None:
        raise RuntimeError("cannot be closed")


class _AsyncUnclosable:
    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        raise RuntimeError("cannot be closed")


async def test_asynchronous_iterator_that_has_a_close_alone_is_closed() -> None:
    closed = []

    class Chunks(_AsyncUnclosable):
        aclose = None  # type: ignore[assignment]

        def close(self) -> None:
            closed.append("iterator")

    await Exchange().call(StreamResponse(Chunks()))
    assert closed == ["iterator"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_stream_of_an_httpx_response_gives_its_connection_back(method: str) -> None:
    with FaultyOrigin() as origin:
        origin.put("/a", Generated(5_000_000))
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(limits=limits, timeout=10) as client:
            answer = await client.send(client.build_request("GET", f"{origin.url}/a"), stream=True)
            await Exchange(method, fail_after=3).call(StreamResponse(answer.stream))
            assert (await client.head(f"{origin.url}/a")).status_code == 200
