"""1 GiB through the gateway and each of its peers, from nginx over plain HTTP and over TLS."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from . import peers
from .measure import Comparison, Contestant, compare
from .origins import sparse_store
from .plots import Plot, Series
from .report import Table, publish

QUICK = ["--rounds", "1", "--mebibytes", "16"]

NAIVE_ROUNDS = 1
"""An object of 1 GiB takes the naive applications minutes."""

GIBIBYTE = 1 << 30
WITH_CACHES = ", with caches"
READERS: Mapping[str, peers.Start] = {**peers.GATEWAY, **peers.PROXIES, **peers.FASTAPI}
COLUMNS = (
    "contestant",
    "seconds",
    "fastest",
    "slowest",
    "CPU seconds",
    "peak MiB",
    "seconds / gateway",
    "CPU / gateway",
    "gateway / peer, seconds",
    "gateway / peer, CPU",
)

Starting = Callable[[ExitStack, S3Server], list[Contestant]]
Results = dict[str, list[Comparison]]


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    options = _options(arguments)
    size = options.mebibytes << 20
    results: Results = {}
    for name, tls in (("nginx over plain HTTP", False), ("nginx over TLS", True)):
        try:
            with sparse_store(size, tls=tls) as store:
                results[name] = _compared(store, size, options.rounds, _readers(naive=options.naive))
                results[name + WITH_CACHES] = _compared(store, size, options.rounds, _caches)
        except ServerMissing as missing:
            print(f"{name}: left out, {missing}")
    what = f"one process each; median seconds, mean CPU; rounds: {options.rounds}"
    tables = [
        Table(f"{options.mebibytes} MiB from {name}, {what}", COLUMNS, [_row(result) for result in found])
        for name, found in results.items()
    ]
    settings = {"rounds": options.rounds, "mebibytes": options.mebibytes, **peers.versions()}
    publish("one_gibibyte", tables, settings, [_plot(results, size)] if results else [])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench one_gibibyte", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted (default: 5)")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the object (default: 1024)")
    parser.add_argument(
        "--no-naive",
        dest="naive",
        action="store_false",
        help="leave the naive applications out, which take minutes",
    )
    return parser.parse_args(arguments)


def _compared(store: S3Server, size: int, rounds: int, starting: Starting) -> list[Comparison]:
    with ExitStack() as stack:
        return compare(
            starting(stack, store),
            size=size,
            downloads=1,
            rounds=rounds,
            progress=lambda step: print(f"{store.name}: {step}", flush=True),
        )


def _readers(*, naive: bool) -> Starting:
    """Return how those are started who keep nothing."""

    def start(stack: ExitStack, store: S3Server) -> list[Contestant]:
        slow = peers.contestants(stack, store, peers.NAIVE) if naive else []
        return [
            *peers.contestants(stack, store, READERS),
            *(replace(one, rounds=NAIVE_ROUNDS) for one in slow),
            *peers.contestants(stack, store, peers.ORIGIN),
        ]

    return start


def _caches(stack: ExitStack, store: S3Server) -> list[Contestant]:
    """Start the gateway, and those who write to the disk what they serve, which would disturb the others."""
    caches = peers.contestants(stack, store, peers.CACHES)
    return [
        *peers.contestants(stack, store, peers.GATEWAY),
        *(replace(one, name=f"{one.name}, not there yet", uncached=True) for one in caches),
        *(replace(one, name=f"{one.name}, there already") for one in caches),
    ]


def _row(result: Comparison) -> tuple[str | float | None, ...]:
    return (
        result.name,
        result.wall_seconds,
        result.shortest,
        result.longest,
        result.cpu_seconds,
        None if result.peak_bytes is None else result.peak_bytes / (1 << 20),
        result.wall_ratio,
        result.cpu_ratio,
        1 / result.wall_ratio,
        1 / result.cpu_ratio if result.cpu_ratio else None,
    )


def _plot(results: Results, size: int) -> Plot:
    """Return the CPU of those who keep nothing, but for the naive ones, whose bars would dwarf the others."""
    series = [
        Series(name, _cpu_points(found, size))
        for name, found in results.items()
        if not name.endswith(WITH_CACHES)
    ]
    return Plot("cpu_per_gibibyte", "CPU of one download", "", "CPU seconds per GiB", series, kind="bar")


def _cpu_points(found: list[Comparison], size: int) -> list[tuple[str, float]]:
    return [
        (result.name.replace(", ", ",\n"), result.cpu_seconds * GIBIBYTE / size)
        for result in found
        if result.cpu_seconds is not None and result.name in READERS
    ]
