"""A body is closed to its end, whoever cancels whom meanwhile."""

import asyncio

import anyio
import pytest

from sluicegate.flow.closing import close
from sluicegate.sources.base import Chunk

from .virtual_time import run


class SlowToClose:
    """A body whose closing takes a second, and begins again where it was interrupted."""

    def __init__(self, steps: int = 1) -> None:
        self.steps = steps
        self.attempts = 0

    async def read(self) -> Chunk:
        return b""

    async def aclose(self) -> None:
        self.attempts += 1
        while self.steps:
            await asyncio.sleep(1)
            self.steps -= 1


def test_body_is_closed_though_its_task_is_cancelled_again_and_again() -> None:
    async def main() -> SlowToClose:
        body = SlowToClose(3)
        closing = asyncio.ensure_future(close(body, 60))
        for _ in range(4):
            await asyncio.sleep(0.4)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        return body

    body = run(main())
    assert (body.steps, body.attempts) == (0, 5)


def test_body_is_closed_in_a_cancelled_scope() -> None:
    async def main() -> SlowToClose:
        body = SlowToClose()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await close(body)
        return body

    assert run(main()).steps == 0


def test_body_that_does_not_close_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await close(SlowToClose(3600), 5.0)
        return loop.time() - began

    assert run(main()) == pytest.approx(5.0, abs=0.1)
    assert "abandoned" in caplog.text


def test_body_that_cancels_itself_does_not_close_for_ever() -> None:
    class Cancelled(SlowToClose):
        async def aclose(self) -> None:
            raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await close(Cancelled())

    run(main())
