"""How many bytes may go out by now: the arithmetic of bandwidths, without a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

TICK_SECONDS: Final = 0.008
"""Between two writes of a paced body: short enough to be even, long enough to cost little."""

BURST_SECONDS: Final = 0.1
"""What was missed in so much time is made up for. What a client did not take for longer is not."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A body that comes at `bytes_per_second`, `piece` bytes at a time."""

    bytes_per_second: float
    piece: int

    @classmethod
    def even(cls, bytes_per_second: float) -> Pace:
        """The pieces that come every few milliseconds."""
        return cls(bytes_per_second, max(1, round(bytes_per_second * TICK_SECONDS)))


class Pacer:
    """Counts one body against its pace, from the moment `began` (seconds of any clock)."""

    def __init__(self, pace: Pace, began: float) -> None:
        self._rate = pace.bytes_per_second
        self._piece = pace.piece
        self._burst = max(float(pace.piece), pace.bytes_per_second * BURST_SECONDS)
        self._credit = 0.0
        self._counted = began

    def due(self, now: float) -> int:
        """How many bytes may go out at `now`, in whole pieces."""
        earned = (now - self._counted) * self._rate
        self._credit = min(self._burst + self._piece, self._credit + earned)
        self._counted = now
        # What rounding leaves short of a whole piece is not worth another tick.
        return math.floor(self._credit / self._piece + 1e-6) * self._piece

    def spend(self, count: int) -> None:
        """Note that `count` bytes have gone out."""
        self._credit -= count

    def wait(self) -> float:
        """Seconds until the next piece is due, counted from the last look at `due`."""
        return max(0.0, (self._piece - self._credit) / self._rate)
