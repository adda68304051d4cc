"""Sends one answer of the `FaultyOrigin`, and lets it come to the end that its faults say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sluicegate.testing import faults as broken
from sluicegate.testing.connection import Connection
from sluicegate.testing.generated import PIECE_BYTES, Generated
from sluicegate.testing.pacing import Pace, Pacer
from sluicegate.testing.replies import Framing, Reply, head_bytes
from sluicegate.testing.rules import Faults
from sluicegate.testing.seen import Entry

FAIR_BYTES: Final = 256 * 1024
"""So much goes out before other connections get their turn, where a client takes all at once."""

FILLER: Final = b"behind the end, "


class Releases:
    """What stalls until it is released waits here. It belongs to the origin's loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Wait for the next release."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def release(self) -> None:
        """Let everything go on that waits now."""
        for future in list(self._waiting):
            if not future.done():
                future.set_result(None)


@dataclass(frozen=True, slots=True)
class Course:
    """The stations of a body of `length` bytes: where it pauses, where it ends, and how."""

    length: int
    stop: int
    ending: broken.Reset | broken.Close | None
    stall: broken.Stall | None
    pace: Pace | None

    def next_station(self, position: int) -> int:
        """Where sending has to pause or to end next."""
        if self.stall is not None and position < self.stall.after < self.stop:
            return self.stall.after
        return self.stop


def course(length: int, faults: Faults) -> Course:
    """The way of a body with `faults`. One that lies at its end or behind it has no effect."""
    endings = [faults.get(broken.Reset), faults.get(broken.Close)]
    early = [fault for fault in endings if fault is not None and fault.after < length]
    ending = min(early, key=lambda fault: fault.after, default=None)
    stop = length if ending is None else ending.after
    stall = faults.get(broken.Stall)
    # A stall right where the body breaks comes before that.
    if stall is not None and stall.after > stop - (ending is None):
        stall = None
    return Course(length, stop, ending, stall, _pace(faults))


def _pace(faults: Faults) -> Pace | None:
    paces = []
    if (bandwidth := faults.get(broken.Bandwidth)) is not None:
        paces.append(Pace.even(bandwidth.bytes_per_second))
    if (trickle := faults.get(broken.Trickle)) is not None:
        paces.append(Pace(trickle.bytes_per_second, trickle.piece))
    return min(paces, key=lambda pace: pace.bytes_per_second, default=None)


async def silence(connection: Connection, faults: Faults, releases: Releases) -> bool:
    """What faults put before or in the place of an answer; returns whether there is one still."""
    if faults.has(broken.HalfOpen):
        connection.ignore()
        await asyncio.Event().wait()
    if faults.has(broken.NoAnswer):
        await releases.wait()
    if (latency := faults.get(broken.Latency)) is not None:
        await asyncio.sleep(latency.seconds)
    if (hang_up := faults.get(broken.HangUp)) is not None:
        if hang_up.reset:
            connection.reset()
        else:
            connection.close("closed")
        return False
    if (garbage := faults.get(broken.Garbage)) is not None:
        connection.write(garbage.content)
        await connection.drained()
        connection.close("closed")
        return False
    return True


async def send_reply(
    connection: Connection, entry: Entry, reply: Reply, faults: Faults, releases: Releases
) -> None:
    """Send head and body, and end the connection where that has to be."""
    stays = entry.request.keeps_alive and not reply.closes
    entry.status = reply.status
    connection.write(head_bytes(reply, datetime.now(UTC), stays))
    if reply.framing is not Framing.NONE:
        way = course(reply.length, faults)
        await _Sending(connection, entry, reply, way, releases).send()
        if way.ending is not None:
            await _break(connection, way.ending)
            return
        if reply.framing is Framing.CHUNKED:
            connection.write(b"0\r\n\r\n")
    await connection.drained()
    if not stays:
        connection.close("closed" if _promises_more(reply) else "complete")


def _promises_more(reply: Reply) -> bool:
    return reply.closes and reply.framing is Framing.LENGTH


async def _break(connection: Connection, ending: broken.Reset | broken.Close) -> None:
    if isinstance(ending, broken.Reset):
        await connection.arrived()
        connection.reset()
    else:
        await connection.drained()
        connection.close("closed")


class _Sending:
    """A body on its way."""

    def __init__(
        self, connection: Connection, entry: Entry, reply: Reply, way: Course, releases: Releases
    ) -> None:
        self._connection = connection
        self._entry = entry
        self._reply = reply
        self._way = way
        self._releases = releases
        self._position = 0
        self._stalled = way.stall is None
        self._chunked = reply.framing is Framing.CHUNKED

    async def send(self) -> None:
        loop = asyncio.get_running_loop()
        pacer = None if self._way.pace is None else Pacer(self._way.pace, loop.time())
        while True:
            await self._stall_here()
            if self._position >= self._way.stop:
                return
            station = self._way.next_station(self._position)
            if pacer is None:
                await self._send_to(min(station, self._position + FAIR_BYTES))
                await asyncio.sleep(0)
                continue
            due = pacer.due(loop.time())
            if due:
                before = self._position
                await self._send_to(min(station, self._position + due))
                pacer.spend(self._position - before)
            await asyncio.sleep(pacer.wait())

    async def _stall_here(self) -> None:
        stall = self._way.stall
        if self._stalled or stall is None or self._position < stall.after:
            return
        self._stalled = True
        await self._connection.drained()
        self._count()
        if stall.seconds is None:
            await self._releases.wait()
        else:
            await asyncio.sleep(stall.seconds)

    async def _send_to(self, stop: int) -> None:
        for piece in _pieces(self._reply, self._position, stop):
            self._write(piece)
            self._position += len(piece)
            self._count()
            await self._connection.drained()
            self._count()

    def _write(self, piece: bytes | memoryview) -> None:
        if not self._chunked:
            self._connection.write(piece)
            return
        self._connection.write(f"{len(piece):x}\r\n".encode())
        self._connection.write(piece)
        self._connection.write(b"\r\n")

    def _count(self) -> None:
        self._entry.sent = max(self._entry.sent, self._position - self._connection.waiting)


def _pieces(reply: Reply, start: int, stop: int) -> Iterator[bytes | memoryview]:
    """The bytes `start` to `stop` of the body, in pieces that are sent at once."""
    content = reply.content if isinstance(reply.content, Generated) else memoryview(reply.content)
    while start < stop:
        end = min(stop, start + PIECE_BYTES)
        if start < reply.span.length:
            end = min(end, reply.span.length)
            first, last = reply.span.start + start, reply.span.start + end
            yield content.read(first, last) if isinstance(content, Generated) else content[first:last]
        else:
            yield _filler(start - reply.span.length, end - reply.span.length)
        start = end


def _filler(start: int, stop: int) -> bytes:
    offset = start % len(FILLER)
    return (FILLER * ((stop - start) // len(FILLER) + 2))[offset : offset + stop - start]
