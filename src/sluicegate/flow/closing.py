"""Closing a body that nobody is going to read, also if whoever closes it is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from typing import Final

import anyio

from sluicegate.sources.base import Body

CLOSE_SECONDS: Final = 5.0
"""The longest that a cancelled task may still take to close a body."""


async def close(body: Body) -> None:
    """Close `body`. A cancellation that interrupts it is raised when the body is closed."""
    try:
        await body.aclose()
    except asyncio.CancelledError:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await body.aclose()
        raise
