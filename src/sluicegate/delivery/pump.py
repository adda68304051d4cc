"""From a body to the client: the only code that sends a response.

Bytes are counted against what the head promised. A body that comes out short or long is never ended
cleanly: `TransferCut` leaves the application, and the server closes the connection.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from sluicegate.delivery.disconnect import Send
from sluicegate.errors import BrokenBody, ClientGone, SourceError, TransferCut
from sluicegate.http.exchange import Head, Problem
from sluicegate.sources.base import Body, Chunk

logger = logging.getLogger("sluicegate")

TURN_SECONDS: Final = 0.01
"""The longest that a transfer holds the event loop while neither its body nor its client makes it wait."""


async def send_head(head: Head, send: Send) -> None:
    """Send the status line and the fields."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.fields]
    await _send(send, {"type": "http.response.start", "status": int(head.status), "headers": fields})


async def send_head_alone(head: Head, send: Send) -> None:
    """Send a whole response that has no content."""
    await send_head(head, send)
    await _send_content(b"", send)


async def send_problem(problem: Problem, send: Send, *, head_alone: bool) -> None:
    """Send a whole response that says what is wrong; to a HEAD, without its content."""
    await send_head(problem.head, send)
    await _send_content(b"" if head_alone else problem.content, send)


async def read_first(head: Head, body: Body) -> Chunk:
    """The first chunk of `body`, read while a failure can still be a status.

    Raises `BrokenBody` if it shows already that the body is not `head.length` bytes long.
    """
    first = await body.read()
    if head.length is not None:
        if not first and head.length:
            raise BrokenBody(f"the body is empty, {head.length} bytes were promised")
        if len(first) > head.length:
            raise BrokenBody(f"the body begins with {len(first)} bytes, {head.length} were promised in all")
    return first


async def pump(length: int | None, first: Chunk | None, body: Body, send: Send) -> int:
    """Send `first` (if it was read already) and the rest of `body`; returns the count of bytes.

    `length` is what the head promised, in bytes. The last promised byte goes out only when the body has ended
    there, so that a body which is longer than promised is seen as a failure too. Raises `TransferCut` if the
    body breaks, and `ClientGone`.
    """
    try:
        return await _pump(length, first, body, send)
    except ClientGone:
        raise
    except Exception as exc:
        if length is None:
            await _forbid_a_clean_end(send, exc)
        raise


async def _pump(length: int | None, first: Chunk | None, body: Body, send: Send) -> int:
    time = asyncio.get_running_loop().time
    turn_ends = time() + TURN_SECONDS
    sent, chunk = 0, await _read(body, 0) if first is None else first
    while chunk:
        if length is not None and sent + len(chunk) >= length:
            return await _last(length - sent, chunk, body, send, sent)
        await _send(send, _content(chunk, more=True))
        sent += len(chunk)
        # After a disconnect `send` returns at once. If `read` does too, nothing would ever wait again: the
        # disconnect would go unnoticed, and the server with all its other clients would stand still.
        if time() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = time() + TURN_SECONDS
        chunk = await _read(body, sent)
    if length is not None and sent != length:
        raise TransferCut(f"the body ended after {sent} bytes, {length} were promised")
    await _send_content(b"", send)
    return sent


async def _forbid_a_clean_end(send: Send, failure: Exception) -> None:
    """Make sure that nobody on the way to the server ends a body that has no promised length.

    Starlette's `BaseHTTPMiddleware` ends the body where the application failed, and raises the failure only
    after that, when the client has taken the body for whole. But it hands on a file to send in place of the
    body, and leaves the end to that; every server refuses a file after the beginning of a body.
    """
    try:
        # What a server says to this message is of no interest: `failure` goes its way.
        with suppress(Exception):
            await send({"type": "http.response.pathsend", "path": ""})
    except asyncio.CancelledError:
        # The middleware has failed meanwhile, and nobody else will tell why.
        logger.error("a body without a length was cut: %r", failure, exc_info=failure)
        raise


async def _last(missing: int, chunk: Chunk, body: Body, send: Send, sent: int) -> int:
    """Send the chunk that completes the promised length, if it is the end."""
    if len(chunk) > missing or await _read(body, sent):
        raise TransferCut(f"the body is longer than the {sent + missing} bytes that were promised")
    await _send_content(chunk, send)
    return sent + missing


async def _read(body: Body, sent: int) -> Chunk:
    try:
        return await body.read()
    except SourceError as exc:
        raise TransferCut(f"the body broke after {sent} bytes: {exc}") from exc


def _content(chunk: Chunk, *, more: bool) -> dict[str, object]:
    # ASGI: "body" is a byte string. Other buffers are no body to some servers. Bytes are not copied by this.
    return {"type": "http.response.body", "body": bytes(chunk), "more_body": more}


async def _send_content(content: Chunk, send: Send) -> None:
    """Send the whole content of a response, or its last piece."""
    await _send(send, _content(content, more=False))


async def _send(send: Send, message: dict[str, object]) -> None:
    # Only this call: an origin's failure is an OSError as well.
    try:
        await send(message)
    except OSError as exc:
        raise ClientGone("the client disconnected") from exc
