"""Several processes that serve one socket, and the one that looks after them.

uvicorn's own supervisor keeps the socket open while it waits for its workers, and hears no second signal.
"""

from __future__ import annotations

import logging
import signal
import socket
import time
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from typing import Final

from .config import Config
from .listening import Listeners
from .reloading import Operation
from .rounds import Rounds
from .shared_metrics import add_ended
from .signals import ENDING, end_was_asked, taken_over
from .worker import NOT_STARTED, Work, Worker

logger = logging.getLogger(__name__)

RESTART_SECONDS: Final = 0.5
"""Between the end of a worker and the start of another: one that ends at once must not take the machine."""

LONGEST_RESTART_SECONDS: Final = 30.0
"""The same after many that did not come to serve: what they lack may come back, and is then soon used."""

END_SECONDS: Final = 10.0
"""How long beyond the drain timeout a worker may take to end, before it is killed."""


def supervise(  # noqa: PLR0913, PLR0917 - what workers are made of
    work: Work,
    config: Config,
    listeners: Listeners,
    count: int,
    operation: Operation | None = None,
    metrics: Path | None = None,
) -> bool:
    """Run `count` processes that do `work` until a signal comes; returns whether they could start.

    A worker that ends by itself is replaced. After a signal the socket is closed, and each worker ends what
    is under way; a second signal ends them at once. An `operation` says when its file is to be read again.
    `metrics` is the folder in which the workers count; what those counted that have ended is kept there.
    """
    with _woken_by_signals() as woken:
        workers = _Workers(partial(Worker, work, listeners=listeners), config, count, operation, metrics)
        started = workers.watch(woken)
        listeners.close()
        workers.end(woken)
    return started


def restart_seconds(failures: int) -> float:
    """How long to wait before another worker is started, after so many in a row that have not served."""
    # No more doublings than it takes: the number has no bound.
    return min(RESTART_SECONDS * 2.0 ** min(failures, 10), LONGEST_RESTART_SECONDS)


class _Workers:
    """The processes that are running."""

    def __init__(
        self,
        start: partial[Worker],
        config: Config,
        count: int,
        operation: Operation | None,
        metrics: Path | None,
    ) -> None:
        self._start = start
        self._metrics = metrics
        self._operation = operation
        # When to start another worker, for each that is missing; the soonest first.
        self._due: list[float] = []
        # How many in a row have ended without having served.
        self._failures = 0
        self._running: list[Worker] = []
        self._rounds = Rounds(config, self._running, count, operation)
        # It would let signals through while it starts.
        ensure_running()
        for _ in range(count):
            self._begin_another()

    def watch(self, woken: socket.socket) -> bool:
        """Replace who ends, until a signal comes; false if not all of the first ones could start."""
        while True:
            came = wait([woken, *self._sentinels(), *self._pipes()], self._seconds_left())
            if woken in came and _has_ended(woken):
                return True
            if self._operation is not None and self._operation.hang_ups.taken():
                self._rounds.ask()
            for worker in [worker for worker in self._running if worker.pipe in came]:
                self._hear(worker)
            if not self._collect():
                return False
            self._rounds.check_time()
            while self._due and self._due[0] <= time.monotonic():
                del self._due[0]
                self._begin_another()

    def _seconds_left(self) -> float | None:
        restart = max(self._due[0] - time.monotonic(), 0.0) if self._due else None
        times = [one for one in (restart, self._rounds.seconds_left) if one is not None]
        return min(times, default=None)

    def _begin_another(self) -> None:
        self._running.append(self._start(config=self._rounds.config))

    def _hear(self, worker: Worker) -> None:
        report = worker.hear()
        if report is None:
            # Its end is seen by its sentinel; its pipe would be readable for ever.
            worker.close()
        else:
            self._rounds.heard(worker, report)

    def _collect(self) -> bool:
        """Take out who has ended; false if one of the first ones could not start.

        Later, what one lacks to start takes nothing from those that serve.
        """
        for worker in [worker for worker in self._running if worker.process.exitcode is not None]:
            self._running.remove(worker)
            worker.close()
            code = worker.process.exitcode
            if code == NOT_STARTED and not self._rounds.have_served:
                return False
            self._failures = 0 if worker.serving else self._failures + 1
            seconds = restart_seconds(self._failures)
            logger.warning(
                "worker %s ended (exit code %s): another one is started in %s s", worker.pid, code, seconds
            )
            insort(self._due, time.monotonic() + seconds)
            self._keep_numbers()
            self._rounds.lost(worker)
        return True

    def _keep_numbers(self) -> None:
        """Add what an ended worker has counted to what the others before it have."""
        if self._metrics is None:
            return
        try:
            add_ended(self._metrics, [worker.pid for worker in self._running if worker.pid is not None])
        except OSError as exc:
            logger.error("the numbers of an ended worker are lost: %s", exc)  # noqa: TRY400

    def end(self, woken: socket.socket) -> None:
        """Tell all to end, again for each further signal, and wait; kill who has not after a while."""
        self._rounds.end()
        seconds = self._rounds.config.gateway.drain_timeout + END_SECONDS
        deadline = time.monotonic() + seconds
        self._terminate()
        while self._running:
            came = wait([woken, *self._sentinels()], max(deadline - time.monotonic(), 0.0))
            if woken in came and _has_ended(woken):
                self._terminate()
            if not came:
                logger.error(
                    "%s workers have not ended after %s s: they are killed", len(self._running), seconds
                )
                for worker in self._running:
                    worker.process.kill()
                deadline += seconds
            self._forget_ended()

    def _forget_ended(self) -> None:
        for worker in [worker for worker in self._running if worker.process.exitcode is not None]:
            worker.close()
            self._running.remove(worker)

    def _terminate(self) -> None:
        for worker in self._running:
            worker.process.terminate()

    def _sentinels(self) -> list[int]:
        return [worker.process.sentinel for worker in self._running]

    def _pipes(self) -> list[Connection]:
        return [worker.pipe for worker in self._running if not worker.pipe.closed]


@contextmanager
def _woken_by_signals() -> Iterator[socket.socket]:
    """A socket that can be read from when a signal has come; SIGINT and SIGTERM do nothing else."""
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        # First, so that one that comes between two of these lines is written, or was raised.
        before_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            with taken_over(_ignore, ENDING):
                if end_was_asked():
                    writing.send(bytes([signal.SIGTERM]))
                yield reading
        finally:
            signal.set_wakeup_fd(before_fd)


def _has_ended(woken: socket.socket) -> bool:
    """Whether a signal to end was written: others have handlers too, and SIGHUP's may raise SIGTERM."""
    return any(number in ENDING for number in woken.recv(1024))


def _ignore(*_: object) -> None:
    """Do nothing: that it came is written to the socket."""
