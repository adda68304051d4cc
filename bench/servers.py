"""The same application under each ASGI server: 20 KiB objects by wrk, and one large object by curl."""

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack

from tests.servers.asgi import SERVER_NAMES, ServerName, serve
from tests.servers.process import ServerMissing

from .load import cpu_microseconds, load_in_turns, median_rate, wrk
from .measure import Comparison, Contestant, compare
from .origins import KEY, nginx_store, sparse_store
from .report import Table, publish
from .transfers_app import transfers_app

QUICK = ["--rounds", "1", "--seconds", "1", "--mebibytes", "64"]

SMALL = 20 * 1024
DESCRIPTIONS: dict[ServerName, str] = {
    "uvicorn": "uvicorn: uvloop, httptools",
    "uvicorn-plain": "uvicorn: asyncio, h11",
    "granian": "granian: uvloop",
}
SMALL_COLUMNS = ("server", "requests/s", "CPU µs / request", "requests/s / first")
LARGE_COLUMNS = ("server", "seconds", "fastest", "slowest", "CPU seconds", "seconds / first")

Row = tuple[str | int | float | None, ...]


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    options = _options(arguments)
    try:
        wrk()
        tables = [_small(options), _large(options)]
    except ServerMissing as missing:
        print(f"servers: left out, {missing}")
        return
    settings = {"rounds": options.rounds, "seconds": options.seconds, "mebibytes": options.mebibytes}
    publish("servers", tables, settings)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench servers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds that are counted (default: 3)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk (default: 3)")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the large object")
    return parser.parse_args(arguments)


def _small(options: argparse.Namespace) -> Table:
    with nginx_store(os.urandom(SMALL)) as store, ExitStack() as stack:
        loads = load_in_turns(
            _contestants(stack, store.endpoint_url),
            seconds=options.seconds,
            rounds=options.rounds,
            progress=lambda step: print(f"20 KiB: {step}", flush=True),
        )
    first = median_rate(next(iter(loads.values())))
    rows: list[Row] = [
        (name, round(median_rate(own)), cpu_microseconds(own), median_rate(own) / first)
        for name, own in loads.items()
    ]
    title = f"20 KiB from nginx through obstore, 32 connections for {options.seconds} s; medians"
    return Table(f"{title}; rounds: {options.rounds}", SMALL_COLUMNS, rows)


def _large(options: argparse.Namespace) -> Table:
    size = options.mebibytes << 20
    with sparse_store(size) as store, ExitStack() as stack:
        results = compare(
            _contestants(stack, store.endpoint_url),
            size=size,
            downloads=1,
            rounds=options.rounds,
            progress=lambda step: print(f"{options.mebibytes} MiB: {step}", flush=True),
        )
    title = f"{options.mebibytes} MiB from nginx through obstore; median seconds, mean CPU"
    return Table(f"{title}; rounds: {options.rounds}", LARGE_COLUMNS, [_row(result) for result in results])


def _contestants(stack: ExitStack, store: str) -> list[Contestant]:
    env = {"BENCH_STORE": store, "BENCH_CLIENT": "obstore"}
    served = [(name, stack.enter_context(serve(transfers_app, name, env=env))) for name in SERVER_NAMES]
    return [Contestant(DESCRIPTIONS[name], f"{one.url}/parts/{KEY}", one.pid) for name, one in served]


def _row(result: Comparison) -> Row:
    spread = (result.wall_seconds, result.shortest, result.longest)
    return (result.name, *spread, result.cpu_seconds, result.wall_ratio)
