"""What transfers are timed by: the monotonic clock of the system."""

from __future__ import annotations

from time import monotonic


def now() -> float:
    """Seconds, to the microsecond. uvloop's own `time` has milliseconds, and many transfers take but one."""
    return monotonic()
