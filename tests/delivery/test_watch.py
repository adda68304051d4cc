"""A client that is lost is told from every other cancellation, and leaves no trace in the task."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from sluicegate.delivery.pace import DrainLimit
from sluicegate.delivery.watch import ClientWatch
from sluicegate.errors import ClientGone, ClientTooSlow

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
        async with ClientWatch(_leaving()):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_block_that_ends_by_itself_is_left_alone() -> None:
    async with ClientWatch(_staying()):
        await asyncio.sleep(SOON)
    assert _cancelling() == 0


async def test_request_body_is_read_past() -> None:
    messages = [{"type": "http.request", "more_body": True}] * 3 + [{"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    with pytest.raises(ClientGone):
        async with ClientWatch(receive):
            await asyncio.Event().wait()


async def test_pieces_of_the_request_that_are_gone_are_told() -> None:
    pieces = [b"", b"abc", b"", b"de"]
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"})
    sizes: list[int] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    with pytest.raises(ClientGone):
        async with ClientWatch(receive, discarded=sizes.append):
            await asyncio.Event().wait()
    assert sizes == [3, 2]


async def test_cancellation_from_elsewhere_stays_one() -> None:
    async def run() -> None:
        async with ClientWatch(_staying()):
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.sleep(SOON)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_timeout_around_the_watch_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON), ClientWatch(_staying()):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_timeout_inside_the_watch_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with ClientWatch(_staying()), asyncio.timeout(SOON):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_disconnect_through_a_timeout_of_the_block_is_a_disconnect() -> None:
    with pytest.raises(ClientGone):
        async with ClientWatch(_leaving()), asyncio.timeout(30):
            await asyncio.Event().wait()
    assert _cancelling() == 0


async def test_disconnect_through_scopes_of_the_block_is_a_disconnect() -> None:
    async def block() -> None:
        with anyio.move_on_after(30), anyio.CancelScope(shield=True):
            await asyncio.Event().wait()

    with pytest.raises(ClientGone):
        async with ClientWatch(_leaving()):
            await block()
    assert _cancelling() == 0


async def test_disconnect_inside_a_scope_leaves_the_scope_usable() -> None:
    with anyio.move_on_after(5) as scope:
        with pytest.raises(ClientGone):
            async with ClientWatch(_leaving()):
                await asyncio.Event().wait()
        await anyio.sleep(SOON)
    assert (scope.cancel_called, _cancelling()) == (False, 0)


async def test_scope_that_is_cancelled_around_the_watch_catches_its_own() -> None:
    with anyio.move_on_after(SOON) as scope:
        async with ClientWatch(_staying()):
            await asyncio.Event().wait()
    assert (scope.cancelled_caught, _cancelling()) == (True, 0)


@pytest.mark.parametrize("delay", [0.0, 0.001])
async def test_scope_and_disconnect_at_the_same_time_end_both(delay: float) -> None:
    with anyio.CancelScope() as scope:

        async def receive() -> dict[str, Any]:
            scope.cancel()
            await asyncio.sleep(delay)
            return {"type": "http.disconnect"}

        async with ClientWatch(receive):
            await asyncio.Event().wait()
    assert (scope.cancelled_caught, _cancelling()) == (True, 0)


async def test_task_group_around_the_watch_ends_only_the_task_that_is_told() -> None:
    ended: list[str] = []
    is_told = asyncio.Event()

    async def watched() -> None:
        with pytest.raises(ClientGone):
            async with ClientWatch(_leaving()):
                await asyncio.Event().wait()
        ended.append("watched")
        is_told.set()

    async def other() -> None:
        async with asyncio.timeout(10):
            await is_told.wait()
        ended.append("other")

    async with anyio.create_task_group() as group:
        group.start_soon(watched)
        group.start_soon(other)
    assert ended == ["watched", "other"]


async def test_block_that_swallows_the_cancellation_leaves_no_trace() -> None:
    async with ClientWatch(_leaving()):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
    assert _cancelling() == 0
    await asyncio.sleep(SOON)


async def test_first_look_begins_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    async def block() -> None:
        async with ClientWatch(_leaving()) as watch:
            watch.look()
            await asyncio.Event().wait()

    monkeypatch.setattr("sluicegate.delivery.watch.GRACE_SECONDS", 1000.0)
    with pytest.raises(ClientGone):
        await block()
    assert _cancelling() == 0


async def test_look_ends_a_block_that_swallowed_the_cancellation() -> None:
    async def block() -> None:
        async with ClientWatch(_leaving()) as watch:
            with pytest.raises(asyncio.CancelledError):
                await asyncio.Event().wait()
            watch.look()

    with pytest.raises(ClientGone):
        await block()
    assert _cancelling() == 0


async def test_look_at_a_client_that_stays_is_nothing() -> None:
    async with ClientWatch(_staying()) as watch:
        for _ in range(3):
            watch.look()
            await asyncio.sleep(0)
    assert _cancelling() == 0


async def test_failure_while_leaving_is_the_failure() -> None:
    async def block() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with ClientWatch(_leaving()):
            await block()
    assert _cancelling() == 0


async def test_receive_that_fails_is_no_disconnect() -> None:
    async def receive() -> dict[str, Any]:
        raise RuntimeError("a middleware's receive")

    async with ClientWatch(receive):
        await asyncio.sleep(0.3)


async def _never(message: Any) -> None:
    await asyncio.Event().wait()


def _content(size: int) -> dict[str, Any]:
    return {"type": "http.response.body", "body": bytes(size), "more_body": False}


async def test_client_that_takes_nothing_ends_the_block() -> None:
    watch = ClientWatch(_staying(), DrainLimit(10**9, SOON))
    with pytest.raises(ClientTooSlow):
        async with watch:
            await watch.paced(_never)(_content(10))
    assert _cancelling() == 0


async def test_block_that_offers_nothing_is_not_too_slow() -> None:
    async with ClientWatch(_staying(), DrainLimit(10**9, SOON)):
        await asyncio.sleep(5 * SOON)
    assert _cancelling() == 0


async def test_client_that_is_lost_in_two_ways_is_lost_once() -> None:
    async def block(watch: ClientWatch) -> None:
        async with watch:
            try:
                await watch.paced(_never)(_content(10))
            finally:
                # The disconnect is noticed meanwhile.
                await asyncio.sleep(0.3)

    with pytest.raises(ClientTooSlow):
        await block(ClientWatch(_leaving(), DrainLimit(10**9, SOON)))
    assert _cancelling() == 0


async def test_without_a_limit_nothing_stands_between() -> None:
    assert ClientWatch(_staying()).paced(_never) is _never
