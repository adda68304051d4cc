"""An origin that is slow on each connection: one connection against read-ahead, through each client."""

import argparse
from collections.abc import Sequence

from sluicegate.testing import MIB, Bandwidth, FaultyOrigin, Generated, Latency
from tests.servers.asgi import ServedApp, serve

from .measure import Comparison, Contestant, Sample, check, download, peak_bytes, summarize
from .report import Table, publish
from .transfers_app import CLIENTS, transfers_app

QUICK = ["--rounds", "1", "--client", "obstore", "--mebibytes", "32"]

BYTES_PER_SECOND = 20e6
LATENCY_SECONDS = 0.03
COLUMNS = ("client, how", "seconds", "CPU seconds", "plain / seconds", "connections", "peak MiB")


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench slow_origin", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="rounds that are counted (default: 2)")
    parser.add_argument("--client", choices=[*CLIENTS, "all"], default="all")
    parser.add_argument("--part-mebibytes", type=int, default=8, help="size of a part (default: 8)")
    parser.add_argument("--mebibytes", type=int, default=512, help="size of the object (default: 512)")
    options = parser.parse_args(arguments)
    clients = CLIENTS if options.client == "all" else (options.client,)
    table = _clients_table(clients, options.mebibytes, options.part_mebibytes, options.rounds)
    settings = {
        "mebibytes": options.mebibytes,
        "bytes_per_second": BYTES_PER_SECOND,
        "latency_seconds": LATENCY_SECONDS,
        "rounds": options.rounds,
        "part_mebibytes": options.part_mebibytes,
    }
    publish("slow_origin", [table], settings)


def _clients_table(clients: Sequence[str], mebibytes: int, part_mebibytes: int, rounds: int) -> Table:
    content = Generated(mebibytes * MIB)
    rows = []
    with FaultyOrigin() as origin:
        origin.put("/images/object", content)
        for client in clients:
            origin.heal()
            env = {
                "BENCH_STORE": origin.url,
                "BENCH_CLIENT": client,
                "BENCH_PART_SIZE": str(part_mebibytes * MIB),
            }
            with serve(transfers_app, env=env) as served:
                rows += _measured(origin, served, client, content, rounds)
    title = f"{mebibytes} MiB, 20 MB/s a connection, 30 ms to the first byte; medians; rounds: {rounds}"
    return Table(title, COLUMNS, rows)


def _measured(
    origin: FaultyOrigin, served: ServedApp, client: str, content: Generated, rounds: int
) -> list[tuple[str | int | float | None, ...]]:
    plain, parts = (
        Contestant(f"{client}, {how}", f"{served.url}/{how}/object", served.pid) for how in ("plain", "parts")
    )
    check(parts, content.sha256())
    origin.always(Bandwidth(BYTES_PER_SECOND), Latency(LATENCY_SECONDS))
    one = _downloaded(plain, content.size, rounds)
    first = summarize(plain.name, one, one)
    rows: list[tuple[str | int | float | None, ...]] = []
    for result in (first, _against(parts, origin, content.size, rounds)):
        faster = first.wall_seconds / result.wall_seconds
        connections = 1 if result is first else origin.peak_busy_connections
        peak = peak_bytes(served.pid) / MIB
        rows.append((result.name, result.wall_seconds, result.cpu_seconds, faster, connections, peak))
    return rows


def _against(contestant: Contestant, origin: FaultyOrigin, size: int, rounds: int) -> Comparison:
    origin.reset_counts()
    samples = _downloaded(contestant, size, rounds)
    return summarize(contestant.name, samples, samples)


def _downloaded(contestant: Contestant, size: int, rounds: int) -> list[Sample]:
    samples = []
    for number in range(rounds):
        print(f"{contestant.name}: round {number + 1} of {rounds}", flush=True)
        samples.append(download(contestant, size=size, downloads=1))
    return samples
