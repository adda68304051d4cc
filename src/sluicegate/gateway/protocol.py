"""HTTP/1.1 with limits: what a client may send before its request is understood, and how long it may take.

uvicorn's own protocol keeps a head of any length, waits for its end for ever, and takes all clients.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final, Literal, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SIZE: Final = 4096
"""Bytes that may wait to be sent before the response has to: a head waits, and goes out with what follows it
by one system call."""

LINGER_SECONDS: Final = 5.0
"""How long a client whose response was cut, or whose request was refused, may take to read what was sent."""

LINGER_SIZE: Final = 256 * 1024
"""Bytes that a client may still send after a refusal. They are thrown away: a connection that is closed while
it has unread bytes is reset, and the client would lose the refusal."""

MOST_WAITING: Final = 128
"""Requests that may wait behind the one that is answered. Who sends more at once gets answers to these, and
has to ask again for the others: RFC 9112, section 9.3.2."""

MOST_WAITING_SIZE: Final = 256 * 1024
"""Bytes of heads of requests that wait."""

_BLANK_LINE: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolLimits:
    """What a client may ask of a connection: sizes in bytes, times in seconds.

    `max_head` is for a request's line and fields, `max_fields` for their number. `head_timeout` counts from
    the first byte of a request, or from the connection's start, to the end of the head. `max_connections` is
    for each process; 0 is no limit.
    """

    # Browsers send a tenth of it, and nobody may fill the memory with it.
    max_head: int = 64 * 1024
    # As long as the request line may be at most servers and proxies.
    max_url: int = 8 * 1024
    # As Apache has it. Browsers send about 20.
    max_fields: int = 100
    # A head is one packet, or a few: what takes longer is no browser's.
    head_timeout: float = 10.0
    max_connections: int = 0

    def __post_init__(self) -> None:
        for name in ("max_head", "max_url", "max_fields", "head_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: found {getattr(self, name)!r}; expected a number above 0")
        if self.max_connections < 0:
            raise ValueError(f"max_connections: found {self.max_connections!r}; expected 0 or more")

    @property
    def most_held(self) -> int:
        """How many connections may be held with those that are refused, which cost one for a while too."""
        return 2 * self.max_connections


RefusalReason = Literal[
    "malformed", "head_timeout", "url_too_long", "head_too_large", "connections", "idle", "silent"
]
"""What came is not HTTP; the head took too long; the URL or the head are too long; there are too many
connections; nothing came that begins a request, or nothing at all."""

_REASONS: Final[Mapping[int, RefusalReason]] = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "malformed",
    HTTPStatus.REQUEST_TIMEOUT: "head_timeout",
    HTTPStatus.REQUEST_URI_TOO_LONG: "url_too_long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "head_too_large",
    HTTPStatus.SERVICE_UNAVAILABLE: "connections",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A connection that the server ended: `reason` says why, and `status` what was answered, if anything was.

    `client` is the address of whoever connected, and `seconds` how long the request was waited for.
    """

    reason: RefusalReason
    status: int | None
    client: str | None
    seconds: float


class Listener(Protocol):
    """Who is told of connections, in the event loop."""

    def connections(self, change: int) -> None:
        """So many more are open of those that were let in."""

    def refusal(self, refusal: Refusal) -> None:
        """One was not let in, or not to its end."""


@dataclass(slots=True)
class ConnectionCount:
    """The connections that a server has let in and that are open, and by reason how many it has refused."""

    listener: Listener | None = None
    open: int = 0
    refused: Counter[RefusalReason] = field(default_factory=Counter)

    def change(self, change: int) -> None:
        """So many more are open."""
        self.open += change
        if self.listener is not None:
            self.listener.connections(change)

    def refuse(self, refusal: Refusal) -> None:
        """Count one that is not let in, or not to its end."""
        self.refused[refusal.reason] += 1
        if self.listener is not None:
            self.listener.refusal(refusal)


class _Refused(Exception):
    """A request that is not read any further."""

    def __init__(self, status: int) -> None:
        self.status = status


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 within `limits`, and with little waiting to be sent for a client that stalls."""

    limits: ClassVar[ProtocolLimits] = ProtocolLimits()
    count: ClassVar[ConnectionCount] = ConnectionCount()

    _admitted = False
    _unfinished = False
    """Whether a message has begun and not ended."""

    _in_head = False
    _began_here = False
    """Whether the message began in the bytes that are being read."""

    _reading = 0
    """How many bytes are being read."""

    _held = 0
    """Bytes of the message that are in memory, but for what the application has been given."""

    _heard = False
    """Whether anything has come."""

    _waiting_since: float | None = None
    """When the wait for a request began: with the connection, or with the first byte after a response."""

    _refused_at: float | None = None

    _running: Any = None
    """The request that is answered, or was answered last. uvicorn knows only the one that came last."""

    _waiting_size = 0
    """Bytes of the heads that have come since no request waited."""

    _is_deaf = False
    """Whether what comes now is read and not looked at: the last request of the connection is there."""

    def connection_made(self, transport: Any) -> None:
        """Hold no more for a client than a head, and what the system did not take of one chunk."""
        transport.set_write_buffer_limits(high=HEAD_SIZE)
        super().connection_made(transport)
        self._waiting_since = time.monotonic()
        most = self.limits.max_connections
        if not 0 < most <= self.count.open:
            self._admitted = True
            self.count.change(1)
        elif len(self.connections) > self.limits.most_held:
            self._tell("connections")
            transport.abort()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another one."""
        if self._admitted:
            self._admitted = False
            self.count.change(-1)
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._running is not None:
            self._leave(self._running)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, unless it goes beyond a limit."""
        if self._refused_at is not None:
            self._throw_away(data)
            return
        if self._is_deaf:
            return
        self._heard = True
        self._unset_keepalive_if_required()
        self._began_here, self._reading = False, len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # There is nothing to upgrade to: it is answered as any other, and is the last one. What follows
            # is its body, if it has one: the parser does not read it, and would take it for a request.
            self._read_no_more()
            return
        except httptools.HttpParserError as exc:
            if self._is_deaf:
                return
            beyond = exc.__context__
            self._refuse(beyond.status if isinstance(beyond, _Refused) else HTTPStatus.BAD_REQUEST)
            return
        self._bound(data)

    def _bound(self, data: bytes) -> None:
        if self._waiting_since is None and not self._is_answering():
            self._waiting_since = time.monotonic()
        if not self._unfinished:
            return
        if self._in_head and self._began_here:
            # What is before the last blank line was another request, which is not held any more.
            before = data.rfind(_BLANK_LINE)
            self._held = len(data) - (before + len(_BLANK_LINE) if before >= 0 else 0)
        else:
            self._held += len(data)
        if self._held > self.limits.max_head:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Count from here."""
        if not self.pipeline:
            self._waiting_size = 0
        elif len(self.pipeline) >= MOST_WAITING or self._waiting_size > MOST_WAITING_SIZE:
            self._read_no_more()
            # It stops the parser, and is not sent: there are answers still to come.
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE)
        self._unfinished = self._in_head = self._began_here = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > self.limits.max_url:
            raise _Refused(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those behind a body are not looked at."""
        if not self._in_head:
            return
        if len(self.headers) >= self.limits.max_fields:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the request be answered."""
        size = sum(len(name) + len(value) for name, value in self.headers) + len(self.url)
        if size > self.limits.max_head:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if b"#" in self.url:
            # What is behind it would be dropped, and the rest served as if it had been asked for.
            raise _Refused(HTTPStatus.BAD_REQUEST)
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise _Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        self._waiting_size += size
        self._in_head, self._waiting_since = False, None
        self._hold_nothing()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Give the application a piece of a body, which uvicorn bounds."""
        self._hold_nothing()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The client may be idle now."""
        self._unfinished = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, partial(_answer, cycle, app))

    def _read_no_more(self) -> None:
        """Let the request that came last be the last one: the connection ends with its answer."""
        self._is_deaf, self._unfinished = True, False
        self.cycle.keep_alive = False

    @staticmethod
    def _leave(cycle: Any) -> None:
        """Tell a request that is being answered that nobody waits for the answer."""
        if not cycle.response_complete:
            cycle.disconnected = True
        cycle.message_event.set()

    def _hold_nothing(self) -> None:
        # They are counted when they have been read.
        self._held = -self._reading

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def end_if_late(self, now: float) -> None:
        """End the connection if its request has taken too long to arrive; `now` is of the monotonic clock."""
        if self.transport.is_closing():
            return
        if self._refused_at is not None:
            if now - self._refused_at > LINGER_SECONDS:
                self.transport.abort()
        elif self._is_answering():
            return
        elif self._waiting_since is not None and now - self._waiting_since > self.limits.head_timeout:
            if self._in_head:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            else:
                self._tell("idle" if self._heard else "silent")
                self.transport.close()

    def _refuse(self, status: int) -> None:
        """Answer, and read no more. What is being answered still is answered first, and nothing after it."""
        if self._is_answering():
            is_in_body = self._unfinished and not self._in_head
            if not is_in_body or self.cycle is not self._running or self.cycle.response_started:
                self._tell(_REASONS[status])
                self._read_no_more()
                return
            # The fault is in the body of the request itself, and nothing has been said to it yet.
            self._leave(self.cycle)
        self._tell(_REASONS[status], status)
        self._refused_at, self._held = time.monotonic(), 0
        self.transport.write(_REFUSALS[status])
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _tell(self, reason: RefusalReason, status: int | None = None) -> None:
        waited = 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since
        self.count.refuse(Refusal(reason, status, self.client[0] if self.client else None, waited))

    def _throw_away(self, data: bytes) -> None:
        self._held += len(data)
        if self._held > LINGER_SIZE:
            self.transport.close()


class _ClientLeft(ConnectionResetError):
    """The client has left while it was answered."""


async def _answer(cycle: Any, app: Any, scope: Any, receive: Any, send: Any) -> None:
    """Run the application for a request. As ASGI 2.4 has it, its `send` raises once the client has left.

    uvicorn's says nothing then, and a body that never waits would be read to its end for nobody.
    """

    def told(message: Any) -> Any:
        if cycle.disconnected:
            raise _ClientLeft("the client disconnected")
        return send(message)

    with suppress(_ClientLeft):
        await app(scope, receive, told)


def bounded(limits: ProtocolLimits, count: ConnectionCount) -> type[BoundedProtocol]:
    """The protocol with these limits, for a server that counts its connections in `count`."""
    chosen, counted = limits, count

    class Bounded(BoundedProtocol):
        limits = chosen
        count = counted

    return Bounded


def _refusal(status: HTTPStatus, *fields: str) -> bytes:
    lines = (f"HTTP/1.1 {status} {status.phrase}", "content-length: 0", "connection: close", *fields)
    return "\r\n".join((*lines, "", "")).encode()


_REFUSALS: Final[Mapping[int, bytes]] = {
    HTTPStatus.BAD_REQUEST: _refusal(HTTPStatus.BAD_REQUEST),
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: _refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED),
    HTTPStatus.REQUEST_TIMEOUT: _refusal(HTTPStatus.REQUEST_TIMEOUT),
    HTTPStatus.REQUEST_URI_TOO_LONG: _refusal(HTTPStatus.REQUEST_URI_TOO_LONG),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    HTTPStatus.SERVICE_UNAVAILABLE: _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "retry-after: 1"),
}
