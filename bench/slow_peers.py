"""An origin that limits each connection: the gateway and everybody else in front of it."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from sluicegate.testing import MIB, Bandwidth, FaultyOrigin, Generated, Latency

from . import peers
from .measure import Comparison, Contestant, Sample, check, download, in_turns, summarize
from .origins import BUCKET, KEY, faulty_store
from .report import Table, publish

QUICK = ["--rounds", "1", "--mebibytes", "64"]

BYTES_PER_SECOND = 40e6
LATENCY_SECONDS = 0.03

READERS: Mapping[str, peers.Start] = {
    **peers.GATEWAY,
    **peers.PROXIES,
    **peers.RCLONE_STREAMS,
    **peers.FASTAPI,
    **peers.ORIGIN,
}
COLUMNS = (
    "contestant",
    "seconds",
    "fastest",
    "slowest",
    "CPU seconds",
    "peak MiB",
    "connections",
    "gateway / peer, seconds",
    "gateway / peer, CPU",
)


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench slow_peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="rounds that are counted (default: 1)")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the object (default: 1024)")
    options = parser.parse_args(arguments)
    table = _peers_table(options.mebibytes, options.rounds)
    settings = {
        "mebibytes": options.mebibytes,
        "bytes_per_second": BYTES_PER_SECOND,
        "latency_seconds": LATENCY_SECONDS,
        "rounds": options.rounds,
        **peers.versions(),
    }
    publish("slow_peers", [table], settings)


def _peers_table(mebibytes: int, rounds: int) -> Table:
    """Download an object of so many MiB through everybody, in turns."""
    content = Generated(mebibytes * MIB)
    with FaultyOrigin() as origin, ExitStack() as stack:
        origin.put(f"/{BUCKET}/{KEY}", content)
        contestants = _contestants(stack, origin)
        for contestant in contestants:
            check(contestant, content.sha256())
        origin.always(Bandwidth(BYTES_PER_SECOND), Latency(LATENCY_SECONDS))
        rows = _rows(origin, contestants, mebibytes * MIB, rounds)
    title = (
        f"gateway and peers: {mebibytes} MiB, {BYTES_PER_SECOND / 1e6:.0f} MB/s a connection, "
        f"{LATENCY_SECONDS * 1000:.0f} ms to the first byte, one process each; "
        f"median seconds, mean CPU; rounds: {rounds}"
    )
    return Table(title, COLUMNS, rows)


def _contestants(stack: ExitStack, origin: FaultyOrigin) -> list[Contestant]:
    store = faulty_store(origin)
    readers = peers.contestants(stack, store, READERS)
    caches = peers.contestants(stack, store, peers.CACHES)
    return [*readers, *(replace(one, name=f"{one.name}, not there yet", uncached=True) for one in caches)]


def _rows(
    origin: FaultyOrigin, contestants: Sequence[Contestant], size: int, rounds: int
) -> list[tuple[str | int | float | None, ...]]:
    connections: dict[str, int] = {}

    def run(contestant: Contestant) -> Sample:
        origin.reset_counts()
        sample = download(contestant, size=size, downloads=1)
        connections[contestant.name] = origin.peak_busy_connections
        return sample

    samples = in_turns(
        contestants,
        run,
        rounds=rounds,
        warm_up=False,  # everybody has served the object to be checked
        progress=lambda step: print(f"peers: {step}", flush=True),
    )
    gateway = samples[contestants[0].name]
    results = [summarize(one.name, samples[one.name], gateway, pid=one.pid) for one in contestants]
    return [_row(result, connections[result.name]) for result in results]


def _row(result: Comparison, connections: int) -> tuple[str | int | float | None, ...]:
    return (
        result.name,
        result.wall_seconds,
        result.shortest,
        result.longest,
        result.cpu_seconds,
        None if result.peak_bytes is None else result.peak_bytes / MIB,
        connections,
        1 / result.wall_ratio,
        1 / result.cpu_ratio if result.cpu_ratio else None,
    )
