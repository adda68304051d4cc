"""When to ask somebody who gave no answer, and when to say so: a decision, whose clock is an argument."""

from __future__ import annotations

from typing import Final

RETRY_SECONDS: Final = 1.0
"""While there is no answer, one request in so long asks, and waits; the others know already."""

LOG_SECONDS: Final = 10.0
"""While there is no answer, the log says so once in so long."""


class Circuit:
    """Whether somebody answers: open while it does not. Times are readings of one clock in seconds."""

    def __init__(self) -> None:
        self.is_open = False
        self._ask_at = 0.0
        self._tell_at: float | None = None
        self._is_told = False

    def may_ask(self, now: float) -> bool:
        """Whether to ask; while nobody answers, only one asks, and the next one `RETRY_SECONDS` later."""
        if not self.is_open:
            return True
        if now < self._ask_at:
            return False
        self._ask_at = now + RETRY_SECONDS
        return True

    def open(self, now: float) -> bool:
        """There was no answer; returns whether the log is to be told."""
        self.is_open, self._ask_at = True, now + RETRY_SECONDS
        if self._tell_at is not None and now < self._tell_at:
            return False
        self._tell_at, self._is_told = now + LOG_SECONDS, True
        return True

    def close(self) -> bool:
        """There was an answer; returns whether the log is to be told, since it says otherwise."""
        was_told, self.is_open, self._is_told = self._is_told, False, False
        return was_told
