"""What happened, as numbers for Prometheus: of this process, or of all workers together.

Whoever observes a transfer must not slow it down: series are looked up once and kept, and their number is
bounded by the configuration, never by what a client sends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from sluicegate import Outcome, TransferRecord
from sluicegate.errors import MethodNotAllowed

from .protocol import RefusalReason
from .shared_metrics import VARIABLE, CannotMeasure, SharedNumbers

FIRST_BYTE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""From a local cache to the longest that anybody waits for a head."""

TRANSFER_SECONDS: Final = (*FIRST_BYTE_SECONDS, 300, 900, 3600)
"""A video that is watched takes as long as it lasts."""

Refused = Literal[
    "unauthenticated",
    "forbidden",
    "unverifiable",
    "requests",
    "transfers",
    "unlimitable",
    "bad_request",
]
"""Why a request was not let through: it showed nothing that is valid; it may not have this; nobody could be
asked who it is; too many requests; too many transfers; nobody could be asked how many; it is no request that
can be judged."""

Reloaded = Literal["applied", "invalid"]

_METHODS: Final = frozenset(MethodNotAllowed.allowed)
_RouteAndStore = tuple[str | None, str | None]
_Request = tuple[str | None, str | None, str, int | None, Outcome]
_Add = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Exposition:
    """All numbers, in one of Prometheus's formats."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Series:
    """What a route's transfers from one store are added to."""

    first_byte: _Add
    seconds: _Add
    sent: _Add
    origin_bytes: _Add
    origin_requests: _Add
    resumes: _Add
    retries: _Add
    parkings: _Add

    def add(self, record: TransferRecord) -> None:
        """Add a transfer. What is 0, as most of it mostly is, costs nothing."""
        if record.first_byte_seconds is not None:
            self.first_byte(record.first_byte_seconds)
        self.seconds(record.duration_seconds)
        if record.bytes_sent:
            self.sent(record.bytes_sent)
        if record.origin_bytes:
            self.origin_bytes(record.origin_bytes)
        if record.requests:
            self.origin_requests(record.requests)
        if record.resumes or record.retries or record.parkings:
            self.resumes(record.resumes)
            self.retries(record.retries)
            self.parkings(record.parkings)


class Metrics:
    """An observer of transfers, and what else is counted. One for a process, for as long as it lives.

    Where `PROMETHEUS_MULTIPROC_DIR` names a folder, which it must have done when prometheus_client was first
    imported, the numbers of all processes that do the same are exposed together, by any of them; see
    `shared_metrics`. Elsewhere no folder is needed. Raises `CannotMeasure`.
    """

    def __init__(self, version: str) -> None:
        folder = _shared_folder()
        own = CollectorRegistry()
        self._make_counters(own)
        self._make_gauges(own, version)
        self._counts: dict[_Request, _Add] = {}
        self._series: dict[_RouteAndStore, _Series] = {}
        self._flying: dict[str, Gauge] = {}
        self._exposed = own
        if folder is None:
            ProcessCollector(registry=own)
        else:
            _check_shared(folder)
            self._exposed = CollectorRegistry()
            self._exposed.register(SharedNumbers(folder))

    def __call__(self, record: TransferRecord) -> None:
        """Add a transfer that is over."""
        method = record.method if record.method in _METHODS else "other"
        request = (record.route, record.store, method, record.status, record.outcome)
        (self._counts.get(request) or self._count_of(request))(1)
        where = (record.route, record.store)
        (self._series.get(where) or self._series_of(where)).add(record)

    def declare(self, route: str, store: str | None) -> None:
        """Expose a route's series from the beginning, for an increase from nothing is none to Prometheus."""
        self._series_of((route, store))
        self._flying_of(route)

    def begin(self, route: str) -> None:
        """A request for a route has come."""
        (self._flying.get(route) or self._flying_of(route)).inc()

    def end(self, route: str) -> None:
        """A request that has begun is over, however it ended."""
        self._flying_of(route).dec()

    def parked(self, change: int) -> None:
        """So many more transfers are parked; what an `ObjectResponse` is given as `note_parked`."""
        self._parked.inc(change)

    def refused(self, route: str | None, reason: Refused | RefusalReason) -> None:
        """A request was not let through; `None` where it has no route."""
        self._refused.labels(route or "", reason).inc()

    def connected(self, change: int) -> None:
        """So many more connections of clients are open."""
        self._connections.inc(change)

    def loaded(self) -> None:
        """This process has a configuration, from now on."""
        self._loaded.set(time.time())

    def reloaded(self, result: Reloaded) -> None:
        """A configuration was read again, and applied or not. Of several processes one counts it."""
        self._reloads.labels(result).inc()

    def exposition(self, accept: str = "") -> Exposition:
        """All numbers, in the format that a request accepts. With several workers it reads their files.

        Raises `CannotMeasure` where those change all the time.
        """
        try:
            encode, media_type = choose_encoder(accept)
        except TypeError:
            # What it does for a version that is not made of numbers.
            encode, media_type = choose_encoder("")
        return Exposition(media_type, encode(self._exposed))

    # The series.

    def _make_counters(self, own: CollectorRegistry) -> None:
        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"sluicegate_{name}", text, ("route", "store", *more), registry=own)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"sluicegate_{name}", text, ("route", "store"), buckets=buckets, registry=own)

        self._requests = counter(
            "requests_total", "Transfers that are over.", *("method", "status", "outcome")
        )
        self._first_byte = histogram("first_byte_seconds", "Until the head was sent.", FIRST_BYTE_SECONDS)
        self._seconds = histogram("transfer_seconds", "Until the transfer was over.", TRANSFER_SECONDS)
        self._sent = counter("sent_bytes_total", "Content that was given to clients' connections.")
        self._origin_bytes = counter("origin_bytes_total", "Content that came from origins.")
        self._origin_requests = counter("origin_requests_total", "Requests to origins.")
        self._resumes = counter("resumes_total", "Bodies that broke and were asked for again.")
        self._retries = counter("retries_total", "Requests to origins that failed and were made again.")
        self._parkings = counter("parkings_total", "Times that a stalled transfer let go of its origin.")
        self._refused = Counter(
            "sluicegate_refused_total", "Requests not let through.", ("route", "reason"), registry=own
        )
        self._reloads = Counter(
            "sluicegate_reloads_total", "Configurations that were read again.", ("result",), registry=own
        )
        for result in ("applied", "invalid"):
            self._reloads.labels(result)

    def _make_gauges(self, own: CollectorRegistry, version: str) -> None:
        self._in_flight = Gauge(
            "sluicegate_in_flight",
            "Requests that are not over.",
            ("route",),
            registry=own,
            multiprocess_mode="livesum",
        )
        self._parked = Gauge(
            "sluicegate_parked",
            "Transfers that hold no connection to their origin.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._connections = Gauge(
            "sluicegate_connections",
            "Connections of clients that are open.",
            registry=own,
            multiprocess_mode="livesum",
        )
        # The oldest, so that a worker that was left behind can be seen.
        self._loaded = Gauge(
            "sluicegate_config_loaded_timestamp_seconds",
            "When the configuration in use was loaded.",
            registry=own,
            multiprocess_mode="livemin",
        )
        built = Gauge(
            "sluicegate_build_info", "The version.", ("version",), registry=own, multiprocess_mode="livemax"
        )
        built.labels(version).set(1)
        self.loaded()

    def _count_of(self, request: _Request) -> _Add:
        route, store, method, status, outcome = request
        labels = (route or "", store or "", method, status or "", outcome.value)
        count = self._counts[request] = self._requests.labels(*labels).inc
        return count

    def _series_of(self, where: _RouteAndStore) -> _Series:
        labels = (where[0] or "", where[1] or "")
        series = self._series[where] = _Series(
            first_byte=self._first_byte.labels(*labels).observe,
            seconds=self._seconds.labels(*labels).observe,
            sent=self._sent.labels(*labels).inc,
            origin_bytes=self._origin_bytes.labels(*labels).inc,
            origin_requests=self._origin_requests.labels(*labels).inc,
            resumes=self._resumes.labels(*labels).inc,
            retries=self._retries.labels(*labels).inc,
            parkings=self._parkings.labels(*labels).inc,
        )
        return series

    def _flying_of(self, route: str) -> Gauge:
        gauge = self._flying.get(route)
        if gauge is None:
            gauge = self._flying[route] = self._in_flight.labels(route)
        return gauge


def _shared_folder() -> Path | None:
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise CannotMeasure(f"{VARIABLE} is {named!r}: not a folder")
    return Path(named)


def _check_shared(folder: Path) -> None:
    """The variable is read when prometheus_client is imported; later it would lose all numbers silently."""
    if not any(folder.glob(f"*_{os.getpid()}.db")):
        raise CannotMeasure(f"{VARIABLE} was set after prometheus_client had been imported")
