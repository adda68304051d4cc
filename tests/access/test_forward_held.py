"""Verdicts of the service that are held for a while, and those who wait for one and leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from sluicegate.access.base import Grant, Refusal
from sluicegate.access.forward import ForwardAuth, ForwardOptions
from sluicegate.testing import assert_no_leak
from tests.access.clock import Clock
from tests.access.forwarding import (
    BROKEN,
    GARBAGE,
    LOGIN,
    NO,
    TOKEN,
    YES,
    asked,
    forward,
    reason,
)
from tests.sources.raw_origin import CLOSE, STALL, Answer, answer, raw_origin

# Verdicts that are held for a while.


async def test_every_request_is_asked_about_unless_verdicts_are_held() -> None:
    async with raw_origin(YES) as origin, forward(origin) as auth:
        for _ in range(3):
            await auth.verify(asked(TOKEN))
        await asyncio.gather(*[auth.verify(asked(TOKEN)) for _ in range(3)])
        assert len(origin.requests) == 6


@pytest.mark.parametrize(
    ("given", "kind"), [(YES, Grant), (NO, Refusal), (LOGIN, Refusal)], ids=["200", "403", "401"]
)
async def test_verdict_is_held_for_its_time(given: Answer, kind: type) -> None:
    clock = Clock()
    async with raw_origin(given) as origin, forward(origin, cache_seconds=30.0, clock=clock) as auth:
        first = await auth.verify(asked(TOKEN))
        clock.now += 29
        assert await auth.verify(asked(TOKEN)) == first
        assert isinstance(first, kind)
        assert len(origin.requests) == 1
        clock.now += 1
        assert await auth.verify(asked(TOKEN)) == first
        assert len(origin.requests) == 2


@pytest.mark.parametrize(
    "given",
    [BROKEN, (CLOSE,), (answer("302 Found"),), (answer("200 OK", x_key=".."),)],
    ids=["500", "close", "302", "bad-key"],
)
async def test_failure_is_never_held(given: Answer) -> None:
    options = {"cache_seconds": 30.0, "key_field": "x-key"}
    async with raw_origin(given) as origin, forward(origin, **options) as auth:
        assert reason(await auth.verify(asked(TOKEN)))
        origin.answers = [(answer("200 OK", x_key="a"),)]
        assert await auth.verify(asked(TOKEN)) == Grant(key="a")


async def test_whatever_the_service_sees_tells_requests_apart() -> None:
    requests = [
        asked(TOKEN),
        asked(TOKEN, method="HEAD"),
        asked(TOKEN, path="/photos/b.jpg"),
        asked(TOKEN, query="a=1"),
        asked(TOKEN, client=ip_address("192.0.2.8")),
        asked(TOKEN, client=None),
        asked((b"authorization", b"Bearer abd")),
        asked((b"cookie", b"Bearer abc")),
        asked(TOKEN, (b"cookie", b"")),
        asked((b"authorization", b"Bear"), (b"cookie", b"er abc")),
        asked((b"authorization", b""), (b"cookie", b"")),
        asked(),
        asked(path="/a", query="b"),
        asked(path="/ab"),
        asked(path="/a", query="", client=None),
    ]
    async with raw_origin(YES) as origin, forward(origin, cache_seconds=30.0) as auth:
        for _ in range(2):
            for request in requests:
                await auth.verify(request)
        assert len(origin.requests) == len(requests)


async def test_field_that_the_service_does_not_see_makes_no_difference() -> None:
    async with raw_origin(YES) as origin, forward(origin, cache_seconds=30.0) as auth:
        for agent in (b"a", b"b"):
            await auth.verify(asked(TOKEN, (b"user-agent", agent)))
        assert len(origin.requests) == 1


@pytest.mark.parametrize("given", [YES, NO, BROKEN, GARBAGE], ids=["200", "403", "500", "garbage"])
async def test_same_requests_wait_for_one_answer(given: Answer) -> None:
    async with raw_origin(given) as origin, forward(origin, cache_seconds=30.0) as auth:
        seen = await asyncio.gather(*[auth.verify(asked(TOKEN)) for _ in range(50)])
        assert len(origin.requests) == 1
    assert [one == seen[0] for one in seen] == [True] * 50


# Those who leave.


@dataclass
class Gated:
    """A service that answers when its gate is open."""

    url: str = ""
    requests: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        self.asked.set()
        await self.gate.wait()
        writer.write(answer("200 OK"))
        await reader.read()
        writer.close()


@asynccontextmanager
async def gated() -> AsyncIterator[Gated]:
    service = Gated()
    async with await asyncio.start_server(service.serve, "127.0.0.1", 0) as server:
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/verify"
        yield service


async def test_one_who_leaves_does_not_end_the_question_of_the_others() -> None:
    async with gated() as service, assert_no_leak():
        async with ForwardAuth(ForwardOptions(url=service.url, cache_seconds=30.0)) as auth:
            waiters = [asyncio.create_task(auth.verify(asked(TOKEN))) for _ in range(3)]
            await service.asked.wait()
            waiters[0].cancel()
            await asyncio.wait(waiters[:1])
            service.gate.set()
            assert await asyncio.gather(*waiters[1:]) == [Grant(), Grant()]
            assert waiters[0].cancelled()
        assert service.requests == 1


@pytest.mark.parametrize("cache_seconds", [0.0, 30.0])
async def test_when_all_have_left_the_connection_is_closed(cache_seconds: float) -> None:
    async with raw_origin((STALL,)) as origin, forward(origin, cache_seconds=cache_seconds) as auth:
        async with assert_no_leak():
            waiters = [asyncio.create_task(auth.verify(asked(TOKEN))) for _ in range(3)]
            await origin.asked(len(waiters) if not cache_seconds else 1)
            for waiter in waiters:
                waiter.cancel()
            await asyncio.wait(waiters)
            assert all(waiter.cancelled() for waiter in waiters)
            await origin.quiet()
        origin.answers = [YES]
        assert await auth.verify(asked(TOKEN)) == Grant()


async def test_closing_refuses_those_who_wait() -> None:
    async with raw_origin((STALL,)) as origin, assert_no_leak():
        async with forward(origin, cache_seconds=30.0) as auth:
            waiter = asyncio.create_task(auth.verify(asked(TOKEN)))
            await origin.asked()
        assert await waiter == Refusal(reason="the verifier was closed", status=503)
        await origin.quiet()


@pytest.mark.parametrize("cache_seconds", [0.0, 30.0])
async def test_it_must_be_entered(cache_seconds: float) -> None:
    options = ForwardOptions(url="http://127.0.0.1/verify", cache_seconds=cache_seconds)
    with pytest.raises(RuntimeError, match="lifespan"):
        await ForwardAuth(options).verify(asked(TOKEN))
