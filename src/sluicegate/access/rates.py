"""Requests a second, and uses of a link: counted in this process, or in a Redis that several share.

The strategy is the sliding window counter of the `limits` library, the nearest that it has to a token bucket:
what is used up comes back little by little. It stores two numbers a key; a moving window stores a time for
each request, and what a fixed window has used up comes back at once, at an edge that everybody knows.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit

from sluicegate.access.circuit import RETRY_SECONDS
from sluicegate.access.counters import Counters, Uncounted
from sluicegate.access.rate_limits import BadRate, Counts, RateLimit
from sluicegate.http.rate_fields import Allowance, Policy

if TYPE_CHECKING:
    from sluicegate.access.redis_counters import RedisCounters

OnFailure = Literal["allow", "deny"]

TIMEOUT_SECONDS: Final = 0.25
"""A Redis beside us answers within a millisecond; a client would feel more than this."""

MAX_KEY: Final = 200
"""Characters; a longer key is stored as its hash. What is in a key may come from a client."""


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
        self._memory = Counters() if counters is None else counters
        self._counters: RedisCounters | Counters | None = None

    async def __aenter__(self) -> Self:
        """Prepare to count. Redis is not asked yet."""
        if self._address is None:
            self._counters = self._memory
        else:
            from sluicegate.access.redis_counters import RedisCounters  # noqa: PLC0415

            verdict = "allowed" if self._on_failure == "allow" else "denied"
            self._counters = RedisCounters(self._url, self._address, self._timeout_seconds, verdict)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections to Redis."""
        counters, self._counters = self._counters, None
        if counters is not None and not isinstance(counters, Counters):
            await counters.aclose()

    @property
    def is_away(self) -> bool:
        """Whether Redis gave no answer when it was asked last."""
        counters = self._counters
        return counters is not None and not isinstance(counters, Counters) and counters.is_away

    async def check(self, limit: RateLimit, key: str) -> Allowance:
        """Count a request of `key`, and say whether it is allowed. Does not raise.

        `key` says who and what is counted: equal windows of equal keys are the same count.
        """
        counters = self._entered()
        judge = partial(self._judge, counters, limit, _stored(key))
        if isinstance(counters, Counters):
            return await judge()
        try:
            return await counters.ask(judge)
        except Uncounted:
            return self._unasked(limit)

    async def use(self, key: str, most: int, expires_seconds: float) -> bool:
        """Count a use of `key`, and say whether it is among the first `most`.

        It is forgotten `expires_seconds` after the first use. Raises `Uncounted` where it cannot be counted,
        whatever `on_failure` says: nobody may be let in for that.
        """
        counters = self._entered()
        # Redis takes whole seconds, and deletes at 0: nobody would have used it.
        seconds = max(1, ceil(expires_seconds))
        if isinstance(counters, Counters):
            return counters.use(_stored(key), seconds) <= most
        return await counters.ask(partial(counters.use, _stored(key), seconds)) <= most

    def _entered(self) -> RedisCounters | Counters:
        if self._counters is None:
            raise RuntimeError("Rates are entered before they are asked")
        return self._counters

    async def _judge(self, counters: RedisCounters | Counters, limit: RateLimit, key: str) -> Allowance:
        """What the windows say: the first that refuses, or the one with the least left."""
        tightest: Allowance | None = None
        for policy in limit.policies:
            allowance = await self._count(counters, policy, key)
            if not allowance.allowed:
                return allowance
            if tightest is None or (allowance.remaining or 0) < (tightest.remaining or 0):
                tightest = allowance
        if tightest is None:
            raise AssertionError("a limit has a window")
        return tightest

    async def _count(self, counters: RedisCounters | Counters, policy: Policy, key: str) -> Allowance:
        quota, seconds = policy.quota, policy.window_seconds
        counts: Counts | None
        if isinstance(counters, Counters):
            # Equal windows of equal keys are the same count, as in Redis.
            is_allowed, counts = counters.hit(f"{quota}/{key}", quota, seconds)
        else:
            is_allowed, counts = await counters.hit(key, quota, seconds, tell=self._tell_remaining)
        if counts is None or (is_allowed and not self._tell_remaining):
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


def _stored(key: str) -> str:
    """`key` as it is stored: short, and nothing that a client could put into it breaks its encoding."""
    if len(key) <= MAX_KEY and key.isascii():
        return key
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
