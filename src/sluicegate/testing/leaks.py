"""What a block of code leaves behind: tasks, threads, file descriptors, and connections to an origin."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import CoroutineType, TracebackType
from typing import Any, Final, Protocol, Self

from sluicegate.testing.seen import Connected

WITHIN_SECONDS: Final = 1.0
GLANCE_SECONDS: Final = 0.005

_DESCRIPTORS: Final = Path("/proc/self/fd")

_KEPT_THREADS: Final = ("asyncio_", "uvloop_")
"""The threads of a loop's default executor stay as long as the loop, whoever was the first to need one."""

_KEPT_DESCRIPTORS: Final = ("anon_inode:", "/dev/")
"""Runtimes make these once, when they are first used, and keep them: event queues, sources of chance."""


class HasConnections(Protocol):
    """What tells its open connections: a `FaultyOrigin`."""

    @property
    def connections(self) -> tuple[Connected, ...]:
        """The connections that are open."""
        ...


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What there is, each thing with the words that a message has for it."""

    tasks: dict[asyncio.Task[Any], str]
    threads: dict[threading.Thread, str]
    descriptors: dict[tuple[int, str], str]
    connections: dict[int, str]

    def beyond(self, before: _Snapshot) -> list[str]:
        """What is here and was not before."""
        pairs = (
            (self.tasks, before.tasks),
            (self.threads, before.threads),
            (self.descriptors, before.descriptors),
            (self.connections, before.connections),
        )
        return [words for now, then in pairs for key, words in _items(now) if key not in then]


class _Patience:
    """Waits for so many seconds and as many looks as fit in them: one pause of the process is one look."""

    def __init__(self, within: float) -> None:
        self._deadline = time.monotonic() + within
        self._looks = within / GLANCE_SECONDS

    def is_over(self) -> bool:
        """Whether that is enough; each question is a look."""
        self._looks -= 1
        return self._looks < 0 and time.monotonic() > self._deadline


class assert_no_leak:  # noqa: N801 - it reads as the statement that it is
    """Assert that a block leaves nothing behind:

        async with assert_no_leak(origin):
            ...

    When the block ends, everything that it began must be gone `within` seconds: tasks of the running loop,
    threads, file descriptors (on Linux), and open connections of `origin`. What is left is named in an
    `AssertionError`. Time in which this process did not run is not counted: nothing could end meanwhile. A
    block that ends by an exception is not looked at.

    `with` for synchronous code, `async with` in coroutines. Enter what is to live on, such as a source with
    its pool of connections, before the block; or enter it inside, and see that it closes everything. Threads
    of the loop's default executor and the event queues of native runtimes are not counted.
    """

    def __init__(self, origin: HasConnections | None = None, *, within: float = WITHIN_SECONDS) -> None:
        self._origin = origin
        self._within = within
        self._before = _Snapshot({}, {}, {}, {})

    def __enter__(self) -> Self:
        """Take down what there is. Raises `RuntimeError` in a coroutine: nothing could end meanwhile."""
        if _running_loop() is not None:
            raise RuntimeError("assert_no_leak in a coroutine is 'async with assert_no_leak(...)'")
        self._before = self._snapshot()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait until what came is gone; raises `AssertionError` for what stays."""
        patience = _Patience(self._within)
        while exc is None and (left := self._left()):
            if patience.is_over():
                raise AssertionError(self._message(left))
            time.sleep(GLANCE_SECONDS)

    async def __aenter__(self) -> Self:
        """Take down what there is."""
        self._before = self._snapshot()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait until what came is gone; raises `AssertionError` for what stays."""
        patience = _Patience(self._within)
        while exc is None and (left := self._left()):
            if patience.is_over():
                raise AssertionError(self._message(left))
            await asyncio.sleep(GLANCE_SECONDS)

    def _left(self) -> list[str]:
        return self._snapshot().beyond(self._before)

    def _snapshot(self) -> _Snapshot:
        connections = () if self._origin is None else self._origin.connections
        return _Snapshot(
            _tasks(), _threads(), _descriptors(), {c.number: _connection(c) for c in connections}
        )

    def _message(self, left: list[str]) -> str:
        return "\n".join([f"left behind {self._within} s after the end:", *(f"  {words}" for words in left)])


def _items(mapping: dict[Any, str]) -> list[tuple[Any, str]]:
    return list(mapping.items())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _tasks() -> dict[asyncio.Task[Any], str]:
    if _running_loop() is None:
        return {}
    own = asyncio.current_task()
    return {task: _task(task) for task in asyncio.all_tasks() if task is not own}


def _task(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    frame = coroutine.cr_frame if isinstance(coroutine, CoroutineType) else None
    where = "" if frame is None else f" at {frame.f_code.co_filename}:{frame.f_lineno}"
    return f"task {task.get_name()}: {name}{where}"


def _threads() -> dict[threading.Thread, str]:
    return {
        thread: f"thread {thread.name}: {thread!r}"
        for thread in threading.enumerate()
        if not thread.name.startswith(_KEPT_THREADS)
    }


def _descriptors() -> dict[tuple[int, str], str]:
    if not _DESCRIPTORS.is_dir():
        return {}
    found = [(int(name), _target(name)) for name in os.listdir(_DESCRIPTORS)]
    return {
        (number, target): f"file descriptor {number}: {target}"
        for number, target in found
        if target is not None and not target.startswith(_KEPT_DESCRIPTORS)
    }


def _target(name: str) -> str | None:
    try:
        return str((_DESCRIPTORS / name).readlink())
    except FileNotFoundError:
        # The one that the folder was read through.
        return None


def _connection(connected: Connected) -> str:
    last = connected.last
    asked = "no request yet" if last is None else f"{last.method} /{last.path}, {last.sent} bytes sent"
    return f"connection {connected.number} of the origin, from port {connected.client_port}: {asked}"
