"""What the `FaultyOrigin` saw: its requests and connections, to be read from any thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sluicegate.testing.origin_requests import OriginRequest

Ended = Literal["complete", "reset", "closed", "left", "stopped"]
"""How an answer ended: it was sent as it should be; the origin reset the connection, or closed it early; the
client left; the origin was stopped."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request and what became of it, when it was looked at.

    `number` counts requests from 1, and `connection` the connections. `range` is the `Range` field as it
    came. `status` is `None` where no head was sent. `sent` are the bytes of the body that were handed to the
    operating system. `ended` is `None` while the answer is under way.
    """

    number: int
    connection: int
    method: str
    path: str
    query: Mapping[str, str]
    fields: Mapping[str, str]
    range: str | None
    status: int | None
    sent: int
    ended: Ended | None

    @property
    def open(self) -> bool:
        """Whether the answer is still under way."""
        return self.ended is None


@dataclass(frozen=True, slots=True)
class Connected:
    """An open connection: its number, the client's port, and the last request that came over it."""

    number: int
    client_port: int
    last: Seen | None


@dataclass(slots=True)
class Entry:
    """A request under way, which only the origin's own thread writes."""

    number: int
    connection: int
    request: OriginRequest
    status: int | None = None
    sent: int = 0
    ended: Ended | None = None

    def seen(self) -> Seen:
        """As it is now."""
        asked = self.request
        return Seen(
            self.number,
            self.connection,
            asked.method,
            asked.path,
            asked.query,
            asked.fields,
            asked.range,
            self.status,
            self.sent,
            self.ended,
        )


@dataclass(slots=True)
class _Open:
    client_port: int
    last: Entry | None = None


@dataclass(slots=True)
class Ledger:
    """Counts. Written in the origin's thread, read in any."""

    connections: int = 0
    peak_connections: int = 0
    peak_busy: int = 0
    _numbered: int = 0
    _opened: int = 0
    _earlier_bytes: int = 0
    _entries: list[Entry] = field(default_factory=list)
    _open: dict[int, _Open] = field(default_factory=dict)
    _busy: dict[int, Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, client_port: int) -> int:
        """Note a new connection; returns its number."""
        with self._lock:
            self._opened += 1
            self.connections += 1
            self._open[self._opened] = _Open(client_port)
            self.peak_connections = max(self.peak_connections, len(self._open))
            return self._opened

    def disconnect(self, connection: int) -> None:
        """Note that a connection is gone."""
        with self._lock:
            self._open.pop(connection, None)

    def begin(self, connection: int, request: OriginRequest) -> Entry:
        """Note a request that is to be answered."""
        with self._lock:
            self._numbered += 1
            entry = Entry(self._numbered, connection, request)
            self._entries.append(entry)
            self._busy[entry.number] = entry
            self.peak_busy = max(self.peak_busy, len(self._busy))
            if connection in self._open:
                self._open[connection].last = entry
            return entry

    def end(self, entry: Entry, ended: Ended) -> None:
        """Note how the answer ended; the first word on it counts."""
        with self._lock:
            if entry.ended is None:
                entry.ended = ended
            self._busy.pop(entry.number, None)

    def reset(self) -> None:
        """Count from now: forget the requests that have ended, and take what is open as the peak."""
        with self._lock:
            self._entries = [entry for entry in self._entries if entry.ended is None]
            self._earlier_bytes = sum(entry.sent for entry in self._entries)
            self.connections = self.peak_connections = len(self._open)
            self.peak_busy = len(self._busy)

    def requests(self) -> tuple[Seen, ...]:
        """All requests, in the order in which they came."""
        with self._lock:
            return tuple(entry.seen() for entry in self._entries)

    def open_connections(self) -> tuple[Connected, ...]:
        """The connections that are open."""
        with self._lock:
            return tuple(
                Connected(number, held.client_port, None if held.last is None else held.last.seen())
                for number, held in self._open.items()
            )

    def open_count(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def busy_count(self) -> int:
        """How many answers are under way."""
        return len(self._busy)

    def bytes_sent(self) -> int:
        """Bytes of bodies that were sent."""
        with self._lock:
            return sum(entry.sent for entry in self._entries) - self._earlier_bytes
