"""The clock of transfers is finer than that of the event loop."""

import asyncio

import pytest
import uvloop

from sluicegate.flow import clock


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_it_tells_microseconds_and_agrees_with_the_loop(new_loop: object) -> None:
    async def read() -> tuple[float, list[float], float]:
        loop = asyncio.get_running_loop()
        before, times = loop.time(), [clock.now() for _ in range(10_000)]
        # uvloop reads its clock once in a turn.
        await asyncio.sleep(0.002)
        return before, times, loop.time()

    with asyncio.Runner(loop_factory=new_loop) as runner:  # type: ignore[arg-type]
        before, times, after = runner.run(read())
    assert any(time * 1000 % 1 > 1e-6 for time in times)
    assert times == sorted(times)
    assert before <= times[0]
    assert times[-1] <= after
