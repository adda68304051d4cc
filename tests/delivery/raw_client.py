"""An HTTP/1.1 client that can stall, leave in three ways, and tell a whole answer from one that was cut."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import urlsplit

Fields = tuple[tuple[str, str], ...]
Leaving = Literal["close", "reset", "half_close"]

READ_SIZE = 256 * 1024
ANSWER_SECONDS = 20.0
"""No answer in these tests takes as long; a longer one is a hang."""

UNTIL_SECONDS = 10.0
"""What is waited for takes a moment. It is less than the 30 s after which the origin is given up anyway."""

LOOK_SECONDS = 1.0
"""What a look counts for at most."""


@dataclass(frozen=True, slots=True)
class Head:
    """A status line and the fields below it, names in lower case."""

    status: int
    fields: Fields

    def get(self, name: str) -> str | None:
        """The value of the first field `name`."""
        return next((value for key, value in self.fields if key == name), None)

    def all(self, name: str) -> list[str]:
        """The values of all fields `name`."""
        return [value for key, value in self.fields if key == name]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came until the connection ended: `complete` is what the framing says, for good or for bad."""

    head: Head
    content: bytes
    complete: bool

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    def get(self, name: str) -> str | None:
        """The value of the first field `name`."""
        return self.head.get(name)


class Connection:
    """One connection, for one request."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        self._sock = sock
        self._host = host
        self._buffer = b""
        self._method = ""

    @classmethod
    async def open(cls, url: str, *, receive_buffer: int | None = None) -> Self:
        """Connect. A small `receive_buffer` (bytes) makes a stall felt at the server early."""
        parts = urlsplit(url)
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
        return cls(sock, parts.netloc)

    async def send(
        self, method: str, path: str, fields: Iterable[tuple[str, str | bytes]] = (), body: bytes = b""
    ) -> None:
        """Send a request that asks for the connection to be closed after its answer."""
        self._method = method
        own: list[tuple[str, str | bytes]] = [("Host", self._host), ("Connection", "close")]
        if body:
            own.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1".encode("latin-1")]
        for name, value in (*own, *fields):
            lines.append(
                name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1"))
            )
        data = b"\r\n".join([*lines, b"", b""]) + body
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def read_head(self) -> Head:
        """The head of the answer; the body stays where it is."""
        while b"\r\n\r\n" not in self._buffer:
            more = await self._receive()
            if not more:
                raise ConnectionError(f"the connection ended inside the head: {self._buffer!r}")
            self._buffer += more
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return _parse_head(head)

    async def read_some(self, size: int) -> bytes:
        """At least `size` bytes of the body as it is framed, unless it ends."""
        while len(self._buffer) < size and (more := await self._receive()):
            self._buffer += more
        return self._buffer

    async def read_to_end(self) -> Answer:
        """The whole answer, until the server ends the connection."""
        async with asyncio.timeout(ANSWER_SECONDS):
            head = await self.read_head()
            pieces = [self._buffer]
            while more := await self._receive():
                pieces.append(more)
        self.close()
        return _answer(self._method, head, b"".join(pieces))

    def leave(self, how: Leaving) -> None:
        """Go away: `close` as programs do that end, `reset` at once, `half_close` only ends what we say."""
        if how == "half_close":
            self._sock.shutdown(socket.SHUT_WR)
            return
        if how == "reset":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    async def _receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._sock, READ_SIZE)
        except ConnectionResetError:
            return b""


async def fetch(
    url: str,
    path: str,
    method: str = "GET",
    fields: Iterable[tuple[str, str | bytes]] = (),
    body: bytes = b"",
) -> Answer:
    """One request on a connection of its own, read to the end."""
    connection = await Connection.open(url)
    try:
        await connection.send(method, path, fields, body)
        return await connection.read_to_end()
    finally:
        connection.close()


async def until(condition: Callable[[], Awaitable[object]], seconds: float = UNTIL_SECONDS) -> float:
    """Wait until `condition` holds, `seconds` at most; returns how long it took."""
    loop = asyncio.get_running_loop()
    began = last = loop.time()
    waited = 0.0
    while not await condition():
        # Time that this process did not have is no wait: a pause of it costs one look.
        now = loop.time()
        waited, last = waited + min(now - last, LOOK_SECONDS), now
        if waited > seconds:
            raise AssertionError(f"not true within {seconds} s")
        await asyncio.sleep(0.01)
    return loop.time() - began


def _parse_head(head: bytes) -> Head:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = []
    for line in lines:
        name, _, value = line.partition(":")
        fields.append((name.lower(), value.strip()))
    return Head(int(first.split(" ")[1]), tuple(fields))


def _answer(method: str, head: Head, raw: bytes) -> Answer:
    """What RFC 9112 section 6.3 makes of the bytes after the head."""
    if method == "HEAD" or head.status in (204, 304):
        return Answer(head, raw, not raw)
    if head.get("transfer-encoding") == "chunked":
        assert head.get("content-length") is None, "two framings in one answer"
        content, rest = _dechunk(raw)
        return Answer(head, content, rest == b"")
    # An answer that only the end of the connection ends may be whole or not: nobody can tell.
    length = head.get("content-length")
    return Answer(head, raw, length is not None and len(raw) == int(length))


def _dechunk(raw: bytes) -> tuple[bytes, bytes | None]:
    """The content of chunks, and what stands after the last one: `None` if there is no last one."""
    pieces = []
    position = 0
    while True:
        line_end = raw.find(b"\r\n", position)
        if line_end < 0:
            break
        size = int(raw[position:line_end], 16)
        if size == 0:
            return b"".join(pieces), raw[line_end + 4 :] if raw[line_end:].startswith(b"\r\n\r\n") else None
        pieces.append(raw[line_end + 2 : line_end + 2 + size])
        position = line_end + 2 + size + 2
    return b"".join(pieces), None
