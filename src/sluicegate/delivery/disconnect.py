"""Notice that the client went away, whatever the transfer is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Self, cast

from sluicegate.errors import ClientGone

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

GRACE_SECONDS: Final = 0.2
"""Watching begins this late: most answers are over by then, and cost a timer instead of a task. With the
time that a cancellation takes, a client that leaves is noticed well within a second."""


class DisconnectWatch:
    """While entered, cancels the block when the client disconnects; the block then raises `ClientGone`.

    A cancellation that comes from elsewhere passes through as it is. Spec 2.3 servers let `send` return
    silently after a disconnect, so `receive` is the only one to tell.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Arm the watch."""
        loop = asyncio.get_running_loop()
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._timer = loop.call_later(GRACE_SECONDS, self._start)
        return self

    def _start(self) -> None:
        self._watcher = self._task.get_loop().create_task(self._watch(), name="sluicegate-disconnect")

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel("the client disconnected")

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the watch, and tell a disconnect from other cancellations."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            # Ends at once; what it raised, if anything, is of no more interest than a disconnect is.
            self._watcher.add_done_callback(_retrieve)
        if (
            self._gone
            and self._task.uncancel() <= self._cancelling
            and isinstance(exc, asyncio.CancelledError)
        ):
            raise ClientGone("the client disconnected") from exc


def _retrieve(watcher: asyncio.Task[None]) -> None:
    if not watcher.cancelled():
        watcher.exception()
