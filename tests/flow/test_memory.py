"""Memory is given back once for many that ask, and nowhere that has no way to."""

import asyncio

from sluicegate.flow.memory import PERIOD_SECONDS, MemoryReturn


async def test_memory_is_given_back_once_for_all_who_asked() -> None:
    calls: list[int] = []
    given_back = asyncio.Event()
    loop = asyncio.get_running_loop()

    def release(pad: int) -> int:
        calls.append(pad)
        loop.call_soon_threadsafe(given_back.set)
        return 1

    memory = MemoryReturn(release)
    for _ in range(3):
        memory.soon()
    async with asyncio.timeout(PERIOD_SECONDS + 10):
        await given_back.wait()
    assert calls == [0]
    given_back.clear()
    memory.soon()
    async with asyncio.timeout(PERIOD_SECONDS + 10):
        await given_back.wait()
    assert calls == [0, 0]


async def test_nothing_is_planned_where_there_is_no_way_to_give_back() -> None:
    MemoryReturn(None).soon()
