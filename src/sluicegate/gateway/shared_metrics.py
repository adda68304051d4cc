"""The numbers of several workers: files in a folder, a set for each process, which prometheus_client writes.

The one that looks after the workers makes the folder before they import prometheus_client, and adds what a
worker has counted that has ended to what all ended workers have: no counter goes down when a worker is
replaced, and the files do not become more. Any worker reads them all.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from prometheus_client import Metric, ProcessCollector
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from sluicegate import SluicegateError

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""What prometheus_client looks for when it is imported."""

ENDED: Final = "ended"
"""Stands in the name of a file where others have the number of their process."""

_GENERATION: Final = "generation"
_KINDS: Final = ("counter", "histogram")
_ATTEMPTS: Final = 100
_PAUSE_SECONDS: Final = 0.01
"""Adding the files of a worker takes some milliseconds, and happens when one has ended."""


# The library says nothing of these types.
_merge: Callable[..., Iterable[Metric]] = MultiProcessCollector.merge
_mark_dead: Callable[[int, str], None] = mark_process_dead
_open: Callable[[str], Any] = MmapedDict


class CannotMeasure(SluicegateError):
    """The numbers of several workers cannot be put together; the message says why."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for the numbers of the processes that are started inside the block; it goes with the block.

    Their environment names it, this one's too. This process must count nothing itself.
    """
    before = os.environ.get(VARIABLE)
    with TemporaryDirectory(prefix="sluicegate-metrics-", ignore_cleanup_errors=True) as name:
        os.environ[VARIABLE] = name
        try:
            yield Path(name)
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before


def add_ended(folder: Path, running: Collection[int]) -> None:
    """Add what processes have counted that are not `running` any more, and forget what they were doing.

    Only one process may do this: the one that starts the others, before it starts another. Raises `OSError`
    where files cannot be written; nothing is lost then, and the next time makes up for it.
    """
    ended = {number for path in folder.glob("*_*.db") if (number := _process_of(path)) is not None}
    for number in ended.difference(running):
        _mark_dead(number, str(folder))
        with _changing(folder):
            for kind in _KINDS:
                _add(folder / f"{kind}_{number}.db", folder / f"{kind}_{ENDED}.db")


class SharedNumbers:
    """A collector of what all processes of a folder have counted, and of those that run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """All numbers; raises `CannotMeasure` if they cannot be had."""
        yield from self._counted()
        yield from _processes(self._folder)

    def _counted(self) -> Iterable[Metric]:
        """What was counted, of one moment: not while a worker's files are in two places, or in none."""
        for _ in range(_ATTEMPTS):
            generation = _generation(self._folder)
            try:
                found = _merge([str(path) for path in self._folder.glob("*.db")])
            except (FileNotFoundError, struct.error):
                # One has gone since it was listed, or was made just now and has no beginning yet.
                found = None
            if found is not None and generation % 2 == 0 and generation == _generation(self._folder):
                return found
            time.sleep(_PAUSE_SECONDS)
        raise CannotMeasure(f"the files in {str(self._folder)!r} changed each of {_ATTEMPTS} times")


def _process_of(path: Path) -> int | None:
    number = path.stem.rpartition("_")[2]
    return int(number) if number.isdecimal() else None


@contextmanager
def _changing(folder: Path) -> Iterator[None]:
    """An odd generation while the block runs, and another even one when it has ended."""
    before = _generation(folder)
    before += before % 2
    (folder / _GENERATION).write_text(str(before + 1))
    try:
        yield
    finally:
        (folder / _GENERATION).write_text(str(before + 2))


def _generation(folder: Path) -> int:
    """Odd while files are being added up, and where it is just being written."""
    try:
        text = (folder / _GENERATION).read_text()
    except FileNotFoundError:
        return 0
    return int(text) if text else -1


def _add(path: Path, total: Path) -> None:
    """Add a file's numbers to those of `total`, and remove it."""
    if not path.exists():
        return
    new = total.with_suffix(".new")
    new.unlink(missing_ok=True)
    files = [str(file) for file in (total, path) if file.exists()]
    _write(_merge(files, accumulate=False), new)
    new.replace(total)
    path.unlink()


def _write(metrics: Iterable[Metric], path: Path) -> None:
    numbers = _open(str(path))
    try:
        for metric in metrics:
            for sample in metric.samples:
                names, values = list(sample.labels), list(sample.labels.values())
                key = mmap_key(metric.name, sample.name, names, values, metric.documentation)
                numbers.write_value(key, sample.value, 0.0)
    finally:
        numbers.close()


def _processes(folder: Path) -> Iterable[Metric]:
    """CPU time, memory and files of each process that counts, by its number: their sum would go down."""
    found: dict[str, Metric] = {}
    for path in folder.glob("gauge_livesum_*.db"):
        number = str(_process_of(path))
        for metric in ProcessCollector(pid=partial(str, number), registry=None).collect():
            shared = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                shared.add_sample(sample.name, {**sample.labels, "pid": number}, sample.value)
    return found.values()
