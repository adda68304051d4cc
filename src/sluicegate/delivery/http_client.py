"""What `http.client` answers (so `urllib.request.urlopen`) as a body.

`http.client` takes the end of its connection for the end of a body whose length it knows. This one does not.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Final

from sluicegate.errors import BrokenBody, OriginTimeout, SourceError
from sluicegate.sources.threads import ThreadBody
from sluicegate.sources.translation import as_break, by_table

READ_SIZE: Final = 256 * 1024
"""Bytes in one read: more gains nothing, less costs more turns of the interpreter lock."""

ERRORS: Final[tuple[tuple[type[BaseException], type[SourceError]], ...]] = (
    (TimeoutError, OriginTimeout),
    (HTTPException, BrokenBody),
    (OSError, BrokenBody),
)


def response_body(response: HTTPResponse, close: Callable[[], None]) -> ThreadBody:
    """The bytes of `response` that were not read yet, as they came; `close` closes it.

    Reading raises `BrokenBody` and `OriginTimeout`.
    """
    return ThreadBody(_chunks(response), close, partial(_interrupt, response))


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    if response.closed:
        raise BrokenBody("the response was closed before it was read: whoever streams it must leave it open")
    missing = response.length or 0
    try:
        while chunk := response.read1(READ_SIZE):
            missing -= len(chunk)
            yield chunk
    except (HTTPException, OSError) as exc:
        raise as_break(by_table(ERRORS, exc, "the response")) from exc
    if missing > 0:
        raise BrokenBody(f"the response ended {missing} bytes too early")


def _interrupt(response: HTTPResponse) -> None:
    """Wake a thread that is blocked in a read of `response`, and let go of the server."""
    # Not every answer has a connection: it may have ended meanwhile.
    with suppress(AttributeError, OSError):
        response.fp.raw._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
