"""How long a start takes: `sluicegate serve` until its first answer, and importing the library."""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.servers.process import STOP_SECONDS, ServerFailed, free_port, temporary_folder

from .local_files import SMALL, configuration, files
from .measure import cpu_seconds
from .report import Table, publish

QUICK = ["--rounds", "2"]
POLL_SECONDS = 0.005
START_SECONDS = 30.0
MOST_IMPORTS = 15
"""Modules that are printed, those that take longest by themselves first."""

COLUMNS = ("what", "seconds", "fastest", "slowest", "CPU seconds")


@dataclass(frozen=True, slots=True)
class Start:
    """What one start took: seconds on the clock, and CPU seconds of the process."""

    wall_seconds: float
    cpu_seconds: float


def main(arguments: Sequence[str]) -> None:
    """Measure as the arguments tell, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m bench start", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=15, help="starts of each that are counted (default: 15)"
    )
    options = parser.parse_args(arguments)
    with files(0) as folder, temporary_folder() as own:
        path = own / "sluicegate.toml"
        path.write_text(configuration(folder))
        starts = _in_turns(
            {
                "sluicegate serve, until its first answer": lambda: _serve(path),
                'python -c "import sluicegate"': lambda: _python("import sluicegate"),
                'python -c "pass"': lambda: _python("pass"),
            },
            options.rounds,
        )
    print(f"\n{_slowest_imports()}")
    title = f"a start, warm; medians; rounds: {options.rounds}"
    rows = [_row(name, own) for name, own in starts.items()]
    publish("start", [Table(title, COLUMNS, [*rows, _import_alone(starts)])], {"rounds": options.rounds})


def _in_turns(what: dict[str, Callable[[], Start]], rounds: int) -> dict[str, list[Start]]:
    """Start each in turns, after one round that is not counted: it writes the compiled modules."""
    starts: dict[str, list[Start]] = {name: [] for name in what}
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}" if number else "warm-up", flush=True)
        for name, start in what.items():
            one = start()
            if number:
                starts[name].append(one)
    return starts


def _serve(config: Path) -> Start:
    port = free_port()
    began = time.perf_counter()
    program = Path(sys.executable).with_name("sluicegate")
    command = [str(program), "serve", str(config), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_answer(process, port)
        return Start(time.perf_counter() - began, cpu_seconds(process.pid) or 0.0)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answer(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerFailed(f"{process.args!r} has not answered (exit code {process.poll()})")
        time.sleep(POLL_SECONDS)


def _answers(port: int) -> bool:
    """Whether the file is served. What has connected waits: the gateway listens before it can answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", f"/{SMALL}")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _python(code: str) -> Start:
    before, began = _children_cpu(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return Start(time.perf_counter() - began, _children_cpu() - before)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _row(name: str, starts: Sequence[Start]) -> tuple[str | float, ...]:
    walls = [start.wall_seconds for start in starts]
    cpu = statistics.median(start.cpu_seconds for start in starts)
    return (name, statistics.median(walls), min(walls), max(walls), cpu)


def _import_alone(starts: dict[str, list[Start]]) -> tuple[str | float, ...]:
    """The import without the interpreter: the differences round by round."""
    _, imported, bare = starts.values()
    pairs = zip(imported, bare, strict=True)
    less = [Start(a.wall_seconds - b.wall_seconds, a.cpu_seconds - b.cpu_seconds) for a, b in pairs]
    return _row("the import alone: the second less the third", less)


def _slowest_imports() -> str:
    """Return the modules that take longest to import by themselves, in microseconds: where to look first."""
    command = [sys.executable, "-X", "importtime", "-c", "import sluicegate"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    lines = [line.removeprefix("import time:").split("|") for line in said.splitlines()[1:] if "|" in line]
    slowest = sorted(lines, key=lambda cells: -int(cells[0]))[:MOST_IMPORTS]
    head = f"{'µs':>8}  slowest modules of `import sluicegate`, each without what it imports"
    return "\n".join([head, *(f"{int(own):>8}  {module.strip()}" for own, _, module in slowest)])
