"""An event loop whose clock jumps over every wait: hours of pauses and faults in no time, without I/O."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from sluicegate.flow import clock
from sluicegate.flow.memory import MemoryReturn

Result = TypeVar("Result")

NO_RETURN = MemoryReturn(None)
"""For sources that run in it: a thread would be outside of its time."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: it tells the clock how far to jump instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise AssertionError("everything waits, and for nothing that will ever happen")
        self.now += max(timeout, 1e-6)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose `time` is that of the selector."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` in virtual time; no task of it may be left over."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", runner.get_loop().time)
        return runner.run(_alone(main))


async def _alone(main: Coroutine[Any, Any, Result]) -> Result:
    result = await main
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks are left over: {left}"
    return result
