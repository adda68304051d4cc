"""A response owns what it streams: closed once on every path, and never ended well at a wrong length."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import httpx
import pytest
from starlette.background import BackgroundTask

from sluicegate import ObjectResponse, StreamResponse
from sluicegate.delivery.bodies import iterable_body
from sluicegate.delivery.closing import owned
from sluicegate.errors import BrokenBody, TransferCut
from sluicegate.flow.closing import close
from sluicegate.sources.base import CHUNK_SIZE
from sluicegate.sources.threads import WINDOW

from .fakes import (
    CHUNK,
    FOREVER,
    AsyncChunks,
    Chunks,
    Exchange,
    Ledger,
    ScriptedBody,
    ScriptedSource,
    Step,
)

SIZE = 2 * len(CHUNK)
Make = Callable[..., Any]

# Every kind of response over the same script.
MAKERS: dict[str, Make] = {
    "async": lambda ledger, *script, **more: StreamResponse(AsyncChunks(ledger, *script), **more),
    "thread": lambda ledger, *script, **more: StreamResponse(Chunks(ledger, *script), **more),
    "object": lambda ledger, *script, **more: ObjectResponse(
        ScriptedSource(script, SIZE, ledger=ledger), "key", **more
    ),
}
ASYNC_MAKERS = {name: MAKERS[name] for name in ("async", "object")}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Make:
    return MAKERS[request.param]


@pytest.fixture(params=ASYNC_MAKERS)
def make_async(request: pytest.FixtureRequest) -> Make:
    return ASYNC_MAKERS[request.param]


async def test_whole_body_is_closed_once(make: Make) -> None:
    ledger = Ledger()
    exchange = await Exchange().call(make(ledger, CHUNK, CHUNK))
    assert (exchange.content, exchange.is_complete, ledger.closed) == (CHUNK * 2, True, 1)


async def test_send_that_fails_at_the_head_closes_once(make: Make) -> None:
    ledger = Ledger()
    await Exchange(fail_after=0).call(make(ledger, CHUNK, CHUNK))
    assert ledger.closed == 1


async def test_send_that_fails_in_the_body_closes_once(make: Make) -> None:
    ledger = Ledger()
    await Exchange(fail_after=2).call(make(ledger, CHUNK, CHUNK))
    assert ledger.closed == 1


@pytest.mark.parametrize("whose", ["async", "thread"])
async def test_head_request_reads_nothing_and_closes_once(whose: str) -> None:
    ledger = Ledger()
    exchange = await Exchange(method="HEAD").call(MAKERS[whose](ledger, CHUNK))
    assert (exchange.content, exchange.is_complete, ledger.reads, ledger.closed) == (b"", True, 0, 1)


async def test_origins_failure_is_an_oserror_too_and_not_taken_for_a_disconnect(make_async: Make) -> None:
    ledger = Ledger()
    exchange = Exchange()
    with pytest.raises((OSError, TransferCut)):
        await exchange.call(make_async(ledger, CHUNK, OSError("the origin's socket")))
    assert (exchange.is_complete, ledger.closed) == (False, 1)


@pytest.mark.parametrize("whose", ["async", "thread"])
async def test_failure_before_the_first_chunk_sends_no_head(whose: str) -> None:
    ledger = Ledger()
    exchange = Exchange()
    with pytest.raises(RuntimeError, match="on purpose"):
        await exchange.call(MAKERS[whose](ledger, RuntimeError("on purpose")))
    assert (exchange.sent, ledger.closed) == ([], 1)


async def test_failure_in_the_middle_leaves_the_body_open_ended(make: Make) -> None:
    ledger = Ledger()
    exchange = Exchange()
    with pytest.raises(RuntimeError, match="on purpose"):
        await exchange.call(make(ledger, CHUNK, RuntimeError("on purpose")))
    assert (exchange.content, exchange.is_complete, ledger.closed) == (CHUNK, False, 1)


WRONG_LENGTHS: dict[str, tuple[Step, ...]] = {
    "a chunk short": (CHUNK,),
    "a byte short": (CHUNK, CHUNK[1:]),
    "a byte long": (CHUNK, CHUNK, b"x"),
    "long in its last chunk": (CHUNK, CHUNK + b"x"),
}


@pytest.mark.parametrize("name", WRONG_LENGTHS)
@pytest.mark.parametrize("whose", MAKERS)
async def test_body_of_another_length_than_promised_is_cut(whose: str, name: str) -> None:
    ledger = Ledger()
    exchange = Exchange()
    more = {} if whose == "object" else {"headers": {"content-length": str(SIZE)}}
    # A thread may have gathered all of it before the head goes out.
    with pytest.raises((TransferCut, BrokenBody) if whose == "thread" else TransferCut):
        await exchange.call(MAKERS[whose](ledger, *WRONG_LENGTHS[name], **more))
    assert (exchange.is_complete, len(exchange.content) <= SIZE, ledger.closed) == (False, True, 1)


@pytest.mark.parametrize("script", [(), (CHUNK * 3,)], ids=["empty", "long at once"])
async def test_wrong_length_that_shows_at_once_is_still_a_status(script: tuple[Step, ...]) -> None:
    ledger = Ledger()
    exchange = await Exchange().call(MAKERS["object"](ledger, *script))
    assert (exchange.status, ledger.closed) == (502, 1)
    exchange = Exchange()
    with pytest.raises(BrokenBody):
        await exchange.call(MAKERS["async"](Ledger(), *script, headers={"content-length": str(SIZE)}))
    assert exchange.sent == []


# Cancellation, of every kind, in every state.

STATES: dict[str, tuple[tuple[Step, ...], dict[str, int]]] = {
    "before the first chunk": ((FOREVER,), {}),
    "inside a read": ((CHUNK, FOREVER), {}),
    "inside a send": ((CHUNK, CHUNK), {"stall_after": 2}),
    "inside the first send": ((CHUNK, CHUNK), {"stall_after": 0}),
}
SOON = 0.02


@pytest.mark.parametrize("state", STATES)
async def test_cancelled_task_closes_once(make_async: Make, state: str) -> None:
    ledger = Ledger()
    script, how = STATES[state]
    task = asyncio.create_task(Exchange(**how).call(make_async(ledger, *script)))  # type: ignore[arg-type]
    await asyncio.sleep(SOON)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.closed == 1


@pytest.mark.parametrize("state", STATES)
async def test_timeout_of_asyncio_closes_once(make_async: Make, state: str) -> None:
    ledger = Ledger()
    script, how = STATES[state]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await Exchange(**how).call(make_async(ledger, *script))  # type: ignore[arg-type]
    assert ledger.closed == 1


@pytest.mark.parametrize("state", STATES)
async def test_cancelled_scope_of_anyio_closes_once(make_async: Make, state: str) -> None:
    ledger = Ledger()
    script, how = STATES[state]
    with anyio.move_on_after(SOON) as scope:
        await Exchange(**how).call(make_async(ledger, *script))  # type: ignore[arg-type]
    assert (scope.cancelled_caught, ledger.closed) == (True, 1)


@pytest.mark.parametrize("state", STATES)
async def test_client_that_leaves_makes_it_close_once_and_run_the_background(
    make_async: Make, state: str
) -> None:
    ledger = Ledger()
    script, how = STATES[state]
    exchange = Exchange(**how)  # type: ignore[arg-type]
    exchange.leave()
    async with asyncio.timeout(10):
        await exchange.call(make_async(ledger, *script, background=BackgroundTask(ledger.run_background)))
    assert (ledger.closed, ledger.background) == (1, 1)


def _cancel_by_anyio() -> Any:
    return anyio.move_on_after(SOON)


@asynccontextmanager
async def _cancel_by_asyncio() -> AsyncIterator[None]:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            yield


async def test_cleanup_of_a_generator_may_take_its_time_when_it_is_cancelled_in_a_send() -> None:
    for cancelled in (_cancel_by_anyio, _cancel_by_asyncio):
        closed = asyncio.Event()

        async def chunks(closed: asyncio.Event = closed) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield CHUNK
            finally:
                await asyncio.sleep(SOON)
                closed.set()

        async with AsyncExitStack() as stack:
            context = cancelled()
            if cancelled is _cancel_by_anyio:
                stack.enter_context(context)
            else:
                await stack.enter_async_context(context)
            await Exchange(stall_after=2).call(StreamResponse(chunks()))
        assert closed.is_set(), cancelled


async def test_generator_is_closed_by_the_task_that_read_it() -> None:
    # A context variable can be reset in its own context only, a timeout left in its own task.
    variable: ContextVar[str] = ContextVar("variable")
    ended = False

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal ended
        token = variable.set("set")
        async with asyncio.timeout(30):
            try:
                while True:
                    yield CHUNK
            finally:
                variable.reset(token)
                ended = True

    await Exchange(fail_after=2).call(StreamResponse(chunks()))
    assert ended


class _SlowToClose(ScriptedSource):
    """An object whose connection takes a moment to give back."""

    async def open(self, key: str, request: Any) -> Any:
        found = await super().open(key, request)
        close = found.body.aclose  # type: ignore[union-attr]

        async def slowly() -> None:
            await asyncio.sleep(0.3)
            await close()

        found.body.aclose = slowly  # type: ignore[union-attr,method-assign]
        return found


async def test_disconnect_after_the_last_byte_does_not_interrupt_the_closing() -> None:
    # Servers report a disconnect as soon as the answer is complete.
    ledger = Ledger()
    exchange = Exchange()
    task = asyncio.create_task(
        exchange.call(ObjectResponse(_SlowToClose((CHUNK, CHUNK), SIZE, ledger=ledger), "key"))
    )
    while not exchange.is_complete:
        await asyncio.sleep(0)
    exchange.leave()
    await task
    assert ledger.closed == 1


async def test_closing_that_hangs_is_abandoned_and_told(caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(ScriptedBody):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    async with asyncio.timeout(10), owned(Hanging(Ledger()), close_seconds=SOON):
        pass
    assert f"longer than {SOON} s, and was abandoned" in caplog.text


# Threads.


@pytest.fixture
def patient_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread has ten seconds to close its iterator: a busy machine may hold it up for a while."""
    monkeypatch.setattr("sluicegate.sources.threads.CLOSE_SECONDS", 10.0)


@pytest.mark.usefixtures("patient_closing")
async def test_iterator_is_read_and_closed_in_one_thread_that_is_not_the_loops() -> None:
    ledger = Ledger()
    await Exchange().call(StreamResponse(Chunks(ledger, *[b"x" * 1024] * 1000)))
    assert len(ledger.read_in) == 1
    assert ledger.read_in == ledger.closed_in
    assert ledger.read_in != [threading.get_ident()]


async def test_small_chunks_of_an_iterator_are_handed_over_in_batches() -> None:
    ledger = Ledger()

    class Unhurried(Exchange):
        """A client that takes nothing until the thread is as far ahead as it may be, or at its end."""

        async def send(self, message: Any) -> None:
            await super().send(message)
            async with asyncio.timeout(20):
                while message.get("body") and ledger.pulled < min(len(self.content) + WINDOW, 10_240_000):
                    await asyncio.sleep(0.001)

    exchange = await Unhurried().call(StreamResponse(Chunks(ledger, *[b"x" * 1024] * 10_000)))
    assert len(exchange.content) == 10_240_000
    assert len(exchange.sent) < 400


@pytest.mark.usefixtures("patient_closing")
async def test_generators_finally_runs_in_its_thread_when_the_client_leaves() -> None:
    ended_in: list[int] = []
    read_in: list[int] = []

    def chunks() -> Iterator[bytes]:
        read_in.append(threading.get_ident())
        try:
            while True:
                yield CHUNK
        finally:
            ended_in.append(threading.get_ident())

    await Exchange(fail_after=5).call(StreamResponse(chunks()))
    assert ended_in == read_in != [threading.get_ident()]


@pytest.mark.usefixtures("patient_closing")
async def test_iterator_is_asked_for_nothing_more_once_it_is_to_be_closed() -> None:
    """A client that stalled and left: the thread waits for it, and must not go on to wait for the origin."""
    stuck, ended = threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        try:
            for _ in range((CHUNK_SIZE + WINDOW) // len(CHUNK)):
                yield CHUNK
            stuck.wait(30)
            yield CHUNK
        finally:
            ended.set()

    body = iterable_body(chunks())
    await body.read()
    async with asyncio.timeout(20):
        while body._produced < CHUNK_SIZE + WINDOW:
            await asyncio.sleep(0.01)
    await body.aclose()
    try:
        assert ended.is_set()
    finally:
        stuck.set()


# Responses that nobody sends.


def test_iterator_of_a_response_that_is_never_sent_is_closed() -> None:
    ledger = Ledger()
    StreamResponse(Chunks(ledger, CHUNK))
    gc.collect()
    assert ledger.closed == 1


async def test_asynchronous_iterator_of_a_response_that_is_never_sent_is_closed() -> None:
    ledger = Ledger()
    StreamResponse(AsyncChunks(ledger, CHUNK))
    gc.collect()
    await asyncio.sleep(SOON)
    assert ledger.closed == 1


async def test_client_response_of_a_response_that_is_never_sent_is_closed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": False})

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        answer = await client.send(client.build_request("GET", "http://x/"), stream=True)
        StreamResponse(answer)
        gc.collect()
        await asyncio.sleep(SOON)
        assert answer.is_closed


# Fairness.

HELD_SECONDS = 30.0
"""Nothing waits in these bodies: where others have had no turn by then, they never have one."""


async def test_body_that_never_waits_lets_a_disconnect_through() -> None:
    """After a disconnect `send` returns at once: then nothing in the whole transfer waits any more."""
    ledger = Ledger()
    exchange = Exchange()
    exchange.leave()
    began = time.monotonic()

    async def send(message: Any) -> None:
        assert time.monotonic() - began < HELD_SECONDS, "the event loop is held"

    response = StreamResponse(AsyncChunks(ledger, CHUNK, endless=True))
    await response(exchange.scope, exchange.receive, send)
    assert ledger.closed == 1


async def test_body_that_never_waits_leaves_time_to_other_tasks() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    began = time.monotonic()

    async def chunks() -> AsyncIterator[bytes]:
        while turns < 10 and time.monotonic() - began < HELD_SECONDS:
            yield b"x"

    task = asyncio.create_task(other())
    await Exchange().call(StreamResponse(chunks()))
    task.cancel()
    assert turns >= 10


async def test_body_of_empty_chunks_leaves_time_to_other_tasks() -> None:
    began = time.monotonic()

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            assert time.monotonic() - began < HELD_SECONDS, "the event loop is held"
            yield b""

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await Exchange().call(StreamResponse(chunks()))


async def test_body_with_a_method_of_that_name_is_closed_all_the_same() -> None:
    class Foreign(ScriptedBody):
        def is_closed(self) -> bool:
            return True

    ledger = Ledger()
    await close(Foreign(ledger))
    assert ledger.closed == 1
