"""Notice that the client went away, or takes too little, whatever the transfer is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Self, cast

from sluicegate.delivery.pace import DrainLimit, Pace
from sluicegate.errors import ClientGone, ClientTooSlow

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

GRACE_SECONDS: Final = 0.2
"""Watching begins this late, or with the first `look`: most answers are over by then, and cost a timer
instead of a task. With the time that a cancellation takes, a client that leaves is noticed well within a
second."""


class ClientWatch:
    """While entered, cancels the block when the client is lost; the block then raises what it was lost by.

    That is `ClientGone` if it disconnected, and `ClientTooSlow` if there is a `limit` and it took less of
    what was sent by `paced`. A cancellation that comes from elsewhere passes through as it is. Spec 2.3
    servers let `send` return silently after a disconnect, so `receive` is the only one to tell. What else it
    tells is a piece of the request's body, which is gone: `discarded` is called with its size.
    """

    def __init__(
        self,
        receive: Receive,
        limit: DrainLimit | None = None,
        discarded: Callable[[int], None] | None = None,
    ) -> None:
        self._receive = receive
        self._discarded = discarded
        self._limit = limit
        self._pace = None if limit is None else Pace(limit)
        self._lost: ClientGone | ClientTooSlow | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._judging: asyncio.TimerHandle | None = None

    def paced(self, send: Send) -> Send:
        """`send` under the limit: content goes in pieces that can be judged, and is timed."""
        limit, pace = self._limit, self._pace
        if limit is None or pace is None:
            return send
        time = asyncio.get_running_loop().time

        async def paced_send(message: Message) -> None:
            content = message.get("body", b"")
            for start in range(0, len(content), limit.piece_size):
                stop = start + limit.piece_size
                more = stop < len(content) or message.get("more_body", False)
                pace.offer(len(content[start:stop]), time())
                await send({**message, "body": content[start:stop], "more_body": more})
                pace.take(time())
            if not content:
                await send(message)

        return paced_send

    async def __aenter__(self) -> Self:
        """Arm the watch."""
        loop = asyncio.get_running_loop()
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._timer = loop.call_later(GRACE_SECONDS, self._start)
        if self._limit is not None:
            self._judging = loop.call_later(self._limit.seconds, self._judge)
        return self

    def look(self) -> None:
        """Watch from now on. Raises what the client was lost by, if the block outlived its cancellation."""
        if self._lost is not None:
            raise self._lost
        if self._watcher is None:
            self._timer.cancel()
            self._start()

    def _start(self) -> None:
        self._watcher = self._task.get_loop().create_task(self._watch(), name="sluicegate-watch")

    async def _watch(self) -> None:
        while (message := await self._receive())["type"] != "http.disconnect":
            if self._discarded is not None and message.get("body"):
                self._discarded(len(message["body"]))
        self._lose(ClientGone("the client disconnected"))

    def _judge(self) -> None:
        """Look at the pace: one timer for the transfer, however many pieces it sends."""
        if self._pace is None or self._limit is None:
            return
        loop = self._task.get_loop()
        seconds = self._pace.seconds_left(loop.time())
        if seconds is not None:
            self._judging = loop.call_later(seconds, self._judge)
            return
        least = f"{self._limit.rate} bytes/s over {self._limit.seconds} s"
        self._lose(ClientTooSlow(f"the client took less than {least} of what was ready for it"))

    def _lose(self, lost: ClientGone | ClientTooSlow) -> None:
        # The first one counts. A second cancellation would be taken for one from elsewhere.
        if self._lost is None:
            self._lost = lost
            self._task.cancel(str(lost))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the watch, and tell a lost client from other cancellations."""
        self._timer.cancel()
        if self._judging is not None:
            self._judging.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            # Ends at once; what it raised, if anything, is of no more interest than a disconnect is.
            self._watcher.add_done_callback(_retrieve)
        if (
            self._lost is not None
            and self._task.uncancel() <= self._cancelling
            and isinstance(exc, asyncio.CancelledError)
        ):
            lost, self._lost = self._lost, None
            try:
                raise lost from exc
            finally:
                # Its traceback holds this frame, and with it all that the transfer held: a circle would keep
                # that until the garbage collector comes by.
                del lost


def _retrieve(watcher: asyncio.Task[None]) -> None:
    if not watcher.cancelled():
        watcher.exception()
