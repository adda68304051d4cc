"""Any HTTP API as a source, through aiohttp: another service's answers, relayed."""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, unquote

import aiohttp
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
from sluicegate.http.conditions import Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.fields import Fields, check_fields, end_to_end
from sluicegate.http.ranges import format_range, parse_content_range
from sluicegate.http.validators import format_date
from sluicegate.sources.base import Chunk, EmptyBody, Found, OpenOutcome, OpenRequest, check_key
from sluicegate.sources.certificates import tls_context
from sluicegate.sources.headers import describe, error_for_status, span_of
from sluicegate.sources.options import DEFAULT_HTTP_OPTIONS, BadOptions, HttpOptions
from sluicegate.sources.translation import as_break, by_table

READ_BUFFER: Final = 256 * 1024
"""Bytes that aiohttp gathers before it stops reading from the socket (twice this at most)."""

MAX_REDIRECTS: Final = 5

POOL_SECONDS: Final = 10.0
"""How long a request waits for one of `max_connections` to be free."""

# What a path segment may hold besides letters and digits (RFC 3986 section 3.3): the rest is encoded.
_SEGMENT_SAFE = "-._~!$&'()*+,;=:@"
_ENCODED = re.compile(r"[!\x22\x24-\x7e]*")

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

    A key is text, and encoded here: `a b/%` becomes `/a%20b/%25`. Redirects are followed within the same
    scheme, host and port only. What the API says of type, validators, length and ranges is passed on; its
    other header fields are not.
    """

    def __init__(self, base_url: str, options: HttpOptions = DEFAULT_HTTP_OPTIONS) -> None:
        self.base_url = _checked_base(base_url)
        self._options = options
        self._headers = check_fields(options.headers)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make the client session. Nothing is sent yet."""
        options = self._options
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=options.max_connections,
                ssl=await asyncio.to_thread(tls_context, options.tls_verify),
            ),
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
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the API for the path `key`."""
        path = _check_encoded(key) if self._options.encoded_keys else _encode(check_key(key))
        url = URL(f"{self.base_url}/{path}", encoded=True)
        response = await self._send(url, request)
        try:
            return _outcome(response, request)
        except BaseException:
            response.release()
            raise

    async def _send(self, url: URL, request: OpenRequest) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError(
                f"the source {self.base_url} is not open: enter it in the application's lifespan"
            )
        headers = dict((*_request_fields(request), *self._headers))
        method = "HEAD" if request.head else "GET"
        origin = url.origin()
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = await self._session.request(method, url, headers=headers, allow_redirects=False)
            except (aiohttp.ClientError, OSError, ValueError) as exc:
                raise translate(exc, _shown(url)) from exc
            if response.status not in (301, 302, 303, 307, 308):
                return response
            response.release()
            url = _redirected(response, url, origin)
        raise BadAnswer(f"{_shown(url)}: more than {MAX_REDIRECTS} redirects")


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
    fields, what = response_fields(response), _shown(response.url)
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


def _redirected(response: aiohttp.ClientResponse, url: URL, origin: URL) -> URL:
    """Where a redirect leads, if that is the same origin; anything else is not for the API to decide."""
    location = response.headers.get("Location", "")
    try:
        target = url.join(URL(location))
        leads_to = target.origin()
    except ValueError as exc:
        raise BadAnswer(f"{_shown(url)}: redirect to what is no address") from exc
    if leads_to != origin:
        raise BadAnswer(f"{_shown(url)}: redirect to another origin, {leads_to}")
    return target


def _checked_base(base_url: str) -> str:
    """`base_url` as it goes out, without a slash at its end."""
    try:
        url = URL(base_url)
    except ValueError as exc:
        raise BadOptions(f"the base address is none: {exc}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise BadOptions(f"{base_url!r} must be an http:// or https:// address")
    if url.user is not None or url.password is not None:
        raise BadOptions(f"{_shown(url)}: a user and a password belong in an authorization header field")
    if url.query_string or url.fragment:
        raise BadOptions(f"{_shown(url)} must have no query and no fragment")
    return str(url).rstrip("/")


def _shown(url: URL) -> str:
    """An address for messages: without what may be secret, a user's password or the query."""
    return str(url.with_user(None).with_query(None))


def _encode(key: str) -> str:
    return "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in key.split("/"))


def _check_encoded(key: str) -> str:
    """A key that is encoded already, if it is one: a path, which may be empty, and perhaps a query."""
    path = key.partition("?")[0]
    if path:
        check_key(unquote(path))
    if not _ENCODED.fullmatch(key):
        raise InvalidKey(f"key {key!r} is not percent-encoded")
    return key
