"""Cross-origin requests: what a browser is told of who may read an answer, and of what in it.

The WHATWG Fetch standard, section "HTTP extensions" (CORS protocol).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sluicegate.http.fields import Fields, check_name

ANY_ORIGIN: Final = "*"

REQUEST_FIELDS: Final = (
    "authorization",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "traceparent",
    "x-api-key",
    "x-request-id",
)
"""What a script may send. A single range is allowed to all; players and download managers ask for more."""

EXPOSED_FIELDS: Final = (
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "etag",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "server-timing",
    "x-request-id",
)
"""What a script may read, beside the few that it always may (Content-Type and Last-Modified among them)."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy:
    """Which origins' scripts may read a route: their names, or `*` for all, who then send no credentials.

    `credentials` lets cookies and `Authorization` come with a request. `max_age_seconds` is how long a
    browser need not ask again. Raises `ValueError` for what no browser would understand.
    """

    origins: frozenset[str]
    credentials: bool = False
    max_age_seconds: int = 7200
    request_fields: tuple[str, ...] = REQUEST_FIELDS
    exposed_fields: tuple[str, ...] = EXPOSED_FIELDS

    def __post_init__(self) -> None:
        if self.credentials and ANY_ORIGIN in self.origins:
            # "If credentials mode is "include", then `Access-Control-Allow-Origin` cannot be `*`."
            raise ValueError("credentials need the origins by name: with '*' every site could use them")
        for origin in sorted(self.origins - {ANY_ORIGIN}):
            if not is_origin(origin):
                raise ValueError(
                    f"origin {origin!r} is not '*', and not as browsers send it: 'https://app.example.com', "
                    "in lower case, without a path"
                )
        if self.max_age_seconds < 0:
            raise ValueError(f"max_age_seconds is 0 or more, found {self.max_age_seconds!r}")
        for name in (*self.request_fields, *self.exposed_fields):
            check_name(name)

    def allowed(self, origin: str | None) -> str | None:
        """The `Access-Control-Allow-Origin` for a request from `origin`; `None` if it may not read."""
        if ANY_ORIGIN in self.origins:
            return ANY_ORIGIN
        return origin if origin in self.origins else None


def is_origin(text: str) -> bool:
    """Whether this is an origin as browsers send it, such as `https://app.example.com`."""
    return _ORIGIN.fullmatch(text) is not None


def answer_fields(policy: CorsPolicy, origin: str | None) -> Fields:
    """What an answer says to a browser that has asked for a script of `origin`."""
    varies: Fields = () if ANY_ORIGIN in policy.origins else (("vary", "origin"),)
    allowed = policy.allowed(origin)
    if allowed is None:
        return varies
    credentials: Fields = (("access-control-allow-credentials", "true"),) if policy.credentials else ()
    exposed = ", ".join(policy.exposed_fields)
    return (
        ("access-control-allow-origin", allowed),
        *credentials,
        ("access-control-expose-headers", exposed),
        *varies,
    )


def preflight_fields(policy: CorsPolicy, origin: str | None, methods: tuple[str, ...]) -> Fields:
    """What the answer to a browser's question before the request says; nothing allowed to whom nothing is."""
    varies: Fields = (("vary", "origin, access-control-request-method, access-control-request-headers"),)
    allowed = policy.allowed(origin)
    if allowed is None:
        return varies
    credentials: Fields = (("access-control-allow-credentials", "true"),) if policy.credentials else ()
    return (
        ("access-control-allow-origin", allowed),
        *credentials,
        ("access-control-allow-methods", ", ".join(methods)),
        ("access-control-allow-headers", ", ".join(policy.request_fields)),
        ("access-control-max-age", str(policy.max_age_seconds)),
        *varies,
    )
