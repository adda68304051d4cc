"""One connection to the `FaultyOrigin`: it reads requests, and notices that the client leaves."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, cast

from sluicegate.testing.origin_requests import (
    MAX_HEAD_BYTES,
    MAX_UPLOAD_BYTES,
    BadRequest,
    NeedMore,
    OriginRequest,
    parse_head,
    take_body,
)
from sluicegate.testing.seen import Ended, Entry
from sluicegate.testing.site import Site

MAX_WAITING_BYTES: Final = 1024 * 1024
"""What a client may send ahead while its request is answered; the rest waits in its socket."""

ARRIVAL_GLANCE_SECONDS: Final = 0.002
ARRIVAL_PAUSE_SECONDS: Final = 0.05
"""Where the system does not tell whether what was sent has arrived: longer than loopback takes."""

Answering = Callable[["Connection", OriginRequest, bytes], Awaitable[None]]


class Gone(Exception):
    """The connection is closed: nothing can be sent on it any more."""


class Connection(asyncio.Protocol):
    """A connection, from its accept to its end. `answering` answers one request of it."""

    def __init__(
        self,
        site: Site,
        members: set[Connection],
        answering: Answering,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._site = site
        self._members = members
        self._answering = answering
        self._failed = failed
        self._received = bytearray()
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending: Ended | None = None
        self.number = 0
        self.entry: Entry | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve, unless connections are ignored at present."""
        self._transport = cast("asyncio.Transport", transport)
        # Over TLS a limit of 0 is never fallen below.
        self._transport.set_write_buffer_limits(high=1, low=0)
        peer = transport.get_extra_info("peername")
        self.number = self._site.ledger.connect(peer[1] if peer else 0)
        self._members.add(self)
        loop = asyncio.get_running_loop()
        if self._site.ignoring:
            # asyncio begins to read right after this call.
            loop.call_soon(self._transport.pause_reading)
            return
        self._task = loop.create_task(self._serve(), name=f"faulty-origin-{self.number}")
        self._task.add_done_callback(self._served)

    def data_received(self, data: bytes) -> None:
        """Keep what came for whoever waits for it."""
        self._received += data
        if self.entry is not None and len(self._received) > MAX_WAITING_BYTES:
            self._transport.pause_reading()
        if len(self._received) > MAX_UPLOAD_BYTES + MAX_HEAD_BYTES:
            self._transport.abort()
        _wake(self._news)

    def eof_received(self) -> None:
        """A client that ends its sending side is one that left: nothing waits for what it may still read."""
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop answering."""
        self._site.ledger.disconnect(self.number)
        self._members.discard(self)
        if self.entry is not None:
            self._site.ledger.end(self.entry, self._ending or "left")
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Let whoever sends wait."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let whoever sends go on."""
        _wake(self._room)
        self._room = None

    # What answers call.

    def write(self, data: bytes | memoryview) -> None:
        """Send; raises `Gone` if the connection is closed."""
        if self._transport.is_closing():
            raise Gone
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the operating system has everything."""
        if self._room is not None:
            await self._room

    @property
    def waiting(self) -> int:
        """Bytes that the operating system does not have yet."""
        return self._transport.get_write_buffer_size()

    async def arrived(self) -> None:
        """Wait until the client's system has everything: a reset before that would take it away again."""
        await self.drained()
        connection = self._transport.get_extra_info("socket")
        if sys.platform != "linux":
            await asyncio.sleep(ARRIVAL_PAUSE_SECONDS)
            return
        while _on_its_way(connection.fileno()):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(ARRIVAL_GLANCE_SECONDS)

    def reset(self) -> None:
        """End the connection by a TCP RST, now."""
        self._ending = "reset"
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self, ended: Ended) -> None:
        """End the connection behind what was sent."""
        self._ending = ended
        self._transport.close()

    def stop(self) -> None:
        """End the connection because the origin does."""
        self._ending = self._ending or "stopped"
        self._transport.abort()

    def ignore(self) -> None:
        """Read nothing any more, so that nothing is noticed."""
        self._transport.pause_reading()

    # Requests.

    async def _serve(self) -> None:
        with suppress(Gone):
            while not self._transport.is_closing():
                await self._serve_one()

    async def _serve_one(self) -> None:
        try:
            request = await self._read_head()
            content = await self._read_body(request)
        except BadRequest as problem:
            self._refuse(problem)
            return
        self.entry = self._site.ledger.begin(self.number, request)
        await self._answering(self, request, content)
        self._site.ledger.end(self.entry, self._ending or "complete")
        self.entry = None
        if not self._transport.is_closing():
            self._transport.resume_reading()

    async def _read_head(self) -> OriginRequest:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if len(self._received) > MAX_HEAD_BYTES:
                raise BadRequest(f"a head of more than {MAX_HEAD_BYTES} bytes")
            await self._more()
        head = bytes(self._received[: end + 4])
        del self._received[: end + 4]
        return parse_head(head)

    async def _read_body(self, request: OriginRequest) -> bytes:
        if "100-continue" in request.fields.get("expect", "").lower():
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        chunked = "transfer-encoding" in request.fields
        while True:
            # The end of chunks is an empty line: where there is none yet, nothing has to be read again.
            if not chunked or self._received.endswith(b"\r\n\r\n"):
                with suppress(NeedMore):
                    content, taken = take_body(request, self._received)
                    del self._received[:taken]
                    return content
            await self._more()

    async def _more(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _refuse(self, problem: BadRequest) -> None:
        text = str(problem).encode("latin-1", "replace")
        head = f"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {len(text)}\r\n\r\n"
        self.write(head.encode() + text)
        self.close("complete")

    def _served(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (problem := task.exception()) is None:
            return
        self._failed(problem)
        self.stop()


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _on_its_way(descriptor: int) -> bool:
    """Whether bytes that were sent on a socket have not been acknowledged yet (Linux)."""
    if descriptor < 0:
        return False
    import fcntl  # noqa: PLC0415 - not on every platform
    import termios  # noqa: PLC0415

    # On a socket TIOCOUTQ is SIOCOUTQ: tcp(7), "the amount of unsent data in the socket send queue", which
    # counts what is not acknowledged.
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, struct.pack("i", 0)))
    return bool(count)
