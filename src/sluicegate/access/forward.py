"""Forward authentication: the user's own service is asked about each request, and its answer is the verdict.

Whatever goes wrong with the service denies.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, Self
from urllib.parse import quote

import aiohttp

from sluicegate.access.base import AccessRequest, Refusal, Verdict
from sluicegate.access.errors import BadCredentials
from sluicegate.access.flights import FlightEnded, Flights
from sluicegate.access.forward_answers import DEFAULT_CHALLENGE, judge
from sluicegate.access.forward_options import ForwardOptions
from sluicegate.access.remembered import Remembered
from sluicegate.http.fields import is_value
from sluicegate.trust import client_context

__all__ = ["ForwardAuth", "ForwardOptions"]

REMEMBERED: Final = 4096
"""How many verdicts are held at most; the one that was asked for longest ago goes first."""

DISCARD_BYTES: Final = 64 * 1024
DISCARD_SECONDS: Final = 0.25
"""What is read of a body that nobody wants, and for how long, so that its connection serves again. A longer
or slower one costs a new connection, which is cheaper than the wait."""

ERRORS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    # The first row that fits wins, so subclasses stand above their bases.
    (TimeoutError, "did not answer in time"),
    (aiohttp.ClientSSLError, "could not be reached through TLS"),
    (aiohttp.ClientConnectorError, "could not be reached"),
    (aiohttp.ClientConnectionError, "broke the connection"),
    (aiohttp.ClientError, "answered what is not HTTP"),
    (OSError, "could not be reached"),
)
"""What aiohttp raises, in our words: its own may hold what the service sent."""

_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class ForwardAuth:
    """Asks the service at `options.url`, as `auth_request` of nginx and ForwardAuth of Traefik do.

    It gets a GET with `X-Forwarded-Method`, `X-Forwarded-Uri` (the canonical path, and the query as it was
    sent), `X-Forwarded-For` (the client's address) and the client's fields that `options` names; one that is
    not UTF-8 or has control characters refuses with 401. Its answer:

    - 2xx grants: to whom, with what claims and with which key is in the fields that `options` names. Without
      the field of the key, the route's own template makes the key.
    - 401 refuses, with its `WWW-Authenticate`; 403 and 404 refuse with 403.
    - Anything else, a redirect too, refuses with 503; so do no answer in time, and none at all. A connection
      that breaks before its answer is tried once more, since one that was kept may have been closed.

    Verdicts that the service gave are held for `options.cache_seconds`, if any, by all that it was asked
    with; then requests that are the same wait for one answer. `clock` tells seconds from any beginning, and
    never goes back.
    """

    def __init__(self, options: ForwardOptions, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._names = tuple(name.lower() for name in options.forward_fields)
        self._fixed = dict(options.request_fields)
        self._remembered = Remembered[bytes, Verdict](REMEMBERED, options.cache_seconds, clock)
        self._flights = Flights[bytes, Verdict]()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make the client session. Nothing is sent yet. `BadCredentials` if `tls_verify` is no such file."""
        options = self._options
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=options.max_connections,
                ssl=await asyncio.to_thread(client_context, options.tls_verify, BadCredentials),
            ),
            timeout=aiohttp.ClientTimeout(total=options.timeout_seconds),
            # What the service sets for one client is not for the next one.
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent",),
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Refuse those who wait, and close all connections."""
        session, self._session = self._session, None
        try:
            await self._flights.aclose()
        finally:
            if session is not None:
                await session.close()

    async def verify(self, request: AccessRequest) -> Verdict:
        """Ask about a request."""
        shown = {name: request.field(name.encode()) for name in self._names}
        fields = _question(request, shown)
        if fields is None:
            return Refusal(reason="a field that cannot be passed on", challenge=DEFAULT_CHALLENGE)
        absent = all(value is None for value in shown.values())
        if not self._options.cache_seconds:
            return await self._ask(fields, absent=absent)
        digest = _digest(request, shown.values())
        known = self._remembered.get(digest)
        if known is not None:
            return known
        try:
            return await self._flights.join(digest, lambda: self._find_out(digest, fields, absent=absent))
        except FlightEnded:
            return Refusal(reason="the verifier was closed", status=503)

    async def _find_out(self, digest: bytes, fields: dict[str, str], *, absent: bool) -> Verdict:
        verdict = await self._ask(fields, absent=absent)
        if not (isinstance(verdict, Refusal) and verdict.status == 503):
            self._remembered.put(digest, verdict)
        return verdict

    async def _ask(self, fields: Mapping[str, str], *, absent: bool) -> Verdict:
        if self._session is None:
            raise RuntimeError(
                f"ForwardAuth of {self._options.address} is not open: enter it in the application's lifespan"
            )
        headers = {**self._fixed, **fields}
        try:
            async with self._session.get(
                self._options.url, headers=headers, allow_redirects=False
            ) as response:
                answered = tuple((name.lower(), value) for name, value in response.headers.items())
                verdict = judge(response.status, answered, self._options, absent=absent)
                await _discard(response.content)
                return verdict
        except (aiohttp.ClientError, OSError) as exc:
            return Refusal(reason=f"{self._options.address} {_words(exc)}", status=503)


def _question(request: AccessRequest, shown: Mapping[str, str | None]) -> dict[str, str] | None:
    """The fields that the service is asked with; `None` if one of them cannot be sent as it came."""
    uri = f"{request.path}?{request.query}" if request.query else request.path
    fields: dict[str, str | None] = {
        "x-forwarded-method": request.method,
        # Bytes that stand in no URL are encoded, which changes nothing of what they mean.
        "x-forwarded-uri": quote(uri, safe=_VISIBLE, encoding="latin-1", errors="replace"),
        "x-forwarded-for": None if request.client is None else str(request.client),
    }
    try:
        return {
            name: _sendable(value) for name, value in (*fields.items(), *shown.items()) if value is not None
        }
    except ValueError:
        return None


def _sendable(value: str) -> str:
    """A value as aiohttp has to be given it, which writes UTF-8; `ValueError` if it cannot be."""
    if not is_value(value):
        raise ValueError("control characters in a field")
    return value if value.isascii() else value.encode("latin-1").decode()


def _digest(request: AccessRequest, shown: Iterable[str | None]) -> bytes:
    """What two requests have in common that are the same to the service."""
    digest = hashlib.sha256()
    client = None if request.client is None else str(request.client)
    for part in (request.method, request.path, request.query, client, *shown):
        # With the length before each, no end of one can be taken for the beginning of the next.
        data = b"" if part is None else part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % (-1 if part is None else len(data)))
        digest.update(data)
    return digest.digest()


async def _discard(content: aiohttp.StreamReader) -> None:
    """Read a short body to its end; the verdict stands, whatever comes of it."""
    left = DISCARD_BYTES
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0 and (chunk := await content.readany()):
                left -= len(chunk)


def _words(exc: BaseException) -> str:
    return next(words for kind, words in ERRORS if isinstance(exc, kind))
