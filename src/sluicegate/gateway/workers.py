"""Several processes that serve one socket, and the one that looks after them.

uvicorn's own supervisor keeps the socket open while it waits for its workers, and hears no second signal.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from typing import Final

from .config import Config

logger = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

NOT_STARTED: Final = 3
"""The exit code of a worker that could not start: another one would not either."""

RESTART_SECONDS: Final = 0.5
"""Between the end of a worker and the start of another: one that ends at once must not take the machine."""

END_SECONDS: Final = 10.0
"""How long beyond the drain timeout a worker may take to end, before it is killed."""

Work = Callable[[Config, socket.socket], bool]
"""Serves until a signal comes; false if it did not start."""


def supervise(work: Work, config: Config, bound: socket.socket, count: int) -> bool:
    """Run `count` processes that do `work` until a signal comes; returns whether they could start.

    A worker that ends by itself is replaced. After a signal the socket is closed, and each worker ends what
    is under way; a second signal ends them at once.
    """
    with _woken_by_signals() as woken:
        workers = _Workers(work, config, bound, count)
        started = workers.watch(woken)
        bound.close()
        workers.end(woken, config.gateway.drain_timeout + END_SECONDS)
    return started


class _Workers:
    """The processes that are running."""

    def __init__(self, work: Work, config: Config, bound: socket.socket, count: int) -> None:
        self._make = partial(_start, work, config, bound)
        # It would let signals through while it starts.
        ensure_running()
        self._running = [self._make() for _ in range(count)]

    def watch(self, woken: socket.socket) -> bool:
        """Replace who ends, until a signal comes; false once one could not start."""
        while True:
            ready = wait([woken, *(process.sentinel for process in self._running)])
            if woken in ready and _has_signal(woken):
                return True
            for process in [process for process in self._running if process.exitcode is not None]:
                self._running.remove(process)
                if process.exitcode == NOT_STARTED:
                    return False
                logger.warning(
                    "worker %s ended (exit code %s): another one is started", process.pid, process.exitcode
                )
                time.sleep(RESTART_SECONDS)
                self._running.append(self._make())

    def end(self, woken: socket.socket, seconds: float) -> None:
        """Tell all to end, again for each further signal, and wait; kill who has not after `seconds`."""
        deadline = time.monotonic() + seconds
        self._terminate()
        while self._running:
            ready = wait(
                [woken, *(process.sentinel for process in self._running)], deadline - time.monotonic()
            )
            if woken in ready and _has_signal(woken):
                self._terminate()
            if not ready:
                logger.error(
                    "%s workers have not ended after %s s: they are killed", len(self._running), seconds
                )
                for process in self._running:
                    process.kill()
                deadline += seconds
            self._running = [process for process in self._running if process.exitcode is None]

    def _terminate(self) -> None:
        for process in self._running:
            process.terminate()


def _start(work: Work, config: Config, bound: socket.socket) -> SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(work, config, bound))
    # Ctrl-C at a terminal reaches the worker too, at any moment: it waits until the worker ignores it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _work(work: Work, config: Config, bound: socket.socket) -> None:
    """What a worker does. SIGTERM alone ends it: the others go to the whole group of a terminal."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not work(config, bound):
        raise SystemExit(NOT_STARTED)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _woken_by_signals() -> Iterator[socket.socket]:
    """A socket that can be read from when SIGINT or SIGTERM has come, instead of what they did."""
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        before = {number: signal.signal(number, _ignore) for number in SIGNALS}
        before_fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(before_fd)
            for number, handler in before.items():
                signal.signal(number, handler)


def _has_signal(woken: socket.socket) -> bool:
    """Whether a signal of ours was written: others have handlers too, and SIGHUP's raises SIGTERM."""
    return any(number in SIGNALS for number in woken.recv(1024))


def _ignore(*_: object) -> None:
    """Do nothing: that it came is written to the socket."""
