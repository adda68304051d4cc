"""Many small requests by wrk: how many a second, what each takes, and what it costs the server."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import executable, temporary_folder

from .measure import Contestant, WrongAnswer, cpu_seconds

TIMEOUT_SECONDS = 30
"""A request that takes longer has failed; the slowest server here needs seconds for the first ones."""

IDLE_SECONDS = 0.2
IDLE_SHARE = 0.1
"""A server that takes less of a processor than this, so long, is idle."""

IDLE_DEADLINE_SECONDS = 15.0

# What wrk prints for people has units of many kinds; its script sees the numbers (microseconds).
_SCRIPT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format('\\n{"requests": %d, "microseconds": %d, "failed": %d, "p50": %f, "p99": %f}\\n',
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk came to: requests and seconds, latencies in seconds, CPU seconds of the server."""

    requests: int
    seconds: float
    p50_seconds: float
    p99_seconds: float
    cpu_seconds: float | None

    @property
    def requests_per_second(self) -> float:
        """Requests that were answered in a second."""
        return self.requests / self.seconds

    @property
    def cpu_microseconds(self) -> float | None:
        """CPU of the server for each request."""
        return (
            None if self.cpu_seconds is None or not self.requests else self.cpu_seconds / self.requests * 1e6
        )


def wrk() -> str:
    """Return the path of wrk; raises `ServerMissing` where it is not installed."""
    return executable("wrk", "apt-get install wrk")


def load(contestant: Contestant, *, seconds: int, connections: int = 32) -> Load:
    """Ask for a contestant's URL for so many seconds, over so many connections of one thread of wrk.

    A slow server may answer nothing in that time, and has a rest afterwards to notice that wrk is gone.
    Raises `WrongAnswer` if a request failed or was not answered by 2xx.
    """
    with temporary_folder() as folder:
        script = folder / "report.lua"
        script.write_text(_SCRIPT)
        before = cpu_seconds(contestant.pid)
        said = _run(contestant.url, script, seconds, connections)
        after = cpu_seconds(contestant.pid)
    _wait_until_idle(contestant.pid)
    seen = json.loads(said.splitlines()[-1])
    if seen["failed"]:
        raise WrongAnswer(f"{contestant.name}: wrk of {contestant.url} said: {said}")
    cpu = None if before is None or after is None else after - before
    return Load(seen["requests"], seen["microseconds"] / 1e6, seen["p50"] / 1e6, seen["p99"] / 1e6, cpu)


def load_in_turns(
    contestants: Sequence[Contestant],
    *,
    seconds: int,
    rounds: int,
    connections: int = 32,
    progress: Callable[[str], None],
) -> dict[str, list[Load]]:
    """Load all contestants in turns (A B C, A B C, ...), after a second each that is not counted."""
    loads: dict[str, list[Load]] = {contestant.name: [] for contestant in contestants}
    for contestant in contestants:
        load(contestant, seconds=1, connections=connections)
    for number in range(1, rounds + 1):
        progress(f"round {number} of {rounds}")
        for contestant in contestants:
            loads[contestant.name].append(load(contestant, seconds=seconds, connections=connections))
    return loads


def median_rate(loads: Sequence[Load]) -> float:
    """Return the median of the requests a second."""
    return statistics.median(one.requests_per_second for one in loads)


def cpu_microseconds(loads: Sequence[Load]) -> float | None:
    """Return the CPU for each request, over all runs: the system counts it in steps of 10 ms."""
    counted = [one.cpu_seconds for one in loads if one.cpu_seconds is not None]
    requests = sum(one.requests for one in loads)
    return sum(counted) / requests * 1e6 if counted and requests else None


def _wait_until_idle(pid: int | None) -> None:
    """Wait until a server does nothing more for requests that wrk has left, some seconds at most."""
    deadline = time.monotonic() + IDLE_DEADLINE_SECONDS
    before = cpu_seconds(pid)
    while before is not None and time.monotonic() < deadline:
        time.sleep(IDLE_SECONDS)
        after = cpu_seconds(pid)
        if after is None or after - before < IDLE_SHARE * IDLE_SECONDS:
            return
        before = after


def _run(url: str, script: Path, seconds: int, connections: int) -> str:
    command = [
        *(wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s"),
        *("-s", str(script), url),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    return done.stdout
