"""Seconds to download 10 MB and 64 MiB by the latency of the origin: the gateway against two of its peers."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from sluicegate.testing import MIB, Bandwidth, FaultyOrigin, Generated, Latency
from sluicegate.testing.faults import Fault

from . import peers
from .measure import Comparison, check, compare
from .origins import BUCKET, KEY, faulty_store
from .plots import Plot, Series
from .report import Table, publish

QUICK = ["--rounds", "1", "--milliseconds", "0", "30"]

SIZES = {"10 MB": 10_000_000, "64 MiB": 64 * MIB}
MILLISECONDS = (0, 10, 30, 100, 300)
STARTS: Mapping[str, peers.Start] = {**peers.GATEWAY, **peers.TUNED_NGINX, **peers.FASTAPI_OBSTORE}
COLUMNS = (
    "contestant",
    "size",
    "latency ms",
    "ms",
    "fastest ms",
    "slowest ms",
    "gateway / peer",
)

Results = dict[tuple[str, int], list[Comparison]]
"""By the text of the size, and by the latency in milliseconds."""


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    options = _options(arguments)
    results: Results = {}
    for text, size in SIZES.items():
        for milliseconds, found in _measured(text, size, options).items():
            results[text, milliseconds] = found
    rows = [_row(text, milliseconds, one) for (text, milliseconds), found in results.items() for one in found]
    limit = "" if not options.megabytes else f", {options.megabytes} MB/s a connection"
    title = f"one download from an origin with latency{limit}; medians; rounds: {options.rounds}"
    settings = {"rounds": options.rounds, "megabytes_per_second": options.megabytes, **peers.versions()}
    publish("latency", [Table(title, COLUMNS, rows)], settings, [_plot(results)])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted (default: 5)")
    parser.add_argument("--milliseconds", type=int, nargs="+", default=MILLISECONDS, help="the latencies")
    parser.add_argument(
        "--megabytes",
        type=int,
        default=0,
        help="a second that each connection to the origin gives (default: 0, no limit)",
    )
    return parser.parse_args(arguments)


def _measured(text: str, size: int, options: argparse.Namespace) -> dict[int, list[Comparison]]:
    content = Generated(size)
    results = {}
    with FaultyOrigin() as origin, ExitStack() as stack:
        origin.put(f"/{BUCKET}/{KEY}", content)
        contestants = peers.contestants(stack, faulty_store(origin), STARTS)
        for contestant in contestants:
            check(contestant, content.sha256())
        for milliseconds in options.milliseconds:
            origin.heal()
            origin.always(*_faults(milliseconds, options.megabytes))
            results[milliseconds] = compare(
                contestants,
                size=size,
                downloads=1,
                rounds=options.rounds,
                progress=partial(_print_step, f"{text}, {milliseconds} ms"),
            )
    return results


def _print_step(where: str, step: str) -> None:
    print(f"{where}: {step}", flush=True)


def _faults(milliseconds: int, megabytes: int) -> list[Fault]:
    limit = [Bandwidth(megabytes * 1e6)] if megabytes else []
    return [Latency(milliseconds / 1000), *limit]


def _row(text: str, milliseconds: int, result: Comparison) -> tuple[str | int | float, ...]:
    # Seconds would have too few digits.
    times = (result.wall_seconds * 1000, result.shortest * 1000, result.longest * 1000)
    return (result.name, text, milliseconds, *times, 1 / result.wall_ratio)


def _plot(results: Results) -> Plot:
    points: dict[str, list[tuple[float, float]]] = {}
    for (text, milliseconds), found in results.items():
        for one in found:
            points.setdefault(f"{one.name}, {text}", []).append((milliseconds, one.wall_seconds))
    return Plot(
        "latency",
        "Seconds of a download by the latency of its origin",
        "milliseconds to the origin's first byte",
        "seconds",
        [Series(name, found) for name, found in points.items()],
    )
