"""Which parts of a body are fetched, and how many at a time. Pure: bytes and seconds in, decisions out.

A body begins as one run: one request, from its first byte to its last. Nothing is gained by cutting it while
one connection gives as much as the client takes. Where it gives less, the run ends at the next multiple of
the part size, and the parts behind it are fetched at the same time, as many as the window is wide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sluicegate.http.ranges import Span

PERIOD_SECONDS: Final = 0.1
"""How long a transfer is watched before its window is looked at: some round trips to a near origin, and few
enough that a second is lost, at most, until the window is as wide as it needs to be."""

ORIGIN_BOUND: Final = 0.5
"""The share of a period spent in waiting for the origin from which the origin is the one that is slow."""

CLIENT_BOUND: Final = 0.1
"""The share up to which the client is."""

FAST: Final = 256 * 1024 * 1024
"""Bytes a second from which more connections are not tried: what limits such a transfer is this machine."""

IMPROVEMENT: Final = 1.2
"""A wider window is kept if it brings that many times the bytes."""

GROWTH: Final = 4
"""A window becomes so many times as wide: from one connection to all that there may be in two steps."""

HOLD_SECONDS: Final = 10.0
"""How long nothing wider is tried after a try that brought nothing."""


def part_at(position: int, span: Span, part_size: int) -> Span:
    """The part that begins at `position` of `span`: up to the next multiple of the part size, or the end."""
    return Span(position, min(span.stop, (position // part_size + 1) * part_size))


def widest(part_size: int, read_ahead: int) -> int:
    """How many parts may be in flight at most, each held as a whole in the worst case."""
    return max(1, read_ahead // part_size)


@dataclass(frozen=True, slots=True)
class Period:
    """What a period of `seconds` showed: bytes that arrived from the origin, over all connections, and the
    seconds in which the client had taken everything and waited."""

    seconds: float
    arrived: int
    waited: float

    @property
    def rate(self) -> float:
        """Bytes a second from the origin."""
        return self.arrived / self.seconds

    @property
    def share_waited(self) -> float:
        """The part of the time in which the client waited for the origin, 0 to 1."""
        return self.waited / self.seconds


@dataclass(frozen=True, slots=True)
class Trial:
    """A window that was made wider: the `rate` before that and the `width` to go back to.

    `settled` says whether the new connections have had a period to begin.
    """

    rate: float
    width: int
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """How many parts are in flight: `width`, of which `limit` is the most.

    `trial` is there until it is known whether widening it has helped. Nothing is tried before `hold_until`.
    """

    limit: int
    width: int = 1
    trial: Trial | None = None
    hold_until: float = 0.0

    def after(self, period: Period, now: float) -> Window:
        """The window that `period`, which ended at `now`, leads to."""
        if period.share_waited <= CLIENT_BOUND:
            return replace(self, width=max(1, self.width // 2), trial=None)
        if period.share_waited < ORIGIN_BOUND:
            return self
        match self.trial:
            case Trial(settled=False):
                return replace(self, trial=replace(self.trial, settled=True))
            case Trial(rate, width) if period.rate < rate * IMPROVEMENT:
                return replace(self, width=width, trial=None, hold_until=now + HOLD_SECONDS)
        if self.width >= self.limit or now < self.hold_until or period.rate >= FAST:
            return replace(self, trial=None)
        wider = min(self.limit, self.width * GROWTH)
        return replace(self, width=wider, trial=Trial(period.rate, self.width))

    def without(self, now: float, *, for_good: bool) -> Window:
        """The window after another connection could not be had: one, now or for good."""
        limit = 1 if for_good else self.limit
        return Window(limit, hold_until=now + HOLD_SECONDS)
