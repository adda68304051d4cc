"""One worker against two: 20 KiB by wrk and large objects by parallel curls, with nginx as the yardstick."""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from tests.servers.process import ServerMissing

from .load import load
from .measure import Contestant, WrongAnswer, cpu_seconds, in_turns, reading
from .origins import sparse_store
from .peers import Start, contestants
from .peers.applications import own_gateway
from .peers.nginx import tuned_nginx
from .plots import Plot, Series
from .report import Table, publish

QUICK = ["--rounds", "1", "--mebibytes", "8", "--seconds", "1"]
SMALL_SIZE = 20 * 1024
CONNECTIONS = 32
DOWNLOADS = 8
STARTS: Mapping[tuple[str, str], Start] = {
    ("gateway", "1 worker"): own_gateway,
    ("gateway", "2 workers"): partial(own_gateway, workers=2),
    ("nginx, tuned", "1 worker"): tuned_nginx,
    ("nginx, tuned", "2 workers"): partial(tuned_nginx, workers=2),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run came to: requests or MiB a second, and how many processors the server kept busy."""

    rate: float
    processors: float


Samples = Mapping[tuple[str, str], Sequence[Sample]]


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the tables and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted (default: 5)")
    parser.add_argument("--mebibytes", type=int, default=256, help="size of the large object (default: 256)")
    parser.add_argument("--seconds", type=int, default=5, help="of each run of wrk (default: 5)")
    options = parser.parse_args(arguments)
    size = options.mebibytes << 20
    small = _measured(SMALL_SIZE, lambda one: _loaded(one, options.seconds), options.rounds)
    large = _measured(size, lambda one: _downloaded(one, size), options.rounds)
    medians = f"medians; rounds: {options.rounds}"
    at_once = f"{DOWNLOADS} curls at once, {options.mebibytes} MiB each"
    tables = [
        _table(f"20 KiB, wrk -c{CONNECTIONS} for {options.seconds} s: {medians}", "requests/s", small),
        _table(f"{at_once}: {medians}", "MiB/s", large),
    ]
    plots = [
        *_plot("workers_small", "20 KiB, one worker and two", "requests a second", small),
        *_plot("workers_large", f"{at_once}, one worker and two", "MiB a second", large),
    ]
    settings = {"rounds": options.rounds, "mebibytes": options.mebibytes, "wrk_seconds": options.seconds}
    publish("workers", tables, settings, plots)


def _measured(size: int, run: Callable[[Contestant], Sample], rounds: int) -> Samples:
    """Run all in turns on an object of `size`; nothing where a program is missing."""
    named = {", ".join(who): who for who in STARTS}
    try:
        with ExitStack() as stack:
            store = stack.enter_context(sparse_store(size))
            found = contestants(stack, store, {name: STARTS[who] for name, who in named.items()})
            samples = in_turns(found, run, rounds=rounds, progress=lambda step: print(step, flush=True))
    except ServerMissing as missing:
        print(f"{size} bytes: left out, {missing}")
        return {}
    return {named[name]: own for name, own in samples.items()}


def _loaded(contestant: Contestant, seconds: int) -> Sample:
    seen = load(contestant, seconds=seconds, connections=CONNECTIONS)
    return Sample(seen.requests_per_second, (seen.cpu_seconds or 0.0) / seen.seconds)


def _downloaded(contestant: Contestant, size: int) -> Sample:
    """Download `DOWNLOADS` times at once, each by a curl of its own; raises `WrongAnswer` for a wrong one."""
    before, began = cpu_seconds(contestant.pid) or 0.0, time.perf_counter()
    with ExitStack() as stack:
        curls = [stack.enter_context(reading(contestant.url)) for _ in range(DOWNLOADS)]
        answers = [curl.communicate()[0].strip() for curl in curls]
        seconds = time.perf_counter() - began
    if answers != [f"200 {size}"] * DOWNLOADS:
        raise WrongAnswer(f"{contestant.name}: answered (status, bytes) {answers!r}, expected 200 {size}")
    processors = ((cpu_seconds(contestant.pid) or 0.0) - before) / seconds
    return Sample(DOWNLOADS * size / (1 << 20) / seconds, processors)


def _table(title: str, unit: str, samples: Samples) -> Table:
    columns = ("contestant", "workers", unit, "processors busy", f"{unit} / one worker")
    return Table(title, columns, [_row(who, samples) for who in samples])


def _row(who: tuple[str, str], samples: Samples) -> tuple[str | float, ...]:
    server, workers = who
    own = samples[who]
    single = next(its for (other, _), its in samples.items() if other == server)
    ratio = statistics.median(mine.rate / its.rate for mine, its in zip(own, single, strict=True))
    busy = statistics.median(one.processors for one in own)
    return (server, int(workers.split()[0]), round(_rate(own)), busy, ratio)


def _rate(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.rate for sample in samples)


def _plot(name: str, title: str, unit: str, samples: Samples) -> list[Plot]:
    points: dict[str, list[tuple[str, float]]] = {}
    for (server, workers), own in samples.items():
        points.setdefault(server, []).append((workers, _rate(own)))
    series = [Series(server, rates) for server, rates in points.items()]
    return [Plot(name, title, "", unit, series, kind="bar")] if series else []
