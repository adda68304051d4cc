"""Local files: 1 GiB against nginx with sendfile, and 20 KiB against a constant from the same server."""

import argparse
import hashlib
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers.asgi import ServedApp
from tests.servers.process import ServerMissing, answers, free_port, running

from .load import Load, cpu_microseconds, load_in_turns, median_rate, wrk
from .local_files import LARGE, SMALL, SMALL_SIZE, file_gateway, file_nginx, files
from .measure import Comparison, Contestant, check, compare
from .plots import Plot, Series
from .report import Table, publish

QUICK = ["--rounds", "1", "--mebibytes", "64", "--seconds", "1"]
CONNECTIONS = 32
GIBIBYTE = 1 << 30

LARGE_COLUMNS = (
    "contestant",
    "seconds",
    "CPU seconds",
    "CPU seconds / GiB",
    "seconds / gateway",
    "CPU / gateway",
)
SMALL_COLUMNS = (
    "contestant",
    "requests/s",
    "99 % ms",
    "CPU µs / request",
    "times slower than the constant",
    "CPU / constant",
)


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench files", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted (default: 5)")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the large file (default: 1024)")
    parser.add_argument("--seconds", type=int, default=5, help="of each run of wrk (default: 5)")
    options = parser.parse_args(arguments)
    with files(options.mebibytes << 20) as folder:
        large = _large(folder, options.mebibytes, options.rounds)
        small, plots = _small(folder, options.seconds, options.rounds)
    settings = {
        "rounds": options.rounds,
        "mebibytes": options.mebibytes,
        "small_size": SMALL_SIZE,
        "wrk_seconds": options.seconds,
        "connections": CONNECTIONS,
    }
    publish("files", [large, *small], settings, plots)


def _large(folder: Path, mebibytes: int, rounds: int) -> Table:
    size = mebibytes << 20
    with ExitStack() as stack:
        results = compare(
            list(_servers(stack, folder, LARGE)),
            size=size,
            downloads=1,
            rounds=rounds,
            progress=lambda step: print(f"{mebibytes} MiB: {step}", flush=True),
        )
    title = f"a file of {mebibytes} MiB, one process each: median seconds, mean CPU; rounds: {rounds}"
    return Table(title, LARGE_COLUMNS, [_large_row(result, size) for result in results])


def _large_row(result: Comparison, size: int) -> tuple[str | float | None, ...]:
    each = None if result.cpu_seconds is None else result.cpu_seconds / size * GIBIBYTE
    return (result.name, result.wall_seconds, result.cpu_seconds, each, result.wall_ratio, result.cpu_ratio)


def _small(folder: Path, seconds: int, rounds: int) -> tuple[list[Table], list[Plot]]:
    try:
        wrk()
    except ServerMissing as missing:
        print(f"20 KiB: left out, {missing}")
        return [], []
    with ExitStack() as stack:
        app = stack.enter_context(_files_app(folder))
        contestants = [
            Contestant("the same server, a constant", f"{app.url}/constant", app.pid),
            Contestant("ObjectResponse, memory://", f"{app.url}/memory", app.pid),
            Contestant("ObjectResponse, file://", f"{app.url}/file", app.pid),
            *_servers(stack, folder, SMALL),
        ]
        sha256 = hashlib.sha256((folder / SMALL).read_bytes()).hexdigest()
        for contestant in contestants:
            check(contestant, sha256)
        loads = load_in_turns(
            contestants,
            seconds=seconds,
            rounds=rounds,
            connections=CONNECTIONS,
            progress=lambda step: print(f"20 KiB: {step}", flush=True),
        )
    return [_small_table(loads, seconds, rounds)], [_small_plot(loads)]


def _servers(stack: ExitStack, folder: Path, key: str) -> Iterator[Contestant]:
    gateway = stack.enter_context(file_gateway(folder))
    yield Contestant("gateway, file://", f"{gateway.url}/{key}", gateway.pid)
    try:
        nginx = stack.enter_context(file_nginx(folder))
    except ServerMissing as missing:
        print(f"nginx: left out, {missing}")
        return
    yield Contestant("nginx, sendfile", f"{nginx.url}/{key}", nginx.pid)


@contextmanager
def _files_app(folder: Path) -> Iterator[ServedApp]:
    port = free_port()
    command = [sys.executable, "-m", "bench.files_app", str(port), str(folder)]
    with running(command, ready=answers(port, "/memory", statuses=range(200, 201))) as server:
        yield ServedApp(f"http://127.0.0.1:{port}", server.pid)


def _small_table(loads: dict[str, list[Load]], seconds: int, rounds: int) -> Table:
    constant = next(iter(loads.values()))
    title = f"20 KiB, one process each, wrk -c{CONNECTIONS} for {seconds} s: medians; rounds: {rounds}"
    return Table(title, SMALL_COLUMNS, [_small_row(name, own, constant) for name, own in loads.items()])


def _small_row(name: str, own: Sequence[Load], constant: Sequence[Load]) -> tuple[str | float | None, ...]:
    pairs = zip(own, constant, strict=True)
    rate_ratio = statistics.median(its.requests_per_second / mine.requests_per_second for mine, its in pairs)
    p99 = statistics.median(load.p99_seconds for load in own) * 1000
    cpu, its_cpu = cpu_microseconds(own), cpu_microseconds(constant)
    cpu_ratio = None if cpu is None or not its_cpu else cpu / its_cpu
    return (name, round(median_rate(own)), p99, cpu, rate_ratio, cpu_ratio)


def _small_plot(loads: dict[str, list[Load]]) -> Plot:
    points = [(name.replace(", ", ",\n"), median_rate(own)) for name, own in loads.items()]
    return Plot(
        "files",
        "20 KiB from the machine itself, one process each",
        "",
        "requests a second",
        [Series("requests a second", points)],
        kind="bar",
    )
