"""A file that is open, as a body: read from the page cache where it is there, in a thread where it is not."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Self

from sluicegate.errors import BrokenBody, VersionChanged
from sluicegate.http.ranges import Span
from sluicegate.sources.base import CHUNK_SIZE, SMALL, Chunk

FIRST_CHUNK: Final = 16 * 1024
GROWTH: Final = 8
"""A chunk is so many times smaller than what went before it: a client that stalls early costs little."""

SLOW_SECONDS: Final = 0.005
"""A file that took longer to open is on a disk or a network that lets the event loop wait."""

SLOW_FOR_SECONDS: Final = 10.0
"""So long files are then opened in threads."""

_OPEN_FLAGS: Final = (
    # O_NONBLOCK: a pipe must not wait for somebody who writes. Of files it means nothing.
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)
_CACHED_ONLY: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
_CANNOT_TELL: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
"""Of file systems, and kernels, that do not say whether a read would wait."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A descriptor of a regular file, and its status when it was opened. Whoever has it closes it."""

    descriptor: int
    status: os.stat_result

    @classmethod
    def of(cls, path: str) -> Self:
        """Open a file to be read; raises `OSError`, also for what is no regular file."""
        descriptor = os.open(path, _OPEN_FLAGS)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise IsADirectoryError(errno.EISDIR, "not a regular file", path)
        return cls(descriptor, status)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


class Opener:
    """Opens files in the event loop as long as that takes no time, and in threads where it does."""

    def __init__(
        self,
        opened: Callable[[str], OpenFile] = OpenFile.of,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._slow_until = 0.0

    async def open(self, path: str) -> OpenFile:
        """Open a file to be read; raises `OSError`."""
        began = self._clock()
        try:
            return self._opened(path) if began >= self._slow_until else await self._in_thread(path)
        finally:
            if self._clock() - began > SLOW_SECONDS:
                self._slow_until = self._clock() + SLOW_FOR_SECONDS

    async def _in_thread(self, path: str) -> OpenFile:
        opening = asyncio.get_running_loop().run_in_executor(None, self._opened, path)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_discard)
            raise


def _discard(opening: asyncio.Future[OpenFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class Reads:
    """Reads of files: at once what is in memory, and in threads what is not.

    The buffer is shared by all: nobody waits between filling it and emptying it.
    """

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(CHUNK_SIZE))
        self._can_tell = _CACHED_ONLY is not None

    def now(self, descriptor: int, size: int, position: int) -> bytes | None:
        """Up to `size` bytes (`CHUNK_SIZE` at most) if they are in memory; `None` if a thread has to wait.

        Raises `OSError`.
        """
        if not self._can_tell:
            return None
        try:
            count = os.preadv(descriptor, (self._buffer[:size],), position, _CACHED_ONLY or 0)
        except BlockingIOError:
            return None
        except OSError as exc:
            if exc.errno not in _CANNOT_TELL:
                raise
            self._can_tell = False
            return None
        return bytes(self._buffer[:count])

    def wait(self, descriptor: int, size: int, position: int) -> bytes:
        """Up to `size` bytes, wherever they are. Raises `OSError`."""
        return os.pread(descriptor, size, position)


class FileBody:
    """The bytes of `span` of an open file, which the body closes.

    The file is read as it was opened: one that replaces it by its name is another. One that is changed in
    place meanwhile breaks the body, by `VersionChanged`.
    """

    def __init__(self, file: OpenFile, span: Span, reads: Reads, what: str) -> None:
        self._file: OpenFile | None = file
        self._span = span
        self._position = span.start
        self._reads = reads
        self._what = what
        self._reading: asyncio.Future[bytes] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the descriptor is given back."""
        return self._file is None

    async def read(self) -> Chunk:
        """The next bytes; empty at the end."""
        size = min(self._span.stop - self._position, self._chunk_size())
        if self._file is None or not size:
            return b""
        descriptor = self._file.descriptor
        try:
            chunk = self._reads.now(descriptor, size, self._position)
            if chunk is None:
                chunk = await self._in_thread(descriptor, size)
        except OSError as exc:
            raise BrokenBody(f"{self._what}: {type(exc).__name__}") from exc
        # After the read: what goes on was there before the file was changed.
        if not chunk or _differ(os.fstat(descriptor), self._file.status):
            raise VersionChanged(f"{self._what}: the file was changed while it was read")
        self._position += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Close the file, when no thread reads from it any more."""
        if self._reading is not None:
            await asyncio.wait((self._reading,))
            self._reading.exception()
            self._reading = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _chunk_size(self) -> int:
        if self._span.length <= SMALL:
            return SMALL
        return min(CHUNK_SIZE, max(FIRST_CHUNK, (self._position - self._span.start) // GROWTH))

    async def _in_thread(self, descriptor: int, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        self._reading = loop.run_in_executor(None, self._reads.wait, descriptor, size, self._position)
        # If it is cancelled here, the thread goes on, and `aclose` waits for it: the descriptor that it reads
        # from could be that of another file by then.
        chunk = await asyncio.shield(self._reading)
        self._reading = None
        return chunk


def _differ(now: os.stat_result, then: os.stat_result) -> bool:
    return (now.st_mtime_ns, now.st_size) != (then.st_mtime_ns, then.st_size)
