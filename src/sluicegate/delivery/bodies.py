"""Iterables, asynchronous iterables and bytes as bodies. What is read from them is always `bytes`.

A body owns what it reads from, and closes it once, also if nobody ever reads or sends it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from sluicegate.sources.base import CHUNK_SIZE, Chunk
from sluicegate.sources.threads import ThreadBody

CHARSET: Final = "utf-8"

_closing: Final[set[asyncio.Task[None]]] = set()
"""What closes bodies of responses that were never sent: an event loop itself holds no task."""


def to_bytes(chunk: object, charset: str = CHARSET) -> bytes:
    """One chunk as bytes that nobody else can change: `str` encoded, buffers copied."""
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        return chunk.encode(charset)
    if isinstance(chunk, int):
        raise TypeError("a chunk is bytes-like or str, got int: wrap single bytes objects in a list")
    return bytes(memoryview(chunk))  # type: ignore[arg-type]


def closer(content: object) -> Callable[[], Any] | None:
    """What closes an asynchronous content, if anything does."""
    return getattr(content, "aclose", None) or getattr(content, "close", None)


class ContentBody:
    """Bytes that are there already."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    async def read(self) -> Chunk:
        """The next slice of them."""
        start, self._position = self._position, self._position + CHUNK_SIZE
        return self._content[start : self._position]

    async def aclose(self) -> None:
        """Forget them."""
        self._content = b""


class AsyncIteratorBody:
    """The chunks of an asynchronous iterable, one for one; `close` or the iterable's own is called last."""

    _chunks: AsyncIterator[object] | None = None

    def __init__(
        self,
        chunks: AsyncIterable[object],
        close: Callable[[], Any] | None = None,
        charset: str = CHARSET,
    ) -> None:
        iterator = aiter(chunks)
        self._close = closer(chunks) if close is None and iterator is not chunks else close
        self._charset = charset
        self._chunks = iterator

    async def read(self) -> Chunk:
        """The next chunk that is not empty; empty at the end."""
        while self._chunks is not None:
            try:
                item = await anext(self._chunks)
            except StopAsyncIteration:
                break
            if chunk := to_bytes(item, self._charset):
                return chunk
            # Where no chunk comes through, nothing need ever wait, and all others would stand still.
            await asyncio.sleep(0)
        return b""

    async def aclose(self) -> None:
        """Close the iterator, which runs the `finally` of a generator, and then what it reads from."""
        chunks, self._chunks = self._chunks, None
        if chunks is None:
            return
        try:
            await _call(closer(chunks))
        finally:
            await _call(self._close)

    def __del__(self) -> None:
        # A response that was made and never sent: what it reads from may hold a connection of a pool, and
        # nobody else can give it back. Event loops do the same for asynchronous generators.
        if self._chunks is None:
            return
        try:
            task = asyncio.get_running_loop().create_task(self.aclose(), name="sluicegate-close")
        except RuntimeError:
            return
        _closing.add(task)
        task.add_done_callback(_closing.discard)


async def _call(function: Callable[[], Any] | None) -> None:
    """Call a function that may be a coroutine function, or nothing."""
    if function is not None and inspect.isawaitable(result := function()):
        await result


def iterable_body(
    content: Iterable[object],
    close: Callable[[], object] | None = None,
    interrupt: Callable[[], None] | None = None,
    charset: str = CHARSET,
) -> ThreadBody:
    """The chunks of an iterable, which blocks, so that a thread reads it; `close` is called last, there.

    `interrupt` wakes the thread when it is blocked in the iterable and nobody wants its bytes any more.
    """
    iterator = iter(content)
    if close is None and iterator is not content:
        close = getattr(content, "close", None)
    chunks = map(partial(to_bytes, charset=charset), iterator)
    return ThreadBody(chunks, partial(_close_all, iterator, close), interrupt)


def _close_all(iterator: Iterator[object], close: Callable[[], object] | None) -> None:
    """Close a generator, and what it reads from: a generator's `close` runs its `finally`."""
    try:
        closing = getattr(iterator, "close", None)
        if closing is not None:
            closing()
    finally:
        if close is not None:
            close()
