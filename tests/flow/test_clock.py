"""The clock of transfers is finer than that of the event loop."""

import asyncio

import pytest
import uvloop

from sluicegate.flow import clock


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_it_tells_microseconds_and_agrees_with_the_loop(new_loop: object) -> None:
    async def read() -> tuple[list[float], float]:
        return [clock.now() for _ in range(10_000)], asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=new_loop) as runner:  # type: ignore[arg-type]
        times, time_of_loop = runner.run(read())
    assert any(time * 1000 % 1 > 1e-6 for time in times)
    assert times == sorted(times)
    assert times[0] - 0.001 <= time_of_loop <= times[-1] + 1
