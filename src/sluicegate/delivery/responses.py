"""`StreamResponse` and `ObjectResponse`: what an endpoint returns.

Both are Starlette responses and ASGI applications. They need asyncio, as the client libraries do.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any, Final, Protocol, TypeVar, get_args

from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sluicegate.delivery.bodies import AsyncIteratorBody
from sluicegate.delivery.closing import owned
from sluicegate.delivery.openapi import object_responses
from sluicegate.delivery.pace import drain_limit
from sluicegate.delivery.pump import Pump, begin, send_end, send_head
from sluicegate.delivery.recognition import Recognised, recognise
from sluicegate.delivery.transfer import Offer, Wanted, serve
from sluicegate.delivery.watch import ClientWatch
from sluicegate.errors import BadFieldValue, ClientGone, MethodNotAllowed
from sluicegate.flow.throttle import Throttle
from sluicegate.http.active_content import ActiveContent
from sluicegate.http.exchange import Head, Overrides
from sluicegate.http.fields import (
    GUARDED,
    GUARDED_CACHE_CONTROL,
    Disposition,
    Fields,
    check_fields,
    check_value,
    content_disposition,
    filename_of,
    number,
)
from sluicegate.http.ranges import MAX_RANGES
from sluicegate.observe import Observer
from sluicegate.sources.base import Body, Chunk, Source, no_text
from sluicegate.sources.options import BadOptions

logger = logging.getLogger("sluicegate")

MIN_DRAIN_SECONDS: Final = 30.0
"""Over how long a minimum drain rate is averaged."""

OWN_FIELDS: Final = frozenset(
    {
        "accept-ranges",
        "connection",
        "content-length",
        "content-range",
        "etag",
        "last-modified",
        "transfer-encoding",
    }
)
"""Fields that only the response itself can know: how it is framed, and what conditions are held against."""

_NO_CONTENT: Final = frozenset({204, 205, 304})

_VALIDATORS: Final = frozenset({"etag", "last-modified"})


class StreamResponse(StreamingResponse):
    """A drop-in for Starlette's `StreamingResponse` that owns, counts and closes what it streams.

    `content` is an iterable or asynchronous iterable of bytes-like objects or `str`, a binary file, plain
    bytes or text, or a response or body of obstore, botocore, aiobotocore, aiohttp, httpx or urllib; of these
    the length, the ETag, the coding and the type become header fields where the caller gave none. The status
    is not taken over.

    - The head is sent with the first chunk, so that a failure before it is still a status; only
      `text/event-stream` begins at once.
    - With a `Content-Length`, a body that comes out short or long raises `TransferCut`, and the server cuts
      the connection or the stream: a client never takes it for whole.
    - `content` is closed on every path, also if nothing of it was read. HEAD reads nothing. What is
      synchronous is read in one plain thread.
    - It is sent once. The request's body is read before: what comes of it later is thrown away.
    - `background` runs after the body, also if the client left before its end.

    Raises `BadFieldValue` for header values that could split the header, `TypeError` for other content, and
    `RuntimeError` where it is sent again.
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
        self._is_sent = False
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
        # RFC 9110 section 15.3.7.1: "If a single part is being transferred, the server generating the 206
        # response MUST generate a Content-Range header field".
        if recognised.place is not None and self.status_code == HTTPStatus.PARTIAL_CONTENT:
            self.headers.setdefault("content-range", str(recognised.place))
        is_known = recognised.length is not None and self.status_code not in _NO_CONTENT
        if is_known and "transfer-encoding" not in self.headers:
            self.headers.setdefault("content-length", str(recognised.length))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. Raises `RuntimeError` the second time: its content is gone, or going."""
        if self._is_sent:
            raise RuntimeError("a StreamResponse is sent once: make one for each request")
        self._is_sent = True
        if GUARDED in scope:
            self.headers.setdefault("cache-control", GUARDED_CACHE_CONTROL)
        try:
            async with owned(self._sent_body()) as body:
                if scope["type"] == "websocket":
                    await self._stream(body, scope, self._wrap_websocket_denial_send(send), _look_away)
                else:
                    async with ClientWatch(receive, discarded=_warn_of_lost_body) as watch:
                        await self._stream(body, scope, send, watch.look)
        except ClientGone:
            logger.debug("the client left before the end of %s", scope.get("path"))
        if self.background is not None:
            await self.background()

    async def _stream(self, body: Body, scope: Scope, send: Send, look: Callable[[], None]) -> None:
        head = Head(self.status_code, _decoded(self.raw_headers), self._length())
        if scope.get("method") == "HEAD" or self.status_code in _NO_CONTENT:
            await send_head(head, send)
            await send_end(send)
        elif self.headers.get("content-type", "").startswith("text/event-stream"):
            await send_head(head, send)
            await Pump(head.length, body, send, look).run()
        else:
            begun = await begin(head, body)
            await send_head(head, send)
            await Pump(head.length, begun, send, look).run()

    def _sent_body(self) -> Body:
        """What was given, unless somebody has put another iterator in its place."""
        if self.body_iterator is self._own_iterator:
            return self._body
        return AsyncIteratorBody(self.body_iterator, self._body.aclose, self.charset)

    def _length(self) -> int | None:
        value = self.headers.get("content-length")
        if value is None:
            return None
        if (length := number(value)) is None:
            raise BadFieldValue(f"Content-Length is a number of bytes, got {value!r}")
        return length


class ObjectResponse(Response):
    """An object of a source, with everything that HTTP has for objects.

    GET, HEAD, one range and several, 304, 412, 416, `If-Range`; failures before the first byte are problem
    details (RFC 9457). What the object says of itself becomes header fields, unless the arguments say
    otherwise: `media_type`, `cache_control`, `headers` (which replace fields of the same name). `status_code`
    is for FastAPI's document alone: each request decides on its own.

    `filename` sets `Content-Disposition`, as `attachment` unless `disposition` says "inline";
    `disposition` alone takes the file name from the key. `denied_status` is what a client gets where the
    origin denies: 404, or 403. `background` runs after the body.

    `observe` is called once for each call, after the last byte and after the body is closed, with the
    `TransferRecord`; `route` (the template of the path) and `store` (a name) are for that record alone.
    `note_parked` is called with 1 when a transfer is parked, and with -1 when it is not any more.
    `server_timing` lets answers say how long the origin took, in milliseconds until its first chunk.

    A client that takes less than `min_drain_rate` bytes a second (0 for no limit), on average over
    `min_drain_seconds` in which bytes were ready for it, is cut.

    The bytes of the object wait for all `throttles`, one after the other: put the one that the most transfers
    share last. The head waits for none, and the wait is not held against the client.

    `active_content` says what to do with HTML, SVG and whatever else a browser would run: `"sandbox"` takes
    its rights away, `"attachment"` has it saved, `"trust"` lets it run; all three forbid that other types are
    taken for it. A request for more than `max_ranges` ranges gets the whole object.

    Return it from a path operation, or call it as an ASGI application. Raises `BadFieldValue` for values
    that could split a header and for fields that only the object can say, and `BadOptions` for limits that
    cannot be used.
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
        status_code: int = HTTPStatus.OK,
        denied_status: int = 404,
        background: BackgroundTask | None = None,
        observe: Observer | None = None,
        route: str | None = None,
        store: str | None = None,
        min_drain_rate: int = 0,
        min_drain_seconds: float = MIN_DRAIN_SECONDS,
        note_parked: Callable[[int], None] | None = None,
        server_timing: bool = False,
        throttles: Iterable[Throttle] = (),
        active_content: ActiveContent | None = None,
        max_ranges: int = MAX_RANGES,
    ) -> None:
        _check_source(source)
        if not isinstance(key, str):
            raise no_text(key)
        if status_code != HTTPStatus.OK:
            raise BadOptions(f"status_code is 200, as each request decides on its own, got {status_code!r}")
        if denied_status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            raise BadOptions(f"denied_status is 404 or 403, got {denied_status!r}")
        if active_content not in (None, *get_args(ActiveContent)):
            raise BadOptions(f"active_content is 'sandbox', 'attachment' or 'trust', got {active_content!r}")
        if iscoroutinefunction(observe):
            raise TypeError("observe is an ordinary function: it is called, and not awaited")
        if refused := OWN_FIELDS & {name.lower() for name in headers or {}}:
            raise BadFieldValue(
                f"{', '.join(sorted(refused))} cannot be set: the response says it of the object itself"
            )
        check_fields(
            {**(headers or {}), "content-type": media_type or "", "cache-control": cache_control or ""}
        )
        self.key = key
        self.status_code = HTTPStatus.OK
        self.background = background
        self._offer = Offer(
            source=source,
            denied_status=denied_status,
            limit=drain_limit(min_drain_rate, min_drain_seconds),
            observe=observe,
            route=route,
            store=store,
            note_parked=note_parked,
            server_timing=server_timing,
            max_ranges=max_ranges,
        )
        self._client: str | None = None
        self._subject: str | None = None
        self._throttles = tuple(throttles)
        self._filename, self._disposition = filename, disposition
        self._said = Overrides(
            media_type=media_type,
            content_disposition=_disposition(key, filename, disposition),
            cache_control=cache_control,
            active_content=active_content,
        )
        self.init_headers(headers)

    @property
    def source(self) -> Source:
        """Where the object lives."""
        return self._offer.source

    def of(  # noqa: PLR0913 - what is known of one request, all by name
        self,
        key: str,
        *,
        filename: str | None = None,
        save_as: str | None = None,
        client: str | None = None,
        subject: str | None = None,
        throttles: Iterable[Throttle] = (),
    ) -> ObjectResponse:
        """This response for another key; what was checked when this one was made is not checked again.

        For a route that makes many: one response when it is set up, and `response.of(key)` for each request.
        `filename` replaces one that was taken from the key, and not one that this response was given.
        `save_as` is a name to save it under, whatever else says. `client` (an address) and `subject` (who it
        is) are for the record alone. `throttles` come before those of this response.
        """
        if not isinstance(key, str):
            raise no_text(key)
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        # Starlette's view of the fields, if there is one, is of this response's list.
        other.__dict__.pop("_headers", None)
        other.raw_headers = self.raw_headers.copy()
        other.key = key
        other._client, other._subject = client, subject
        other._throttles = (*throttles, *self._throttles)
        if save_as is not None:
            other._said = replace(self._said, content_disposition=_disposition(key, save_as, "attachment"))
        elif self._filename is None and self._disposition is not None:
            named = _disposition(key, filename, self._disposition)
            other._said = replace(self._said, content_disposition=named)
        return other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the source, and send what it has."""
        overrides = self._overrides() if self.raw_headers else self._said
        if GUARDED in scope and overrides.cache_control is None:
            overrides = replace(overrides, cache_control=GUARDED_CACHE_CONTROL)
        wanted = Wanted(self._offer, self.key, overrides, self._client, self._subject, self._throttles)
        await serve(wanted, scope, receive, send)
        if self.background is not None:
            await self.background()

    def _overrides(self) -> Overrides:
        # Read now, not when made: a middleware or a path operation may have set cookies meanwhile.
        fields = _decoded(self.raw_headers)
        # The type among `headers` is that of the object, and never that of several ranges of it.
        media_type = next((value for name, value in fields if name == "content-type"), self._said.media_type)
        return replace(
            self._said,
            media_type=media_type,
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


def _check_source(source: object) -> None:
    if not callable(getattr(source, "open", None)):
        raise TypeError(f"an object is read from a source, such as open_store(...) makes, got {source!r}")


def _warn_of_lost_body(size: int) -> None:
    logger.warning(
        "%d bytes of the request's body came while the response was being sent, and were thrown away: "
        "an endpoint that needs them reads the body before it returns",
        size,
    )


def _look_away() -> None:
    """The client of a WebSocket is nobody's to watch."""


async def _iterate(body: Body) -> AsyncIterator[Chunk]:
    """The chunks of a body, for those who read `body_iterator` instead of calling the response."""
    async with owned(body):
        while chunk := await body.read():
            yield chunk


def _disposition(key: str, filename: str | None, disposition: Disposition | None) -> str | None:
    if filename is None and disposition is None:
        return None
    return content_disposition(filename or filename_of(key), disposition or "attachment")


def _decoded(raw: list[tuple[bytes, bytes]]) -> Fields:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
