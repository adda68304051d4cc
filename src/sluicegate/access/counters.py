"""Counts in the memory of one process: sliding windows of requests, and uses of links.

Windows are those of the `limits` library, which counts in Redis: a rate means the same in both. Its own
storage in memory looks at every key that it holds with each request (1.7 ms at 20,000 clients), and holds as
many as there are; this one looks at two or three, and is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import floor
from typing import Final

from sluicegate.access.rate_limits import Counts
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


class Counters:
    """Sliding windows and plain counters by key. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._max_keys = max_keys
        # By the windows' length, and in the order in which they began: the first ones are the oldest.
        self._windows: dict[int, dict[str, _Window]] = {}
        self._uses: dict[str, tuple[int, float]] = {}
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._uses) + sum(map(len, self._windows.values()))

    def hit(self, key: str, quota: int, window_seconds: int) -> tuple[bool, Counts]:
        """Count a request, if `quota` allows it in the last `window_seconds`; and tell what there is."""
        index, past = divmod(self._clock() / window_seconds, 1)
        window = self._begun(key, window_seconds, int(index))
        is_allowed = floor(window.previous * (1 - past) + window.current) < quota
        if is_allowed:
            window.current += 1
        left = (1 - past) * window_seconds
        return is_allowed, Counts(window.previous, left, window.current, left + window_seconds)

    def _begun(self, key: str, window_seconds: int, index: int) -> _Window:
        windows = self._windows.setdefault(window_seconds, {})
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

    def use(self, key: str, expires_seconds: float) -> int:
        """Count a use of `key`, and say how many there are; they end `expires_seconds` after the first.

        Raises `Uncounted` if there is no room for another key.
        """
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            del self._uses[heappop(self._ends)[1]]
        count, ends = self._uses.get(key, (0, now + expires_seconds))
        if count == 0:
            if len(self._uses) >= self._max_keys:
                raise Uncounted(f"{len(self._uses)} uses are being counted, which is the most there can be")
            heappush(self._ends, (ends, key))
        self._uses[key] = count + 1, ends
        return count + 1
