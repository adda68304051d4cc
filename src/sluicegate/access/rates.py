"""Requests a second, and uses of a link: counted in this process, or in a Redis that several share.

The strategy is the sliding window counter of the `limits` library, the nearest that it has to a token bucket:
what is used up comes back little by little. It stores two numbers a key; a moving window stores a time for
each request, and what a fixed window has used up comes back at once, at an edge that everybody knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from hashlib import sha256
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from sluicegate.access.circuit import RETRY_SECONDS, Circuit
from sluicegate.access.counters import Counters, Uncounted
from sluicegate.access.rate_limits import BadRate, Counts, RateLimit, RateWindow
from sluicegate.http.rate_fields import Allowance, Policy

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage
    from redis.asyncio import ConnectionPool

logger = logging.getLogger("sluicegate")

OnFailure = Literal["allow", "deny"]

TIMEOUT_SECONDS: Final = 0.25
"""A Redis beside us answers within a millisecond; a client would feel more than this."""

CLOSE_SECONDS: Final = 1.0
"""A connection that has not closed by then is left to the system."""

MAX_CONNECTIONS: Final = 32
"""To Redis, for each process. 30 at once take one processor; more would only wait there instead of here."""

MAX_KEY: Final = 200
"""Characters; a longer key is stored as its hash. What is in a key may come from a client."""

_PREFIX: Final = "sluicegate"

Answer = TypeVar("Answer")


class Rates:
    """Counts requests and uses at `url`: `memory://`, or `redis://` and `rediss://` as redis-py reads them.

    Redis has `timeout_seconds` for each answer. Where it gives none, `on_failure` decides for requests, and
    uses are refused; it is asked again every `RETRY_SECONDS`. `tell_remaining=False` saves the second of two
    questions to Redis for a request that is allowed, and `Allowance.remaining` is unknown then.

    What is counted in memory is in `counters`, which may outlive it.

    Enter it before it is asked. Raises `BadRate` for what cannot be used.
    """

    def __init__(
        self,
        url: str = "memory://",
        *,
        on_failure: OnFailure = "allow",
        timeout_seconds: float = TIMEOUT_SECONDS,
        tell_remaining: bool = True,
        counters: Counters | None = None,
    ) -> None:
        if not 0 < timeout_seconds <= 60:
            raise BadRate(f"timeout_seconds is above 0 and at most 60, got {timeout_seconds!r}")
        if on_failure not in ("allow", "deny"):
            raise BadRate(f"on_failure is 'allow' or 'deny', got {on_failure!r}")
        self._url = url
        self._address = _address(url)
        self._on_failure = on_failure
        self._timeout_seconds = timeout_seconds
        self._tell_remaining = tell_remaining
        self._counters = Counters() if counters is None else counters
        self._circuit = Circuit()
        self._pool: ConnectionPool | None = None
        self._storage: RedisStorage | Counters | None = None
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._questions: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Prepare to count. Redis is not asked yet."""
        if self._address is None:
            self._storage = self._counters
        else:
            self._pool = _pool(self._url, self._timeout_seconds)
            # Here: it takes as long to import as the rest of the gateway, and not everybody has a Redis.
            from limits.aio.storage import RedisStorage  # noqa: PLC0415

            self._storage = RedisStorage(
                self._url,
                wrap_exceptions=True,
                implementation="redispy",
                key_prefix=_PREFIX,
                connection_pool=self._pool,  # type: ignore[arg-type] # documented, and not in its types
            )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections to Redis."""
        if self._questions:
            await asyncio.wait(self._questions, timeout=CLOSE_SECONDS)
        pool, self._pool, self._storage = self._pool, None, None
        if pool is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await pool.aclose()

    @property
    def is_away(self) -> bool:
        """Whether Redis gave no answer when it was asked last."""
        return self._circuit.is_open

    async def check(self, limit: RateLimit, key: str) -> Allowance:
        """Count a request of `key`, and say whether it is allowed. Does not raise.

        `key` says who and what is counted: equal windows of equal keys are the same count.
        """
        try:
            return await self._ask(partial(self._judge, limit, _stored(key)))
        except Uncounted:
            return self._unasked(limit)

    async def use(self, key: str, most: int, expires_seconds: float) -> bool:
        """Count a use of `key`, and say whether it is among the first `most`.

        It is forgotten `expires_seconds` after the first use. Raises `Uncounted` where it cannot be counted,
        whatever `on_failure` says: nobody may be let in for that.
        """
        return await self._ask(partial(self._count_use, _stored(key), expires_seconds)) <= most

    def _entered(self) -> RedisStorage | Counters:
        if self._storage is None:
            raise RuntimeError("Rates are entered before they are asked")
        return self._storage

    async def _ask(self, question: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """The answer to `question` within the time for it; raises `Uncounted`."""
        if self._address is None:
            return await question()
        time = asyncio.get_running_loop().time
        if not self._circuit.may_ask(time()):
            raise Uncounted(f"{self._address} gave no answer a moment ago")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._put(question)
        except (StorageError, OSError, TimeoutError) as exc:
            self._note_failure(exc, time())
            if self._pool is not None:
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
        verdict = "allowed" if self._on_failure == "allow" else "denied"
        logger.warning(
            "%s gave no answer (%s): requests are %s uncounted, and links with a number of uses refused",
            self._address,
            type(found).__name__,
            verdict,
        )

    async def _judge(self, limit: RateLimit, key: str) -> Allowance:
        """What the windows say: the first that refuses, or the one with the least left."""
        tightest: Allowance | None = None
        for window in limit.windows:
            allowance = await self._count(window, key)
            if not allowance.allowed:
                return allowance
            if tightest is None or (allowance.remaining or 0) < (tightest.remaining or 0):
                tightest = allowance
        if tightest is None:
            raise AssertionError("a limit has a window")
        return tightest

    async def _count(self, window: RateWindow, key: str) -> Allowance:
        storage, policy = self._entered(), window.policy
        if isinstance(storage, Counters):
            # Equal windows of equal keys are the same count, as in Redis.
            is_allowed, counted = storage.hit(f"{policy.quota}/{key}", policy.quota, policy.window_seconds)
            counts = Counts(*counted) if self._is_told(is_allowed) else None
        else:
            is_allowed, counts = await self._hit(storage, window, key)
        return _allowance(policy, is_allowed, counts)

    async def _hit(self, redis: RedisStorage, window: RateWindow, key: str) -> tuple[bool, Counts | None]:
        """Count a request in Redis; what there is, is a second question."""
        is_allowed = await SlidingWindowCounterRateLimiter(redis).hit(window.item, key)
        if not self._is_told(is_allowed):
            return is_allowed, None
        stored = window.item.key_for(key)
        return is_allowed, Counts(*await redis.get_sliding_window(stored, window.policy.window_seconds))

    def _is_told(self, is_allowed: bool) -> bool:
        """Whether a client is told what is left: who is refused has to know when to come again."""
        return self._tell_remaining or not is_allowed

    async def _count_use(self, key: str, expires_seconds: float) -> int:
        # Redis takes whole seconds, and deletes at 0.
        return await self._entered().incr(f"uses/{key}", max(1, ceil(expires_seconds)))

    def _unasked(self, limit: RateLimit) -> Allowance:
        """What the operator has decided for requests that nobody can count."""
        return Allowance(
            allowed=self._on_failure == "allow",
            policy=limit.windows[0].policy,
            remaining=None,
            reset_seconds=RETRY_SECONDS,
            is_away=True,
        )


def _address(url: str) -> str | None:
    """Where Redis is, without user and password; `None` for memory."""
    if url == "memory://":
        return None
    # What is no address may hold a password all the same: none of it is in the messages.
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise BadRate("the place where requests are counted is no address") from exc
    if parts.scheme not in ("redis", "rediss") or not host:
        raise BadRate(
            f"requests are counted at memory://, redis://host or rediss://host, not {parts.scheme!r}"
        )
    return f"Redis at {host}:{port or 6379}"


def _pool(url: str, timeout_seconds: float) -> ConnectionPool:
    """Connections to Redis: none is made yet. Raises `BadRate` for settings that redis-py does not know."""
    from redis.asyncio import ConnectionPool  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

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


def _allowance(policy: Policy, is_allowed: bool, counts: Counts | None) -> Allowance:
    if counts is None:
        return Allowance(allowed=is_allowed, policy=policy, remaining=None, reset_seconds=0.0)
    remaining, reset_seconds = counts.outlook(policy)
    return Allowance(
        allowed=is_allowed,
        policy=policy,
        remaining=remaining if is_allowed else 0,
        reset_seconds=reset_seconds,
    )


def _stored(key: str) -> str:
    """`key` as it is stored: short, and nothing that a client could put into it breaks its encoding."""
    if len(key) <= MAX_KEY and key.isascii():
        return key
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
