"""Limits on requests, as they are written and as they are counted: decisions, without a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor
from operator import itemgetter
from typing import Final

from sluicegate.errors import SluicegateError
from sluicegate.http.rate_fields import Policy

MAX_WINDOWS: Final = 4
"""Of one limit: each is asked for by itself."""


class BadRate(SluicegateError, ValueError):
    """A limit on requests, or a place to count them, that cannot be used."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in a time: "10/second", "100 per 5 minutes", or several as "10/second; 1000/hour".

    `name` is told to clients. Raises `BadRate` for other texts, `BadFieldValue` for other names.
    """

    text: str
    name: str = "default"
    policies: tuple[Policy, ...] = field(init=False, repr=False, compare=False)
    """The windows that it consists of, as clients are told of them."""

    def __post_init__(self) -> None:
        # The shortest is asked first: what it refuses costs nothing of the longer ones.
        windows = sorted(_parsed(self.text), key=itemgetter(1))
        names = [self.name if len(windows) == 1 else f"{self.name}-{seconds}s" for _, seconds in windows]
        policies = (Policy(name, *window) for name, window in zip(names, windows, strict=True))
        object.__setattr__(self, "policies", tuple(policies))


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


def _parsed(text: str) -> list[tuple[int, int]]:
    """Requests and seconds of each window in `text`."""
    # Here: it takes as long to import as much of the gateway, and not everybody has limits.
    from limits import parse_many  # noqa: PLC0415

    try:
        windows = [(item.amount, item.get_expiry()) for item in parse_many(text)]
    except ValueError as exc:
        raise BadRate(
            f"a limit is as '10/second', '100 per 5 minutes' or '10/second; 1000/hour', got {text!r}"
        ) from exc
    if len(windows) > MAX_WINDOWS:
        raise BadRate(f"a limit has at most {MAX_WINDOWS} windows, got {len(windows)} in {text!r}")
    if not all(quota for quota, _ in windows):
        raise BadRate(f"a limit allows at least 1 request, got {text!r}")
    if len({seconds for _, seconds in windows}) < len(windows):
        raise BadRate(f"a limit has one number for each time, got {text!r}")
    return windows
