"""Clients that take nothing of the 1 GiB they asked for: what each costs, and whether it gets them later."""

import argparse
import asyncio
import mmap
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from .gateway import CLIENTS
from .measure import WrongAnswer, resident_bytes
from .origins import answers_being_sent, random_store
from .peers import Start
from .peers.applications import application, own_gateway
from .peers.base import Peer
from .peers.nginx import tuned_nginx
from .plots import Plot, Series
from .report import Table, publish

SIZE = 1 << 30
RECEIVE_BUFFER = 16 * 1024
PARK_SECONDS = 2.0
SETTLE_SECONDS = 4.0
"""After the last client has connected: parking takes 2 s, and another 2 s may pass."""

AT_ONCE = 50
READ_SIZE = 1 << 20
MEBIBYTE = 1 << 20
QUICK = ["--clients", "40", "--drain", "4", "--mebibytes", "32", "--wait", "4"]

PEER_CLIENTS = 300
"""A peer takes from its origin until the kernel's buffers are full, megabytes for each client on either side.
For more clients that is more than `tcp_mem` allows on a small machine: all connections on it suffer."""

STEPS = (100, 200, 300, 600, 1000)
"""Numbers of clients at which memory is looked at for the plot; a peer gets no more than `PEER_CLIENTS`."""

OURS = "gateway (obstore)"
NGINX = "nginx, 128 KiB buffers"

COLUMNS = (
    "contestant",
    "clients",
    "KiB each",
    "nginx / KiB each",
    "origin answers",
    "seconds until parked",
    "drained",
    "exact",
    "s to drain",
)
STEP_COLUMNS = ("contestant", "clients", "MiB")

Row = tuple[str | int | float | None, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """How many clients stall, how many of them are drained to the end, and what they must get.

    `wait_seconds` is how long the origin may go on sending: a contestant may never let go of it.
    """

    clients: int
    drained: int
    file: Path
    wait_seconds: float


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench stalled", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000, help="clients that stall (default: 1000)")
    parser.add_argument("--drain", type=int, default=20, help="of them, those read to the end (default: 20)")
    parser.add_argument(
        "--mebibytes", type=int, default=SIZE >> 20, help="size of the object (default: 1024)"
    )
    parser.add_argument("--wait", type=float, default=30, help="seconds to wait for parking (default: 30)")
    parser.add_argument("--only", help="the beginning of a contestant's name")
    options = parser.parse_args(arguments)
    # Where all are read to the end, that is what is asked, and memory has been looked at by the other run.
    name = "stalled_drained" if options.drain >= options.clients else "stalled"
    try:
        with random_store(options.mebibytes << 20) as (store, file):
            run = Run(options.clients, min(options.drain, options.clients), file, options.wait)
            chosen = {
                name: start for name, start in contestants().items() if name.startswith(options.only or "")
            }
            rows = _rows(chosen, store, run)
            steps = {} if name == "stalled_drained" else _steps(chosen, store, run)
    except ServerMissing as missing:
        print(f"stalled: left out, {missing}")
        return
    what = f"clients that take nothing of {options.mebibytes} MiB, one worker each: growth of resident memory"
    settings = {"clients": options.clients, "mebibytes": options.mebibytes}
    publish(name, [Table(what, COLUMNS, rows), *_step_tables(steps)], settings, _plots(steps))


def contestants() -> dict[str, Start]:
    """Return who is measured, by name."""
    return {
        **{f"gateway ({client})": partial(own_gateway, client=client) for client in CLIENTS},
        NGINX: tuned_nginx,
        "naive aiobotocore": partial(application, module="bench.naive.aiobotocore_app"),
    }


def _rows(chosen: Mapping[str, Start], store: S3Server, run: Run) -> list[Row]:
    """Measure each; the row of each, with how many times its memory nginx takes."""
    measured: dict[str, Row] = {}
    for name, start in chosen.items():
        print(name, flush=True)
        own = run if name.startswith("gateway") else _bounded(run)
        with start(store) as served, _mapped(run.file) as content:
            measured[name] = (own.clients, *asyncio.run(_stall_and_drain(served, store, own, content)))
    its = measured[NGINX][1] if NGINX in measured else None
    return [(name, *row[:2], _ratio(its, row[1]), *row[2:]) for name, row in measured.items()]


def _bounded(run: Run) -> Run:
    return replace(run, clients=min(run.clients, PEER_CLIENTS), drained=min(run.drained, PEER_CLIENTS))


def _ratio(its: object, own: object) -> float | None:
    """`None` where one has not grown, which says nothing of how much less it takes."""
    return its / own if isinstance(its, float) and isinstance(own, float) and own > 0 else None


def _steps(chosen: Mapping[str, Start], store: S3Server, run: Run) -> dict[str, list[tuple[int, float]]]:
    """For the gateway and nginx the numbers of clients, and the MiB by which each number has made it grow."""
    steps = {}
    for name in (OURS, NGINX):
        most = run.clients if name == OURS else min(run.clients, PEER_CLIENTS)
        if name in chosen:
            print(f"{name}, step by step", flush=True)
            counts = [count for count in STEPS if count <= most] or [most]
            with chosen[name](store) as served:
                steps[name] = asyncio.run(_grown(served, store, counts))
    return steps


async def _grown(served: Peer, store: S3Server, counts: Sequence[int]) -> list[tuple[int, float]]:
    before = await _warmed(served)
    clients: list[socket.socket] = []
    grown = []
    for count in counts:
        clients += await _connected(served.url, count - len(clients))
        # A peer never lets go of its origin: there is nothing to wait for but what it still fetches.
        await _until_parked(store, SETTLE_SECONDS)
        await asyncio.sleep(2)
        grown.append((count, (resident_bytes(served.pid or 0) - before) / MEBIBYTE))
    for client in clients:
        client.close()
    return grown


async def _warmed(served: Peer) -> int:
    """Return the resident memory after one client has come and gone."""
    (warm,) = await _connected(served.url, 1)
    warm.close()
    await asyncio.sleep(1)
    return resident_bytes(served.pid or 0)


def _step_tables(steps: Mapping[str, Sequence[tuple[int, float]]]) -> list[Table]:
    rows = [(name, count, grown) for name, points in steps.items() for count, grown in points]
    return [Table("the same by the number of clients", STEP_COLUMNS, rows)] if rows else []


def _plots(steps: Mapping[str, Sequence[tuple[int, float]]]) -> list[Plot]:
    series = [Series(name, points) for name, points in steps.items()]
    title = "Memory for clients that take nothing"
    return [Plot("stalled", title, "stalled clients", "MiB grown", series)] if series else []


async def _stall_and_drain(
    served: Peer, store: S3Server, run: Run, content: mmap.mmap
) -> tuple[int | float | None, ...]:
    before = await _warmed(served)
    clients = await _connected(served.url, run.clients)
    until_parked = await _until_parked(store, run.wait_seconds)
    await asyncio.sleep(2)
    growth = (resident_bytes(served.pid or 0) - before) / run.clients / 1024
    busy = answers_being_sent(store)
    began = time.perf_counter()
    exact = 0
    for number in range(0, run.drained, 4):
        some = clients[number : min(number + 4, run.drained)]
        ends = await asyncio.gather(*(_is_exact(client, content) for client in some), return_exceptions=True)
        # A server may have cut a client that took nothing for a minute: nginx does.
        exact += sum(end is True for end in ends)
    seconds = time.perf_counter() - began
    for client in clients:
        client.close()
    return growth, busy, until_parked, run.drained, exact, seconds


async def _until_parked(store: S3Server, most_seconds: float) -> float | None:
    """Wait until the origin sends nothing, for so long at most; the seconds, `None` if it never was."""
    began = time.perf_counter()
    while (seconds := time.perf_counter() - began) < SETTLE_SECONDS or answers_being_sent(store):
        if seconds > most_seconds:
            return None
        await asyncio.sleep(0.25)
    return seconds


async def _connected(url: str, count: int) -> list[socket.socket]:
    """Return so many connections, each with a request sent, and a byte of its answer read."""
    clients: list[socket.socket] = []
    for start in range(0, count, AT_ONCE):
        some = (_asked(url) for _ in range(min(AT_ONCE, count - start)))
        clients += await asyncio.gather(*some)
    return clients


async def _asked(url: str) -> socket.socket:
    parts = urlsplit(url)
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (parts.hostname, parts.port))
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    await loop.sock_sendall(client, request.encode())
    await loop.sock_recv(client, 1)
    return client


async def _is_exact(client: socket.socket, content: mmap.mmap) -> bool:
    """Read an answer to its end; whether it holds `content` and nothing else."""
    loop = asyncio.get_running_loop()
    head = b"H"
    while b"\r\n\r\n" not in head:
        more = await loop.sock_recv(client, READ_SIZE)
        if not more:
            raise WrongAnswer(f"the connection ended in the head: {head!r}")
        head += more
    chunk = head.partition(b"\r\n\r\n")[2]
    position = 0
    while True:
        if chunk != content[position : position + len(chunk)]:
            return False
        position += len(chunk)
        if not (chunk := await loop.sock_recv(client, READ_SIZE)):
            return position == len(content)


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped
