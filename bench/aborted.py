"""Downloads that their clients leave, in every state: what one worker still holds after thousands of them."""

import argparse
import asyncio
import json
import socket
import struct
from collections.abc import Sequence
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from sluicegate.testing import MIB, FaultyOrigin, Generated, NoAnswer
from tests.servers.asgi import ServedApp, serve

from .measure import resident_bytes
from .report import Table, publish
from .transfers_app import CLIENTS, transfers_app

QUICK = ["--aborts", "160"]

SIZE = 1 << 30
AT_ONCE = 250
ROUNDS = 4
"""Memory is looked at after each: what grows is a leak, what grew once is a reserve."""

SETTLE_SECONDS = 4.0
READ_SIZE = 256 * 1024
RECEIVE_BUFFER = 64 * 1024

STATES = {
    "before the head": ("silent", 0, 0.3),
    "first chunk": ("object", 1, 0.0),
    "middle": ("object", MIB, 0.0),
}
"""For each state the object that is asked for, the bytes that are read of it, the seconds until leaving."""

PARKED = {"parked": ("object", 1, 3.0)}

COLUMNS = ("client, after", "aborts", "tasks", "threads", "files", "origin answers", "resident MiB")


def main(arguments: Sequence[str]) -> None:
    """Abort as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench aborted", description=__doc__)
    parser.add_argument("--aborts", type=int, default=10_000, help="downloads to leave (default: 10000)")
    parser.add_argument("--client", choices=[*CLIENTS, "all"], default="obstore")
    options = parser.parse_args(arguments)
    rows = []
    with FaultyOrigin(send_buffer=256 * 1024) as origin:
        origin.put("/images/object", Generated(SIZE))
        origin.put("/images/silent", b"never answered")
        origin.fail("/images/silent", NoAnswer())
        for client in CLIENTS if options.client == "all" else (options.client,):
            with serve(transfers_app, env={"BENCH_STORE": origin.url, "BENCH_CLIENT": client}) as served:
                rows += asyncio.run(_measured(client, served, origin, options.aborts))
    publish("aborted", [Table("downloads that were left", COLUMNS, rows)], {"aborts": options.aborts})


async def _measured(
    client: str, served: ServedApp, origin: FaultyOrigin, aborts: int
) -> list[tuple[str | int | float, ...]]:
    rows = [_row(f"{client}, nothing", 0, served, origin)]
    states = [*STATES.values(), *PARKED.values()]
    each = aborts // ROUNDS // len(states)
    for number in range(1, ROUNDS + 1):
        for state in states:
            for start in range(0, each, AT_ONCE):
                count = min(AT_ONCE, each - start)
                await asyncio.gather(*(_leave(served.url, *state, reset=i % 2 == 0) for i in range(count)))
        await asyncio.sleep(SETTLE_SECONDS)
        rows.append(_row(f"{client}, round {number}", number * each * len(states), served, origin))
        print(*rows[-1], flush=True)
    return rows


def _row(name: str, aborts: int, served: ServedApp, origin: FaultyOrigin) -> tuple[str | int | float, ...]:
    with build_opener(ProxyHandler({})).open(f"{served.url}/held", timeout=10) as answer:
        held = json.load(answer)
    memory = resident_bytes(served.pid) / MIB
    return (name, aborts, held["tasks"], held["threads"], held["files"], origin.busy_connections, memory)


async def _leave(url: str, key: str, size: int, seconds: float, *, reset: bool) -> None:
    """Ask for `key`, read `size` bytes, wait so many seconds, and go away, by a reset or by closing."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        await loop.sock_connect(client, (parts.hostname, parts.port))
        await loop.sock_sendall(client, f"GET /parts/{key} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        got = 0
        while got < size and (chunk := await loop.sock_recv(client, READ_SIZE)):
            got += len(chunk)
        await asyncio.sleep(seconds)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
