"""Closing what a response owns, whatever happens around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from sluicegate.sources.base import Body

CLOSE_SECONDS = 5.0
"""The longest that closing may take; an iterator's `finally` that hangs is abandoned then."""


@asynccontextmanager
async def owned(body: Body) -> AsyncIterator[Body]:
    """A body that is closed when the block is left, also when that is by cancellation."""
    try:
        yield body
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await body.aclose()
