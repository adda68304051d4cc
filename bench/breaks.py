"""1 GiB from an origin that resets each connection after 1 to 30 MiB: how many downloads are byte-exact."""

import argparse
import hashlib
import time
from collections.abc import Sequence
from urllib.request import ProxyHandler, build_opener

from sluicegate.testing import MIB, FaultyOrigin, Generated, ResetBetween
from tests.servers.asgi import serve

from .report import Table, publish
from .transfers_app import CLIENTS, transfers_app

QUICK = ["--downloads", "1", "--mebibytes", "64", "--client", "obstore"]

SHORTEST, LONGEST = 1 * MIB, 30 * MIB
COLUMNS = ("client", "downloads", "exact", "requests", "resets", "seconds each")


def main(arguments: Sequence[str]) -> None:
    """Download as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench breaks", description=__doc__)
    parser.add_argument("--downloads", type=int, default=5, help="downloads for each client (default: 5)")
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the object (default: 1024)")
    parser.add_argument("--client", choices=[*CLIENTS, "all"], default="all")
    options = parser.parse_args(arguments)
    clients = CLIENTS if options.client == "all" else (options.client,)
    rows = [_measured(client, options.downloads, options.mebibytes * MIB) for client in clients]
    title = f"{options.mebibytes} MiB, each connection reset after 1 to 30 MiB, at random"
    publish("breaks", [Table(title, COLUMNS, rows)], {"mebibytes": options.mebibytes})


def _measured(client: str, downloads: int, size: int) -> tuple[str | int | float, ...]:
    content = Generated(size)
    wanted = content.sha256()
    with FaultyOrigin() as origin:
        origin.put("/images/object", content)
        origin.always(ResetBetween(SHORTEST, LONGEST, seed=1))
        with serve(transfers_app, env={"BENCH_STORE": origin.url, "BENCH_CLIENT": client}) as served:
            began, exact = time.perf_counter(), 0
            for number in range(downloads):
                exact += _sha256(f"{served.url}/parts/object") == wanted
                print(f"{client}: {exact} of {number + 1} exact", flush=True)
            seconds = (time.perf_counter() - began) / downloads
        seen = origin.requests
    resets = sum(request.ended == "reset" for request in seen)
    return (client, downloads, exact, len(seen), resets, seconds)


def _sha256(url: str) -> str | None:
    """The SHA-256 of what a download gives, `None` if it breaks."""
    digest, promised, got = hashlib.sha256(), 0, 0
    with build_opener(ProxyHandler({})).open(url, timeout=60) as answer:
        promised = int(answer.headers["content-length"])
        while chunk := answer.read(1 << 20):
            digest.update(chunk)
            got += len(chunk)
    return digest.hexdigest() if got == promised else None
