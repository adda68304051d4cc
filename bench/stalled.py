"""Clients that take nothing of the 1 GiB they asked for: what each costs, and whether it gets them later."""

import argparse
import asyncio
import mmap
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.asgi import ServedApp, serve
from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from .gateway import CLIENTS, gateway
from .measure import WrongAnswer, resident_bytes
from .proxies import tuned_nginx
from .report import Table, publish
from .stores import PATH, answers_being_sent, random_store

SIZE = 1 << 30
RECEIVE_BUFFER = 16 * 1024
PARK_SECONDS = 2.0
SETTLE_SECONDS = 4.0
"""After the last client has connected: parking takes 2 s, and another 2 s may pass."""

AT_ONCE = 50
READ_SIZE = 1 << 20

PEER_CLIENTS = 300
"""What a peer leaves to the kernel for more clients is more than a small machine's kernel has for sockets."""

COLUMNS = (
    "contestant",
    "clients",
    "KiB each",
    "origin answers",
    "seconds until parked",
    "drained",
    "exact",
    "s to drain",
)


@dataclass(frozen=True, slots=True)
class Run:
    """How many clients stall, how many of them are drained to the end, and what they must get."""

    clients: int
    drained: int
    file: Path


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench stalled", description=__doc__)
    parser.add_argument("--clients", type=int, default=1000, help="clients that stall (default: 1000)")
    parser.add_argument("--drain", type=int, default=20, help="of them, those read to the end (default: 20)")
    parser.add_argument(
        "--mebibytes", type=int, default=SIZE >> 20, help="size of the object (default: 1024)"
    )
    parser.add_argument("--only", help="the beginning of a contestant's name")
    options = parser.parse_args(arguments)
    rows = []
    try:
        with random_store(options.mebibytes << 20) as (store, file):
            run = Run(options.clients, min(options.drain, options.clients), file)
            for name, contestant in contestants(store).items():
                if name.startswith(options.only or ""):
                    print(name, flush=True)
                    rows.append(_measured(name, contestant, store, run))
    except ServerMissing as missing:
        print(f"stalled: left out, {missing}")
        return
    what = f"clients that take nothing of {options.mebibytes} MiB"
    name = "stalled" if options.mebibytes << 20 == SIZE else "stalled_drained"
    settings = {"clients": options.clients, "mebibytes": options.mebibytes}
    publish(name, [Table(f"{what}, one worker each: growth of resident memory", COLUMNS, rows)], settings)


def contestants(store: S3Server) -> dict[str, Callable[[], AbstractContextManager[ServedApp]]]:
    """Return who is measured in front of `store`, by name."""
    ours = {f"gateway ({client})": _gateway_of(store, client) for client in CLIENTS}
    naive = {**store.environment(), "UPSTREAM_URL": store.endpoint_url}
    return {
        **ours,
        "nginx, 128 KiB buffers": lambda: tuned_nginx(store),
        "naive aiobotocore": lambda: serve("bench.naive.aiobotocore_app:app", env=naive),
    }


def _gateway_of(store: S3Server, client: str) -> Callable[[], AbstractContextManager[ServedApp]]:
    # Without a bound of its own the pool of connections would let the clients in one after the other.
    return lambda: gateway(store, client)  # type: ignore[arg-type]


def _measured(
    name: str, contestant: Callable[[], AbstractContextManager[ServedApp]], store: S3Server, run: Run
) -> tuple[str | int | float | None, ...]:
    if not name.startswith("gateway"):
        run = replace(run, clients=min(run.clients, PEER_CLIENTS), drained=min(run.drained, PEER_CLIENTS))
    with contestant() as served, _mapped(run.file) as content:
        return (name, run.clients, *asyncio.run(_stall_and_drain(served, store, run, content)))


async def _stall_and_drain(
    served: ServedApp, store: S3Server, run: Run, content: mmap.mmap
) -> tuple[int | float | None, ...]:
    (warm,) = await _connected(served.url, 1)
    warm.close()
    await asyncio.sleep(1)
    before = resident_bytes(served.pid)
    clients = await _connected(served.url, run.clients)
    until_parked = await _until_parked(store)
    await asyncio.sleep(2)
    growth = (resident_bytes(served.pid) - before) / run.clients / 1024
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


async def _until_parked(store: S3Server) -> float | None:
    """Wait until the origin sends nothing, half a minute at most; the seconds, `None` if it never was."""
    began = time.perf_counter()
    while (seconds := time.perf_counter() - began) < SETTLE_SECONDS or answers_being_sent(store):
        if seconds > 30:
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
    request = f"GET {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
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
