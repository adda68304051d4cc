"""What downloads by curl cost, measured in turns: all contestants meet the same machine."""

import hashlib
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import psutil  # type: ignore[import-untyped]

CURL_SECONDS = 600
"""No benchmark here takes a curl that long: the server has stalled."""


class WrongAnswer(Exception):
    """A server answered something else than the object: what it took for that is worth nothing."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is measured: a URL, and the id of the server's first process (`None`: CPU is not counted)."""

    name: str
    url: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of curl cost: seconds on the clock, and CPU seconds of the server."""

    wall_seconds: float
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Median seconds and mean CPU seconds of the rounds, and their ratios to the first contestant's.

    The ratio of the seconds is the median of the ratios round by round. CPU time is summed over the rounds:
    the system counts it in steps of 10 ms, which is much for one round and little for all.
    """

    name: str
    wall_seconds: float
    cpu_seconds: float | None
    wall_ratio: float
    cpu_ratio: float | None


def check(contestant: Contestant, sha256: str) -> None:
    """Download once; raise `WrongAnswer` unless the bytes have this SHA-256 (hexadecimal)."""
    seen = hashlib.sha256()
    # Loopback is never behind a proxy, whatever the environment says.
    with build_opener(ProxyHandler({})).open(contestant.url, timeout=60) as answer:
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
    answers = _curl(contestant.url, downloads)
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
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds + 1):
        progress(f"round {number} of {rounds}" if number else "warm-up")
        for contestant in contestants:
            sample = download(contestant, size=size, downloads=downloads)
            if number:
                samples[contestant.name].append(sample)
    first = samples[contestants[0].name]
    return [summarize(name, own, first) for name, own in samples.items()]


def summarize(name: str, own: Sequence[Sample], first: Sequence[Sample]) -> Comparison:
    """Return what a contestant's samples come to, beside those of the first contestant in the same rounds."""
    pairs = list(zip(own, first, strict=True))
    cpu = _total_cpu_seconds(own)
    return Comparison(
        name=name,
        wall_seconds=statistics.median(sample.wall_seconds for sample in own),
        cpu_seconds=None if cpu is None else cpu / len(own),
        wall_ratio=statistics.median(mine.wall_seconds / its.wall_seconds for mine, its in pairs),
        cpu_ratio=_ratio(cpu, _total_cpu_seconds(first)),
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
    return sum(status_bytes(process.pid, "VmHWM") for process in family(pid))


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


def _curl(url: str, downloads: int) -> list[str]:
    command = [*_CURL, *(["-o", "/dev/null", url] * downloads)]
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
