"""The bridge from a blocking iterator to the event loop."""

import asyncio
import contextvars
import gc
import threading
from collections.abc import Callable, Iterator
from itertools import repeat

import pytest

from sluicegate.errors import BrokenBody
from sluicegate.sources.base import CHUNK_SIZE
from sluicegate.sources.threads import WINDOW, ThreadBody

PATIENCE_SECONDS = 20.0
CLOSE_SECONDS = 10.0
"""For a thread to close its iterator while the body is closed: a busy machine may hold it up for a while."""


@pytest.fixture(autouse=True)
def patient_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.sources.threads.CLOSE_SECONDS", CLOSE_SECONDS)


class Chunks:
    """An iterator that says what happens to it, and in which thread."""

    def __init__(self, chunks: Iterator[bytes] | list[bytes]) -> None:
        self._chunks = iter(chunks)
        self.given = 0
        self.pulled_in: set[int] = set()
        self.closed_in: list[int] = []
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.pulled_in.add(threading.get_ident())
        chunk = next(self._chunks)
        self.given += len(chunk)
        return chunk

    def close(self) -> None:
        self.closed_in.append(threading.get_ident())
        self.closed.set()

    def body(self, interrupt: Callable[[], None] | None = None) -> ThreadBody:
        return ThreadBody(self, self.close, interrupt)


async def read_all(body: ThreadBody) -> list[bytes]:
    chunks = []
    while chunk := await body.read():
        chunks.append(bytes(chunk))
    return chunks


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sluicegate-body"]


@pytest.fixture(autouse=True)
async def no_thread_is_left() -> None:
    """No test leaves a thread behind; asked in the middle of each, at the end of the one before."""
    await until(lambda: not workers())


async def test_all_bytes_come_in_order() -> None:
    chunks = [bytes([index % 256]) * (index % 7) for index in range(5000)]
    body = Chunks(list(chunks)).body()
    assert b"".join(await read_all(body)) == b"".join(chunks)
    await body.aclose()


async def test_small_chunks_are_handed_over_in_batches() -> None:
    source = Chunks([b"x" * 1024] * 4096)
    body = source.body()
    batches = []
    while chunk := await body.read():
        batches.append(len(chunk))
        # The thread gathers while the event loop is busy, as it is with sending.
        await until(lambda: source.given - sum(batches) >= WINDOW or source.closed.is_set())
    assert sum(batches) == 4 * 1024 * 1024
    assert len(batches) < 30
    assert max(batches) <= CHUNK_SIZE
    await body.aclose()


async def test_large_chunks_are_handed_over_as_they_are() -> None:
    chunk = b"x" * (3 * CHUNK_SIZE)
    body = Chunks([chunk, chunk]).body()
    assert await read_all(body) == [chunk, chunk]
    await body.aclose()


async def test_empty_chunks_are_not_the_end() -> None:
    body = Chunks([b"", b"a", b"", b"b", b""]).body()
    assert b"".join(await read_all(body)) == b"ab"
    await body.aclose()


async def test_end_is_read_again_and_again() -> None:
    body = Chunks([b"a"]).body()
    assert await read_all(body) == [b"a"]
    assert (await body.read(), await body.read()) == (b"", b"")
    await body.aclose()
    assert await body.read() == b""


@pytest.mark.parametrize("size", [1024, 300_000, 3 * WINDOW])
async def test_thread_is_never_more_than_a_window_and_a_chunk_ahead(size: int) -> None:
    source = Chunks(repeat(b"x" * size))
    body = source.body()
    taken = 0

    def ahead() -> int:
        return source.given - taken

    for _ in range(20):
        taken += len(await body.read())
        await until(lambda: ahead() >= WINDOW)
        # One more turn would have to show itself in this time.
        await asyncio.sleep(0.01)
        assert ahead() < WINDOW + size
    await body.aclose()


async def test_iterator_is_pulled_and_closed_in_one_thread_that_is_not_the_event_loop() -> None:
    source = Chunks([b"a", b"b"])
    body = source.body()
    await read_all(body)
    await body.aclose()
    assert source.closed_in == list(source.pulled_in)
    assert source.closed_in != [threading.get_ident()]


async def test_iterator_is_closed_in_its_thread_when_the_body_is_closed_early() -> None:
    source = Chunks(repeat(b"x" * 1024))
    body = source.body()
    await body.read()
    await body.aclose()
    assert source.closed_in == list(source.pulled_in)


async def test_finally_of_a_generator_runs_in_the_thread_that_pulled_it() -> None:
    ran_in = []

    def generate() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 1024
        finally:
            ran_in.append(threading.get_ident())

    generator = generate()
    body = ThreadBody(generator, generator.close)
    await body.read()
    await body.aclose()
    assert len(ran_in) == 1
    assert ran_in != [threading.get_ident()]


async def test_context_of_the_first_reader_is_seen() -> None:
    variable = contextvars.ContextVar("variable", default=b"nothing")
    variable.set(b"seen")

    def generate() -> Iterator[bytes]:
        yield variable.get()

    generator = generate()
    body = ThreadBody(generator, generator.close)
    assert await read_all(body) == [b"seen"]
    await body.aclose()


async def test_error_comes_after_the_chunks_before_it() -> None:
    def generate() -> Iterator[bytes]:
        yield b"a" * CHUNK_SIZE
        yield b"b"
        raise BrokenBody("in the middle")

    source = Chunks(generate())
    body = source.body()
    await asyncio.sleep(0)
    assert await body.read() == b"a" * CHUNK_SIZE
    assert await body.read() == b"b"
    for _ in range(2):
        with pytest.raises(BrokenBody):
            await body.read()
    await body.aclose()
    assert len(source.closed_in) == 1


async def test_error_of_closing_is_an_error_of_the_body() -> None:
    def close() -> None:
        raise BrokenBody("at the end")

    body = ThreadBody(iter([b"a"]), close)
    with pytest.raises(BrokenBody, match="at the end"):
        await read_all(body)
    await body.aclose()


async def test_cancelled_reader_leaves_a_body_that_closes() -> None:
    going_on = threading.Event()

    def generate() -> Iterator[bytes]:
        yield b"a"
        going_on.wait(PATIENCE_SECONDS)

    source = Chunks(generate())
    body = source.body(going_on.set)
    assert await body.read() == b"a"
    reading = asyncio.create_task(body.read())
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await body.aclose()
    assert source.closed.is_set()


async def test_blocked_thread_is_interrupted() -> None:
    interrupted = threading.Event()

    def generate() -> Iterator[bytes]:
        yield b"a"
        interrupted.wait()
        raise OSError("shut down")

    source = Chunks(generate())
    body = source.body(interrupted.set)
    assert await body.read() == b"a"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await body.aclose()
    assert source.closed.is_set()


async def test_iterator_that_never_returns_does_not_hold_up_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluicegate.sources.threads.CLOSE_SECONDS", 0.2)
    going_on = threading.Event()

    def generate() -> Iterator[bytes]:
        yield b"a"
        going_on.wait()

    source = Chunks(generate())
    body = source.body()
    assert await body.read() == b"a"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await body.aclose()
    assert not source.closed.is_set()
    # It closes when it does return.
    going_on.set()
    assert await asyncio.to_thread(source.closed.wait, PATIENCE_SECONDS)


async def test_body_that_was_never_read_is_closed_without_a_thread() -> None:
    source = Chunks([b"a"])
    body = source.body()
    await body.aclose()
    await body.aclose()
    assert (source.closed_in, source.given) == ([threading.get_ident()], 0)
    assert await body.read() == b""


async def test_body_that_was_discarded_is_closed_once() -> None:
    source = Chunks([b"a"])
    body = source.body()
    await asyncio.to_thread(body.discard)
    await body.aclose()
    assert len(source.closed_in) == 1


async def test_body_that_was_forgotten_is_closed() -> None:
    source = Chunks([b"a"])
    body = source.body()
    del body
    gc.collect()
    assert source.closed.is_set()


async def test_closing_is_idempotent_in_any_state() -> None:
    source = Chunks(repeat(b"x" * 1024))
    body = source.body()
    await body.read()
    await asyncio.gather(body.aclose(), body.aclose())
    await body.aclose()
    assert len(source.closed_in) == 1
    assert await body.read() == b""


async def test_many_bodies_at_a_time() -> None:
    async def one(index: int) -> int:
        body = Chunks([bytes([index]) * 10_000] * 50).body()
        total = sum([len(chunk) for chunk in await read_all(body)])
        await body.aclose()
        return total

    assert await asyncio.gather(*(one(index) for index in range(50))) == [500_000] * 50


def test_thread_ends_when_the_event_loop_is_gone() -> None:
    source = Chunks(b"x" * 1024 for _ in range(100_000))

    async def begin() -> ThreadBody:
        body = source.body()
        await body.read()
        return body

    body = asyncio.run(begin())
    # Somebody lets go of it in another event loop.
    asyncio.run(body.aclose())
    assert source.closed.wait(PATIENCE_SECONDS)
