"""Whether a client takes what is ready for it fast enough: a decision, whose clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sluicegate.sources.options import BadOptions

MIN_PIECE: Final = 4096
"""Bytes: smaller pieces cost more than a slow client is worth."""

_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class DrainLimit:
    """The least that a client must take: `rate` bytes a second on average over `seconds`.

    Raises `BadOptions` for what cannot be used.
    """

    rate: int
    seconds: float

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise BadOptions(f"min_drain_rate is in bytes a second, 0 for none, got {self.rate!r}")
        if not 0 < self.seconds < _DAY:
            raise BadOptions(
                f"min_drain_seconds is in seconds, above 0 and below a day, got {self.seconds!r}"
            )

    @property
    def piece_size(self) -> int:
        """The most bytes to offer at once, so that what is on its way decides nothing."""
        return max(MIN_PIECE, int(self.rate * self.seconds / 2))


def drain_limit(rate: int, seconds: float) -> DrainLimit | None:
    """The limit that two settings stand for: none at a rate of 0. Raises `BadOptions`."""
    return None if rate == 0 else DrainLimit(rate, seconds)


class Pace:
    """What a client has taken since the last judgement, and how long bytes were ready for it meanwhile.

    Times are readings of one clock in seconds. Time in which nothing is offered does not count: the origin
    is to blame for it.
    """

    def __init__(self, limit: DrainLimit) -> None:
        self._limit = limit
        self._taken = 0
        self._ready_seconds = 0.0
        self._offered = 0
        self._offered_at: float | None = None

    def offer(self, size: int, now: float) -> None:
        """`size` bytes are ready from now on."""
        self._offered, self._offered_at = size, now

    def take(self, now: float) -> None:
        """What was offered last is taken."""
        self._ready_seconds = self._ready_until(now)
        self._taken += self._offered
        self._offered, self._offered_at = 0, None

    def seconds_left(self, now: float) -> float | None:
        """After how long to judge again; `None` if the client is too slow."""
        ready = self._ready_until(now)
        if ready < self._limit.seconds:
            return self._limit.seconds - ready
        if self._taken >= self._limit.rate * ready:
            self._taken, self._ready_seconds = 0, 0.0
            self._offered_at = None if self._offered_at is None else now
            return self._limit.seconds
        # Of what is offered the client may have taken all but the last byte: nobody can tell.
        excused = (self._taken + self._offered) / self._limit.rate
        return excused - ready if ready < excused else None

    def _ready_until(self, now: float) -> float:
        return self._ready_seconds + (0.0 if self._offered_at is None else now - self._offered_at)
