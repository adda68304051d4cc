"""`StreamResponse` and `ObjectResponse`: what an endpoint returns.

Both are Starlette responses and ASGI applications. They need asyncio, as the client libraries do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sluicegate.delivery.bodies import AsyncIteratorBody
from sluicegate.delivery.closing import owned
from sluicegate.delivery.disconnect import DisconnectWatch
from sluicegate.delivery.openapi import object_responses
from sluicegate.delivery.pump import pump, read_first, send_head, send_head_alone, send_problem
from sluicegate.delivery.recognition import Recognised, recognise
from sluicegate.errors import (
    BadFieldValue,
    ClientGone,
    MethodNotAllowed,
    NotFound,
    SluicegateError,
    TransferCut,
)
from sluicegate.flow.opening import Target, open_object
from sluicegate.http.exchange import (
    Head,
    NotModified,
    Outcome,
    Overrides,
    PreconditionFailed,
    Unsatisfiable,
    accepted_request_id,
    answer,
    answer_error,
    answer_problem,
    read_request,
)
from sluicegate.http.fields import (
    Disposition,
    Fields,
    check_fields,
    check_value,
    content_disposition,
    end_to_end,
    filename_of,
)
from sluicegate.sources.base import Body, Chunk, Source

logger = logging.getLogger("sluicegate")

FORWARDED: Final = ("accept", "accept-language")
"""A client's fields that go on to origins that speak HTTP; ranges and conditions go by themselves.
`Authorization` and `Cookie` are between the client and this server."""

FRAMING: Final = frozenset({"content-length", "content-range", "transfer-encoding", "connection"})
"""Fields that only the response itself can know."""

_NO_CONTENT: Final = frozenset({204, 205, 304})

_VALIDATORS: Final = frozenset({"etag", "last-modified"})


class StreamResponse(StreamingResponse):
    """A drop-in for Starlette's `StreamingResponse` that owns, counts and closes what it streams.

    `content` is an iterable or asynchronous iterable of bytes-like objects or `str`, a binary file, plain
    bytes or text, or a response or body of obstore, botocore, aiobotocore, aiohttp or httpx; of these the
    length, the ETag, the coding and the type become header fields where the caller gave none.

    - The head is sent with the first chunk, so that a failure before it is still a status; only
      `text/event-stream` begins at once.
    - With a `Content-Length`, a body that comes out short or long raises `TransferCut`, which makes the
      server cut the connection: a client never takes it for whole.
    - `content` is closed on every path, also if nothing of it was read. HEAD reads nothing.
    - `background` runs after the body, also if the client left before its end.

    Raises `BadFieldValue` for header values that could split the header, `TypeError` for other content.
    """

    def __init__(
        self,
        content: object,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        check_fields(headers or {})
        check_value("content-type", media_type or "")
        recognised = recognise(content, self.charset)
        self._body = recognised.body
        self._own_iterator = self.body_iterator = _iterate(self._body)  # type: ignore[assignment]
        self.status_code = status_code
        self.media_type = self.media_type if media_type is None else media_type
        self.background = background
        self.init_headers(headers)
        self._describe(recognised)

    def _describe(self, recognised: Recognised) -> None:
        """Say what is known of the content, where the caller said nothing."""
        # The validators of an object beside a part of it would make a cache take the part for the whole.
        is_another = recognised.part and self.status_code != HTTPStatus.PARTIAL_CONTENT
        for name, value in recognised.fields:
            if not (is_another and name in _VALIDATORS):
                self.headers.setdefault(name, value)
        is_known = recognised.length is not None and self.status_code not in _NO_CONTENT
        if is_known and "transfer-encoding" not in self.headers:
            self.headers.setdefault("content-length", str(recognised.length))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            async with owned(self._sent_body()) as body:
                if scope["type"] == "websocket":
                    await self._stream(body, scope, self._wrap_websocket_denial_send(send))
                else:
                    async with DisconnectWatch(receive):
                        await self._stream(body, scope, send)
        except ClientGone:
            logger.debug("the client left before the end of %s", scope.get("path"))
        if self.background is not None:
            await self.background()

    async def _stream(self, body: Body, scope: Scope, send: Send) -> None:
        head = Head(self.status_code, _decoded(self.raw_headers), self._length())
        if scope.get("method") == "HEAD" or self.status_code in _NO_CONTENT:
            await send_head_alone(head, send)
        elif self.headers.get("content-type", "").startswith("text/event-stream"):
            await send_head(head, send)
            await pump(head.length, None, body, send)
        else:
            first = await read_first(head, body)
            await send_head(head, send)
            await pump(head.length, first, body, send)

    def _sent_body(self) -> Body:
        """What was given, unless somebody has put another iterator in its place."""
        if self.body_iterator is self._own_iterator:
            return self._body
        return AsyncIteratorBody(self.body_iterator, self._body.aclose, self.charset)

    def _length(self) -> int | None:
        value = self.headers.get("content-length")
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()):
            raise BadFieldValue(f"Content-Length is a number of bytes, got {value!r}")
        return int(value)


@dataclass(frozen=True, slots=True)
class _Client:
    """Who asks: the request's method and fields, its id, and the way back."""

    method: str
    fields: dict[str, str]
    request_id: str
    send: Send

    @property
    def wants_head(self) -> bool:
        """Whether the client wants no content."""
        return self.method == "HEAD"


class ObjectResponse(Response):
    """An object of a source, with everything that HTTP has for objects.

    GET, HEAD, one range and several, 304, 412, 416, `If-Range`; failures before the first byte are problem
    details (RFC 9457). What the object says of itself becomes header fields, unless the arguments say
    otherwise: `media_type`, `cache_control`, `headers` (which replace fields of the same name).

    `filename` sets `Content-Disposition`, as `attachment` unless `disposition` says "inline";
    `disposition` alone takes the file name from the key. `denied_status` is what a client gets where the
    origin denies: 404, or 403. `background` runs after the body.

    Return it from a path operation, or call it as an ASGI application. Raises `BadFieldValue` for values
    that could split a header.
    """

    def __init__(  # noqa: PLR0913 - what a route may say of its answers, all by name
        self,
        source: Source,
        key: str,
        *,
        filename: str | None = None,
        disposition: Disposition | None = None,
        media_type: str | None = None,
        cache_control: str | None = None,
        headers: Mapping[str, str] | None = None,
        denied_status: int = 404,
        background: BackgroundTask | None = None,
    ) -> None:
        if refused := FRAMING & {name.lower() for name in headers or {}}:
            raise BadFieldValue(f"{', '.join(sorted(refused))} cannot be set: the response frames itself")
        check_fields(
            {**(headers or {}), "content-type": media_type or "", "cache-control": cache_control or ""}
        )
        self.source = source
        self.key = key
        self.status_code = HTTPStatus.OK
        self.background = background
        self._media_type = media_type
        self._cache_control = cache_control
        self._content_disposition = _disposition(key, filename, disposition)
        self._denied_status = denied_status
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the source, and send what it has."""
        fields = _request_fields(scope)
        request_id = accepted_request_id(fields.get("x-request-id")) or secrets.token_hex(8)
        try:
            # The body is closed after the watch has ended: servers report a disconnect as soon as the answer
            # is complete, and that must not interrupt the closing.
            async with AsyncExitStack() as ownership, DisconnectWatch(receive):
                await self._serve(_Client(scope["method"], fields, request_id, send), ownership)
        except ClientGone:
            logger.debug("the client left before the end of %r (request %s)", self.key, request_id)
        except TransferCut as cut:
            logger.error("%r was cut: %s (request %s)", self.key, cut, request_id)  # noqa: TRY400
            raise
        if self.background is not None:
            await self.background()

    async def _serve(self, client: _Client, ownership: AsyncExitStack) -> None:
        """The straight line: read the request, ask the origin, answer, pump. `ownership` closes the body."""
        if client.method == "OPTIONS":
            allow = ("allow", ", ".join(MethodNotAllowed.allowed))
            await send_head_alone(Head(HTTPStatus.NO_CONTENT, (allow,), 0), client.send)
            return
        overrides = self._overrides()
        forwarded = tuple((name, client.fields[name]) for name in FORWARDED if name in client.fields)
        target = Target(self.source, self.key, forwarded)
        try:
            request = read_request(client.method, client.fields)
            opened = await open_object(target, request, overrides, secrets.token_hex(16))
        except SluicegateError as error:
            await self._fail(error, client)
            return
        body = await ownership.enter_async_context(owned(opened.body))
        await self._send(answer(opened.outcome, overrides), opened.outcome, body, client)

    async def _send(self, head: Head, outcome: Outcome, body: Body, client: _Client) -> None:
        if isinstance(outcome, PreconditionFailed | Unsatisfiable):
            title = HTTPStatus(head.status).phrase
            problem = answer_problem(head.status, title, client.request_id, fields=head.fields)
            await send_problem(problem, client.send, head_alone=client.wants_head)
            return
        if client.wants_head or isinstance(outcome, NotModified):
            await send_head_alone(head, client.send)
            return
        try:
            first = await read_first(head, body)
        except SluicegateError as error:
            await self._fail(error, client)
            return
        await send_head(head, client.send)
        await pump(head.length, first, body, client.send)

    async def _fail(self, error: SluicegateError, client: _Client) -> None:
        level = logging.INFO if type(error) in (NotFound, MethodNotAllowed) else logging.WARNING
        logger.log(level, "%s: %s (request %s)", type(error).__name__, error, client.request_id)
        problem = answer_error(error, client.request_id, denied_status=self._denied_status)
        await send_problem(problem, client.send, head_alone=client.wants_head)

    def _overrides(self) -> Overrides:
        # Read now, not when made: a middleware or a path operation may have set cookies meanwhile.
        fields = _decoded(self.raw_headers)
        # The type among `headers` is that of the object, and never that of several ranges of it.
        media_type = next((value for name, value in fields if name == "content-type"), self._media_type)
        return Overrides(
            media_type=media_type,
            content_disposition=self._content_disposition,
            cache_control=self._cache_control,
            fields=tuple(field for field in fields if field[0] != "content-type"),
        )


class _Router(Protocol):
    """FastAPI's application and routers, as far as `object_route` needs them."""

    @property
    def api_route(self) -> Callable[..., Any]: ...

    @property
    def get(self) -> Callable[..., Any]: ...


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def object_route(
    router: _Router,
    path: str,
    *,
    media_type: str | None = None,
    **options: Any,
) -> Callable[[Endpoint], Endpoint]:
    """Decorate a FastAPI path operation that returns an `ObjectResponse`: it answers GET, HEAD and OPTIONS.

    The OpenAPI document describes one GET operation with all its answers; `media_type` is what its 200 and
    206 hold. `options` are those of FastAPI's own route decorators, and count for every method.
    """
    responses = {**object_responses(media_type), **options.pop("responses", {})}
    options = {
        "response_class": ObjectResponse,
        "response_model": None,
        "status_code": HTTPStatus.OK,
        **options,
    }

    def register(endpoint: Endpoint) -> Endpoint:
        # The first route takes every request, so it has every option, dependencies above all; the second
        # stands in the document, which has no use for the same operation three times.
        methods = list(MethodNotAllowed.allowed)
        router.api_route(path, **{**options, "methods": methods, "include_in_schema": False})(endpoint)
        router.get(path, responses=responses, **options)(endpoint)
        return endpoint

    return register


async def _iterate(body: Body) -> AsyncIterator[Chunk]:
    """The chunks of a body, for those who read `body_iterator` instead of calling the response."""
    async with owned(body):
        while chunk := await body.read():
            yield chunk


def _disposition(key: str, filename: str | None, disposition: Disposition | None) -> str | None:
    if filename is None and disposition is None:
        return None
    return content_disposition(filename or filename_of(key), disposition or "attachment")


def _request_fields(scope: Scope) -> dict[str, str]:
    pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return end_to_end(pairs)


def _decoded(raw: list[tuple[bytes, bytes]]) -> Fields:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
