"""Closing a body, whatever happens around it: the one place that does so."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import anyio

from sluicegate.sources.base import Body

logger = logging.getLogger("sluicegate")

CLOSE_SECONDS: Final = 5.0
"""The longest that closing may take; an iterator's `finally` that hangs is abandoned then."""


async def close(body: Body, seconds: float = CLOSE_SECONDS) -> None:
    """Close `body`, also if the task is cancelled meanwhile, by anyio or by asyncio, and more than once.

    A cancellation that interrupts it is raised when the body is closed. After `seconds` it is abandoned.
    """
    if getattr(body, "is_closed", False) is True:
        return
    interruption = None
    # In the task that read it: a generator must leave its timeouts and context variables where it entered
    # them. So it is shielded, and begun again, and not handed to another task.
    with anyio.move_on_after(seconds, shield=True) as scope:
        interruption = await _closed(body, scope)
    if scope.cancelled_caught:
        logger.warning("closing a body took longer than %s s, and was abandoned", seconds)
    try:
        if interruption is not None:
            raise interruption
    finally:
        # Its traceback holds this frame: a circle that would keep what the body held.
        del interruption


async def _closed(body: Body, scope: anyio.CancelScope) -> asyncio.CancelledError | None:
    """Close `body`; what interrupted that, and was cancelled for it."""
    task = asyncio.current_task()
    interruption = None
    requests = -1
    while True:
        try:
            await body.aclose()
        except asyncio.CancelledError as exc:
            # Ours, or one that nobody asked for: a body that raises it by itself would do so for ever.
            if scope.cancel_called or task is None or task.cancelling() <= requests:
                raise
            requests, interruption = task.cancelling(), exc
        else:
            return interruption
