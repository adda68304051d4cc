"""`python -m tests.fuzz [TARGET] [--minutes 10]`: fuzz all targets, or one, and say what was found."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .targets import CORPUS, TARGETS

MISSING: Final = """\
atheris is not installed. It is a dependency group of its own, for it has no builds for some platforms:

    .venv/bin/python -m pip install --group fuzz        # pip 25.1 or newer
    .venv/bin/python -m pip install atheris
"""

LONGEST_INPUT: Final = 4096
"""Bytes of an input: heads, tokens and configurations have fewer, and short ones say more."""

LONGEST_SECONDS: Final = 20
"""An input that takes longer is a finding."""

MOST_MEMORY: Final = 2048
"""MiB of a process, with atheris and all that it has learned: more is a finding."""

TAIL: Final = 40
"""Lines of what a process said last that are shown for a finding."""

_DONE = re.compile(rb"^(?:stat::number_of_executed_units:|Done) +([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a target: how many inputs were tried, which new files are findings, and what was said."""

    target: str
    executions: int
    found: tuple[Path, ...]
    failed: bool
    said: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments name; 1 for a finding, 2 where nothing can be run."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Fuzz the targets, one after another.")
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS), help="all of them, if none is named")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of them together (10)")
    chosen = parser.parse_args(arguments)
    if find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)
        return 2
    names = [chosen.target] if chosen.target else list(TARGETS)
    seconds = max(1, round(chosen.minutes * 60 / len(names)))
    runs = [_told(_run(name, seconds)) for name in names]
    failed = sum(run.failed for run in runs)
    print(f"{sum(run.executions for run in runs)} executions of {len(runs)} targets, {failed} failed")
    return 1 if failed else 0


def _run(name: str, seconds: int) -> Run:
    """Fuzz a target for so many seconds. What it learns goes; what it finds stays."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    before = set(kept.iterdir())
    with tempfile.TemporaryDirectory(prefix="sluicegate-fuzz-") as scratch:
        learned = Path(scratch) / "learned"
        learned.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.under_atheris", name, *_options(kept, seconds), learned, kept],
            env={**os.environ, "TMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    tried = _DONE.search(done.stdout)
    said = "\n".join(done.stdout.decode("utf-8", "replace").splitlines()[-TAIL:])
    found = tuple(sorted(set(kept.iterdir()) - before))
    return Run(name, int(tried[1]) if tried else 0, found, done.returncode != 0, said)


def _options(kept: Path, seconds: int) -> list[str]:
    return [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={LONGEST_SECONDS}",
        f"-rss_limit_mb={MOST_MEMORY}",
        f"-artifact_prefix={kept}/found-",
        "-print_final_stats=1",
        "-verbosity=1",
    ]


def _told(run: Run) -> Run:
    # Without a saved input it was not the target that failed, or the process was killed.
    how = "nothing found" if not run.failed else "a FINDING" if run.found else "FAILED"
    print(f"{run.target}: {run.executions} executions, {how}", flush=True)
    if run.failed:
        print(run.said)
    for path in run.found:
        print(f"saved as {path}", flush=True)
    return run


if __name__ == "__main__":
    sys.exit(main())
