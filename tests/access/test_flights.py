"""Work that several wait for: once for all, until the last of them has gone."""

import asyncio

import pytest

from sluicegate.access.flights import FlightEnded, Flights
from sluicegate.testing import assert_no_leak


class Work:
    """Counts how often it was begun, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.on_its_way = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        self.on_its_way.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.begun


async def test_all_who_join_meanwhile_share_one() -> None:
    work, flights = Work(), Flights[str, int]()
    async with assert_no_leak():
        waiters = [asyncio.create_task(flights.join("key", work)) for _ in range(10)]
        await work.on_its_way.wait()
        work.go.set()
        assert await asyncio.gather(*waiters) == [1] * 10


async def test_who_joins_afterwards_begins_another_one() -> None:
    work, flights = Work(), Flights[str, int]()
    work.go.set()
    assert [await flights.join("key", work), await flights.join("key", work)] == [1, 2]


async def test_other_key_is_another_one() -> None:
    work, flights = Work(), Flights[str, int]()
    work.go.set()
    await asyncio.gather(flights.join("a", work), flights.join("b", work))
    assert work.begun == 2


async def test_failure_is_that_of_all_who_wait() -> None:
    async def fail() -> int:
        raise OSError("no service")

    flights = Flights[str, int]()
    results = await asyncio.gather(*[flights.join("key", fail) for _ in range(3)], return_exceptions=True)
    assert [str(result) for result in results] == ["no service"] * 3


async def test_one_who_is_cancelled_leaves_it_to_the_others() -> None:
    work, flights = Work(), Flights[str, int]()
    first, second = (asyncio.create_task(flights.join("key", work)) for _ in range(2))
    await work.on_its_way.wait()
    first.cancel()
    await asyncio.wait([first])
    work.go.set()
    assert (first.cancelled(), await second, work.cancelled) == (True, 1, 0)


async def test_with_the_last_one_it_is_cancelled_and_nobody_joins_it_any_more() -> None:
    work, flights = Work(), Flights[str, int]()
    async with assert_no_leak():
        waiters = [asyncio.create_task(flights.join("key", work)) for _ in range(2)]
        await work.on_its_way.wait()
        for waiter in waiters:
            waiter.cancel()
        await asyncio.wait(waiters)
        work.go.set()
        assert await flights.join("key", work) == 2
        assert work.cancelled == 1


async def test_closing_ends_it_and_tells_those_who_wait() -> None:
    work, flights = Work(), Flights[str, int]()
    async with assert_no_leak():
        waiter = asyncio.create_task(flights.join("key", work))
        await work.on_its_way.wait()
        await flights.aclose()
        assert work.cancelled == 1
        with pytest.raises(FlightEnded):
            await waiter
        await flights.aclose()


async def test_closing_waits_for_one_that_everybody_has_left() -> None:
    ended = asyncio.Event()
    leaving = asyncio.Event()

    async def slow_to_end() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            ended.set()
        return 1

    flights = Flights[str, int]()
    waiter = asyncio.create_task(flights.join("key", slow_to_end))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiter.cancel()
    await leaving.wait()
    await flights.aclose()
    assert ended.is_set()
