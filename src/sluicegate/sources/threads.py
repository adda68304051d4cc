"""A synchronous iterator of bytes as a body: one worker thread pulls, and hands over in batches.

One hop between threads a batch, not one a chunk: a generator of 1 KiB chunks costs about what one of
64 KiB chunks does. The iterator is made, pulled and closed by the same thread's turns only.

It is a plain thread, and none of anyio's: what the iterator does with `anyio.from_thread` fails in it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from sluicegate.sources.base import CHUNK_SIZE, Chunk

WINDOW: Final = 1024 * 1024
"""Bytes that the thread may be ahead of its reader: enough that neither waits for the other on each chunk,
little enough that a thousand stalled clients fit in a gigabyte."""

CLOSE_SECONDS: Final = 1.0
"""How long closing waits for an iterator that does not return. Its thread ends by itself when it does."""


class ThreadBody:
    """The bytes of `chunks`, an iterator that blocks.

    `close` runs in the worker thread after the last chunk or when the body is closed; `interrupt`, if
    given, is called from the event loop to wake a thread that is blocked in the iterator. Errors of the
    iterator come out of `read` as they are.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        close: Callable[[], None],
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self._chunks = chunks
        self._close = close
        self._interrupt = interrupt
        self._ready: deque[bytes] = deque()
        self._produced = 0
        self._consumed = 0
        self._closing = False
        self._finished = False
        self._error: BaseException | None = None
        self._room = threading.Event()
        self._thread: threading.Thread | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> Chunk:
        """What the thread has gathered, at most about `CHUNK_SIZE` bytes; empty at the end."""
        if self._thread is None and not self._closing:
            self._start()
        while not self._ready:
            if self._finished or self._closing:
                return self._ended()
            await self._wait()
        return self._take()

    async def aclose(self) -> None:
        """Stop the thread, which closes the iterator."""
        self._closing = True
        self._room.set()
        if self._thread is None:
            self._close_unstarted()
            return
        if not self._finished and self._interrupt is not None:
            self._interrupt()
        deadline = asyncio.get_running_loop().time() + CLOSE_SECONDS
        while not self._finished and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await self._wait(left)
        self._ready.clear()

    def __del__(self) -> None:
        # A response that was made and never sent: nobody else can close its iterator.
        if self._thread is None:
            self._close_unstarted()

    def discard(self) -> None:
        """Close a body that nobody began to read; may be called from any thread."""
        self._closing = True
        self._close_unstarted()

    # The reader's side: runs in the event loop.

    def _start(self) -> None:
        run = contextvars.copy_context().run
        # A daemon: an iterator that never returns must not keep the process alive.
        self._thread = threading.Thread(target=run, args=(self._run,), name="sluicegate-body", daemon=True)
        self._thread.start()

    async def _wait(self, seconds: float | None = None) -> None:
        """Until the thread has something to say, or `seconds` have passed."""
        loop = asyncio.get_running_loop()
        waiter = self._waiter
        # One that is there already has been left by a reader that was cancelled, or another task waits too.
        if waiter is None or waiter.done() or waiter.get_loop() is not loop:
            waiter = self._waiter = loop.create_future()
        # The thread looks for a waiter after it has changed the state, so a look at the state after the
        # waiter is set misses nothing.
        if self._finished or (self._ready and not self._closing):
            return
        await asyncio.wait((waiter,), timeout=seconds)

    def _take(self) -> bytes:
        batch = [self._ready.popleft()]
        size = len(batch[0])
        while self._ready and size + len(self._ready[0]) <= CHUNK_SIZE:
            size += len(self._ready[0])
            batch.append(self._ready.popleft())
        self._consumed += size
        self._room.set()
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def _ended(self) -> bytes:
        if self._error is not None and not self._closing:
            raise self._error
        return b""

    def _close_unstarted(self) -> None:
        if not self._finished:
            self._finished = True
            self._close()

    # The worker's side: runs in the thread.

    def _run(self) -> None:
        try:
            self._pull()
        except BaseException as exc:  # noqa: BLE001 - handed to the reader, whatever it is
            self._error = exc
        try:
            self._close()
        except BaseException as exc:  # noqa: BLE001 - an iterator that cannot even be closed is an error of it
            self._error = self._error or exc
        self._finished = True
        self._wake()

    def _pull(self) -> None:
        # Asked for nothing more once it is to be closed: the next chunk may never come.
        while not self._closing:
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            if chunk:
                self._ready.append(chunk)
                self._produced += len(chunk)
                self._wake()
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        while self._produced - self._consumed >= WINDOW and not self._closing:
            self._room.clear()
            if self._produced - self._consumed >= WINDOW and not self._closing:
                self._room.wait()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            try:
                waiter.get_loop().call_soon_threadsafe(_set, waiter)
            except RuntimeError:
                # The loop is closed, and with it whoever would have read.
                self._closing = True


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
