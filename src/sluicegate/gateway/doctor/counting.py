"""Asking the Redis that counts requests whether it lets the gateway in. Nothing is written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sluicegate.access.rates import address_of

from .findings import Finding, Findings, ok, problem
from .limits import CHECK_SECONDS

if TYPE_CHECKING:
    from redis.asyncio import Redis


def counting_title(storage: str) -> str:
    """What a place that counts is called: without user and password."""
    return f"limits ({address_of(storage)})"


async def examine_counting(storage: str, seconds: float = CHECK_SECONDS) -> Findings:
    """Whether the Redis at this address lets the gateway in; a check may take `seconds`."""
    # Here: its library takes longer to import than most who have no Redis would wait.
    from redis.asyncio import Redis  # noqa: PLC0415

    try:
        client = Redis.from_url(storage)
    except (ValueError, TypeError):
        return (problem("the address has a setting that cannot be used", "mend [limits] storage"),)
    try:
        return (await _pinged(client, seconds),)
    finally:
        await client.aclose()


async def _pinged(client: Redis, seconds: float) -> Finding:
    from redis.exceptions import (  # noqa: PLC0415
        AuthenticationError,
        AuthorizationError,
        RedisError,
        ResponseError,
    )

    try:
        async with asyncio.timeout(seconds):
            await client.ping()
    except TimeoutError:
        return problem(f"it does not answer within {seconds:g} s", "check the address, and the network")
    except (AuthenticationError, AuthorizationError) as exc:
        return problem(
            f"it refuses the user or the password ({type(exc).__name__})",
            "mend them in [limits] storage: redis://USER:PASSWORD@HOST, percent-encoded",
        )
    except ResponseError as exc:
        return problem(
            f"it refuses the command or the database ({type(exc).__name__})",
            "look whether the number behind the host is a database, and what the user may do",
        )
    except (RedisError, OSError) as exc:
        return problem(
            f"it cannot be reached ({_reason(exc)})", "check the address, and whether Redis runs there"
        )
    return ok("it answers, and takes the user and the password")


def _reason(error: Exception) -> str:
    # Not the library's words, which may hold what was sent.
    cause = error.__cause__ or error
    return (cause.strerror if isinstance(cause, OSError) else None) or type(error).__name__
