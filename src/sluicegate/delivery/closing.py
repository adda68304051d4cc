"""Closing what a response owns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sluicegate.flow.closing import CLOSE_SECONDS, close
from sluicegate.sources.base import Body


@asynccontextmanager
async def owned(body: Body, close_seconds: float = CLOSE_SECONDS) -> AsyncIterator[Body]:
    """A body that is closed when the block is left, also when that is by cancellation."""
    try:
        yield body
    finally:
        await close(body, close_seconds)
