"""A 1 GiB object through one gateway process with each client: how much memory it takes at the most."""

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.servers.asgi import ServedApp
from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from .gateway import CLIENTS, Client, gateway
from .measure import Contestant, WrongAnswer, download, family, peak_bytes, reading, status_bytes
from .origins import PATH, direct_url, sparse_store
from .report import Table, publish

QUICK = ["--client", "obstore"]

MEBIBYTE = 1 << 20
SIZE = 1 << 30
SLOW_READERS = 16
SLOW_BYTES_PER_SECOND = 4 * MEBIBYTE
SLOW_SECONDS = 5.0
"""Long enough for whatever is read ahead of a slow reader to have been read."""

COLUMNS = ("client", "readers", "idle MiB", "peak MiB", "growth MiB", "seconds")


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--client", choices=[*CLIENTS, "all"], default="all")
    options = parser.parse_args(arguments)
    clients = CLIENTS if options.client == "all" else (options.client,)
    try:
        with sparse_store(SIZE) as store:
            # The first read of a sparse file fills the page cache, which takes seconds.
            download(Contestant("store", direct_url(store)), size=SIZE, downloads=1)
            rows = [row for client in clients for row in _measured(store, client)]
    except ServerMissing as missing:
        print(f"memory: left out, {missing}")
        return
    title = f"resident memory of one gateway process, an object of {SIZE // MEBIBYTE} MiB"
    settings: dict[str, str | int | float] = {
        "size": SIZE,
        "slow_readers": SLOW_READERS,
        "slow_bytes_per_second": SLOW_BYTES_PER_SECOND,
        "slow_seconds": SLOW_SECONDS,
    }
    publish("memory", [Table(title, COLUMNS, rows)], settings)


def _measured(store: S3Server, client: Client) -> list[tuple[str | int | float | None, ...]]:
    rows = []
    for readers, read in (("one, fast", _read_fast), (f"{SLOW_READERS}, slow", _read_slowly)):
        print(f"{client}: {readers}", flush=True)
        # A new process for each: what one has grown to would hide what the next takes.
        with gateway(store, client) as served:
            idle = sum(status_bytes(process.pid, "VmRSS") for process in family(served.pid))
            seconds = read(served)
            peak = peak_bytes(served.pid)
        rows.append((client, readers, *(_mebibytes(n) for n in (idle, peak, peak - idle)), seconds))
    return rows


def _read_fast(served: ServedApp) -> float:
    contestant = Contestant("gateway", served.url + PATH, served.pid)
    return download(contestant, size=SIZE, downloads=1).wall_seconds


def _read_slowly(served: ServedApp) -> None:
    with ExitStack() as stack:
        readers = [
            stack.enter_context(reading(served.url + PATH, bytes_per_second=SLOW_BYTES_PER_SECOND))
            for _ in range(SLOW_READERS)
        ]
        time.sleep(SLOW_SECONDS)
        ended = [reader.communicate() for reader in readers if reader.poll() is not None]
    if ended:
        raise WrongAnswer(f"a slow reader ended early: {ended[0]!r}")


def _mebibytes(size: int) -> float:
    return size / MEBIBYTE
