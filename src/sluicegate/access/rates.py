"""Requests a second, and uses of a link: counted in this process, or in a Redis that several share.

The strategy is the sliding window counter of the `limits` library, the nearest that it has to a token bucket:
what is used up comes back little by little. It stores two numbers a key; a moving window stores a time for
each request, and what a fixed window has used up comes back at once, at an edge that everybody knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import sha256
from math import ceil
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self, TypeVar
from urllib.parse import urlsplit

from sluicegate.access.circuit import RETRY_SECONDS
from sluicegate.access.counters import Counters, Uncounted
from sluicegate.access.rate_limits import BadRate, Counts, RateLimit
from sluicegate.http.rate_fields import Allowance, Policy

OnFailure = Literal["allow", "deny"]

TIMEOUT_SECONDS: Final = 0.25
"""A Redis beside us answers within a millisecond; a client would feel more than this."""

MEMORY: Final = "memory://"

NAMESPACE: Final = "sluicegate"

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")

_DATABASE: Final = re.compile(r"/?|/[0-9]{1,5}")

MAX_KEY: Final = 200
"""Characters; a longer key is stored as its hash. What is in a key may come from a client."""

Answer = TypeVar("Answer")


class _Counting(Protocol):
    """What counts: the memory of this process, or a Redis.

    `hit` and `use` are for questions that are put by `ask`, which raises `Uncounted` where nobody answers.
    """

    @property
    def is_away(self) -> bool: ...

    async def ask(self, question: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer: ...

    async def hit(
        self, key: str, quota: int, window_seconds: int, *, tell: bool
    ) -> tuple[bool, Counts | None]: ...

    async def use(self, key: str, expires_seconds: int) -> int: ...

    async def aclose(self) -> None: ...


class _InMemory:
    """`Counters` as something that is asked."""

    is_away = False

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    async def ask(self, question: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        return await question()

    async def hit(
        self, key: str, quota: int, window_seconds: int, *, tell: bool
    ) -> tuple[bool, Counts | None]:
        # Equal windows of equal keys are the same count, as in Redis.
        is_allowed, counts = self._counters.hit(f"{quota}/{key}", quota, window_seconds)
        return is_allowed, None if is_allowed and not tell else counts

    async def use(self, key: str, expires_seconds: int) -> int:
        return self._counters.use(key, expires_seconds)

    async def aclose(self) -> None:
        """What was counted stays: it may be another one's as well."""


class Rates:
    """Counts requests and uses in `storage`: `memory://`, `Counters` that outlive it, or `redis://` and
    `rediss://` as redis-py reads them.

    Redis has `timeout_seconds` for each answer. Where it gives none, `on_failure` decides for requests, and
    uses are refused; it is asked again every `RETRY_SECONDS`. `tell_remaining=False` saves the second of two
    questions to Redis for a request that is allowed, and `Allowance.remaining` is unknown then.

    In Redis every key begins with the `namespace`: those that share it share their counts.

    Enter it before it is asked. Raises `BadRate` for what cannot be used.
    """

    def __init__(
        self,
        storage: str | Counters = MEMORY,
        *,
        on_failure: OnFailure = "allow",
        timeout_seconds: float = TIMEOUT_SECONDS,
        tell_remaining: bool = True,
        namespace: str = NAMESPACE,
    ) -> None:
        if not 0 < timeout_seconds <= 60:
            raise BadRate(f"timeout_seconds is above 0 and at most 60, got {timeout_seconds!r}")
        if on_failure not in ("allow", "deny"):
            raise BadRate(f"on_failure is 'allow' or 'deny', got {on_failure!r}")
        if _NAMESPACE.fullmatch(namespace) is None:
            raise BadRate(f"namespace is 1 to 64 of A-Z a-z 0-9 . _ : -, got {namespace!r}")
        self._url = MEMORY if isinstance(storage, Counters) else storage
        self._address = address_of(self._url)
        self._memory = storage if isinstance(storage, Counters) else Counters()
        self._on_failure = on_failure
        self._timeout_seconds = timeout_seconds
        self._namespace = namespace
        self._tell_remaining = tell_remaining
        self._counting: _Counting | None = None

    async def __aenter__(self) -> Self:
        """Prepare to count. Redis is not asked yet."""
        if self._address is None:
            self._counting = _InMemory(self._memory)
        else:
            from sluicegate.access.redis_counters import RedisCounters  # noqa: PLC0415

            verdict = "allowed" if self._on_failure == "allow" else "denied"
            self._counting = RedisCounters(
                self._url, self._address, self._timeout_seconds, self._namespace, verdict
            )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections to Redis."""
        counting, self._counting = self._counting, None
        if counting is not None:
            await counting.aclose()

    @property
    def is_away(self) -> bool:
        """Whether Redis gave no answer when it was asked last."""
        return self._counting is not None and self._counting.is_away

    async def check(self, limit: RateLimit, key: str) -> Allowance:
        """Count a request of `key`, and say whether it is allowed. Does not raise.

        `key` says who and what is counted: equal windows of equal keys are the same count.
        """
        counting = self._entered()
        try:
            return await counting.ask(partial(self._judge, counting, limit, _stored(key)))
        except Uncounted:
            return self._unasked(limit)

    async def use(self, key: str, most: int, expires_seconds: float) -> bool:
        """Count a use of `key`, and say whether it is among the first `most`.

        It is forgotten `expires_seconds` after the first use. Raises `Uncounted` where it cannot be counted,
        whatever `on_failure` says: nobody may be let in for that.
        """
        counting = self._entered()
        # Redis takes whole seconds, and deletes at 0: nobody would have used it.
        seconds = max(1, ceil(expires_seconds))
        return await counting.ask(partial(counting.use, _stored(key), seconds)) <= most

    def _entered(self) -> _Counting:
        if self._counting is None:
            raise RuntimeError("Rates are entered before they are asked")
        return self._counting

    async def _judge(self, counting: _Counting, limit: RateLimit, key: str) -> Allowance:
        """What the windows say: the first that refuses, or the one with the least left."""
        tightest: Allowance | None = None
        for policy in limit.policies:
            allowance = await self._count(counting, policy, key)
            if not allowance.allowed:
                return allowance
            if tightest is None or (allowance.remaining or 0) < (tightest.remaining or 0):
                tightest = allowance
        if tightest is None:
            raise AssertionError("a limit has a window")
        return tightest

    async def _count(self, counting: _Counting, policy: Policy, key: str) -> Allowance:
        is_allowed, counts = await counting.hit(
            key, policy.quota, policy.window_seconds, tell=self._tell_remaining
        )
        if counts is None:
            return Allowance(allowed=is_allowed, policy=policy, remaining=None, reset_seconds=0.0)
        remaining, reset_seconds = counts.outlook(policy)
        return Allowance(
            allowed=is_allowed,
            policy=policy,
            remaining=remaining if is_allowed else 0,
            reset_seconds=reset_seconds,
        )

    def _unasked(self, limit: RateLimit) -> Allowance:
        """What the operator has decided for requests that nobody can count."""
        return Allowance(
            allowed=self._on_failure == "allow",
            policy=limit.policies[0],
            remaining=None,
            reset_seconds=RETRY_SECONDS,
            is_away=True,
        )


def address_of(url: str) -> str | None:
    """Where Redis is, without user and password; `None` for memory. Raises `BadRate` for what is neither."""
    if url == MEMORY:
        return None
    # What is no address may hold a password all the same: none of it is in the messages.
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise BadRate("the place where requests are counted is no address") from exc
    if parts.scheme not in ("redis", "rediss") or not host:
        raise BadRate("requests are counted at memory://, redis://HOST or rediss://HOST, and nowhere else")
    # redis-py takes what is no number as database 0.
    if _DATABASE.fullmatch(parts.path) is None:
        raise BadRate("what follows the host of Redis is the number of a database, as in redis://HOST/1")
    return f"Redis at {host}:{port or 6379}"


def _stored(key: str) -> str:
    """`key` as it is stored: short, and nothing that a client could put into it breaks its encoding."""
    if len(key) <= MAX_KEY and key.isascii():
        return key
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
