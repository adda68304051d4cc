"""Bytes a second: token buckets that transfers share, and the bodies that wait for their tokens.

The wait is in `read`, where the origin's waits are: a client that gets its bytes slowly because of us is
never taken for one that takes them slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from heapq import heappop, heappush
from types import TracebackType
from typing import Final, Self

from sluicegate.sources.base import Body, Chunk, Found, OpenOutcome, OpenRequest, Source
from sluicegate.sources.options import check_count

MIN_RATE: Final = 1024
"""Bytes a second: slower, a single piece takes so long that proxies and clients take the server for dead."""

MIN_PIECE: Final = 4096
"""Bytes: smaller pieces cost more in messages than they smooth."""

PIECE_SECONDS: Final = 0.1
"""A piece is what the slowest rate gives in so long: a client sees a steady stream, at ten wakes a second."""

BURST_SECONDS: Final = 0.25
"""What a bucket holds if nobody says: a page's images come at once, and no second sees more than 1.25 times
the rate."""


MIN_BURST_SECONDS: Final = 0.01
"""Timers are a millisecond or two late: a bucket that holds less is full by then, and the rate is lost."""

MIN_WAIT_SECONDS: Final = 0.001
"""What timers can do; a wait that only rounding errors are left of would turn the event loop in circles."""


class Throttle:
    """At most `bytes_per_second` for all transfers together that it is given to, after `burst` bytes at once.

    A token bucket by virtual scheduling: all that is stored is when the bucket will be full again. In any
    `t` seconds it grants at most `bytes_per_second * t + burst` bytes. Where tokens are short, transfers get
    equal shares in bytes, whatever the size of their pieces, by self-clocked fair queueing (Golestani, 1994).
    It belongs to the event loop that it is used in, and needs none to be made.

    Raises `BadOptions` for a rate below `MIN_RATE`, or a burst below `MIN_PIECE` or 10 ms of the rate.
    """

    def __init__(self, bytes_per_second: int, burst: int | None = None) -> None:
        check_count("bytes_per_second", bytes_per_second, MIN_RATE)
        least = max(MIN_PIECE, int(bytes_per_second * MIN_BURST_SECONDS))
        if burst is not None:
            check_count(f"burst at {bytes_per_second} a second", burst, least, "bytes")
        self.bytes_per_second = bytes_per_second
        self.burst = max(MIN_PIECE, int(bytes_per_second * BURST_SECONDS)) if burst is None else burst
        self._full_at = 0.0
        self._served = 0
        self._arrivals = 0
        self._queue: list[_Turn] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def piece_size(self) -> int:
        """The most bytes to ask for at once: half the bucket, so that it goes on filling while one waits."""
        return max(MIN_PIECE, min(self.burst // 2, int(self.bytes_per_second * PIECE_SECONDS)))

    @property
    def waiting(self) -> int:
        """How many transfers wait for tokens."""
        return sum(not turn.granted.done() for turn in self._queue)

    async def _take(self, share: _Share, size: int) -> None:
        """Wait until it is this share's turn and `size` tokens are there, and take them."""
        loop = asyncio.get_running_loop()
        # By the end of a turn and not by its start: else transfers that just came would always be first, and
        # while they come faster than they are served no other would get anything.
        share.finish = max(self._served, share.finish) + size
        if not self._queue and self._seconds_until(size, loop.time()) <= 0:
            self._grant(share.finish, size, loop.time())
            return
        self._arrivals += 1
        turn = _Turn(share.finish, self._arrivals, size, loop.create_future())
        heappush(self._queue, turn)
        self._serve()
        try:
            await turn.granted
        except asyncio.CancelledError:
            self._give_back(0 if turn.granted.cancelled() else size)
            raise

    def _give_back(self, size: int) -> None:
        """Tokens of bytes that nobody got: others have them. Never more than were taken."""
        self._full_at -= size / self.bytes_per_second
        self._serve()

    def _seconds_until(self, size: int, now: float) -> float:
        full_in = max(self._full_at - now, 0.0)
        return full_in - (self.burst - size) / self.bytes_per_second

    def _grant(self, finish: int, size: int, now: float) -> None:
        self._full_at = max(self._full_at, now) + size / self.bytes_per_second
        self._served = finish

    def _serve(self) -> None:
        """Grant what can be granted, in order, and wake up for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            turn = self._queue[0]
            # Who left its turn is dropped when it is its turn; nobody looks for it before.
            if not turn.granted.cancelled() and not self._is_granted(turn):
                return
            heappop(self._queue)

    def _is_granted(self, turn: _Turn) -> bool:
        """Whether there are tokens for `turn`, which has them then; if not, look again when there are."""
        loop = asyncio.get_running_loop()
        seconds = self._seconds_until(turn.size, loop.time())
        if seconds > 0:
            self._timer = loop.call_later(max(seconds, MIN_WAIT_SECONDS), self._serve)
            return False
        self._grant(turn.finish, turn.size, loop.time())
        turn.granted.set_result(None)
        return True


class _Share:
    """What one transfer has had of a throttle, in the throttle's virtual time, which is counted in bytes."""

    __slots__ = ("finish", "throttle")

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.finish = 0


class _Turn:
    """A place in the queue of a throttle: by the virtual time at which it ends, and then by arrival."""

    __slots__ = ("_order", "finish", "granted", "size")

    def __init__(self, finish: int, arrival: int, size: int, granted: asyncio.Future[None]) -> None:
        self._order = (finish, arrival)
        self.finish = finish
        self.size = size
        self.granted = granted

    def __lt__(self, other: _Turn) -> bool:
        return self._order < other._order


class ThrottledBody:
    """The bytes of `body`, in pieces that wait for tokens of all `throttles`, one after the other.

    The bytes that `read` returns obey the last throttle in every window. Of each of the others a transfer
    may hold one piece back meanwhile, so put the widest last: client, route, process.
    """

    def __init__(self, body: Body, throttles: Sequence[Throttle]) -> None:
        self._body = body
        self._shares = [_Share(throttle) for throttle in throttles]
        self._piece_size = min((throttle.piece_size for throttle in throttles), default=0)
        self._rest: Chunk = b""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is held any more."""
        return not self._rest and getattr(self._body, "is_closed", False) is True

    async def read(self) -> Chunk:
        """The next piece; empty at the end."""
        if not self._rest:
            self._rest = await self._body.read()
        if not self._shares or not self._rest:
            return self._hand_over(len(self._rest))
        size = min(len(self._rest), self._piece_size)
        await self._take(size)
        return self._hand_over(size)

    async def aclose(self) -> None:
        """Close the body."""
        self._rest = b""
        await self._body.aclose()

    async def _take(self, size: int) -> None:
        taken = 0
        try:
            for share in self._shares:
                await share.throttle._take(share, size)
                taken += 1
        except asyncio.CancelledError:
            for share in self._shares[:taken]:
                share.throttle._give_back(size)
            raise

    def _hand_over(self, size: int) -> Chunk:
        chunk, self._rest = self._rest, b""
        if len(chunk) <= size:
            return chunk
        view = memoryview(chunk)
        self._rest = view[size:]
        # A copy, which the server needs in any case: who sends a view would hold the whole of the chunk.
        return bytes(view[:size])


class ThrottledSource:
    """`source`, whose bodies together give at most `bytes_per_second`, after `burst` bytes at once.

    What it is asked and what it answers stay as they are. Raises `BadOptions`, as `Throttle` does.
    """

    def __init__(self, source: Source, bytes_per_second: int, burst: int | None = None) -> None:
        self.source = source
        self.throttle = Throttle(bytes_per_second, burst)

    async def __aenter__(self) -> Self:
        """Enter the source."""
        await self.source.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave it."""
        await self.source.__aexit__(exc_type, exc, traceback)

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the source for `key`."""
        outcome = await self.source.open(key, request)
        if not isinstance(outcome, Found) or request.head:
            return outcome
        return Found(outcome.metadata, outcome.span, ThrottledBody(outcome.body, (self.throttle,)))
