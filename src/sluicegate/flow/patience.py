"""When to ask an origin again, and when to give up. Pure: the clock and the dice are inputs.

What counts is progress, never the time of the whole: a download of ten hours with a break a minute goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sluicegate.errors import SourceError, Throttled

FIRST_SECONDS: Final = 0.1
"""The longest wait before the first attempt after a failure; it doubles with each failure in a row."""

LONGEST_SECONDS: Final = 5.0
"""No wait is longer, unless the origin asks for it."""

OPENING_SECONDS: Final = 10.0
"""No request is made again later than this after the first one, while the client has no answer yet."""

OPENING_RETRY_AFTER: Final = 2.0
"""The longest `Retry-After` that a client without an answer is made to wait for: it can obey a longer one
itself."""

SMALLEST_REACH: Final = 64 * 1024
FIRST_REACH: Final = 1024 * 1024
REACH_FACTOR: Final = 4


def backoff_seconds(failures: int, chance: float) -> float:
    """How long to wait after so many failures in a row (1 or more): full jitter, `chance` is 0 to 1.

    Everybody who waits for the same origin waits for another time, from nothing to the longest.
    """
    return chance * min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 16))


def wait_seconds(error: SourceError, failures: int, chance: float) -> float | None:
    """How long to wait before asking again after `error`; `None` if that cannot help.

    What an origin asks for by `Retry-After` is obeyed, and a little more, so that not all come at once.
    """
    if not error.retryable:
        return None
    asked = error.retry_after_seconds if isinstance(error, Throttled) else None
    return (asked or 0.0) + backoff_seconds(failures, chance)


def opening_wait_seconds(
    error: SourceError, failures: int, attempts: int, elapsed: float, chance: float
) -> float | None:
    """The same while the client has no answer yet: `attempts` in all, and not for long.

    `elapsed` are the seconds since the first attempt. A client that has no byte yet can still be told.
    """
    wait = wait_seconds(error, failures, chance)
    if wait is None or failures >= attempts or elapsed + wait > OPENING_SECONDS:
        return None
    asked = error.retry_after_seconds if isinstance(error, Throttled) else None
    return None if (asked or 0.0) > OPENING_RETRY_AFTER else wait


@dataclass(slots=True)
class Progress:
    """Bytes that `arrived` in a transfer over all its connections, since `began`, the last ones at `at`.

    Times are seconds of one monotonic clock.
    """

    began: float
    at: float
    arrived: int = 0

    def add(self, size: int, now: float) -> None:
        """Note that `size` bytes have arrived."""
        self.arrived += size
        self.at = now


def shorter_reach(reach: int | None) -> int:
    """How many bytes to ask for after a request that broke without a single one: less than the last time.

    Some clients hand on only what has gathered to a chunk, so that a connection which breaks early each time
    would give nothing for ever; and some proxies break long answers.
    """
    return FIRST_REACH if reach is None else max(SMALLEST_REACH, reach // REACH_FACTOR)


def longer_reach(reach: int, longest: int) -> int | None:
    """How many bytes to ask for after a request of `reach` bytes came whole; `None` for all of them."""
    longer = reach * REACH_FACTOR
    return None if longer >= longest else longer
