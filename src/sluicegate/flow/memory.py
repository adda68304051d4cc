"""Gives memory back to the system that transfers have let go of: those that were parked, and those left.

The C library keeps what is freed for the next request, in pieces between what is still in use: of a thousand
transfers that were parked at once, a gigabyte would stay with a process that uses none of it.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

PERIOD_SECONDS: Final = 1.0
"""Once in so long at most: it takes 25 ms for a gigabyte."""


def _found() -> Callable[[int], int] | None:
    """The C library's function to give memory back, where it has one: glibc does."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return trim


MALLOC_TRIM: Final = _found()


class MemoryReturn:
    """Gives back, soon after it is asked to, what is free by then."""

    def __init__(self, release: Callable[[int], int] | None = MALLOC_TRIM) -> None:
        self._release = release
        self._is_due = False

    def soon(self) -> None:
        """Give memory back within `PERIOD_SECONDS`, in a thread."""
        if self._release is not None and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(PERIOD_SECONDS, self._begin, self._release)

    def _begin(self, release: Callable[[int], int]) -> None:
        self._is_due = False
        asyncio.get_running_loop().run_in_executor(None, release, 0)
