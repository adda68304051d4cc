"""A small object's first byte for others, while 500 clients send heads slowly and 1,000 read nothing."""

import argparse
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.servers.asgi import ServedApp
from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from .configurations import guarded, signed
from .crowd import Crowd, allow_files, gathering
from .gateway import configured_gateway
from .measure import WrongAnswer, cpu_seconds, resident_bytes
from .origins import answers_being_sent
from .report import Table, publish
from .two_objects import LARGE_PATH, SMALL_PATH, two_objects

QUICK = ["--rounds", "1", "--requests", "20", "--heads", "30", "--readers", "30"]

LARGE = 64 << 20
MEBIBYTE = 1 << 20
PAUSE_SECONDS = 0.05
"""Between two requests: 200 of them take longer than a slow head is borne, so all that recurs is met."""

PARK_SECONDS = 30.0
SETTLE_SECONDS = 2.0
TIMEOUT_SECONDS = 30.0
READ_SIZE = 256 * 1024

COLUMNS = ("other clients", "requests", "median ms", "90 % ms", "99 % ms", "slowest ms", "median / quiet")
CROWD_COLUMNS = (
    "round",
    "slow heads",
    "ended by 408",
    "otherwise",
    "readers",
    "s to come",
    "CPU % with them",
    "MiB quiet",
    "MiB with them",
    "MiB after",
)

QUIET = "none"
COMING = "while they come"
THERE = "all there"
GONE = "gone"
SITUATIONS = (QUIET, COMING, THERE, GONE)

Seconds = dict[str, list[float]]
"""By situation, those of each request until its first byte."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one gateway showed: times by situation, and the row of the crowd."""

    seconds: Seconds
    crowd: tuple[int | float, ...]


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    options = _options(arguments)
    allow_files()
    rounds: list[Round] = []
    try:
        with two_objects(LARGE) as objects:
            for number in range(1, options.rounds + 1):
                print(f"round {number} of {options.rounds}", flush=True)
                # A new gateway each time: what one has borne must not make the next quiet time louder.
                with configured_gateway(guarded(objects.store)) as served:
                    rounds.append(_round(served, objects.store, options))
    except ServerMissing as missing:
        print(f"slow_heads: left out, {missing}")
        return
    crowd = (
        f"{options.heads} clients that send a byte of a head a second, {options.readers} that read nothing"
    )
    title = f"first byte of 20 KiB over new connections, beside {crowd}; rounds: {options.rounds}"
    tables = [
        Table(title, COLUMNS, first_byte_rows([one.seconds for one in rounds])),
        Table("the same rounds", CROWD_COLUMNS, [(n, *one.crowd) for n, one in enumerate(rounds, start=1)]),
    ]
    settings = {
        "rounds": options.rounds,
        "requests": options.requests,
        "heads": options.heads,
        "readers": options.readers,
    }
    publish("slow_heads", tables, settings)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench slow_heads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="each with a new gateway (default: 3)")
    parser.add_argument("--requests", type=int, default=200, help="in each situation (default: 200)")
    parser.add_argument("--heads", type=int, default=500, help="clients that send slowly (default: 500)")
    parser.add_argument("--readers", type=int, default=1000, help="that read nothing (default: 1000)")
    return parser.parse_args(arguments)


def _round(served: ServedApp, store: S3Server, options: argparse.Namespace) -> Round:
    url = served.url + signed(SMALL_PATH)
    crowd = Crowd(served.url + signed(LARGE_PATH), options.heads, options.readers)

    def several() -> list[float]:
        return [first_byte_seconds(url) for _ in range(options.requests)]

    several()
    seconds, quiet = {QUIET: several()}, _mebibytes(served)
    with gathering(crowd) as others:
        began = time.perf_counter()
        seconds[COMING] = _until(others.is_there, url)
        others.wait()
        to_come = time.perf_counter() - began
        _wait_until_parked(store)
        time.sleep(SETTLE_SECONDS)
        busy, cpu = _mebibytes(served), cpu_seconds(served.pid)
        began = time.perf_counter()
        seconds[THERE] = several()
        share = _share(served, cpu, time.perf_counter() - began)
        ended = others.leave()
    time.sleep(SETTLE_SECONDS)
    seconds[GONE] = several()
    row = (options.heads, ended.refused, ended.otherwise, options.readers, to_come, share, quiet, busy)
    return Round(seconds, (*row, _mebibytes(served)))


def _until(is_over: Callable[[], bool], url: str) -> list[float]:
    seconds = [first_byte_seconds(url)]
    while not is_over():
        seconds.append(first_byte_seconds(url))
    return seconds


def first_byte_seconds(url: str) -> float:
    """Ask over a new connection, and rest a little; seconds from before it connects to the first byte.

    Raises `WrongAnswer` unless the answer is a 200 that ends.
    """
    parts = urlsplit(url)
    request = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    began = time.perf_counter()
    with socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_SECONDS) as client:
        client.sendall(request.encode())
        answer = client.recv(READ_SIZE)
        seconds = time.perf_counter() - began
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise WrongAnswer(f"{parts.path} was answered by {answer[:100]!r}")
        while client.recv(READ_SIZE):
            pass
    time.sleep(PAUSE_SECONDS)
    return seconds


def _wait_until_parked(store: S3Server) -> None:
    """Wait until the store sends nothing more, for so long at most: the gateway has let go of it."""
    deadline = time.monotonic() + PARK_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            if not answers_being_sent(store):
                return
        time.sleep(0.25)


def _share(served: ServedApp, before: float | None, seconds: float) -> float:
    after = cpu_seconds(served.pid)
    return 0.0 if before is None or after is None else (after - before) / seconds * 100


def _mebibytes(served: ServedApp) -> float:
    return resident_bytes(served.pid) / MEBIBYTE


def first_byte_rows(rounds: Sequence[Seconds]) -> list[tuple[str | int | float, ...]]:
    """Return a row for each situation: medians of the rounds' own figures, and of their ratios to quiet."""
    return [_row(name, rounds) for name in SITUATIONS]


def _row(name: str, rounds: Sequence[Seconds]) -> tuple[str | int | float, ...]:
    own = [one[name] for one in rounds]
    figures = [
        statistics.median(_share_below(seconds, share) for seconds in own) for share in (0.5, 0.9, 0.99, 1.0)
    ]
    ratio = statistics.median(statistics.median(one[name]) / statistics.median(one[QUIET]) for one in rounds)
    return (name, sum(map(len, own)), *(figure * 1000 for figure in figures), ratio)


def _share_below(seconds: Sequence[float], share: float) -> float:
    """The time within which such a share of the requests had their first byte."""
    ordered = sorted(seconds)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]
