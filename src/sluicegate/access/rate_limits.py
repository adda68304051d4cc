"""Limits on requests, as they are written and as they are counted: decisions, without a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import floor
from typing import Final

from limits import RateLimitItem, parse_many

from sluicegate.errors import SluicegateError
from sluicegate.http.rate_fields import Policy

MAX_WINDOWS: Final = 4
"""Of one limit: each is asked for by itself."""


class BadRate(SluicegateError, ValueError):
    """A limit on requests, or a place to count them, that cannot be used."""


@dataclass(frozen=True, slots=True)
class RateWindow:
    """One of the windows of a limit: as the library counts it, and as clients are told of it."""

    item: RateLimitItem
    policy: Policy


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in a time: "10/second", "100 per 5 minutes", or several as "10/second; 1000/hour".

    `name` is told to clients. Raises `BadRate` for other texts, `BadFieldValue` for other names.
    """

    text: str
    name: str = "default"
    windows: tuple[RateWindow, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        items = sorted(_parsed(self.text), key=RateLimitItem.get_expiry)
        # The shortest is asked first: what it refuses costs nothing of the longer ones.
        object.__setattr__(self, "windows", tuple(map(partial(self._window, len(items)), items)))

    def _window(self, count: int, item: RateLimitItem) -> RateWindow:
        name = self.name if count == 1 else f"{self.name}-{item.get_expiry()}s"
        return RateWindow(item, Policy(name, item.amount, item.get_expiry()))

    @property
    def policies(self) -> tuple[Policy, ...]:
        """What it consists of, for the fields of answers."""
        return tuple(window.policy for window in self.windows)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a sliding window has counted: requests of the window before, which weigh less with each second of
    the `previous_seconds` that they still count, and of the one that ends a window before `current_seconds`.
    """

    previous: int
    previous_seconds: float
    current: int
    current_seconds: float

    def outlook(self, policy: Policy) -> tuple[int, float]:
        """How many requests more are allowed now, and after how many seconds there will be another one."""
        fading = self.previous * self.previous_seconds / policy.window_seconds
        used = floor(fading + self.current)
        remaining = max(0, policy.quota - used)
        if used == 0:
            return remaining, 0.0
        if used > self.current:
            kept = (used - self.current) * policy.window_seconds / self.previous
            return remaining, max(0.0, self.previous_seconds - kept)
        # Nothing fades before the next window begins, and then what is in this one does.
        return remaining, max(0.0, self.current_seconds - policy.window_seconds)


def _parsed(text: str) -> list[RateLimitItem]:
    try:
        items = parse_many(text)
    except ValueError as exc:
        raise BadRate(
            f"a limit is as '10/second', '100 per 5 minutes' or '10/second; 1000/hour', got {text!r}"
        ) from exc
    if len(items) > MAX_WINDOWS:
        raise BadRate(f"a limit has at most {MAX_WINDOWS} windows, got {len(items)} in {text!r}")
    if not all(item.amount for item in items):
        raise BadRate(f"a limit allows at least 1 request, got {text!r}")
    if len({item.get_expiry() for item in items}) < len(items):
        raise BadRate(f"a limit has one number for each time, got {text!r}")
    return items
