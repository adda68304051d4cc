"""What a client is told of the limits on its requests: `RateLimit-Policy`, `RateLimit` and `Retry-After`.

The first two are of draft-ietf-httpapi-ratelimit-headers-10, as structured fields (RFC 9651).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sluicegate.errors import BadFieldValue
from sluicegate.http.fields import Fields

# RFC 9651 section 3.3.3: a String is printable ASCII. A name without quotes and backslashes needs no escapes.
_NAME: Final = re.compile(r"[A-Za-z0-9._/-]{1,64}")

_MAX_INTEGER: Final = 999_999_999_999_999
"""RFC 9651 section 3.3.1: integers have at most 15 digits."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`quota` requests in `window_seconds`, under a `name` that is told to clients.

    Raises `BadFieldValue` for what the fields cannot say.
    """

    name: str
    quota: int
    window_seconds: int

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadFieldValue(f"a policy's name has 1 to 64 letters, digits or ._/-, got {self.name!r}")
        for what, value in (("quota", self.quota), ("window_seconds", self.window_seconds)):
            if not 0 < value <= _MAX_INTEGER:
                raise BadFieldValue(f"{what} of {self.name!r} is 1 to {_MAX_INTEGER}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a policy says to one request.

    - `policy`: of several, the one that refuses, or that has the least left.
    - `remaining`: how many more it would allow now; `None` if nobody asked.
    - `reset_seconds`: after how long it allows one more than `remaining`; 0 where nothing is used.
    - `is_away`: whether nobody could be asked, and the operator's setting decided.
    """

    allowed: bool
    policy: Policy
    remaining: int | None
    reset_seconds: float
    is_away: bool = False

    @property
    def limit(self) -> int:
        """How many requests the policy allows in its window."""
        return self.policy.quota

    @property
    def status(self) -> int:
        """The status of the answer where it is not allowed."""
        # RFC 6585 section 4: the 429 status code indicates that the user has sent too many requests. Where
        # nobody could count them, nobody can say so.
        return 503 if self.is_away else 429


def rate_limit_fields(allowance: Allowance, policies: Iterable[Policy]) -> Fields:
    """The fields of an answer, allowed or not. `policies` are all that the route has.

    A refusal has `Retry-After` too. Where nobody could be asked, nothing is said of what is left.
    """
    told = [("ratelimit-policy", _policy_list(tuple(policies)))]
    if allowance.remaining is not None and not allowance.is_away:
        told.append(("ratelimit", _limit_item(allowance, allowance.remaining)))
    if not allowance.allowed:
        told.append(("retry-after", retry_after(allowance.reset_seconds)))
    return tuple(told)


def retry_after(seconds: float) -> str:
    """RFC 9110 section 10.2.3: "a non-negative decimal integer"; never 0, which invites to a loop."""
    return str(max(1, _whole(seconds)))


@lru_cache(maxsize=256)
def _policy_list(policies: tuple[Policy, ...]) -> str:
    return ", ".join(map(_policy_item, policies))


def _policy_item(policy: Policy) -> str:
    # Section 3.1.1: "q" is the quota allocated by this policy, "w" the time window in seconds.
    return f'"{policy.name}";q={policy.quota};w={policy.window_seconds}'


def _limit_item(allowance: Allowance, remaining: int) -> str:
    # Section 4.1: "r" is the remaining quota; "t" the number of seconds until additional quota associated
    # with the quota policy is made available.
    return f'"{allowance.policy.name}";r={max(0, remaining)};t={_whole(allowance.reset_seconds)}'


def _whole(seconds: float) -> int:
    """Rounded up: who comes back a fraction of a second early comes back for nothing."""
    return min(_MAX_INTEGER, max(0, math.ceil(seconds)))
