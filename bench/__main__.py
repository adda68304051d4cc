"""Runs the benchmarks, all of them or one: `python -m bench [NAME] [ARGUMENTS]`; `--help` lists them."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

NAMES = (
    "ten_megabytes",
    "one_gibibyte",
    "small_objects",
    "object_sizes",
    "files",
    "slow_peers",
    "slow_origin",
    "latency",
    "workers",
    "servers",
    "stalled",
    "start",
    "memory",
    "iterators",
    "unbroken",
    "breaks",
    "aborted",
    "access",
    "slow_heads",
    "reloads",
)
DOCUMENT = "document"
QUICK = "--quick"
QUICK_RESULTS = "quick"
"""The folder, among the results, of those that only show that a benchmark works."""


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit status."""
    if not arguments or list(arguments) == [QUICK]:
        return run_all(NAMES, quick=bool(arguments))
    name, *others = arguments
    if name in {"-h", "--help"}:
        print(help_text())
        return 0
    if name == "--install":
        return int(import_module("bench.install").main())
    return _run_named(name.replace("-", "_"), others)


def _run_named(name: str, arguments: list[str]) -> int:
    if name not in (*NAMES, DOCUMENT):
        print(f"no benchmark {name!r}\n\n{help_text()}", file=sys.stderr)
        return 2
    if arguments == [QUICK]:
        return run_all([name], quick=True)
    import_module(f"bench.{name}").main(arguments)
    return 0


def run_all(names: Sequence[str], *, quick: bool) -> int:
    """Run benchmarks one after the other, each in a process of its own; 1 if one of them failed.

    `quick` ones are small, and leave the results alone that the document is written from.
    """
    began, failed = time.monotonic(), []
    for number, name in enumerate(names, start=1):
        which = f"{number} of {len(names)}, {name}"
        print(f"\n== {which}; {_minutes(time.monotonic() - began)} so far", flush=True)
        one_began = time.monotonic()
        ended = _run_apart(name, quick=quick)
        if ended == "failed":
            failed.append(name)
        print(f"== {which}: {ended} after {_minutes(time.monotonic() - one_began)}", flush=True)
    print(f"\n{len(names) - len(failed)} of {len(names)} in {_minutes(time.monotonic() - began)}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run_apart(name: str, *, quick: bool) -> str:
    """Run a benchmark in a child process, which nothing of the others can disturb; how it ended."""
    command, env = [sys.executable, "-m", "bench", name], dict(os.environ)
    if quick:
        arguments = quick_arguments(name)
        if arguments is None:
            return "left out, it has no quick form,"
        command += arguments
        env["BENCH_RESULTS"] = str(_folder() / "results" / QUICK_RESULTS)
    with subprocess.Popen(command, cwd=_folder().parent, env=env) as child:
        try:
            return "done" if child.wait() == 0 else "failed"
        except SystemExit:
            # It has servers to end. Ctrl-C reaches it by itself.
            child.terminate()
            raise


def quick_arguments(name: str) -> list[str] | None:
    """Return a benchmark's `QUICK`: arguments that show in seconds that it works; `None` if it has none."""
    for statement in _tree(name).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "QUICK":
            return list(ast.literal_eval(statement.value))
    return None


def help_text() -> str:
    """Return what there is to run, a line for each benchmark."""
    width = max(map(len, NAMES))
    return "\n".join(
        [
            "scripts/bench                    everything; one that fails does not stop the others",
            "scripts/bench --quick            everything at small sizes, to see that it works",
            "scripts/bench NAME [ARGUMENTS]   one benchmark; NAME --help shows its arguments",
            "scripts/bench --install          nginx and wrk, by the system's package manager",
            f"scripts/bench {DOCUMENT}           {summary(DOCUMENT)}",
            "",
            *(f"  {name:<{width}}  {summary(name)}" for name in NAMES),
        ]
    )


def summary(name: str) -> str:
    """Return the first line of what a module says of itself."""
    return (ast.get_docstring(_tree(name)) or "").splitlines()[0]


def _tree(name: str) -> ast.Module:
    # Read, not imported: each brings its libraries along, which takes seconds.
    return ast.parse((_folder() / f"{name}.py").read_text())


def _folder() -> Path:
    return Path(__file__).parent


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _end(number: int, _: object) -> None:
    """Leave all blocks, so that the servers end with the benchmark that started them."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main(sys.argv[1:]))
