"""What downloads by curl cost, measured in turns: all contestants meet the same machine."""

import hashlib
import itertools
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context
from typing import TypeVar
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import psutil  # type: ignore[import-untyped]

CURL_SECONDS = 600
"""No benchmark here takes a curl that long: the server has stalled."""

Measured = TypeVar("Measured")

_numbers = itertools.count(1)


class WrongAnswer(Exception):
    """A server answered something else than the object: what it took for that is worth nothing."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is measured: a URL, and the id of the server's first process (`None`: CPU is not counted).

    With `rounds` it takes part in the first so many only, and in no warm-up: for one that takes minutes.
    `uncached` asks for another query each time, which a cache takes for another object. `ca_file` is the
    authority to trust.
    """

    name: str
    url: str
    pid: int | None = None
    rounds: int | None = None
    uncached: bool = False
    ca_file: Path | None = None

    def takes_part(self, number: int) -> bool:
        """Whether it is measured in a round: they count from 1, and 0 is the warm-up."""
        return self.rounds is None or 1 <= number <= self.rounds

    def next_url(self) -> str:
        """Return where the next download is."""
        return f"{self.url}?{next(_numbers)}" if self.uncached else self.url


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of curl cost: seconds on the clock, and CPU seconds of the server."""

    wall_seconds: float
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Median seconds and mean CPU seconds of the rounds, and their ratios to the first contestant's.

    The ratio of the seconds is the median of the ratios round by round. CPU time is summed over the rounds:
    the system counts it in steps of 10 ms, which is much for one round and little for all. `shortest` and
    `longest` are the seconds of the best and the worst round, `peak_bytes` is the most memory that the
    server had so far.
    """

    name: str
    wall_seconds: float
    cpu_seconds: float | None
    wall_ratio: float
    cpu_ratio: float | None
    shortest: float
    longest: float
    peak_bytes: int | None


def check(contestant: Contestant, sha256: str) -> None:
    """Download once; raise `WrongAnswer` unless the bytes have this SHA-256 (hexadecimal)."""
    seen = hashlib.sha256()
    # Loopback is never behind a proxy, whatever the environment says.
    context = create_default_context(cafile=contestant.ca_file)
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    with opener.open(contestant.url, timeout=60) as answer:
        while chunk := answer.read(1 << 20):
            seen.update(chunk)
    if seen.hexdigest() != sha256:
        raise WrongAnswer(f"{contestant.name}: {contestant.url} served other bytes than the object's")


def download(contestant: Contestant, *, size: int, downloads: int) -> Sample:
    """Download `downloads` times, one after the other, in one curl process.

    Raises `WrongAnswer` unless every answer was a 200 of `size` bytes.
    """
    cpu_before = cpu_seconds(contestant.pid)
    began = time.perf_counter()
    answers = _curl(contestant, downloads)
    wall_seconds = time.perf_counter() - began
    cpu_after = cpu_seconds(contestant.pid)
    _verify(contestant, answers, Counter({f"200 {size}": downloads}))
    cpu = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    return Sample(wall_seconds, cpu)


def compare(
    contestants: Sequence[Contestant],
    *,
    size: int,
    downloads: int,
    rounds: int,
    progress: Callable[[str], None],
) -> list[Comparison]:
    """Measure all contestants in turns (A B C, A B C, ...) after one round that is not counted.

    The ratios are to the first contestant.
    """
    samples = in_turns(
        contestants,
        lambda contestant: download(contestant, size=size, downloads=downloads),
        rounds=rounds,
        progress=progress,
    )
    first = samples[contestants[0].name]
    return [summarize(one.name, samples[one.name], first, pid=one.pid) for one in contestants]


def in_turns(
    contestants: Sequence[Contestant],
    run: Callable[[Contestant], Measured],
    *,
    rounds: int,
    progress: Callable[[str], None],
    warm_up: bool = True,
) -> dict[str, list[Measured]]:
    """Run all contestants in turns, after one round that is not counted; what each run gave, by name."""
    results: dict[str, list[Measured]] = {contestant.name: [] for contestant in contestants}
    for number in range(0 if warm_up else 1, rounds + 1):
        progress(f"round {number} of {rounds}" if number else "warm-up")
        for contestant in contestants:
            if contestant.takes_part(number):
                result = run(contestant)
                if number:
                    results[contestant.name].append(result)
    return results


def summarize(
    name: str, own: Sequence[Sample], first: Sequence[Sample], *, pid: int | None = None
) -> Comparison:
    """Return what a contestant's samples come to, beside those of the first contestant in the same rounds.

    `pid` is of a server whose memory is to be told. Who took part in fewer rounds is compared in those.
    """
    same_rounds = first[: len(own)]
    pairs = list(zip(own, same_rounds, strict=True))
    seconds = [sample.wall_seconds for sample in own]
    cpu = _total_cpu_seconds(own)
    return Comparison(
        name=name,
        wall_seconds=statistics.median(seconds),
        cpu_seconds=None if cpu is None else cpu / len(own),
        wall_ratio=statistics.median(mine.wall_seconds / its.wall_seconds for mine, its in pairs),
        cpu_ratio=_ratio(cpu, _total_cpu_seconds(same_rounds)),
        shortest=min(seconds),
        longest=max(seconds),
        peak_bytes=None if pid is None else peak_bytes(pid),
    )


def cpu_seconds(pid: int | None) -> float | None:
    """Return the user and system seconds so far of a process and its descendants, ended ones included."""
    if pid is None:
        return None
    total = 0.0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and all its descendants."""
    return sum(process.memory_info().rss for process in family(pid))


def peak_bytes(pid: int) -> int:
    """Return the most resident memory (VmHWM) that a process had so far, its descendants' added."""
    total = 0
    for process in family(pid):
        # One that has ended since has no memory; what it had was not the most.
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            total += status_bytes(process.pid, "VmHWM")
    return total


def status_bytes(pid: int, field: str) -> int:
    """Return a figure of a process's status (`VmRSS`, `VmHWM`) in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise ValueError(f"process {pid} has no {field!r} in its status")


@contextmanager
def reading(url: str, *, bytes_per_second: int | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Run one curl that downloads `url` in the background, no faster than told; end it with the block."""
    limit = [] if bytes_per_second is None else ["--limit-rate", str(bytes_per_second)]
    process = subprocess.Popen(
        [*_CURL, *limit, "-o", "/dev/null", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


_CURL = ["curl", "-q", "-sS", "--noproxy", "*", "--write-out", "%{http_code} %{size_download}\\n"]


def _curl(contestant: Contestant, downloads: int) -> list[str]:
    trusted = [] if contestant.ca_file is None else ["--cacert", str(contestant.ca_file)]
    url = contestant.next_url()
    command = [*_CURL, *trusted, *(["-o", "/dev/null", url] * downloads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CURL_SECONDS, check=False)
    if done.returncode != 0:
        raise WrongAnswer(f"curl of {url} ended with code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _verify(contestant: Contestant, answers: list[str], expected: "Counter[str]") -> None:
    if Counter(answers) != expected:
        raise WrongAnswer(
            f"{contestant.name}: {contestant.url} answered (status, bytes) {answers!r}, expected {expected!r}"
        )


def _total_cpu_seconds(samples: Sequence[Sample]) -> float | None:
    counted = [sample.cpu_seconds for sample in samples if sample.cpu_seconds is not None]
    return sum(counted) if counted else None


def _ratio(mine: float | None, its: float | None) -> float | None:
    return None if mine is None or not its else mine / its
