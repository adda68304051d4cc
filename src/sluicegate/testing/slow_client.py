"""An HTTP/1.1 client over a raw socket that reads as slowly as a test says, and leaves as badly."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from sluicegate.testing.framing import (
    ClientAnswer,
    ClientHead,
    FramedBody,
    LengthBody,
    framed_body,
    parse_head,
)
from sluicegate.testing.pacing import Pace, Pacer

Leaving = Literal["close", "reset", "half_close"]
FieldValue = str | bytes
RequestFields = Mapping[str, FieldValue] | Iterable[tuple[str, FieldValue]]

READ_BYTES: Final = 256 * 1024
MAX_HEAD_BYTES: Final = 1024 * 1024
LIMIT_SECONDS: Final = 20.0
"""No answer in a test takes as long: a wait that is longer is a hang."""


class SlowClient:
    """One connection to a server, for one request after another, which a test drives step by step:

        async with SlowClient(url, receive_buffer=4096) as client:
            await client.send("GET", "/files/large.bin")
            head = await client.read_head()
            await client.read(1000)      # 1000 bytes; from here on nothing is read
            client.leave("reset")

    `url` is `http://HOST:PORT`. A small `receive_buffer` (bytes) makes a client that does not read felt at
    the server early: without it, the system takes some megabytes on its own. No step waits longer than
    `limit` seconds: `TimeoutError`.
    """

    def __init__(self, url: str, *, receive_buffer: int | None = None, limit: float = LIMIT_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"a SlowClient connects to http://HOST:PORT, got {url!r}")
        self._address = (parts.hostname, parts.port or 80)
        self._host = parts.netloc
        self._receive_buffer = receive_buffer
        self._limit = limit
        self._socket: socket.socket | None = None
        self._method = ""
        self._received = b""
        self._content = bytearray()
        self._head: ClientHead | None = None
        self._body: FramedBody = LengthBody(0)
        self._ended = False
        self._reset = False

    async def __aenter__(self) -> Self:
        """Connect."""
        return await self.connect()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    async def connect(self) -> Self:
        """Connect; raises `OSError` where nobody listens."""
        loop = asyncio.get_running_loop()
        family, kind, number, _, address = (await loop.getaddrinfo(*self._address, type=socket.SOCK_STREAM))[
            0
        ]
        connecting = socket.socket(family, kind, number)
        try:
            connecting.setblocking(False)
            if self._receive_buffer is not None:
                connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            async with asyncio.timeout(self._limit):
                await loop.sock_connect(connecting, address)
        except BaseException:
            connecting.close()
            raise
        self._socket = connecting
        return self

    async def send(
        self,
        method: str,
        target: str,
        fields: RequestFields = (),
        body: bytes = b"",
        *,
        keep_alive: bool = False,
    ) -> None:
        """Send a request; without `keep_alive` it asks for the connection to be closed behind its answer.

        `fields` are sent as they are, values as Latin-1 or as bytes, behind `Host`, `Connection` and, with a
        body, `Content-Length`.
        """
        self._method, self._head, self._content = method, None, bytearray()
        given = fields.items() if isinstance(fields, Mapping) else fields
        own: list[tuple[str, FieldValue]] = [("Host", self._host)]
        own.append(("Connection", "keep-alive" if keep_alive else "close"))
        if body:
            own.append(("Content-Length", str(len(body))))
        lines = [f"{method} {target} HTTP/1.1".encode("latin-1")]
        lines += [name.encode("latin-1") + b": " + _encoded(value) for name, value in (*own, *given)]
        await self.send_bytes(b"\r\n".join([*lines, b"", b""]) + body)

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, HTTP or not."""
        async with asyncio.timeout(self._limit):
            await asyncio.get_running_loop().sock_sendall(self._connected(), data)

    async def read_head(self) -> ClientHead:
        """The head of the answer, of which no more is read than what comes with it.

        Raises `ConnectionError` if the connection ends before, or if it is no HTTP.
        """
        if self._head is not None:
            return self._head
        while b"\r\n\r\n" not in self._received:
            more = await self._receive()
            if not more or len(self._received) > MAX_HEAD_BYTES:
                ended = "was reset" if self._reset else "ended"
                raise ConnectionError(f"the connection {ended} inside the head: {self._received[:200]!r}")
            self._received += more
        head, _, rest = self._received.partition(b"\r\n\r\n")
        self._head = parse_head(head)
        if 100 <= self._head.status <= 199:
            self._head, self._received = None, rest
            return await self.read_head()
        self._received = b""
        self._body = framed_body(self._method, self._head)
        self._take(rest)
        return self._head

    async def read(self, count: int) -> bytes:
        """The next `count` bytes of the content; fewer if the body or the connection ends before."""
        await self.read_head()
        while len(self._content) < count and not self._is_over() and (more := await self._receive()):
            self._take(more)
        taken = bytes(self._content[:count])
        del self._content[:count]
        return taken

    async def read_at(self, bytes_per_second: float, count: int) -> bytes:
        """The next `count` bytes of the content, read no faster than that."""
        loop = asyncio.get_running_loop()
        pacer = Pacer(Pace.even(bytes_per_second), loop.time())
        pieces: list[bytes] = []
        left = count
        while left:
            if due := min(left, pacer.due(loop.time())):
                piece = await self.read(due)
                pieces.append(piece)
                pacer.spend(len(piece))
                left -= len(piece)
                if len(piece) < due:
                    break
            else:
                await asyncio.sleep(pacer.wait())
        return b"".join(pieces)

    async def pause(self, seconds: float) -> None:
        """Read nothing for so long. Not to call anything does the same."""
        await asyncio.sleep(seconds)

    async def drain(self) -> ClientAnswer:
        """Read the rest of the answer: to the end of the body, or of the connection if that is to close.

        Only the end of the connection shows what comes behind a body that seemed whole.
        """
        head = await self.read_head()
        async with asyncio.timeout(self._limit):
            while not self._is_over() and (more := await self._receive()):
                self._take(more)
        content, self._content = bytes(self._content), bytearray()
        return ClientAnswer(head, content, self._body.complete, self._reset)

    async def get(self, target: str, fields: RequestFields = (), method: str = "GET") -> ClientAnswer:
        """One request, and its answer to the end."""
        await self.send(method, target, fields)
        return await self.drain()

    @property
    def complete(self) -> bool:
        """Whether the whole body has come, as far as its framing tells."""
        return self._head is not None and self._body.complete

    def leave(self, how: Leaving = "close") -> None:
        """Go away: `close` as programs do, `reset` at once, `half_close` ends only what the client says."""
        connection = self._connected()
        if how == "half_close":
            connection.shutdown(socket.SHUT_WR)
            return
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _is_over(self) -> bool:
        """Whether nothing of this answer can come any more, on a connection that stays."""
        return self._ended or (self._body.complete and self._stays())

    def _stays(self) -> bool:
        said = (self._head.get("connection") or "").lower() if self._head is not None else ""
        return "keep-alive" in said

    def _take(self, data: bytes) -> None:
        try:
            self._content += self._body.feed(data)
        except ValueError as exc:
            raise ConnectionError("what comes are no chunks") from exc

    async def _receive(self) -> bytes:
        try:
            async with asyncio.timeout(self._limit):
                data = await asyncio.get_running_loop().sock_recv(self._connected(), READ_BYTES)
        except ConnectionResetError:
            self._reset = True
            data = b""
        self._ended = not data
        return data

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError(f"the client is not connected to {self._host}, or has left")
        return self._socket


def _encoded(value: FieldValue) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
