"""From a body to the client: the only code that sends a response.

Bytes are counted against what the head promised. A body that comes out short or long is never ended
cleanly: `TransferCut` leaves the application, and the server cuts the response.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sluicegate.delivery.watch import Send
from sluicegate.errors import BrokenBody, ClientGone, SourceError, TransferCut
from sluicegate.flow import clock
from sluicegate.http.exchange import Head
from sluicegate.sources.base import Body, Chunk

logger = logging.getLogger("sluicegate")

TURN_SECONDS: Final = 0.01
"""The longest that a transfer holds the event loop while neither its body nor its client makes it wait."""


async def send_head(head: Head, send: Send) -> None:
    """Send the status line and the fields."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.fields]
    await _send(send, {"type": "http.response.start", "status": int(head.status), "headers": fields})


async def send_head_on(send: Send) -> None:
    """Have a head that was sent go out now: some servers (granian) hold it back until there is some body."""
    await _send(send, _content(b"", more=True))


async def send_end(send: Send, content: bytes = b"") -> None:
    """Send what is left of a response whose head was sent: all of its content, or nothing."""
    await _send(send, _content(content, more=False))


class BegunBody:
    """A body whose first chunk was read already. Only it holds that chunk, and only until it is read."""

    def __init__(self, first: Chunk, body: Body) -> None:
        self._first: Chunk | None = first
        self._body = body

    async def read(self) -> Chunk:
        """The first chunk, and then the others."""
        first, self._first = self._first, None
        return await self._body.read() if first is None else first

    async def aclose(self) -> None:
        """Close the body."""
        self._first = None
        await self._body.aclose()


async def begin(head: Head, body: Body) -> BegunBody:
    """Read the first chunk of `body`, while a failure can still be a status.

    Raises `BrokenBody` if it shows already that the body is not `head.length` bytes long.
    """
    first = await body.read()
    if head.length is not None:
        if not first and head.length:
            raise BrokenBody(f"the body is empty, {head.length} bytes were promised")
        if len(first) > head.length:
            raise BrokenBody(f"the body begins with {len(first)} bytes, {head.length} were promised in all")
    return BegunBody(first, body)


@dataclass(slots=True)
class Pump:
    """Sends `body` behind a head that was sent. `sent` counts the bytes that the server has been given.

    `length` is what the head promised, in bytes. The last promised byte goes out only when the body has ended
    there, so that a body which is longer than promised is seen as a failure too. `look` is called at each
    turn, and raises if the client is lost.
    """

    length: int | None
    body: Body
    send: Send
    look: Callable[[], None]
    sent: int = 0

    async def run(self) -> None:
        """Send everything. Raises `TransferCut` if the body breaks, and `ClientGone`."""
        try:
            await self._run()
        except ClientGone:
            raise
        except Exception as exc:
            # Before the first byte a server may still hold the head back, and give the failure a status.
            if self.sent or not isinstance(self.body, BegunBody):
                await _forbid_a_clean_end(self.send, exc)
            raise

    async def _run(self) -> None:
        turn_ends = clock.now() + TURN_SECONDS
        chunk = await self._read()
        while chunk:
            if self.length is not None and self.sent + len(chunk) >= self.length:
                await self._end_with(chunk, self.length)
                return
            await self._send(chunk, more=True)
            # After a disconnect `send` returns at once. If `read` does too, nothing would ever wait again:
            # the disconnect would go unnoticed, and the server with all its other clients would stand still.
            if clock.now() >= turn_ends:
                self.look()
                await asyncio.sleep(0)
                turn_ends = clock.now() + TURN_SECONDS
            chunk = await self._read()
        if self.length is not None and self.sent != self.length:
            raise TransferCut(f"the body ended after {self.sent} bytes, {self.length} were promised")
        await self._send(b"", more=False)

    async def _end_with(self, chunk: Chunk, length: int) -> None:
        """Send the chunk that completes the promised length, if it is the end."""
        if self.sent + len(chunk) > length or await self._read():
            raise TransferCut(f"the body is longer than the {length} bytes that were promised")
        await self._send(chunk, more=False)

    async def _read(self) -> Chunk:
        try:
            return await self.body.read()
        except SourceError as exc:
            raise TransferCut(f"the body broke after {self.sent} bytes: {exc}") from exc

    async def _send(self, chunk: Chunk, *, more: bool) -> None:
        await _send(self.send, _content(chunk, more=more))
        self.sent += len(chunk)


async def _forbid_a_clean_end(send: Send, failure: Exception) -> None:
    """Make sure that nobody on the way to the server ends this body as if it were whole.

    Starlette's `BaseHTTPMiddleware` ends the body where the application failed, and raises the failure only
    after that. Where no length was promised, or another middleware took the promise away, the client takes
    the body for whole. But it hands on a file to send in place of a body, and leaves the end to that; and a
    file after the beginning of a body is what every server refuses. Where a middleware inside it hands on
    nothing but heads and bodies, it does hand on a second head, which is as wrong.
    """
    try:
        # What is said to these messages is of no interest: `failure` goes its way.
        with suppress(Exception):
            await send({"type": "http.response.pathsend", "path": ""})
            await send({"type": "http.response.start", "status": 500, "headers": []})
    except asyncio.CancelledError:
        # The middleware has failed of it, and tells nobody of the `failure` that it was for.
        logger.log(logging.ERROR, "a body was cut: %r", failure, exc_info=failure)


def _content(chunk: Chunk, *, more: bool) -> dict[str, object]:
    # ASGI: "body" is a byte string. Other buffers are no body to some servers. Bytes are not copied by this.
    return {"type": "http.response.body", "body": bytes(chunk), "more_body": more}


async def _send(send: Send, message: dict[str, object]) -> None:
    # Only this call: an origin's failure is an OSError as well.
    try:
        await send(message)
    except OSError as exc:
        raise ClientGone("the client disconnected") from exc
