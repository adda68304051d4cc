"""Clients that take an object at a steady pace, one after the other, and check every byte they were given."""

import asyncio
import hashlib
import re
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BYTES_PER_SECOND = 2 << 20
READ_SIZE = 64 * 1024
RECEIVE_BUFFER = 128 * 1024
"""So little that the pace is felt by the gateway, and not by the system alone."""

PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 30.0
"""A connection that gives nothing for so long has failed."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Broken(Exception):
    """An answer was not the whole object; the message says what it was."""


@dataclass(slots=True)
class Transfers:
    """What became of transfers: how many are under way, how many were exact, and why others were broken."""

    running: int = 0
    exact: int = 0
    broken: Counter[str] = field(default_factory=Counter)


async def transfer_again(url: str, sha256: str, transfers: Transfers, stopping: asyncio.Event) -> None:
    """Transfer what is at `url`, again and again, until it is told to stop: the last one is ended first."""
    while not stopping.is_set():
        transfers.running += 1
        try:
            await _transfer(url, sha256)
            transfers.exact += 1
        except (Broken, OSError) as exc:
            transfers.broken[str(exc) or type(exc).__name__] += 1
            # Where nothing can be had it must not try a thousand times a second.
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), PAUSE_SECONDS)
        finally:
            transfers.running -= 1


async def _transfer(url: str, sha256: str) -> None:
    """Read a whole answer no faster than the pace; raises `Broken` unless it is the object, and `OSError`."""
    parts = urlsplit(url)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await _connect(str(parts.hostname), parts.port or 80)
    try:
        target = f"{parts.path}?{parts.query}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        found = await _paced_digest(reader, await _length(reader))
    finally:
        writer.close()
    if found != sha256:
        raise Broken("other bytes")


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    client = socket.socket()
    try:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        await asyncio.get_running_loop().sock_connect(client, (host, port))
        return await asyncio.open_connection(sock=client, limit=READ_SIZE)
    except BaseException:
        client.close()
        raise


async def _length(reader: asyncio.StreamReader) -> int:
    """Read a head; return the length that it promises."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        raise Broken("no answer" if not exc.partial else "the head was cut") from exc
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        line = head.partition(b"\r\n")[0].decode("latin-1")
        raise Broken(f"answered by {line!r}")
    return int(length[1])


async def _paced_digest(reader: asyncio.StreamReader, length: int) -> str:
    """Read so many bytes, no faster than the pace; return their SHA-256 in hexadecimal."""
    clock = asyncio.get_running_loop().time
    began, taken, digest = clock(), 0, hashlib.sha256()
    while taken < length:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            chunk = await reader.read(min(READ_SIZE, length - taken))
        if not chunk:
            raise Broken("the content was cut")
        digest.update(chunk)
        taken += len(chunk)
        await asyncio.sleep(max(0.0, began + taken / BYTES_PER_SECOND - clock()))
    if await reader.read(1):
        raise Broken("more than was promised")
    return digest.hexdigest()
