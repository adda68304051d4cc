"""A reload every second under 50 transfers and a new request every 20 ms: what is broken, and what grows."""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.process import ServerMissing, answers, free_port, running, temporary_folder
from tests.servers.s3 import S3Server

from .configurations import guarded, signed
from .measure import WrongAnswer, family, resident_bytes
from .often import Requests, ask_often
from .paced import BYTES_PER_SECOND, Transfers, transfer_again
from .report import Table, publish
from .two_objects import LARGE_PATH, SMALL_PATH, TwoObjects, two_objects

QUICK = ["--seconds", "3", "--transfers", "5", "--mebibytes", "4"]

MEBIBYTE = 1 << 20
RELOAD_SECONDS = 1.0
SETTLE_SECONDS = 3.0
"""Beyond the length of a transfer: by then no transfer is of an earlier configuration."""

WORKERS = (1, 2)

COLUMNS = (
    "workers",
    "reloads",
    "seen by clients",
    "s to be seen",
    "transfers",
    "broken",
    "requests",
    "refused",
    "failed",
    "median ms",
    "slowest ms",
)
HELD_COLUMNS = ("workers, when", "MiB", "files", "threads")

Row = tuple[str | int | float | None, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What the processes of a gateway hold: resident bytes, open files, threads."""

    resident: int
    files: int
    threads: int


@dataclass(slots=True)
class Reloads:
    """When each configuration was put into place of the one before, by its generation: monotonic seconds."""

    asked: dict[int, float] = field(default_factory=dict)

    def seconds_until_seen(self, seen: dict[int, float]) -> list[float]:
        """How long it took each configuration that answered anybody, until it did."""
        return [seen[generation] - asked for generation, asked in self.asked.items() if generation in seen]


class ReloadedGateway:
    """A gateway that runs, and the file that it reads again."""

    def __init__(self, url: str, pid: int, file: Path, store: S3Server) -> None:
        self.url = url
        self.pid = pid
        self._file = file
        self._store = store

    def reload(self, generation: int) -> None:
        """Replace the file as a whole, and send SIGHUP."""
        new = self._file.with_suffix(".new")
        new.write_text(guarded(self._store, generation=generation))
        new.replace(self._file)
        os.kill(self.pid, signal.SIGHUP)

    def held(self) -> Held:
        """What its processes hold now."""
        processes = family(self.pid)
        return Held(
            resident_bytes(self.pid),
            sum(process.num_fds() for process in processes),
            sum(process.num_threads() for process in processes),
        )


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    options = _options(arguments)
    rows: list[Row] = []
    held: list[Row] = []
    try:
        with two_objects(options.mebibytes << 20) as objects:
            for workers in (options.workers,) if options.workers else WORKERS:
                print(f"workers: {workers}", flush=True)
                with _gateway(objects.store, workers) as gateway:
                    run = Run(gateway, objects, options.transfers, options.mebibytes << 20)
                    asyncio.run(run.go(options.seconds))
                rows.append((workers, *run.row()))
                held += [(f"{workers}, {when}", *row) for when, row in run.held_rows()]
    except ServerMissing as missing:
        print(f"reloads: left out, {missing}")
        return
    pace = f"{options.mebibytes} MiB at {BYTES_PER_SECOND // MEBIBYTE} MiB a second"
    what = f"{options.seconds} reloads, one each second, under {options.transfers} transfers of {pace}"
    tables = [
        Table(what, COLUMNS, rows),
        Table("what the processes hold, under the same transfers", HELD_COLUMNS, held),
    ]
    settings = {
        "seconds": options.seconds,
        "transfers": options.transfers,
        "mebibytes": options.mebibytes,
        "bytes_per_second": BYTES_PER_SECOND,
    }
    publish("reloads", tables, settings)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench reloads", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="with a reload each (default: 60)")
    parser.add_argument("--transfers", type=int, default=50, help="under way at once (default: 50)")
    parser.add_argument("--mebibytes", type=int, default=32, help="size of the object (default: 32)")
    parser.add_argument("--workers", type=int, choices=WORKERS, help="only so many (default: both)")
    return parser.parse_args(arguments)


@contextmanager
def _gateway(store: S3Server, workers: int) -> Iterator[ReloadedGateway]:
    port = free_port()
    with temporary_folder() as folder:
        file = folder / "sluicegate.toml"
        file.write_text(guarded(store))
        program = Path(sys.executable).with_name("sluicegate")
        options = ("--port", str(port), "--workers", str(workers), "--admin", "off")
        command = [str(program), "serve", str(file), *options]
        with _heeding_hang_ups(), running(command, ready=answers(port)) as server:
            yield ReloadedGateway(f"http://127.0.0.1:{port}", server.pid, file, store)


@contextmanager
def _heeding_hang_ups() -> Iterator[None]:
    """Let processes that are started hear SIGHUP, also where this one was started by nohup."""
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


class Run:
    """The clients of one gateway, and what became of them."""

    def __init__(self, gateway: ReloadedGateway, objects: TwoObjects, clients: int, size: int) -> None:
        self._gateway = gateway
        self._objects = objects
        self._clients = clients
        self._transfer_seconds = size / BYTES_PER_SECOND
        self._held: dict[str, Held] = {}
        self.transfers = Transfers()
        self.requests = Requests()
        self.reloads = Reloads()

    async def go(self, seconds: int) -> None:
        """Let the clients come, reload so often, and let them go when all is as it was before."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            url = self._gateway.url + signed(SMALL_PATH)
            tasks.create_task(ask_often(url, self._objects.small_sha256, self.requests, stopping))
            for number in range(self._clients):
                tasks.create_task(self._transfer_later(number, stopping))
            await asyncio.sleep(self._transfer_seconds + SETTLE_SECONDS)
            self._held["before"] = self._gateway.held()
            await self._reload_often(seconds)
            self._held["at the last reload"] = self._gateway.held()
            await asyncio.sleep(self._transfer_seconds + SETTLE_SECONDS)
            self._held["after"] = self._gateway.held()
            stopping.set()

    async def _transfer_later(self, number: int, stopping: asyncio.Event) -> None:
        # They end at different times, so that some begin and some end between any two reloads.
        await asyncio.sleep(self._transfer_seconds * number / self._clients)
        url = self._gateway.url + signed(LARGE_PATH)
        await transfer_again(url, self._objects.large_sha256, self.transfers, stopping)

    async def _reload_often(self, times: int) -> None:
        began = time.monotonic()
        for generation in range(1, times + 1):
            self.reloads.asked[generation] = time.monotonic()
            self._gateway.reload(generation)
            await asyncio.sleep(max(0.0, began + generation * RELOAD_SECONDS - time.monotonic()))

    def row(self) -> Row:
        """What was asked, and what went wrong; what that was is printed.

        Raises `WrongAnswer` if no reload has done anything.
        """
        for what in (self.transfers.broken, self.requests.failures):
            for reason, count in what.items():
                print(f"{count} times: {reason}", flush=True)
        delays = self.reloads.seconds_until_seen(self.requests.seen)
        if not delays:
            raise WrongAnswer(f"none of {len(self.reloads.asked)} new configurations answered anybody")
        broken, refused = self.transfers.broken.total(), self.requests.refused
        return (
            len(self.reloads.asked),
            len(delays),
            statistics.median(delays),
            self.transfers.exact + broken,
            broken,
            self.requests.sent,
            refused,
            self.requests.failures.total(),
            statistics.median(self.requests.seconds) * 1000,
            max(self.requests.seconds) * 1000,
        )

    def held_rows(self) -> list[tuple[str, Row]]:
        """What was held at which time."""
        return [(when, (one.resident / MEBIBYTE, one.files, one.threads)) for when, one in self._held.items()]
