"""Synchronous iterators: small chunks against large ones, and botocore against aiobotocore in the gateway."""

import argparse
import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack

from tests.servers.asgi import serve
from tests.servers.process import ServerMissing

from .gateway import gateway
from .iterators_app import CONTENT, chunked_app
from .measure import Comparison, Contestant, check, compare
from .origins import PATH, nginx_store
from .report import Table, publish

QUICK = ["--rounds", "1"]

DOWNLOADS = 5
COLUMNS = (
    "contestant",
    "seconds",
    "fastest",
    "slowest",
    "CPU seconds",
    "seconds / first",
    "CPU / first",
)


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench iterators", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted (default: 5)")
    options = parser.parse_args(arguments)
    tables = [_chunk_sizes(options.rounds), *_clients(options.rounds)]
    publish("iterators", tables, {"rounds": options.rounds, "size": len(CONTENT), "downloads": DOWNLOADS})


def _chunk_sizes(rounds: int) -> Table:
    with serve(chunked_app) as served:
        contestants = [
            Contestant(name, served.url + path, served.pid)
            for name, path in (
                ("sluicegate, 64 KiB chunks", "/sluicegate/65536"),
                ("sluicegate, 1 KiB chunks", "/sluicegate/1024"),
                ("starlette, 64 KiB chunks", "/starlette/65536"),
                ("starlette, 1 KiB chunks", "/starlette/1024"),
            )
        ]
        results = _compared("chunks", contestants, CONTENT, rounds)
    return _table("a synchronous iterator as the body of a response", results, rounds)


def _clients(rounds: int) -> list[Table]:
    image = os.urandom(len(CONTENT))
    try:
        with ExitStack() as stack:
            store = stack.enter_context(nginx_store(image))
            contestants = []
            for client in ("aiobotocore", "botocore"):
                served = stack.enter_context(gateway(store, client))
                contestants.append(Contestant(f"gateway ({client})", served.url + PATH, served.pid))
            results = _compared("clients", contestants, image, rounds)
    except ServerMissing as missing:
        print(f"clients: left out, {missing}")
        return []
    return [_table("a synchronous client against an asynchronous one", results, rounds)]


def _compared(what: str, contestants: list[Contestant], content: bytes, rounds: int) -> list[Comparison]:
    for contestant in contestants:
        check(contestant, hashlib.sha256(content).hexdigest())
    return compare(
        contestants,
        size=len(content),
        downloads=DOWNLOADS,
        rounds=rounds,
        progress=lambda step: print(f"{what}: {step}", flush=True),
    )


def _table(title: str, results: list[Comparison], rounds: int) -> Table:
    megabytes = len(CONTENT) // 1_000_000
    rows = [_row(result) for result in results]
    return Table(
        f"{title}: {DOWNLOADS} downloads of {megabytes} MB; median seconds, mean CPU; rounds: {rounds}",
        COLUMNS,
        rows,
    )


def _row(result: Comparison) -> tuple[str | float | None, ...]:
    spread = (result.wall_seconds, result.shortest, result.longest)
    return (result.name, *spread, result.cpu_seconds, result.wall_ratio, result.cpu_ratio)
