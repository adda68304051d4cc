"""What parts cost where nothing goes wrong: 1 GiB in parts against one plain request, through each client."""

import argparse
from collections.abc import Sequence

from tests.servers.asgi import serve
from tests.servers.process import ServerMissing

from .measure import Comparison, Contestant, compare
from .origins import KEY, sparse_store
from .report import Table, publish
from .transfers_app import CLIENTS, transfers_app

QUICK = ["--rounds", "1", "--client", "obstore"]

SIZE = 1 << 30
COLUMNS = (
    "client, how",
    "seconds",
    "fastest",
    "slowest",
    "CPU seconds",
    "seconds / plain",
    "CPU / plain",
)


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench unbroken", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that are counted (default: 7)")
    parser.add_argument("--client", choices=[*CLIENTS, "all"], default="all")
    options = parser.parse_args(arguments)
    rows = []
    try:
        with sparse_store(SIZE) as store:
            for client in CLIENTS if options.client == "all" else (options.client,):
                rows += _measured(store.endpoint_url, client, options.rounds)
    except ServerMissing as missing:
        print(f"unbroken: left out, {missing}")
        return
    title = f"1 GiB from nginx, one worker; median seconds, mean CPU; rounds: {options.rounds}"
    publish("unbroken", [Table(title, COLUMNS, rows)], {"rounds": options.rounds, "size": SIZE})


def _measured(store: str, client: str, rounds: int) -> list[tuple[str | float | None, ...]]:
    env = {"BENCH_STORE": store, "BENCH_CLIENT": client}
    with serve(transfers_app, env=env) as served:
        results = compare(
            [
                Contestant(f"{client}, {how}", f"{served.url}/{how}/{KEY}", served.pid)
                for how in ("plain", "parts")
            ],
            size=SIZE,
            downloads=1,
            rounds=rounds,
            progress=lambda step: print(f"{client}: {step}", flush=True),
        )
    return [_row(result) for result in results]


def _row(result: Comparison) -> tuple[str | float | None, ...]:
    spread = (result.wall_seconds, result.shortest, result.longest)
    return (result.name, *spread, result.cpu_seconds, result.wall_ratio, result.cpu_ratio)
