"""Closing what a response owns, whatever happens around it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from sluicegate.sources.base import Body

logger = logging.getLogger("sluicegate")

CLOSE_SECONDS: Final = 5.0
"""The longest that closing may take; an iterator's `finally` that hangs is abandoned then."""


@asynccontextmanager
async def owned(body: Body, close_seconds: float = CLOSE_SECONDS) -> AsyncIterator[Body]:
    """A body that is closed when the block is left, also when that is by cancellation."""
    try:
        yield body
    finally:
        # In the task that read it: a generator must leave its timeouts and context variables where it
        # entered them.
        with anyio.move_on_after(close_seconds, shield=True) as scope:
            await body.aclose()
        if scope.cancelled_caught:
            logger.warning("closing a body took longer than %s s, and was abandoned", close_seconds)
