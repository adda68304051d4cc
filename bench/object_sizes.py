"""Throughput and requests a second by the size of the object, from 1 KiB to 1 GiB: gateway and peers."""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.servers.process import ServerMissing

from . import peers
from .load import Load, load_in_turns, wrk
from .measure import Contestant, Sample, download, in_turns
from .origins import sparse_store
from .plots import Plot, Series
from .report import Table, publish

QUICK = ["--rounds", "1", "--seconds", "1", "--kibibytes", "20", "16384"]

KIB, MIB = 1 << 10, 1 << 20
SIZES = (KIB, 20 * KIB, 256 * KIB, 4 * MIB, 64 * MIB, 1024 * MIB)
CONNECTIONS = 8
LARGEST_FOR_WRK = 4 * MIB
"""Up to this size wrk asks over several connections; of larger ones curl takes one after the other."""

CURL_BYTES = 256 * MIB
"""A curl takes so much at least, in one or more downloads: its own start must not count for much."""

STARTS: Mapping[str, peers.Start] = {
    **peers.GATEWAY,
    **peers.DEFAULT_NGINX,
    **peers.TUNED_NGINX,
    **peers.CADDY,
    **peers.RCLONE,
    **peers.FASTAPI,
    **peers.ORIGIN,
}
COLUMNS = ("size", "contestant", "MiB/s", "lowest", "highest", "requests/s", "gateway / peer")


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second of each round, of one contestant with objects of one size (bytes)."""

    name: str
    size: int
    per_second: tuple[float, ...]

    @property
    def median(self) -> float:
        """Requests a second."""
        return statistics.median(self.per_second)

    @property
    def throughput(self) -> float:
        """MiB a second."""
        return self.median * self.size / MIB


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    options = _options(arguments)
    measured: list[Rates] = []
    rows: list[tuple[str | float, ...]] = []
    try:
        wrk()
        for size in (kibibytes * KIB for kibibytes in options.kibibytes):
            found = _measured(size, options.seconds, options.rounds)
            rows += [_row(rates, found[0]) for rates in found]
            measured += found
    except ServerMissing as missing:
        print(f"object_sizes: left out, {missing}")
        return
    title = f"objects from nginx, one process each: medians; rounds: {options.rounds}"
    settings = {
        "rounds": options.rounds,
        "wrk_seconds": options.seconds,
        "wrk_connections": CONNECTIONS,
        "largest_for_wrk": LARGEST_FOR_WRK,
        **peers.versions(),
    }
    publish("object_sizes", [Table(title, COLUMNS, rows)], settings, [_plot(measured)])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench object_sizes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds that are counted (default: 3)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk (default: 3)")
    sizes = [size // KIB for size in SIZES]
    parser.add_argument("--kibibytes", type=int, nargs="+", default=sizes, help="sizes of the objects")
    return parser.parse_args(arguments)


def _measured(size: int, seconds: int, rounds: int) -> list[Rates]:
    with sparse_store(size) as store, ExitStack() as stack:
        contestants = peers.contestants(stack, store, STARTS)
        if size <= LARGEST_FOR_WRK:
            return _loaded(contestants, size, seconds, rounds)
        return _downloaded(contestants, size, rounds)


def _loaded(contestants: Sequence[Contestant], size: int, seconds: int, rounds: int) -> list[Rates]:
    loads: dict[str, list[Load]] = load_in_turns(
        contestants,
        seconds=seconds,
        rounds=rounds,
        connections=CONNECTIONS,
        progress=lambda step: print(f"{_size_text(size)}: {step}", flush=True),
    )
    return [Rates(name, size, tuple(load.requests_per_second for load in own)) for name, own in loads.items()]


def _downloaded(contestants: Sequence[Contestant], size: int, rounds: int) -> list[Rates]:
    downloads = max(1, CURL_BYTES // size)
    samples: dict[str, list[Sample]] = in_turns(
        contestants,
        lambda contestant: download(contestant, size=size, downloads=downloads),
        rounds=rounds,
        progress=lambda step: print(f"{_size_text(size)}: {step}", flush=True),
    )
    return [
        Rates(name, size, tuple(downloads / sample.wall_seconds for sample in own))
        for name, own in samples.items()
    ]


def _row(rates: Rates, gateway: Rates) -> tuple[str | float, ...]:
    pairs = zip(gateway.per_second, rates.per_second, strict=True)
    return (
        _size_text(rates.size),
        rates.name,
        rates.throughput,
        min(rates.per_second) * rates.size / MIB,
        max(rates.per_second) * rates.size / MIB,
        rates.median,
        statistics.median(ours / its for ours, its in pairs),
    )


def _size_text(size: int) -> str:
    return f"{size // KIB} KiB" if size < MIB else f"{size // MIB} MiB"


def _plot(measured: Sequence[Rates]) -> Plot:
    names = dict.fromkeys(rates.name for rates in measured)
    series = [
        Series(name, [(rates.size / KIB, rates.throughput) for rates in measured if rates.name == name])
        for name in names
    ]
    return Plot(
        "object_sizes",
        "Throughput by size of the object",
        "KiB",
        "MiB/s",
        series,
        x_log=True,
        y_log=True,
    )
