"""A client that makes a new connection and a request every 20 ms, whatever became of those before."""

import asyncio
import hashlib
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

EVERY_SECONDS = 0.02
TIMEOUT_SECONDS = 10.0
READ_SIZE = 64 * 1024

_GENERATION = re.compile(rb"\r\nx-generation: *(\d+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Requests:
    """What became of requests: seconds of those answered rightly, the refused, and why others failed.

    `seen` is when an answer of each configuration came first, by its generation: monotonic seconds.
    """

    sent: int = 0
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    seen: dict[int, float] = field(default_factory=dict)


async def ask_often(url: str, sha256: str, requests: Requests, stopping: asyncio.Event) -> None:
    """Ask for what is at `url`, until it is told to stop; one that is late does not make the next wait."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        while not stopping.is_set():
            requests.sent += 1
            tasks.create_task(_ask(url, sha256, requests))
            await asyncio.sleep(max(0.0, began + requests.sent * EVERY_SECONDS - time.monotonic()))


async def _ask(url: str, sha256: str, requests: Requests) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await _answer(url)
    except ConnectionRefusedError:
        requests.refused += 1
        return
    except OSError as exc:
        requests.failures[str(exc) or type(exc).__name__] += 1
        return
    head, _, content = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or hashlib.sha256(content).hexdigest() != sha256:
        line = head.partition(b"\r\n")[0].decode("latin-1")
        requests.failures[f"answered by {line!r} and {len(content)} bytes"] += 1
        return
    requests.seconds.append(time.monotonic() - began)
    if generation := _GENERATION.search(head + b"\r\n"):
        requests.seen.setdefault(int(generation[1]), time.monotonic())


async def _answer(url: str) -> bytes:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        target = f"{parts.path}?{parts.query}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = bytearray()
        while chunk := await reader.read(READ_SIZE):
            answer += chunk
        return bytes(answer)
    finally:
        writer.close()
