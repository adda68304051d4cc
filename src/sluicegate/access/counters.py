"""Counts in the memory of one process, as a storage of the `limits` library.

The library's own looks at every key that it holds with each request (1.7 ms at 20,000 clients), and holds as
many as there are; this one looks at two or three, and is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import floor
from typing import Final

from limits.aio.storage.base import SlidingWindowCounterSupport, Storage

from sluicegate.errors import SluicegateError

MAX_KEYS: Final = 100_000
"""Keys of windows of one length, and uses that are counted: about 25 MB each. Beyond it the windows that
began first are forgotten; a use is refused instead, since to forget it would be to allow it again."""


class Uncounted(SluicegateError):
    """What had to be counted could not be: Redis does not answer, or the memory for it is used up."""

    status = 503
    title = "Busy, try again later"


@dataclass(slots=True)
class _Window:
    """Requests in the window number `index`, and in the one before it."""

    index: int
    current: int = 0
    previous: int = 0

    def roll(self, index: int) -> None:
        """Go on to the window number `index`."""
        if index != self.index:
            self.previous = self.current if index == self.index + 1 else 0
            self.current, self.index = 0, index


class Counters(Storage, SlidingWindowCounterSupport):
    """Sliding windows and plain counters by key. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS) -> None:
        super().__init__()
        self._clock = clock
        self._max_keys = max_keys
        # By the windows' length, and in the order in which they began: the first ones are the oldest.
        self._windows: dict[int, dict[str, _Window]] = {}
        self._uses: dict[str, tuple[int, float]] = {}
        self._ends: list[tuple[float, str]] = []

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What it raises."""
        return Uncounted

    # Sliding windows: of a number of requests in so many seconds.

    def hit(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> tuple[bool, tuple[int, float, int, float]]:
        """Count requests, if `limit` allows them in the last `expiry` seconds; and tell what there is.

        It is both questions of the library in one, at a quarter of their time.
        """
        index, past = self._position(expiry)
        window = self._begun(key, expiry, index)
        is_allowed = floor(window.previous * (1 - past) + window.current) + amount <= limit
        if is_allowed:
            window.current += amount
        left = (1 - past) * expiry
        return is_allowed, (window.previous, left, window.current, left + expiry)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` requests, if fewer than `limit` were made in the last `expiry` seconds."""
        is_allowed, _ = self.hit(key, limit, expiry, amount)
        return is_allowed

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Requests in the window before and the seconds that they still count, and those of this window."""
        index, past = self._position(expiry)
        left = (1 - past) * expiry
        window = self._windows.get(expiry, {}).get(key)
        if window is None:
            return 0, left, 0, left + expiry
        window = _Window(window.index, window.current, window.previous)
        window.roll(index)
        return window.previous, left, window.current, left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget the requests of `key`."""
        self._windows.get(expiry, {}).pop(key, None)

    def _position(self, expiry: int) -> tuple[int, float]:
        """The number of the window that it is now, and how much of it has passed: 0 to 1."""
        index, past = divmod(self._clock() / expiry, 1)
        return int(index), past

    def _begun(self, key: str, expiry: int, index: int) -> _Window:
        windows = self._windows.setdefault(expiry, {})
        window = windows.get(key)
        if window is not None and window.index == index:
            return window
        if window is None:
            self._make_room(windows, index)
            window = _Window(index)
        else:
            del windows[key]
            window.roll(index)
        windows[key] = window
        return window

    def _make_room(self, windows: dict[str, _Window], index: int) -> None:
        """Forget two that count no more: as each new key does so, they go faster than they come."""
        for _ in range(2):
            oldest = next(iter(windows), None)
            if oldest is None or (len(windows) < self._max_keys and windows[oldest].index >= index - 1):
                return
            del windows[oldest]

    # Uses: plain counters that end.

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to the counter of `key`, which begins with it and ends `expiry` seconds later.

        Raises `Uncounted` if there is no room for another one.
        """
        now = self._clock()
        self._forget_ended(now)
        count, ends = self._uses.get(key, (0, now + expiry))
        if count == 0:
            if len(self._uses) >= self._max_keys:
                raise Uncounted(f"{len(self._uses)} uses are being counted, which is the most there can be")
            heappush(self._ends, (ends, key))
        self._uses[key] = count + amount, ends
        return count + amount

    async def get(self, key: str) -> int:
        """The counter of `key`."""
        self._forget_ended(self._clock())
        return self._uses.get(key, (0, 0.0))[0]

    async def get_expiry(self, key: str) -> float:
        """When the counter of `key` ends, by the clock."""
        return self._uses.get(key, (0, self._clock()))[1]

    def _forget_ended(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            ends, key = heappop(self._ends)
            # One that was cleared may have begun again.
            if self._uses.get(key, (0, 0.0))[1] == ends:
                del self._uses[key]

    # What the library wants of every storage.

    async def clear(self, key: str) -> None:
        """Forget the counter of `key`."""
        self._uses.pop(key, None)

    async def check(self) -> bool:
        """Memory is always there."""
        return True

    async def reset(self) -> int | None:
        """Forget everything; returns how many keys there were."""
        keys = len(self._uses) + sum(map(len, self._windows.values()))
        self._windows.clear()
        self._uses.clear()
        self._ends.clear()
        return keys
