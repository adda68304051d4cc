"""What links, limits and metrics cost: microseconds of a check, requests of 20 KiB a second, and 1 GiB."""

import argparse
import asyncio
import hashlib
import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from tests.servers.process import ServerMissing
from tests.servers.redis import redis
from tests.servers.s3 import S3Server

from .checks import Cost, measured
from .configurations import guarded, open_to_all, signed
from .gateway import configured_gateway
from .load import Load, cpu_microseconds, load_in_turns, median_rate, wrk
from .measure import Comparison, Contestant, check, compare
from .origins import PATH, nginx_store, sparse_store
from .report import Table, publish
from .unmeasured import unmeasured_gateway

QUICK = ["--rounds", "1", "--seconds", "1", "--times", "50", "--mebibytes", "16"]

SIZE = 20 * 1024
CONNECTIONS = 32

NOTHING = "nothing, and no metrics"
METRICS = "metrics"
MEMORY = "metrics, links, limits in memory"
REDIS = "metrics, links, limits in Redis"

CHECK_COLUMNS = ("check", "µs", "lowest", "highest")
LOAD_COLUMNS = (
    "gateway with",
    "requests/s",
    "lowest",
    "highest",
    "99 % ms",
    "CPU µs / request",
    "requests/s / nothing",
    "CPU / nothing",
)
LARGE_COLUMNS = (
    "gateway with",
    "seconds",
    "fastest",
    "slowest",
    "CPU seconds",
    "seconds / nothing",
    "CPU / nothing",
)

Row = tuple[str | int | float | None, ...]


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    options = _options(arguments)
    tables = [_checks(options)]
    for measure in (_small, _large):
        try:
            tables.append(measure(options))
        except ServerMissing as missing:
            print(f"access: left out, {missing}")
    settings = {
        "rounds": options.rounds,
        "wrk_seconds": options.seconds,
        "times": options.times,
        "mebibytes": options.mebibytes,
        "size": SIZE,
        "connections": CONNECTIONS,
    }
    publish("access", tables, settings)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench access", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that are counted (default: 7)")
    parser.add_argument("--seconds", type=int, default=5, help="of each run of wrk (default: 5)")
    parser.add_argument("--times", type=int, default=1000, help="that a check is done in a round")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the large object")
    return parser.parse_args(arguments)


def _checks(options: argparse.Namespace) -> Table:
    costs = asyncio.run(measured(options.times, options.rounds))
    title = f"one check in the process, microseconds of CPU; medians of {options.times} in a row"
    return Table(f"{title}; rounds: {options.rounds}", CHECK_COLUMNS, [_check_row(cost) for cost in costs])


def _check_row(cost: Cost) -> Row:
    return (cost.name, cost.median, cost.lowest, cost.highest)


def _small(options: argparse.Namespace) -> Table:
    wrk()
    image = os.urandom(SIZE)
    with nginx_store(image) as store, ExitStack() as stack:
        contestants = _contestants(stack, store)
        for contestant in contestants:
            check(contestant, hashlib.sha256(image).hexdigest())
        loads = load_in_turns(
            contestants,
            seconds=options.seconds,
            rounds=options.rounds,
            connections=CONNECTIONS,
            progress=lambda step: print(f"20 KiB: {step}", flush=True),
        )
    what = f"{CONNECTIONS} connections of wrk for {options.seconds} s; medians; rounds: {options.rounds}"
    return Table(f"20 KiB from nginx, {what}", LOAD_COLUMNS, load_rows(loads))


def _large(options: argparse.Namespace) -> Table:
    size = options.mebibytes << 20
    with sparse_store(size) as store, ExitStack() as stack:
        results = compare(
            _contestants(stack, store),
            size=size,
            downloads=1,
            rounds=options.rounds,
            progress=lambda step: print(f"{options.mebibytes} MiB: {step}", flush=True),
        )
    title = f"{options.mebibytes} MiB from nginx; median seconds, mean CPU; rounds: {options.rounds}"
    return Table(title, LARGE_COLUMNS, [_large_row(result) for result in results])


def _contestants(stack: ExitStack, store: S3Server) -> list[Contestant]:
    """Start the gateways, until `stack` ends; the one with Redis is left out where there is none."""
    starts = {
        NOTHING: (partial(unmeasured_gateway, open_to_all(store)), PATH),
        METRICS: (partial(configured_gateway, open_to_all(store)), PATH),
        MEMORY: (partial(configured_gateway, guarded(store)), signed(PATH)),
    }
    try:
        counting = guarded(store, stack.enter_context(redis()).url)
        starts[REDIS] = (partial(configured_gateway, counting), signed(PATH))
    except ServerMissing as missing:
        print(f"{REDIS}: left out, {missing}")
    served = {name: (stack.enter_context(start()), path) for name, (start, path) in starts.items()}
    return [Contestant(name, one.url + path, one.pid) for name, (one, path) in served.items()]


def load_rows(loads: Mapping[str, Sequence[Load]]) -> list[Row]:
    """Return a row for each gateway; the first is the one that the others are compared with."""
    first = next(iter(loads.values()))
    return [_load_row(name, own, first) for name, own in loads.items()]


def _load_row(name: str, own: Sequence[Load], first: Sequence[Load]) -> Row:
    rates = [load.requests_per_second for load in own]
    cpu, its_cpu = cpu_microseconds(own), cpu_microseconds(first)
    return (
        name,
        round(median_rate(own)),
        round(min(rates)),
        round(max(rates)),
        statistics.median(load.p99_seconds for load in own) * 1000,
        cpu,
        median_rate(own) / median_rate(first),
        cpu / its_cpu if cpu and its_cpu else None,
    )


def _large_row(result: Comparison) -> Row:
    spread = (result.wall_seconds, result.shortest, result.longest)
    return (result.name, *spread, result.cpu_seconds, result.wall_ratio, result.cpu_ratio)
