"""One worker as the process that looks after it sees it: started, talked to through a pipe, ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

from .agreement import Order, Report
from .config import Config
from .listening import Listeners

NOT_STARTED: Final = 3
"""The exit code of a worker that could not start: before any has served, another one would not either."""

TELL_SECONDS: Final = 2
"""How long a worker may take to read what it is told. One that does not read is stopped or stuck."""

Work = Callable[[Config, Listeners, Connection], bool]
"""Serves until a signal comes; false if it did not start."""


class Worker:
    """A process that does `work`, begun with a configuration."""

    def __init__(self, work: Work, config: Config, listeners: Listeners) -> None:
        self.serving = False
        self.pipe, theirs = multiprocessing.Pipe()
        _bound_writing(self.pipe)
        with theirs:
            self.process = _start(work, config, listeners, theirs)

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self.process.pid

    def tell(self, order: Order) -> None:
        """Give an order. A worker that does not take it is killed: half an order may be in its pipe."""
        try:
            self.pipe.send(order)
        except BlockingIOError:
            self.process.kill()
        except OSError:
            # It has ended, and is replaced when that is seen.
            pass

    def hear(self) -> Report | None:
        """What it has said, when its pipe is readable; None if it will say nothing more."""
        try:
            report: Report = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return report

    def close(self) -> None:
        """Let go of the pipe of a process that has ended."""
        self.pipe.close()


def _bound_writing(pipe: Connection) -> None:
    # The pipe is a pair of sockets, and the copy of the descriptor is the same socket.
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", TELL_SECONDS, 0))


def _start(work: Work, config: Config, listeners: Listeners, pipe: Connection) -> SpawnProcess:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(work, config, listeners, pipe))
    # Ctrl-C at a terminal reaches the worker too, at any moment: it waits until the worker ignores it.
    blocked = (signal.SIGINT, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _work(work: Work, config: Config, listeners: Listeners, pipe: Connection) -> None:
    """What a worker does. SIGTERM alone ends it: the others go to the whole group of a terminal."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGHUP))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not work(config, listeners, pipe):
        raise SystemExit(NOT_STARTED)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        with suppress(ProcessLookupError):
            os.kill(os.getpid(), signal.SIGTERM)
