"""Bodies as sequences of parts: they survive their connections, run ahead of fast clients, and leave the
origin alone while the client takes nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from sluicegate.errors import OriginTimeout
from sluicegate.flow.ahead import AheadPart
from sluicegate.flow.part import Part, Transfer
from sluicegate.flow.plan import PERIOD_SECONDS, Period, Window, part_at, widest
from sluicegate.http.ranges import Span
from sluicegate.sources.base import Body, Chunk

FIRST_CHUNK: Final = 16 * 1024
"""Bytes of the first chunk: nobody knows yet whether this client takes any. What a server has been given it
holds until the client takes it, so this decides what a stalled client costs."""

GROWTH: Final = 8
"""A client that has taken so many times a chunk's bytes without a pause gets larger ones. So a client that
stalls costs an 8th of what the sockets hold for it, and one that does not gets 10 MB in 50 chunks."""

OBSTACLE_SECONDS: Final = 1.0
"""How long a run that could go on waits for the first part behind it to be answered."""

PAUSE_SECONDS: Final = 0.05
"""A client that takes longer for a chunk has paused, and gets small ones again."""


class PartsBody:
    """The bytes of `span`, which `body` begins.

    - A connection that breaks is replaced, see `Part`.
    - Where the client takes more than one connection gives, the parts behind are fetched at the same time,
      inside the transfer's own limit and the budget that it shares.
    - Where the client takes nothing for `park_after` seconds, no connection and no part is held.
    """

    def __init__(self, transfer: Transfer, span: Span, body: Body) -> None:
        options = transfer.options
        self._loop = asyncio.get_running_loop()
        self._transfer = transfer
        self._span = span
        # The bytes before `_fetched` have come; those before `_position` went on to the client, and what is
        # between is `_rest`.
        self._position = self._fetched = span.start
        self._rest: Chunk = b""
        self._head: Part | AheadPart | None = Part(transfer, span, body)
        self._ahead: deque[AheadPart] = deque()
        self._leaving: list[Part | AheadPart] = []
        self._window = Window(widest(options.part_size, options.read_ahead))
        self._restart_period(self._loop.time())
        self._is_reading = False
        self._handed_at = self._period_start
        self._steady_since = span.start
        self._timer: asyncio.TimerHandle | None = None
        self._parking: asyncio.Task[None] | None = None

    async def read(self) -> Chunk:
        """The next bytes; empty at the end."""
        began = self._loop.time()
        if began - self._handed_at > PAUSE_SECONDS:
            self._steady_since = self._position
        if not self._rest:
            self._is_reading = True
            try:
                await self._fetch(began)
            finally:
                self._is_reading = False
        return self._hand_over()

    async def aclose(self) -> None:
        """Give back every connection, and forget what was fetched."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._position < self._span.stop:
            self._transfer.memory.soon()
        self._let_go()
        self._rest, self._position, self._fetched = b"", self._span.stop, self._span.stop
        if self._parking is not None:
            self._transfer.version.tally.unpark(self._loop.time())
            await asyncio.wait((self._parking,))
        await self._release()

    # Fetching.

    async def _fetch(self, began: float) -> None:
        """Have the next bytes in `_rest`; nothing at the end."""
        self._transfer.progress.at = began
        if self._parking is not None:
            await self._unpark(self._parking, began)
        self._rest = await self._next()
        self._fetched += len(self._rest)
        if self._window.limit > 1:
            self._watch(began)

    async def _next(self) -> Chunk:
        while True:
            if self._head is None:
                if self._fetched == self._span.stop:
                    return b""
                self._head = self._next_head()
                self._fill_window()
            if chunk := await self._head.read():
                return chunk
            if not await self._goes_on(self._head):
                self._leaving.append(self._head)
                self._head = None
            await self._release()

    async def _goes_on(self, head: Part | AheadPart) -> bool:
        """Whether a run that ended for the parts behind it has to go on, because they cannot be had.

        An origin may refuse a second connection, or not do with ranges what it says: what one connection
        would have brought must not break for the sake of speed.
        """
        if not (self._ahead and isinstance(head, Part)):
            return False
        try:
            async with asyncio.timeout(OBSTACLE_SECONDS):
                obstacle = await self._ahead[0].obstacle()
        except TimeoutError:
            obstacle = OriginTimeout(f"no answer to another request within {OBSTACLE_SECONDS} s")
        if obstacle is None:
            return False
        self._leaving.extend(self._ahead)
        self._ahead.clear()
        self._window = self._window.without(self._loop.time(), for_good=not obstacle.retryable)
        head.end_at(self._span.stop)
        return True

    def _next_head(self) -> Part | AheadPart:
        """What is read next: the part that was fetched ahead, or else a run to the end of the span."""
        if self._ahead:
            return self._ahead.popleft()
        return Part(self._transfer, Span(self._fetched, self._span.stop))

    def _watch(self, began: float) -> None:
        """Count the wait that `began` then, and now and then look at the window."""
        now = self._loop.time()
        self._period_waited += now - began
        seconds = now - self._period_start
        if seconds < PERIOD_SECONDS:
            return
        arrived = self._transfer.progress.arrived - self._period_arrived
        self._window = self._window.after(Period(seconds, arrived, self._period_waited), now)
        self._restart_period(now)
        self._fill_window()

    def _restart_period(self, now: float) -> None:
        self._period_start, self._period_waited = now, 0.0
        self._period_arrived = self._transfer.progress.arrived

    def _fill_window(self) -> None:
        """Fetch parts ahead until the window is full, or a budget is."""
        while self._head is not None and 1 + len(self._ahead) < self._window.width:
            start = self._end_of_plan(self._head)
            if start == self._span.stop:
                return
            part = part_at(start, self._span, self._transfer.options.part_size)
            if not self._transfer.budget.take(part.length):
                return
            if not self._ahead and isinstance(self._head, Part):
                self._head.end_at(start)
            self._ahead.append(AheadPart(Part(self._transfer, part)))

    def _end_of_plan(self, head: Part | AheadPart) -> int:
        """Where the parts end that are being fetched; a run, at the end of the part that it is in."""
        if self._ahead:
            return self._ahead[-1].stop
        if isinstance(head, AheadPart):
            return head.stop
        return part_at(head.position, Span(head.position, head.stop), self._transfer.options.part_size).stop

    def _let_go(self) -> None:
        """Fetch nothing any more. What is to be closed for that is in `_leaving`."""
        if self._head is not None:
            self._leaving.append(self._head)
            self._head = None
        self._leaving.extend(self._ahead)
        self._ahead.clear()

    async def _release(self) -> None:
        """Close what is to be closed. If it is cancelled, it may be called again."""
        for part in self._leaving:
            if isinstance(part, AheadPart):
                part.cancel()
        while self._leaving:
            part = self._leaving[-1]
            await part.aclose()
            self._leaving.pop()
            if isinstance(part, AheadPart):
                self._transfer.budget.give_back(part.length)

    # Handing over.

    def _hand_over(self) -> Chunk:
        """What the client gets next of what is there."""
        self._handed_at = self._loop.time()
        chunk, self._rest = self._rest, b""
        size = max(FIRST_CHUNK, (self._position - self._steady_since) // GROWTH)
        if len(chunk) > size:
            view = memoryview(chunk)
            # A copy: who sends a view of it would hold the whole of the chunk.
            chunk, self._rest = bytes(view[:size]), view[size:]
        self._position += len(chunk)
        park_after = self._transfer.options.park_after
        if self._timer is None and park_after is not None and chunk:
            self._timer = self._loop.call_later(park_after, self._look_for_a_stall, park_after)
        return chunk

    # Parking.

    def _look_for_a_stall(self, park_after: float) -> None:
        """Park, or look again when it may be time: one timer for a transfer, and not one for each chunk."""
        self._timer = None
        if self._is_reading or self._parking is not None:
            return
        due = self._handed_at + park_after
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look_for_a_stall, park_after)
        elif self._head is not None:
            self._park()

    def _park(self) -> None:
        """Hold nothing but the position, and the last few bytes if they are the last."""
        self._let_go()
        if self._fetched < self._span.stop or len(self._rest) > FIRST_CHUNK:
            self._rest, self._fetched = b"", self._position
        self._transfer.version.tally.park(self._loop.time())
        self._parking = self._loop.create_task(self._release(), name="sluicegate-park")
        self._transfer.memory.soon()

    async def _unpark(self, parking: asyncio.Task[None], now: float) -> None:
        await asyncio.wait((parking,))
        self._parking = None
        self._transfer.version.tally.unpark(now)
        self._window = Window(self._window.limit)
        self._restart_period(now)
