"""How fast an object comes: the first byte, one connection, eight of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import Final

from sluicegate import Found, OpenRequest, SourceError
from sluicegate.http.ranges import FromTo

from .findings import Finding, note, ok, warning
from .probing import Subject, opened

MIB: Final = 1024 * 1024

TIMES: Final = 5
"""First bytes that are waited for: the median of them says more than any one."""

LATENCY_SECONDS: Final = 6.0
"""After this no further first byte is waited for; what was measured is enough."""

SLOW_FIRST_BYTE_SECONDS: Final = 1.0
"""People begin to wonder whether anything happens."""

MOST_SECONDS: Final = 3.0
MOST_BYTES: Final = 64 * MIB
"""What is read at most for one measurement."""

LEAST_BYTES: Final = MIB
"""Of less, the answer's first byte is most of the time, and the speed says nothing."""

CONNECTIONS: Final = 8

WORTH_IT: Final = 1.5
"""How many times more eight connections have to bring, for that to be no chance."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Bytes that came in `seconds`, and how many of the connections failed."""

    length: int
    seconds: float
    failed: int = 0

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.length / self.seconds


async def first_byte_seconds(subject: Subject) -> tuple[float, ...]:
    """The seconds to the first byte, of at most `TIMES` requests one after another."""
    measured: list[float] = []
    until = time.perf_counter() + LATENCY_SECONDS
    while len(measured) < TIMES and time.perf_counter() < until:
        began = time.perf_counter()
        async with opened(subject, OpenRequest(range=FromTo(0, 0))) as outcome:
            if isinstance(outcome, Found):
                await outcome.body.read()
            measured.append(time.perf_counter() - began)
    return tuple(measured)


async def speed_of_one(subject: Subject, size: int) -> Speed:
    """What one connection brings."""
    return await _measured(subject, 0, min(size, MOST_BYTES), 1)


async def speed_of_eight(subject: Subject, size: int) -> Speed:
    """What eight connections bring, of bytes that nobody has just read if there are enough."""
    length = min(size, MOST_BYTES)
    return await _measured(subject, length if size >= 2 * length else 0, length, CONNECTIONS)


async def _measured(subject: Subject, start: int, length: int, connections: int) -> Speed:
    share = length // connections
    began = time.perf_counter()
    readings = [_Reading() for _ in range(connections)]
    async with asyncio.TaskGroup() as tasks:
        for index, reading in enumerate(readings):
            first = start + index * share
            tasks.create_task(reading.read(subject, FromTo(first, first + share - 1)))
    seconds = time.perf_counter() - began
    return Speed(sum(reading.length for reading in readings), seconds, sum(r.failed for r in readings))


class _Reading:
    """One connection's bytes, counted as they come."""

    def __init__(self) -> None:
        self.length = 0
        self.failed = False

    async def read(self, subject: Subject, spec: FromTo) -> None:
        """Read until all is there or the time is over."""
        try:
            async with asyncio.timeout(MOST_SECONDS):
                await self._read(subject, spec)
        except TimeoutError:
            # What has come by then is the measurement.
            return
        except SourceError:
            self.failed = True

    async def _read(self, subject: Subject, spec: FromTo) -> None:
        async with opened(subject, OpenRequest(range=spec)) as outcome:
            if isinstance(outcome, Found):
                while chunk := await outcome.body.read():
                    self.length += len(chunk)


def judge_first_byte(measured: tuple[float, ...]) -> Finding:
    """What the waits for the first byte come to."""
    wait = median(measured)
    what = f"first byte after {wait * 1000:.1f} ms (median of {len(measured)})"
    if wait <= SLOW_FIRST_BYTE_SECONDS:
        return ok(what)
    return warning(what, "run the gateway nearer to the origin, or find out what keeps the origin busy")


def judge_speed(one: Speed, eight: Speed, read_ahead: int) -> Finding:
    """Whether reading ahead, by several connections, brings anything; `read_ahead` is what is configured."""
    if not one.length:
        return warning(f"nothing came within {MOST_SECONDS:.0f} s", "see what keeps the origin from sending")
    if eight.failed:
        return warning(
            f"{eight.failed} of {CONNECTIONS} connections at once failed; one brings {_rate(one)}",
            "find out how many connections the origin allows, and lower read_ahead under [transfers]",
        )
    ratio = eight.rate / one.rate
    what = f"one connection brings {_rate(one)}, eight bring {_rate(eight)} ({ratio:.1f} times as much)"
    if ratio < WORTH_IT:
        return note(f"{what}: read-ahead brings little here")
    if read_ahead:
        return ok(f"{what}: read-ahead helps, and is on")
    return note(f"{what}: read-ahead would help", "set read_ahead under [transfers] above 0")


def _rate(speed: Speed) -> str:
    return f"{speed.rate / 1e6:.1f} MB/s"
