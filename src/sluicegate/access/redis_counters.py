"""Counts in a Redis that several processes share: sliding windows of requests, and uses of links.

Redis may be slow or away at any moment: each question has a time, and after one without an answer it is left
alone for a while. The `limits` library counts; it is imported only by those who have a Redis, since it takes
as long as much of the gateway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, ResponseError

from sluicegate.access.circuit import Circuit
from sluicegate.access.counters import Uncounted
from sluicegate.access.rate_limits import BadRate, Counts

logger = logging.getLogger("sluicegate")

CLOSE_SECONDS: Final = 1.0
"""A connection that has not closed by then is left to the system."""

MAX_CONNECTIONS: Final = 32
"""To Redis, for each process. 30 at once take one processor; more would only wait there instead of here."""

_REFUSALS: Final = (AuthenticationError, AuthorizationError, ResponseError)
"""What Redis says itself: of a password, of a right, of a command."""

Answer = TypeVar("Answer")


class RedisCounters:
    """Sliding windows and plain counters in the Redis at `url`, by keys that begin with `namespace`.

    `hit` and `use` are for questions that are put by `ask`, which has `timeout_seconds` for the whole of one;
    without an answer it raises `Uncounted`, and the log has the `address` and the `verdict` on requests.
    Raises `BadRate` for settings that redis-py does not know.
    """

    def __init__(self, url: str, address: str, timeout_seconds: float, namespace: str, verdict: str) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._verdict = verdict
        self._circuit = Circuit()
        self._pool = _pool(url, timeout_seconds)
        self._storage = RedisStorage(
            url,
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=namespace,
            connection_pool=self._pool,  # type: ignore[arg-type] # documented, and not in its types
        )
        self._windows = SlidingWindowCounterRateLimiter(self._storage)
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._questions: set[asyncio.Task[Any]] = set()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._questions:
            await asyncio.wait(self._questions, timeout=CLOSE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.aclose()

    @property
    def is_away(self) -> bool:
        """Whether Redis gave no answer when it was asked last."""
        return self._circuit.is_open

    async def hit(
        self, key: str, quota: int, window_seconds: int, *, tell: bool
    ) -> tuple[bool, Counts | None]:
        """Count a request, if `quota` allows it in the last `window_seconds`.

        What there is, is a second question: it is asked for who is refused, and to `tell` others.
        """
        window = RateLimitItemPerSecond(quota, window_seconds)
        is_allowed = await self._windows.hit(window, key)
        if is_allowed and not tell:
            return is_allowed, None
        counts = await self._storage.get_sliding_window(window.key_for(key), window.get_expiry())
        return is_allowed, Counts(*counts)

    async def use(self, key: str, expires_seconds: int) -> int:
        """Count a use of `key`, and say how many there are; they end `expires_seconds` after the first."""
        return await self._storage.incr(f"uses/{key}", expires_seconds)

    async def ask(self, question: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """The answer to `question` within the time for it; raises `Uncounted`.

        It is asked to its end also if nobody waits for the answer any more: who leaves has been counted.
        """
        time = asyncio.get_running_loop().time
        if not self._circuit.may_ask(time()):
            raise Uncounted(f"{self._address} gave no answer a moment ago")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._put(question)
        except (StorageError, OSError, TimeoutError) as exc:
            self._note_failure(exc, time())
            # Those that were made before would fail one after another when Redis is back.
            await self._pool.disconnect(inuse_connections=False)
            raise Uncounted(f"{self._address} gave no answer") from exc
        if self._circuit.close():
            logger.info("%s answers again: requests are counted", self._address)
        return answer

    async def _put(self, question: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Ask in a task that nobody cancels, and that ends by the time limits of its connection.

        The client library's pool loses a connection, or its lock, where it is cancelled at a bad moment.
        """
        await self._places.acquire()
        task = asyncio.create_task(question(), name="sluicegate-rates")
        self._questions.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._questions.discard(task)
        self._places.release()
        if not task.cancelled():
            # Whoever asked may have left, and nobody else would look.
            task.exception()

    def _note_failure(self, failure: Exception, now: float) -> None:
        if not self._circuit.open(now):
            return
        # Its text may hold what Redis says, or what it was asked; its class says what happened.
        found = failure.storage_error if isinstance(failure, StorageError) else failure
        logger.warning(
            "%s %s (%s): requests are %s uncounted, and links with a number of uses refused",
            self._address,
            "refused to count" if isinstance(found, _REFUSALS) else "gave no answer",
            type(found).__name__,
            self._verdict,
        )


def _pool(url: str, timeout_seconds: float) -> ConnectionPool:
    """Connections to Redis: none is made yet."""
    try:
        return ConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            # Asking again is for the next request: the time for this one is over.
            retry=Retry(NoBackoff(), 0),
        )
    except (ValueError, TypeError) as exc:
        raise BadRate("the address of Redis has a setting that cannot be used") from exc
