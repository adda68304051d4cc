"""What signals mean before and while something is served: to end, or to read the configuration again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM)

TERMINAL: Final = "/dev/tty"
"""The controlling terminal of a process, whatever its name is."""

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def ended_by_signals(hang_up: Handler | None = None) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the block with `SystemExit(0)`, so that what it holds is cleaned up.

    The server takes over the first two while it serves. Only the first one counts: the cleaning up is not
    interrupted. `hang_up` handles SIGHUP in another way.

    What a handler raises can be lost: Python drops it in a callback of its garbage collector. So who takes
    over the signals MUST ask `end_was_asked` then.
    """
    before = {number: signal.signal(number, _exit_once) for number in ENDING}
    # Where it is ignored, as under nohup, it stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hang_up or _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _end_asked.clear()


_end_asked: Final[set[int]] = set()
"""The signal that has asked for the end of the block; handlers are the process's own, and so is this."""


def end_was_asked() -> bool:
    """Whether one of the signals that end has come in the block of `ended_by_signals`, and was raised."""
    return bool(_end_asked)


@contextmanager
def taken_over(handler: Handler, numbers: tuple[int, ...]) -> Iterator[None]:
    """Handle these signals in the block, and leave them as they were found."""
    before = {number: signal.signal(number, handler) for number in numbers}
    if end_was_asked():
        # One that came in between has set those again that were set already.
        for number in numbers:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def _exit_once(number: int, frame: FrameType | None) -> None:
    _end_asked.add(number)
    for one in ENDING:
        signal.signal(one, signal.SIG_IGN)
    raise SystemExit(0)


def _end(number: int, frame: FrameType | None) -> None:
    """The terminal is gone: end as on SIGTERM, which is the server's to handle while it serves."""
    signal.raise_signal(signal.SIGTERM)


class HangUps:
    """SIGHUP while a file is served: to read it again, or to end, if it says that the terminal is gone.

    It is gone if the process had a controlling terminal when this was made, and has none any more. One that
    comes before there is a listener is kept for it.
    """

    def __init__(self, terminal: str = TERMINAL) -> None:
        self._terminal = terminal
        self._had_terminal = _can_open(terminal)
        self._lost = self._asked = False
        self._tell: Callable[[], None] | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a SIGHUP."""
        if self._lost:
            # A shell passes on what the kernel has sent too: a second SIGTERM would cut the transfers.
            return
        self._lost = self._had_terminal and not _can_open(self._terminal)
        if self._lost:
            signal.raise_signal(signal.SIGTERM)
            return
        self._asked = True
        if self._tell is not None:
            self._tell()

    def taken(self) -> bool:
        """Whether a reload has been asked for since this was called last."""
        asked, self._asked = self._asked, False
        return asked

    @contextmanager
    def told(self, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell`, in the signal's handler, whenever there is something to take."""
        self._tell = tell
        if self._asked:
            tell()
        try:
            yield
        finally:
            self._tell = None


def _can_open(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
