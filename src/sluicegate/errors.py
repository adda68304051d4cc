"""Everything that can go wrong, as one tree.

Each class says which status the client gets when nothing has been sent yet, and whether asking the
origin again can help. Messages are for the operator: the client is told no more than the title.
"""

from __future__ import annotations

from typing import ClassVar


class SluicegateError(Exception):
    """Root of every exception that Sluicegate raises on purpose."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False


class SourceError(SluicegateError):
    """The origin could not give what was asked for."""

    status = 502
    title = "The origin failed"


class NotFound(SourceError):
    """The origin has no object of that key (or no such bucket or container)."""

    status = 404
    title = "Not found"


class InvalidKey(NotFound):
    """No object can have that key at this origin: empty, too long, not encodable, a dot segment."""


class Denied(SourceError):
    """The origin refused the credentials, or the credentials may not read this object.

    The client gets 404, so that it cannot learn which keys exist; `denied_status=403` says it openly.
    """

    status = 404
    title = "Not found"


class Unavailable(SourceError):
    """The origin could not be reached: refused, reset, no such host, TLS failure, or it answered 5xx."""

    title = "The origin is unavailable"
    retryable = True


class BadAnswer(SourceError):
    """The origin answered what it must not: broken HTTP, another span, a wrong length, an odd status."""

    title = "The origin gave a bad answer"


class Throttled(SourceError):
    """The origin asks for fewer requests (429, 503 SlowDown).

    `retry_after_seconds` is the origin's wish, or `None` if it gave none.
    """

    status = 503
    title = "Busy, try again later"
    retryable = True

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OriginTimeout(SourceError):
    """The origin made no progress in time: no connection, no first byte, or no further byte."""

    status = 504
    title = "The origin did not answer in time"
    retryable = True


class BrokenBody(SourceError):
    """A body ended before its promised length, or its connection broke in the middle."""

    title = "The origin broke off"
    retryable = True


class VersionChanged(SourceError):
    """The object became another one, or went away, while it was being read: its bytes are not joined."""

    title = "The object changed"


class RequestError(SluicegateError):
    """The client's request cannot be served as it is."""

    status = 400
    title = "Bad request"


class MethodNotAllowed(RequestError):
    """Objects answer GET, HEAD and OPTIONS."""

    status = 405
    title = "Method not allowed"
    allowed: ClassVar[tuple[str, ...]] = ("GET", "HEAD", "OPTIONS")


class BadFieldValue(SluicegateError, ValueError):
    """A header field name or value that would break HTTP framing: control characters, not encodable."""


class TransferCut(SluicegateError):
    """The response was abandoned after its first byte, so that the client sees a failure.

    Raised out of the ASGI application, so that no server ends the body cleanly. uvicorn and granian close the
    connection (HTTP/1.1) or reset the stream (HTTP/2). hypercorn on HTTP/2 and daphne do neither, whatever
    raised: the client waits until it or its connection gives up.
    """


class ClientTooSlow(TransferCut):
    """The client took less than the minimum drain rate while bytes were ready for it."""


class ClientGone(SluicegateError):
    """The client closed its connection before the body ended."""
