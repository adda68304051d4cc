"""An origin on a raw socket that misbehaves on request, and knows which of its connections are still open.

The path says what happens: `/…/BEHAVIOUR/ID`. It speaks enough HTTP for the S3 clients and for plain ones.
"""

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FIRST_BYTES = 2 * 1024 * 1024
"""What comes before an origin stalls or breaks: more than any client library waits for before it hands on."""

PROMISED_BYTES = 64 * 1024 * 1024
GLANCE_SECONDS = 0.1
"""An origin that could send nothing for so long is stalled."""

SECRET = "origin-secret-3d1f"
"""Stands in everything that the origin says of its failures; no client may ever see it."""


@dataclass
class Origin:
    """A running origin: its address, and how many connections it has and had for each id."""

    url: str = ""
    open: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    async def is_released(self, name: str) -> bool:
        """Whether it was asked for `name`, and no connection that was is open any more."""
        return self.asked[name] > 0 and self.open[name] == 0

    async def is_stalled(self, name: str) -> bool:
        """Whether it was asked for `name`, and nobody takes any more of it."""
        before = self.sent[name]
        await asyncio.sleep(GLANCE_SECONDS)
        return self.sent[name] == before > 0

    async def is_asked(self, name: str) -> bool:
        """Whether a request for `name` has arrived."""
        return self.asked[name] > 0


class _ResetError(Exception):
    """The connection is to be reset, by us."""


def _head(status: str, *fields: str) -> bytes:
    common = ("Date: Tue, 01 Jul 2025 00:00:00 GMT", "Content-Type: image/png", f"x-secret: {SECRET}")
    return "\r\n".join([f"HTTP/1.1 {status}", *common, *fields, "", ""]).encode()


def _object(length: int) -> bytes:
    return _head(
        "200 OK",
        f"Content-Length: {length}",
        'ETag: "v1"',
        "Last-Modified: Mon, 30 Jun 2025 00:00:00 GMT",
        "Accept-Ranges: bytes",
    )


async def _stall_head() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def _stall_first() -> AsyncIterator[bytes]:
    yield _object(PROMISED_BYTES)
    await asyncio.Event().wait()


async def _stall_later() -> AsyncIterator[bytes]:
    yield _object(PROMISED_BYTES)
    yield bytes(FIRST_BYTES)
    await asyncio.Event().wait()


async def _endless() -> AsyncIterator[bytes]:
    yield _object(1 << 40)
    while True:
        yield bytes(64 * 1024)
        # Not as fast as it can: the processors are for those under test.
        await asyncio.sleep(0.001)


async def _early_end() -> AsyncIterator[bytes]:
    yield _object(PROMISED_BYTES)
    yield bytes(FIRST_BYTES)


async def _no_content() -> AsyncIterator[bytes]:
    yield _object(PROMISED_BYTES)


async def _reset() -> AsyncIterator[bytes]:
    yield _object(PROMISED_BYTES)
    yield bytes(FIRST_BYTES)
    raise _ResetError


async def _unfinished_chunks() -> AsyncIterator[bytes]:
    yield _head("200 OK", "Transfer-Encoding: chunked")
    yield b"200000\r\n" + bytes(FIRST_BYTES) + b"\r\n"


async def _unavailable() -> AsyncIterator[bytes]:
    content = f"<Error><Code>InternalError</Code><Message>{SECRET}</Message></Error>".encode()
    yield _head("500 Internal Server Error", f"Content-Length: {len(content)}") + content


async def _slow_down() -> AsyncIterator[bytes]:
    content = f"<Error><Code>SlowDown</Code><Message>{SECRET}</Message></Error>".encode()
    yield _head("503 Slow Down", f"Content-Length: {len(content)}", "Retry-After: 7") + content


async def _denied() -> AsyncIterator[bytes]:
    content = f"<Error><Code>AccessDenied</Code><Message>{SECRET}</Message></Error>".encode()
    yield _head("403 Forbidden", f"Content-Length: {len(content)}") + content


async def _missing() -> AsyncIterator[bytes]:
    content = f"<Error><Code>NoSuchKey</Code><Message>{SECRET}</Message></Error>".encode()
    yield _head("404 Not Found", f"Content-Length: {len(content)}") + content


async def _garbage() -> AsyncIterator[bytes]:
    yield b"SSH-2.0-" + SECRET.encode() + b"\r\n\r\n"


BEHAVIOURS: dict[str, Callable[[], AsyncIterator[bytes]]] = {
    "stall-head": _stall_head,
    "stall-first": _stall_first,
    "stall-later": _stall_later,
    "endless": _endless,
    "early-end": _early_end,
    "no-content": _no_content,
    "reset": _reset,
    "unfinished-chunks": _unfinished_chunks,
    "unavailable": _unavailable,
    "slow-down": _slow_down,
    "denied": _denied,
    "missing": _missing,
    "garbage": _garbage,
}


@contextmanager
def serve_origin() -> Iterator[Origin]:
    """Run the origin in a thread with a loop of its own."""
    origin = Origin()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(lambda r, w: _answer(origin, r, w), "127.0.0.1", 0)
        origin.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="origin", daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield origin
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _answer(origin: Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request of one connection, which ends with its answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    behaviour, name = head.split(b" ")[1].decode().split("?")[0].rsplit("/", 2)[1:]
    origin.asked[name] += 1
    origin.open[name] += 1
    sending = asyncio.ensure_future(_send(origin, name, BEHAVIOURS[behaviour](), writer))
    leaving = asyncio.ensure_future(reader.read())
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and isinstance(sending.exception(), _ResetError):
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    finally:
        origin.open[name] -= 1
        sending.cancel()
        leaving.cancel()
        writer.close()


async def _send(
    origin: Origin, name: str, pieces: AsyncIterator[bytes], writer: asyncio.StreamWriter
) -> None:
    async for piece in pieces:
        writer.write(piece)
        await writer.drain()
        origin.sent[name] += len(piece)
