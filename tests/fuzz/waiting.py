"""The event loop that targets wait in: they are plain functions, and are called a million times."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST_SECONDS = 10.0
"""How long anything may take that a target waits for: what takes longer hangs."""


@dataclass
class _Waiting:
    """A loop, what is open in it, and what is on the disk meanwhile."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    holders: list[asyncio.Task[None]] = field(default_factory=list)
    kept: ExitStack = field(default_factory=ExitStack)


@cache
def _waiting() -> _Waiting:
    return _Waiting()


def loop() -> asyncio.AbstractEventLoop:
    """The loop itself."""
    return _waiting().loop


def kept() -> ExitStack:
    """What goes when everything is closed."""
    return _waiting().kept


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns; raises `TimeoutError` for one that hangs."""
    return loop().run_until_complete(asyncio.wait_for(coroutine, LONGEST_SECONDS))


def opened(context: AbstractAsyncContextManager[T]) -> T:
    """Enter a context, which is left by the task that entered it when everything is closed."""
    waiting = _waiting()
    entered: asyncio.Future[T] = waiting.loop.create_future()
    waiting.holders.append(waiting.loop.create_task(_hold(context, entered, waiting.ended)))
    return waiting.loop.run_until_complete(entered)


def close() -> None:
    """Close everything. Nothing can be waited for after that."""
    waiting = _waiting()
    waiting.ended.set()
    waiting.loop.run_until_complete(asyncio.wait_for(_ended(waiting.holders), LONGEST_SECONDS))
    waiting.loop.run_until_complete(waiting.loop.shutdown_asyncgens())
    waiting.loop.run_until_complete(waiting.loop.shutdown_default_executor())
    waiting.loop.close()
    waiting.kept.close()


async def _hold(
    context: AbstractAsyncContextManager[T], entered: asyncio.Future[T], ended: asyncio.Event
) -> None:
    try:
        async with context as value:
            entered.set_result(value)
            await ended.wait()
    except Exception as exc:
        if entered.done():
            raise
        entered.set_exception(exc)


async def _ended(holders: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*holders)
