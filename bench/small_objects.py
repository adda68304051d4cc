"""20 KiB objects over 32 connections: requests a second and CPU a request, of the gateway and its peers."""

import argparse
import hashlib
import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from . import peers
from .load import Load, cpu_microseconds, load_in_turns, median_rate, wrk
from .measure import check
from .origins import STORES
from .plots import Plot, Series
from .report import Table, publish

QUICK = ["--rounds", "1", "--seconds", "1", "--store", "nginx", "--no-naive"]

SIZE = 20 * 1024
CONNECTIONS = 32
NAIVE_SECONDS = 20
"""The naive applications get one run of so long at least: in a few seconds they answer nothing at all."""

COLUMNS = (
    "contestant",
    "requests/s",
    "lowest",
    "highest",
    "99 % ms",
    "CPU µs / request",
    "gateway / peer, requests/s",
    "gateway / peer, CPU",
)

Loads = Mapping[str, Sequence[Load]]

ONE_WORKER: Mapping[str, peers.Start] = {
    **peers.GATEWAY,
    **peers.GATEWAY_CLIENTS,
    **peers.PROXIES,
    **peers.CACHES,
    **peers.FASTAPI,
    **peers.ORIGIN,
}
ONE_WORKER_EACH = "one worker each"
SHOWN = (*peers.GATEWAY, *peers.PROXIES, *peers.FASTAPI)
"""Those of the plot: one line of the gateway, and those who keep nothing."""

GROUPS: Mapping[str, Mapping[str, peers.Start]] = {
    ONE_WORKER_EACH: ONE_WORKER,
    "two workers each": peers.TWO_WORKERS,
}
"""The first of each group is the gateway that the others are compared with."""


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    options = _options(arguments)
    try:
        wrk()
    except ServerMissing as missing:
        print(f"small_objects: left out, {missing}")
        return
    measured = {
        f"{store}, {group}": loads
        for store in (STORES if options.store == "all" else (options.store,))
        for group, loads in _measured(store, options).items()
    }
    what = f"{CONNECTIONS} connections of wrk for {options.seconds} s; medians; rounds: {options.rounds}"
    settings = {
        "rounds": options.rounds,
        "size": SIZE,
        "wrk_seconds": options.seconds,
        "naive_seconds": _naive_seconds(options.seconds),
        "connections": CONNECTIONS,
        **peers.versions(),
    }
    tables = [Table(f"20 KiB from {name}, {what}", COLUMNS, _rows(loads)) for name, loads in measured.items()]
    publish("small_objects", tables, settings, [_plot(measured)] if measured else [])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench small_objects", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds that are counted (default: 3)")
    parser.add_argument("--seconds", type=int, default=5, help="of each run of wrk (default: 5)")
    parser.add_argument(
        "--no-naive", dest="naive", action="store_false", help="leave the naive applications out"
    )
    parser.add_argument("--store", choices=[*STORES, "all"], default="all")
    return parser.parse_args(arguments)


def _naive_seconds(seconds: int) -> int:
    return max(seconds, NAIVE_SECONDS)


def _measured(name: str, options: argparse.Namespace) -> dict[str, Loads]:
    """Measure each group in front of a store; nothing comes of a store that is missing."""
    image = os.urandom(SIZE)
    try:
        with STORES[name](image) as store:
            found = {
                group: _loads(store, starts, image, options.seconds, options.rounds)
                for group, starts in GROUPS.items()
            }
            if options.naive:
                naive = _loads(store, peers.NAIVE, image, _naive_seconds(options.seconds), rounds=1)
                found[ONE_WORKER_EACH] = {**found[ONE_WORKER_EACH], **naive}
    except ServerMissing as missing:
        print(f"{name}: left out, {missing}")
        return {}
    return found


def _loads(
    store: S3Server, starts: Mapping[str, peers.Start], image: bytes, seconds: int, rounds: int
) -> Loads:
    with ExitStack() as stack:
        contestants = peers.contestants(stack, store, starts)
        for contestant in contestants:
            check(contestant, hashlib.sha256(image).hexdigest())
        return load_in_turns(
            contestants,
            seconds=seconds,
            rounds=rounds,
            connections=CONNECTIONS,
            progress=lambda step: print(f"{store.name}, {contestants[0].name} ...: {step}", flush=True),
        )


def _rows(loads: Loads) -> list[tuple[str | int | float | None, ...]]:
    gateway = next(iter(loads.values()))
    # Who was measured in fewer rounds is compared in those.
    return [_row(name, own, gateway[: len(own)]) for name, own in loads.items()]


def _row(name: str, own: Sequence[Load], gateway: Sequence[Load]) -> tuple[str | int | float | None, ...]:
    rates = [load.requests_per_second for load in own]
    pairs = list(zip(gateway, own, strict=True))
    cpu, gateways_cpu = cpu_microseconds(own), cpu_microseconds(gateway)
    return (
        name,
        round(median_rate(own)),
        round(min(rates)),
        round(max(rates)),
        statistics.median(load.p99_seconds for load in own) * 1000 if min(rates) else None,
        cpu,
        statistics.median(ours.requests_per_second / its.requests_per_second for ours, its in pairs)
        if min(rates)
        else None,
        gateways_cpu / cpu if cpu and gateways_cpu else None,
    )


def _plot(measured: Mapping[str, Loads]) -> Plot:
    series = [
        Series(name.partition(",")[0], _points(loads))
        for name, loads in measured.items()
        if name.endswith(ONE_WORKER_EACH)
    ]
    return Plot(
        "small_objects",
        f"20 KiB objects, {ONE_WORKER_EACH}",
        "",
        "requests a second",
        series,
        kind="bar",
        y_log=True,
    )


def _points(loads: Loads) -> list[tuple[str, float]]:
    return [(name.replace(", ", ",\n"), median_rate(own)) for name, own in loads.items() if name in SHOWN]
