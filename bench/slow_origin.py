"""512 MiB from an origin with 20 MB/s a connection, 30 ms away: one connection against read-ahead."""

import argparse
from collections.abc import Sequence

from sluicegate.testing import MIB, Bandwidth, FaultyOrigin, Generated, Latency
from tests.servers.asgi import ServedApp, serve

from .measure import Comparison, Contestant, Sample, check, download, peak_bytes, summarize
from .report import Table, publish
from .transfers_app import CLIENTS, transfers_app

SIZE = 512 << 20
BYTES_PER_SECOND = 20e6
LATENCY_SECONDS = 0.03
COLUMNS = ("client, how", "seconds", "CPU seconds", "plain / seconds", "connections", "peak MiB")


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench slow_origin", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="rounds that are counted (default: 2)")
    parser.add_argument("--client", choices=[*CLIENTS, "all"], default="all")
    parser.add_argument("--part-mebibytes", type=int, default=8, help="size of a part (default: 8)")
    options = parser.parse_args(arguments)
    content = Generated(SIZE)
    rows = []
    with FaultyOrigin() as origin:
        origin.put("/images/object", content)
        for client in CLIENTS if options.client == "all" else (options.client,):
            origin.heal()
            env = {
                "BENCH_STORE": origin.url,
                "BENCH_CLIENT": client,
                "BENCH_PART_SIZE": str(options.part_mebibytes << 20),
            }
            with serve(transfers_app, env=env) as served:
                rows += _measured(origin, served, client, content.sha256(), options.rounds)
    title = f"512 MiB, 20 MB/s a connection, 30 ms to the first byte; medians; rounds: {options.rounds}"
    settings: dict[str, str | int | float] = {
        "size": SIZE,
        "bytes_per_second": BYTES_PER_SECOND,
        "latency_seconds": LATENCY_SECONDS,
        "rounds": options.rounds,
        "part_mebibytes": options.part_mebibytes,
    }
    publish("slow_origin", [Table(title, COLUMNS, rows)], settings)


def _measured(
    origin: FaultyOrigin, served: ServedApp, client: str, sha256: str, rounds: int
) -> list[tuple[str | int | float | None, ...]]:
    plain, parts = (
        Contestant(f"{client}, {how}", f"{served.url}/{how}/object", served.pid) for how in ("plain", "parts")
    )
    check(parts, sha256)
    origin.always(Bandwidth(BYTES_PER_SECOND), Latency(LATENCY_SECONDS))
    one = _downloaded(plain, rounds)
    first = summarize(plain.name, one, one)
    rows: list[tuple[str | int | float | None, ...]] = []
    for result in (first, _against(parts, origin, rounds)):
        faster = first.wall_seconds / result.wall_seconds
        connections = 1 if result is first else origin.peak_busy_connections
        peak = peak_bytes(served.pid) / MIB
        rows.append((result.name, result.wall_seconds, result.cpu_seconds, faster, connections, peak))
    return rows


def _against(contestant: Contestant, origin: FaultyOrigin, rounds: int) -> Comparison:
    origin.reset_counts()
    samples = _downloaded(contestant, rounds)
    return summarize(contestant.name, samples, samples)


def _downloaded(contestant: Contestant, rounds: int) -> list[Sample]:
    samples = []
    for number in range(rounds):
        print(f"{contestant.name}: round {number + 1} of {rounds}", flush=True)
        samples.append(download(contestant, size=SIZE, downloads=1))
    return samples
