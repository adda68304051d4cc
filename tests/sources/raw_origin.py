"""An origin made of bytes: it answers each request with steps that a test writes down, down to the reset."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

QUIET_SECONDS = 20.0


class Step(Enum):
    """What else can happen in an answer but bytes: after `CLOSE` and `RESET` the connection is gone."""

    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"


CLOSE, RESET, STALL = Step.CLOSE, Step.RESET, Step.STALL


@dataclass(frozen=True, slots=True)
class Pause:
    """So many seconds in which nothing is sent."""

    seconds: float


Answer = Sequence[bytes | Step | Pause]


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came: method, target, fields by lower-case name, and all of it in bytes."""

    method: str
    target: str
    fields: dict[str, str]
    head: bytes


def answer(status: str, content: bytes = b"", **fields: str | None) -> bytes:
    """A whole answer; `content_length=None` leaves that field out, and any other underscore is a hyphen."""
    described = {"content-length": str(len(content))}
    described |= {name.replace("_", "-"): value for name, value in fields.items() if value is not None}
    for name in [name for name, value in fields.items() if value is None]:
        described.pop(name.replace("_", "-"), None)
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in described.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def served(content: bytes, **fields: str | None) -> bytes:
    """An object, as a store answers."""
    described = {"etag": '"version-1"', "last_modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    return answer("200 OK", content, **{**described, **fields})


@dataclass
class RawOrigin:
    """What it was asked, over how many connections, and how many of these are open."""

    answers: list[Answer]
    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[RawRequest] = field(default_factory=list)
    connections: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    async def quiet(self) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(QUIET_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.open_connections == 0)

    async def asked(self, count: int = 1) -> None:
        """Wait until `count` requests have come."""
        async with asyncio.timeout(QUIET_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    await self._answer(_parse(await reader.readuntil(b"\r\n\r\n")), reader, writer)
        finally:
            writer.close()
            self._open.discard(writer)
            await self._tell()

    async def _answer(
        self, request: RawRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        steps = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        await self._tell()
        for step in steps:
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Step.STALL:
                    # Until the client has had enough.
                    await reader.read()
                    writer.close()
                case Step.CLOSE:
                    writer.close()
                case Step.RESET:
                    await _reset(writer)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def raw_origin(
    *answers: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[RawOrigin]:
    """Run an origin whose n-th request gets the n-th of `answers`, and all after the last one the last."""
    origin = RawOrigin(list(answers), "http" if tls is None else "https", host)
    server = await asyncio.start_server(origin._serve, host, port, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield origin
        finally:
            server.close()
            # An exception that a test still holds may hold the client's end of a connection.
            for writer in origin._open:
                writer.transport.abort()
            await origin.quiet()


async def _reset(writer: asyncio.StreamWriter) -> None:
    # What was sent before has arrived by then: a reset would take it away from the receiver's buffer.
    await asyncio.sleep(0.05)
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _parse(head: bytes) -> RawRequest:
    line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = line.split(" ")
    fields = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
    return RawRequest(method, target, fields, head)
