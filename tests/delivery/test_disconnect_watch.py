"""A disconnect is told from every other cancellation, and leaves no trace in the task."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from sluicegate.delivery.disconnect import DisconnectWatch
from sluicegate.errors import ClientGone

SOON = 0.02


def _leaving() -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    return receive


def _staying() -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    return receive


def _cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_disconnect_ends_the_block() -> None:
    with pytest.raises(ClientGone):
        async with DisconnectWatch(_leaving()):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_block_that_ends_by_itself_is_left_alone() -> None:
    async with DisconnectWatch(_staying()):
        await asyncio.sleep(SOON)
    assert _cancelling() == 0


async def test_request_body_is_read_past() -> None:
    messages = [{"type": "http.request", "more_body": True}] * 3 + [{"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    with pytest.raises(ClientGone):
        async with DisconnectWatch(receive):
            await asyncio.Event().wait()


async def test_cancellation_from_elsewhere_stays_one() -> None:
    async def run() -> None:
        async with DisconnectWatch(_staying()):
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.sleep(SOON)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_timeout_around_the_watch_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON), DisconnectWatch(_staying()):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_timeout_inside_the_watch_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with DisconnectWatch(_staying()), asyncio.timeout(SOON):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_disconnect_through_a_timeout_of_the_block_is_a_disconnect() -> None:
    with pytest.raises(ClientGone):
        async with DisconnectWatch(_leaving()), asyncio.timeout(30):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_disconnect_through_scopes_of_the_block_is_a_disconnect() -> None:
    async def block() -> None:
        with anyio.move_on_after(30), anyio.CancelScope(shield=True):
            await asyncio.Event().wait()

    with pytest.raises(ClientGone):
        async with DisconnectWatch(_leaving()):
            await block()
    assert _cancelling() == 0


async def test_disconnect_inside_a_scope_leaves_the_scope_usable() -> None:
    with anyio.move_on_after(5) as scope:
        with pytest.raises(ClientGone):
            async with DisconnectWatch(_leaving()):
                await asyncio.Event().wait()
        await anyio.sleep(SOON)
    assert (scope.cancel_called, _cancelling()) == (False, 0)


async def test_scope_that_is_cancelled_around_the_watch_catches_its_own() -> None:
    with anyio.move_on_after(SOON) as scope:
        async with DisconnectWatch(_staying()):
            await asyncio.Event().wait()
    assert (scope.cancelled_caught, _cancelling()) == (True, 0)


@pytest.mark.parametrize("delay", [0.0, 0.001])
async def test_scope_and_disconnect_at_the_same_time_end_both(delay: float) -> None:
    with anyio.CancelScope() as scope:

        async def receive() -> dict[str, Any]:
            scope.cancel()
            await asyncio.sleep(delay)
            return {"type": "http.disconnect"}

        async with DisconnectWatch(receive):
            await asyncio.Event().wait()
    assert (scope.cancelled_caught, _cancelling()) == (True, 0)


async def test_task_group_around_the_watch_ends_only_the_task_that_is_told() -> None:
    ended: list[str] = []

    async def watched() -> None:
        with pytest.raises(ClientGone):
            async with DisconnectWatch(_leaving()):
                await asyncio.Event().wait()
        ended.append("watched")

    async def other() -> None:
        await asyncio.sleep(0.3)
        ended.append("other")

    async with anyio.create_task_group() as group:
        group.start_soon(watched)
        group.start_soon(other)
    assert ended == ["watched", "other"]


async def test_block_that_swallows_the_cancellation_leaves_no_trace() -> None:
    async with DisconnectWatch(_leaving()):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
    assert _cancelling() == 0
    await asyncio.sleep(SOON)


async def test_failure_while_leaving_is_the_failure() -> None:
    async def block() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with DisconnectWatch(_leaving()):
            await block()
    assert _cancelling() == 0


async def test_receive_that_fails_is_no_disconnect() -> None:
    async def receive() -> dict[str, Any]:
        raise RuntimeError("a middleware's receive")

    async with DisconnectWatch(receive):
        await asyncio.sleep(0.3)
