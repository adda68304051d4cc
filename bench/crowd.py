"""Clients that take their time, in a process of their own: heads of a byte a second, answers nobody reads."""

import asyncio
import multiprocessing
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from .measure import WrongAnswer

FILES = 8192
"""Sockets that a process may have: those of the clients, and as many again of the gateway to its store."""

AT_ONCE = 50
"""Readers that connect at the same time."""

COME_SECONDS = 120.0
LEAVE_SECONDS = 30.0
PAUSE_SECONDS = 1.0
RECEIVE_BUFFER = 16 * 1024
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
FILLING = b"a" * 600
"""A head without an end: it takes ten minutes, if nobody ends it before."""

REFUSAL = b"HTTP/1.1 408 "


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many clients that send heads slowly, and so many readers that take nothing of what is at `url`."""

    url: str
    heads: int
    readers: int


@dataclass(slots=True)
class Ended:
    """How many slow heads were ended by 408, and how many in another way; each client has begun another."""

    refused: int = 0
    otherwise: int = 0


class Gathering:
    """A crowd that comes, is there, and leaves."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def is_there(self) -> bool:
        """Whether every reader has the beginning of an answer, and every slow head has begun."""
        return self._pipe.poll()

    def wait(self) -> None:
        """Wait until it is there; raises `WrongAnswer` if it does not come."""
        if not self._pipe.poll(COME_SECONDS):
            raise WrongAnswer(f"the slow clients were not there after {COME_SECONDS} s")
        self._pipe.recv()

    def leave(self) -> Ended:
        """Close all connections; returns what became of the slow heads."""
        self._pipe.send(None)
        if not self._pipe.poll(LEAVE_SECONDS):
            raise WrongAnswer(f"the slow clients were not gone after {LEAVE_SECONDS} s")
        ended: Ended = self._pipe.recv()
        return ended


@contextmanager
def gathering(crowd: Crowd) -> Iterator[Gathering]:
    """Let a crowd come; its process ends with the block."""
    context = multiprocessing.get_context("spawn")
    own, its = context.Pipe()
    process = context.Process(target=_gather, args=(crowd, its), daemon=True)
    process.start()
    its.close()
    try:
        yield Gathering(own)
    finally:
        own.close()
        process.kill()
        process.join()


def allow_files() -> None:
    """Let this process, and those that it starts, have as many sockets as crowds need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _gather(crowd: Crowd, pipe: Connection) -> None:
    allow_files()
    asyncio.run(_take_time(crowd, pipe))


async def _take_time(crowd: Crowd, pipe: Connection) -> None:
    """Be there until the pipe says something, or is closed."""
    told, ended = asyncio.Event(), Ended()
    asyncio.get_running_loop().add_reader(pipe.fileno(), told.set)
    heads = [asyncio.create_task(_slow_heads(crowd, number, ended)) for number in range(crowd.heads)]
    readers: list[socket.socket] = []
    try:
        for start in range(0, crowd.readers, AT_ONCE):
            some = (_asked(crowd.url) for _ in range(min(AT_ONCE, crowd.readers - start)))
            readers += await asyncio.gather(*some)
        await asyncio.sleep(PAUSE_SECONDS)
        pipe.send(None)
        await told.wait()
    finally:
        for head in heads:
            head.cancel()
        await asyncio.gather(*heads, return_exceptions=True)
        for reader in readers:
            reader.close()
    pipe.send(ended)


async def _asked(url: str) -> socket.socket:
    """Return a connection with a request sent, and one byte of its answer read."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    await loop.sock_connect(client, (parts.hostname, parts.port))
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    await loop.sock_sendall(client, f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    await loop.sock_recv(client, 1)
    return client


async def _slow_heads(crowd: Crowd, number: int, ended: Ended) -> None:
    """Send one head after the other, for ever. Clients of different numbers send at different times."""
    await asyncio.sleep(PAUSE_SECONDS * number / crowd.heads)
    parts = urlsplit(crowd.url)
    while True:
        began = time.monotonic()
        answer = b""
        with suppress(OSError):
            answer = await _slow_head(str(parts.hostname), parts.port or 80)
        if answer.startswith(REFUSAL):
            ended.refused += 1
        else:
            ended.otherwise += 1
        # Who is sent away at once must not come a thousand times a second.
        await asyncio.sleep(max(0.0, began + PAUSE_SECONDS - time.monotonic()))


async def _slow_head(host: str, port: int) -> bytes:
    """Send a byte a second until the server says something, or closes the connection; what it says."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for byte in HEAD + FILLING:
            writer.write(bytes([byte]))
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    return await reader.read(len(REFUSAL))
        return b""
    finally:
        writer.close()
