"""Throttled answers over a real socket: the head at once, every byte, and no client cut for our slowness."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sluicegate import ObjectResponse, Outcome, TransferRecord
from sluicegate.flow.throttle import Throttle
from sluicegate.testing import ScriptedSource as RangedSource
from tests.servers.asgi import serve, serve_in_thread

from .fakes import Exchange, ScriptedSource
from .raw_client import Connection, fetch, until

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 600
SLOW = 1024
"""Bytes a second: the second piece comes after seconds, and no test waits for it."""


def object_of(content: bytes, **settings: Any) -> ObjectResponse:
    source = ScriptedSource((content,), len(content))
    return ObjectResponse(source, "a/b.bin", **settings)


slow_app = object_of(CONTENT, throttles=(Throttle(SLOW, burst=4096),))


def closed_bodies(response: ObjectResponse) -> int:
    assert isinstance(response.source, ScriptedSource)
    return response.source.ledger.closed


@contextmanager
def serving(response: ObjectResponse, http: Any = "httptools") -> Iterator[str]:
    with serve_in_thread(response, http=http) as url:
        yield url


async def settled(condition: Callable[[], object]) -> None:
    async def holds() -> bool:
        return bool(condition())

    await until(holds, 10)


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_every_byte_comes_through_one_throttle_and_through_two(http: str) -> None:
    own, shared = Throttle(2_000_000, burst=20_000), Throttle(1_000_000, burst=20_000)
    with serving(object_of(CONTENT, throttles=(own, shared)), http) as url:
        answers = await asyncio.gather(*(fetch(url, "/") for _ in range(3)))
    assert [(answer.status, answer.complete) for answer in answers] == [(200, True)] * 3
    assert all(answer.content == CONTENT for answer in answers)


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_head_waits_for_no_token(http: str) -> None:
    throttle = Throttle(SLOW, burst=4096)
    response = object_of(CONTENT, throttles=(throttle,))
    async with AsyncExitStack() as stack:
        with serving(response, http) as url:
            connections = [await Connection.open(url) for _ in range(3)]
            for connection in connections:
                stack.callback(connection.close)
                await connection.send("GET", "/")
            heads = [await connection.read_head() for connection in connections]
            assert [head.get("content-length") for head in heads] == [str(len(CONTENT))] * 3
            # The one that had the first piece waits for its second, and the others for their first.
            await settled(lambda: throttle.waiting == 3)
            for connection in connections:
                connection.leave("reset")
            await settled(lambda: throttle.waiting == 0)
            await settled(lambda: closed_bodies(response) == 3)


async def test_server_that_holds_heads_back_sends_them_before_the_tokens_come() -> None:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(serve(f"{__name__}:slow_app", "granian", cwd=ROOT, ready_path="/")).url
        for _ in range(6):
            connection = await Connection.open(url)
            stack.callback(connection.close)
            await connection.send("GET", "/")
            assert (await connection.read_head()).status == 200
        # The first piece of the last is due in twenty seconds, and its head is here already.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.read_some(1)


async def test_client_that_is_slow_because_of_us_is_not_cut() -> None:
    records: list[TransferRecord] = []
    # It gets its bytes in about two seconds. The least that it must take, while bytes are ready for it, is
    # far more than that, and would be judged meanwhile.
    response = object_of(
        CONTENT,
        throttles=(Throttle(75_000, burst=4096),),
        observe=records.append,
        min_drain_rate=5_000_000,
        min_drain_seconds=1.0,
    )
    with serving(response) as url:
        answer = await fetch(url, "/")
        await settled(lambda: records)
    assert (answer.status, answer.complete, answer.content == CONTENT) == (200, True, True)
    assert [record.outcome for record in records] == [Outcome.COMPLETE]
    assert records[0].duration_seconds > 1.5


async def test_range_is_throttled_as_the_whole_is() -> None:
    throttle = Throttle(1_000_000, burst=20_000)
    source = RangedSource({"a": CONTENT})
    with serving(ObjectResponse(source, "a", throttles=(throttle,))) as url:
        answer = await fetch(url, "/", fields=[("Range", "bytes=5-90000")])
    assert (answer.status, answer.complete) == (206, True)
    assert answer.content == CONTENT[5:90_001]
    assert source.open_bodies == 0


async def test_response_for_another_key_has_its_own_throttles_before_those_of_the_route() -> None:
    own, shared = Throttle(SLOW, burst=4096), Throttle(SLOW, burst=4096)
    route = object_of(CONTENT, throttles=(shared,))
    exchange = Exchange()
    client = asyncio.create_task(exchange.call(route.of("b", throttles=(own,))))
    await settled(lambda: own.waiting)
    assert shared.waiting == 0
    other = asyncio.create_task(Exchange().call(route.of("c")))
    await settled(lambda: shared.waiting)
    for task in (client, other):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (own.waiting, shared.waiting) == (0, 0)
    assert len(exchange.content) == 4096


async def test_head_request_takes_no_token() -> None:
    throttle = Throttle(SLOW, burst=4096)
    response = object_of(CONTENT, throttles=(throttle,))
    exchange = await Exchange("HEAD").call(response)
    assert (exchange.status, exchange.content) == (200, b"")
    # The bucket is as full as it was.
    small = await Exchange().call(object_of(CONTENT[:4096], throttles=(throttle,)))
    assert small.is_complete


async def test_body_that_is_longer_than_promised_is_cut_behind_a_throttle_too() -> None:
    source = ScriptedSource((CONTENT, b"x"), len(CONTENT))
    response = ObjectResponse(source, "a", throttles=(Throttle(10_000_000),))
    with serving(response) as url:
        answer = await fetch(url, "/")
    assert (answer.status, answer.complete) == (200, False)


async def test_without_throttles_the_chunks_of_the_source_go_on_as_they_are() -> None:
    exchange = await Exchange().call(object_of(CONTENT))
    assert [len(message.get("body", b"")) for message in exchange.sent] == [0, len(CONTENT)]
