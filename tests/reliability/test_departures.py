"""Clients that leave, in each state that a transfer can be in: everything is released at once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sluicegate import Outcome, TransferOptions
from sluicegate.testing import MIB, Bandwidth, Generated, NoAnswer, Reset, SlowClient, Status
from sluicegate.testing.slow_client import Leaving

from .conftest import Serving
from .service import ALONE, PART, PATH, Service
from .test_stalls import PARKING, PARKING_AHEAD

ENDLESS = Generated(1 << 40)
"""A server may take bytes for a client that has left: of a short body, all of them before that is noticed."""

RELEASED_SECONDS = 15.0
"""Far less than `PATIENT`, after which everything is released in any case; on most machines a moment."""


async def _before_the_answer(service: Service, client: SlowClient) -> None:
    service.origin.fail(PATH, NoAnswer())
    await client.send("GET", "/")
    await service.origin.until(lambda origin: origin.busy_connections == 1)


async def _first_chunk(service: Service, client: SlowClient) -> None:
    await client.send("GET", "/")
    await client.read(1)


async def _in_the_middle(service: Service, client: SlowClient) -> None:
    await client.send("GET", "/")
    await client.read(3 * MIB)


async def _reading_ahead(service: Service, client: SlowClient) -> None:
    service.origin.always(Bandwidth(MIB))
    await client.send("GET", "/")
    async with asyncio.timeout(10):
        while service.origin.busy_connections < 2:
            await client.read(PART)


async def _parked(service: Service, client: SlowClient) -> None:
    await client.send("GET", "/")
    await client.read(1)
    await service.origin.until_idle()


async def _waiting(service: Service, client: SlowClient) -> None:
    """For an origin that fails each time, by waits that grow."""
    service.origin.fail(PATH, Reset(MIB), times=1)
    service.origin.fail(PATH, Status(500), first=2)
    await client.send("GET", "/")
    # All that is sure to come: what the client leaves in the sockets may keep the origin from its break.
    await client.read(MIB // 2)
    await service.origin.until(lambda origin: len(origin.requests) >= 3)


@dataclass(frozen=True)
class State:
    reach: Callable[[Service, SlowClient], Awaitable[None]]
    transfers: TransferOptions = ALONE
    how: Leaving = "reset"


STATES: list[Any] = [
    pytest.param(State(_before_the_answer), id="before-the-answer"),
    pytest.param(State(_first_chunk, how="close"), id="first-chunk"),
    pytest.param(State(_in_the_middle), id="in-the-middle"),
    pytest.param(State(_reading_ahead, PARKING_AHEAD), id="reading-ahead"),
    pytest.param(State(_parked, PARKING, "close"), id="parked"),
    pytest.param(State(_waiting), id="waiting-to-ask-again"),
]


@pytest.mark.parametrize("state", STATES)
async def test_client_that_leaves_releases_everything(served: Serving, state: State) -> None:
    async with served(state.transfers, content=ENDLESS) as service:
        async with SlowClient(service.url) as client:
            await state.reach(service, client)
            client.leave(state.how)
            async with asyncio.timeout(RELEASED_SECONDS):
                record = await service.record()
            await service.origin.until_idle(RELEASED_SECONDS)
        assert (record.outcome, service.budget.taken) == (Outcome.CLIENT_GONE, 0)
        # A request may have been given up before it was sent.
        assert record.requests >= len(service.asked)
        assert record.parkings == int(state.reach is _parked)


async def test_next_client_finds_nothing_of_those_that_left(served: Serving) -> None:
    content = Generated(8 * MIB)
    async with served(content=content) as service:
        for _ in range(3):
            async with service.client() as client:
                await client.read(1)
                client.leave("reset")
                assert (await service.record()).bytes_sent > 0
        answer, record = await service.get()
        assert (answer.complete, answer.content == content.read()) == (True, True)
        assert (record.outcome, record.requests) == (Outcome.COMPLETE, 1)
