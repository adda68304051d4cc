"""A 10 MB image: the gateway, the naive applications, other peers, and curl straight at the store."""

import argparse
import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack

from tests.servers.asgi import ServerName, serve
from tests.servers.process import ServerMissing
from tests.servers.s3 import S3Server

from . import peers
from .gateway import CLIENTS, Client, gateway
from .measure import Comparison, Contestant, check, compare
from .origins import PATH, STORES, direct_url
from .report import Table, publish

QUICK = ["--rounds", "1", "--store", "nginx"]

SIZE = 10_000_000
DOWNLOADS = 5
"""Downloads by one curl process: its own start, some 10 ms, must not count for much."""

NAIVE: tuple[tuple[str, ServerName, str], ...] = (
    ("aiobotocore", "uvicorn", ""),
    ("aiobotocore", "uvicorn-plain", ", plain uvicorn"),
    ("botocore", "uvicorn", ""),
)
"""The naive applications: the client library, the server, and what to say of it. uvicorn has its faster
extras (uvloop, httptools), as the gateway has; "plain" is what `pip install uvicorn` gives."""

COLUMNS = (
    "contestant",
    "store",
    "seconds",
    "fastest",
    "slowest",
    "CPU seconds",
    "peak MiB",
    "seconds / gateway",
    "CPU / gateway",
)


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    options = _options(arguments)
    names = list(STORES) if options.store == "all" else [options.store]
    image = os.urandom(SIZE)
    rows = [row for name in names for row in _measured(name, options.client, image, options.rounds)]
    title = (
        f"{DOWNLOADS} downloads of {SIZE // 1_000_000} MB: median seconds, mean CPU; rounds: {options.rounds}"
    )
    settings = {
        "rounds": options.rounds,
        "client": options.client,
        "size": SIZE,
        "downloads": DOWNLOADS,
        **peers.versions(),
    }
    publish("ten_megabytes", [Table(title, COLUMNS, rows)], settings)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench ten_megabytes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted (default: 5)")
    parser.add_argument("--store", choices=[*STORES, "all"], default="all")
    parser.add_argument("--client", choices=CLIENTS, default="obstore", help="what the gateway reads with")
    return parser.parse_args(arguments)


def _measured(name: str, client: Client, image: bytes, rounds: int) -> list[tuple[str | float | None, ...]]:
    try:
        with STORES[name](image) as store:
            results = _compared(store, client, image, rounds)
    except ServerMissing as missing:
        print(f"{name}: left out, {missing}")
        return []
    return [_row(name, result) for result in results]


def _compared(store: S3Server, client: Client, image: bytes, rounds: int) -> list[Comparison]:
    with ExitStack() as stack:
        contestants = _contestants(stack, store, client)
        for contestant in contestants:
            check(contestant, hashlib.sha256(image).hexdigest())
        return compare(
            contestants,
            size=len(image),
            downloads=DOWNLOADS,
            rounds=rounds,
            progress=lambda step: print(f"{store.name}: {step}", flush=True),
        )


def _contestants(stack: ExitStack, store: S3Server, client: Client) -> list[Contestant]:
    # The naive applications have an endpoint that is not used here, and ask for its upstream too.
    env = {**store.environment(), "UPSTREAM_URL": store.endpoint_url}
    own = stack.enter_context(gateway(store, client))
    naive = [
        (f"naive {name}{note}", stack.enter_context(serve(f"bench.naive.{name}_app:app", server, env=env)))
        for name, server, note in NAIVE
    ]
    return [
        Contestant(f"gateway ({client})", own.url + PATH, own.pid),
        *(Contestant(name, served.url + PATH, served.pid) for name, served in naive),
        *peers.contestants(stack, store, {**peers.FASTAPI, **peers.PROXIES}),
        Contestant("store itself", direct_url(store)),
    ]


def _row(store: str, result: Comparison) -> tuple[str | float | None, ...]:
    return (
        result.name,
        store,
        result.wall_seconds,
        result.shortest,
        result.longest,
        result.cpu_seconds,
        None if result.peak_bytes is None else result.peak_bytes / (1 << 20),
        result.wall_ratio,
        result.cpu_ratio,
    )
