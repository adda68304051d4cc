"""Any HTTP API as a source, through aiohttp: another service's answers, relayed."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    InvalidKey,
    OriginTimeout,
    SourceError,
    Unavailable,
)
from sluicegate.http.addresses import parse_network
from sluicegate.http.conditions import Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.fields import Fields, check_fields, end_to_end
from sluicegate.http.ranges import format_range, parse_content_range
from sluicegate.http.validators import format_date
from sluicegate.sources.base import Chunk, EmptyBody, Found, OpenOutcome, OpenRequest
from sluicegate.sources.connecting import GuardedResolver
from sluicegate.sources.headers import describe, error_for_status, span_of
from sluicegate.sources.lifetime import Lifetime
from sluicegate.sources.options import DEFAULT_HTTP_OPTIONS, BadOptions, HttpOptions
from sluicegate.sources.redirects import Origin, Policy, harmless, parse_host_pattern
from sluicegate.sources.translation import as_break, by_table
from sluicegate.sources.urls import check_base, check_encoded, encode_key, located, origin_of, shown
from sluicegate.trust import client_context

READ_BUFFER: Final = 256 * 1024
"""Bytes that aiohttp gathers before it stops reading from the socket (twice this at most)."""

MAX_REDIRECTS: Final = 5

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""RFC 9110 section 15.4: all of them repeat a GET or a HEAD as it is."""

POOL_SECONDS: Final = 10.0
"""How long a request waits for one of `max_connections` to be free."""

ERRORS: Final[tuple[tuple[type[BaseException], type[SourceError]], ...]] = (
    # The first row that fits wins, so subclasses stand above their bases.
    (aiohttp.ServerTimeoutError, OriginTimeout),
    (TimeoutError, OriginTimeout),
    (aiohttp.InvalidURL, InvalidKey),
    (aiohttp.ClientPayloadError, BrokenBody),
    (aiohttp.ClientResponseError, BadAnswer),
    (aiohttp.ClientConnectionError, Unavailable),
    (aiohttp.ClientError, BadAnswer),
    (OSError, Unavailable),
)


AIOHTTP_ERRORS: Final = (aiohttp.ClientError, OSError)
"""What aiohttp's client raises: its own tree, and the system's."""


class HttpSource(AbstractAsyncContextManager["HttpSource"]):
    """A source on the HTTP API at `base_url`; a key is a path below it.

    A key is text, and encoded here: `a b/%` becomes `/a%20b/%25`. What the API says of type, validators,
    length and ranges is passed on; its other header fields are not.

    Redirects are followed within the same scheme, host and port, and to `options.redirects`, never from
    https to http. Each request begins at the base address again. Once a request has left it, neither the
    configured fields nor a client's own go with it, not even where it is sent back.

    `resolver` looks up hosts instead of the system, and is closed by whoever made it.
    """

    def __init__(
        self,
        base_url: str,
        options: HttpOptions = DEFAULT_HTTP_OPTIONS,
        *,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.base_url = check_base(base_url)
        self._options = options
        self._headers = check_fields(options.headers)
        self._policy = _policy(origin_of(URL(self.base_url)), options)
        self._resolver = resolver
        self._lifetime = Lifetime(self.base_url)
        self._names: GuardedResolver | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make the client session. Nothing is sent yet."""
        with self._lifetime.entering():
            options = self._options
            tls = await asyncio.to_thread(client_context, options.tls_verify, BadOptions)
            self._names = GuardedResolver(self._policy, self._resolver)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=options.max_connections, ssl=tls, resolver=self._names),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=options.connect_timeout + POOL_SECONDS,
                    sock_connect=options.connect_timeout,
                    sock_read=options.read_timeout,
                ),
                # The body is relayed in the coding that it has, with the length that it has.
                auto_decompress=False,
                read_bufsize=READ_BUFFER,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent",),
                # A proxy would connect to addresses that it looks up itself, and `.netrc` holds credentials.
                trust_env=False,
            )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the session and its connections."""
        self._lifetime.leave()
        session, names, self._session, self._names = self._session, self._names, None, None
        try:
            if session is not None:
                await session.close()
        finally:
            if names is not None:
                await names.close()

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the API for the path `key`."""
        path = check_encoded(key) if self._options.encoded_keys else encode_key(key)
        url = URL(f"{self.base_url}/{path}", encoded=True)
        response = await self._send(url, request)
        try:
            return _outcome(response, request)
        except BaseException:
            response.release()
            raise

    async def _send(self, url: URL, request: OpenRequest) -> aiohttp.ClientResponse:
        headers = dict((*_request_fields(request), *self._headers))
        method = "HEAD" if request.head else "GET"
        origin = self._policy.own
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._ask(method, url, headers)
            if response.status not in REDIRECTS:
                return response
            response.release()
            url, origin = self._redirected(response, url, origin)
            if origin != self._policy.own:
                headers = dict(_request_fields(replace(request, fields=harmless(request.fields))))
        raise BadAnswer(f"{shown(url)}: more than {MAX_REDIRECTS} redirects")

    async def _ask(self, method: str, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        if self._session is None:
            raise self._lifetime.closed()
        self._lifetime.check_loop()
        try:
            return await self._session.request(method, url, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise translate(exc, shown(url)) from exc

    def _redirected(self, response: aiohttp.ClientResponse, url: URL, here: Origin) -> tuple[URL, Origin]:
        """Where a redirect leads, if the policy allows it; anything else is not for the API to decide."""
        try:
            target = located(url, response.headers.get("Location", ""))
            there = origin_of(target)
        except ValueError as exc:
            raise BadAnswer(f"{shown(url)}: redirect to what is no address") from exc
        refusal = self._policy.refusal(here, there)
        if refusal is not None:
            raise BadAnswer(f"{shown(url)}: {refusal}")
        return target, there


class AiohttpBody:
    """The bytes of an aiohttp response, in the pieces that its buffer holds."""

    def __init__(self, response: Any, what: str) -> None:
        self._response = response
        self._what = what
        self._protocol = (
            None if _has_framing(response) else response.connection and response.connection.protocol
        )

    async def read(self) -> Chunk:
        """What has arrived; empty at the end."""
        try:
            chunk: bytes = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as exc:
            self._response.close()
            raise as_break(translate(exc, self._what)) from exc
        # aiohttp takes a reset for the end of a body that nothing but the end of its connection ends.
        if not chunk and self._protocol is not None and isinstance(self._protocol.exception(), OSError):
            raise BrokenBody(f"{self._what}: the connection broke, and the body told no length")
        return chunk

    async def aclose(self) -> None:
        """Close the connection, unless all of the body was read and the connection is free again."""
        self._response.close()


def _has_framing(response: Any) -> bool:
    """Whether an answer tells where its body ends."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def response_fields(response: Any) -> dict[str, str]:
    """The end-to-end fields of an aiohttp response, by lower-case name."""
    headers: CIMultiDictProxy[str] = response.headers
    return end_to_end(headers.items())


def translate(exc: BaseException, what: str) -> SourceError:
    """Our error for one of aiohttp's, or of the sockets below it."""
    return by_table(ERRORS, exc, what)


def _outcome(response: aiohttp.ClientResponse, request: OpenRequest) -> OpenOutcome:
    fields, what = response_fields(response), shown(response.url)
    match response.status:
        case 200 | 203 | 206:
            metadata, span = span_of(*describe(fields, ranges=False), fields, response.status, what)
            if request.head:
                response.release()
                return Found(metadata, span, EmptyBody())
            return Found(metadata, span, AiohttpBody(response, what))
        case 304:
            response.release()
            return NotModified(describe(fields, ranges=False)[0])
        case 412:
            response.release()
            return PreconditionFailed()
        case 416:
            response.release()
            place = parse_content_range(fields.get("content-range", ""))
            return Unsatisfiable(None if place is None else place.size)
        case status:
            raise error_for_status(status, f"{what}: {status}", fields)


def _request_fields(request: OpenRequest) -> Fields:
    """The fields of a request to the API: what the client sent and may pass, ranges and conditions."""
    fields = [*request.fields, ("accept-encoding", "identity")]
    if request.range is not None:
        fields.append(("range", format_range(request.range)))
    return (*fields, *_condition_fields(request.conditions))


def _condition_fields(conditions: Conditions) -> Fields:
    fields = (
        ("if-match", None if conditions.if_match is None else str(conditions.if_match)),
        ("if-none-match", None if conditions.if_none_match is None else str(conditions.if_none_match)),
        ("if-modified-since", _date(conditions.if_modified_since)),
        (
            "if-unmodified-since",
            _date(conditions.if_unmodified_since),
        ),
    )
    return tuple((name, value) for name, value in fields if value is not None)


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else format_date(moment)


def _policy(own: Origin, options: HttpOptions) -> Policy:
    policy = Policy(
        own=own,
        hosts=tuple(map(parse_host_pattern, options.redirects)),
        networks=tuple(map(parse_network, options.allow_networks)),
        public_only=options.public_only,
    )
    if options.public_only and (refusal := policy.literal_refusal(own)) is not None:
        raise BadOptions(f"public_only is set: {refusal}")
    return policy
