"""What happened to a transfer, as one frozen value, and the hook that receives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from sluicegate.errors import ClientTooSlow, SluicegateError, TransferCut, VersionChanged
from sluicegate.http.ranges import Span

MAX_TEXT = 500
"""The longest text of a record in characters: what a client or an origin says must not fill a log."""


class Outcome(Enum):
    """How a transfer ended; its status says what was answered.

    `COMPLETE` is every answer that was sent whole, whatever its status: 206, 304, 404 and 502 alike.
    """

    COMPLETE = "complete"
    """The whole answer was given to the server."""

    CLIENT_GONE = "client_gone"
    """The client left before the end."""

    CLIENT_TOO_SLOW = "client_too_slow"
    """Cut: the client took less than the minimum drain rate."""

    ORIGIN_FAILED = "origin_failed"
    """Cut: the origin broke off, or sent other bytes than it had promised."""

    VERSION_CHANGED = "version_changed"
    """Cut: the object became another one while it was being sent."""

    DRAINED = "drained"
    """Cut: the transfer was cancelled from outside, by a server that stops or a time limit around it."""

    FAILED = "failed"
    """Cut, or never begun: an exception that nobody expected, which is a bug."""


@dataclass(frozen=True, slots=True)
class TransferEvent:
    """Something that happened on the way, so many seconds after the transfer began."""

    seconds: float
    name: Literal["resume", "retry", "park", "unpark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRecord:
    """The facts of one transfer, known when its last byte is sent and its body is closed.

    Who makes one, for a test of an observer, may leave out what did not happen.

    - `request_id`: the client's `X-Request-Id` if it was harmless, else one that was made.
    - `trace_id`: of a valid `traceparent` (W3C Trace Context), else `None`.
    - `method`, `route` (the template of the path), `store` (its name) and `key`: what was asked for; `None`
      where it is not known.
    - `status`: of the answer; `None` if the client left, or a bug came, before there was a head.
    - `span_asked`: the `Range` field as the client sent it, at most `MAX_TEXT` characters of it.
    - `span_served`: the bytes of the object that a 206 of one span holds, half-open.
    - `bytes_promised`: length of the content by the head; `None` if there was no head, or it told no length.
    - `bytes_sent`: content that was given to the server. What a client has received of it, nobody knows.
    - `first_byte_seconds`: until the head was sent; `duration_seconds`: until the body was closed.
    - `requests`, `parts`, `resumes`, `retries`, `parkings`, `parked_seconds`: what it took at the origin.
    - `outcome`: how it ended; `error`: what went wrong, for the operator, also where an answer said it to the
      client. It never holds what an origin sent.
    - `client` (its address) and `subject` (who it is): as far as the response was told.
    - `origin_bytes`: content that came from the origin, which may be more than was sent, or less.
    - `parent`: the valid `traceparent` that came with the request.
    - `events`: when the origin was asked again, and when the transfer was parked; the first 64 of them.
    """

    request_id: str
    trace_id: str | None = None
    method: str
    route: str | None = None
    store: str | None = None
    key: str
    status: int | None
    span_asked: str | None = None
    span_served: Span | None = None
    bytes_promised: int | None = None
    bytes_sent: int = 0
    first_byte_seconds: float | None = None
    duration_seconds: float
    requests: int = 0
    parts: int = 0
    resumes: int = 0
    retries: int = 0
    parkings: int = 0
    parked_seconds: float = 0.0
    outcome: Outcome
    error: str | None = None
    client: str | None = None
    subject: str | None = None
    origin_bytes: int = 0
    parent: str | None = None
    events: tuple[TransferEvent, ...] = ()


Observer = Callable[[TransferRecord], None]
"""Receives every record once. It is called in the event loop, so it must not block."""


def outcome_of_cut(cut: TransferCut) -> Outcome:
    """How a transfer ended that was cut."""
    if isinstance(cut, ClientTooSlow):
        return Outcome.CLIENT_TOO_SLOW
    changed = isinstance(cut.__cause__, VersionChanged)
    return Outcome.VERSION_CHANGED if changed else Outcome.ORIGIN_FAILED


def told(failure: BaseException) -> str:
    """What a record says of a failure: of a cut its cause, of a foreign exception no more than its name."""
    cause = failure.__cause__ if isinstance(failure, TransferCut) else None
    what = cause if isinstance(cause, SluicegateError) else failure
    name = type(what).__name__
    return bounded(f"{name}: {what}" if isinstance(what, SluicegateError) else name)


def bounded(text: str) -> str:
    """`text`, or as much of it as a record may hold."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}\N{HORIZONTAL ELLIPSIS}"
