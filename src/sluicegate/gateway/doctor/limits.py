"""The time that a check may take: whatever happens in one, the next one is made."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from sluicegate import SourceError, TransferOptions
from sluicegate.errors import OriginTimeout

Result = TypeVar("Result")

CHECK_SECONDS: Final = 10.0
"""What answers no sooner is of no use to anybody who waits in front of a screen."""

TRANSFERS: Final = TransferOptions(read_ahead=0, park_after=None, give_up_after=CHECK_SECONDS)
"""One connection for each body that is asked for, so that it is known what is measured."""

ATTEMPTS: Final = 1
"""A failure is what the doctor looks for, and no reason to try again."""


async def within_limit(
    what: str, check: Coroutine[Any, Any, Result], seconds: float = CHECK_SECONDS
) -> Result | SourceError:
    """What `check` comes to, or what it fails with, be it that `seconds` are over."""
    try:
        async with asyncio.timeout(seconds):
            return await check
    except TimeoutError:
        return OriginTimeout(f"{what}: nothing within {seconds:g} s")
    except SourceError as exc:
        return exc
