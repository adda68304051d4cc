"""A file that is open, as a body: what the system has in memory is read at once, the rest in threads.

Nothing here lets the event loop wait: not for a disk, and not for a network that a folder lies behind. Only
where the file system can tell what is in memory (`RWF_NOWAIT`), which those on networks cannot, is anything
done without a thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Final, Self, TypeVar

from sluicegate.errors import BrokenBody, VersionChanged
from sluicegate.http.ranges import Span
from sluicegate.sources.base import CHUNK_SIZE, SMALL, Chunk
from sluicegate.sources.translation import name_of

T = TypeVar("T")

FIRST_CHUNK: Final = 16 * 1024
GROWTH: Final = 8
"""A chunk is so many times smaller than what went before it: a client that stalls early costs little."""

THREADS: Final = 16
"""Threads of a folder, at most. They are its own: a disk that hangs must not take others with it."""

SLOW_SECONDS: Final = 0.005
"""A file that took longer to open is on a disk that lets the event loop wait."""

SLOW_FOR_SECONDS: Final = 10.0
"""So long files are then opened in threads."""

LEASE_TRY_SECONDS: Final = 0.1
LEASE_TRIES: Final = 500
"""After 45 seconds the system takes a lease from whoever does not give it up."""

# A pipe that takes the place of a file must not wait for somebody who writes (O_NONBLOCK): not in a thread
# either, for there are only so many.
_OPEN_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOCTTY", "O_BINARY", "O_NONBLOCK")
)

_CACHED_ONLY: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
_CANNOT_TELL: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A descriptor of a regular file, and its status when it was opened. Whoever has it closes it."""

    descriptor: int
    status: os.stat_result

    @classmethod
    def of(cls, path: bytes) -> Self:
        """Open a file to be read; raises `OSError`, also for what is no regular file, or is leased."""
        # Before it is opened as well: who writes into a pipe would notice.
        _check_regular(os.stat(path), path)
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            status = os.fstat(descriptor)
            _check_regular(status, path)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, status)

    def close(self) -> None:
        """Close the descriptor. What was read was read, whatever the system says of it then."""
        with suppress(OSError):
            os.close(self.descriptor)


def _check_regular(status: os.stat_result, path: bytes) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "no regular file", path)


class FileAccess:
    """How the files of one folder are opened, read and closed: at once, or in threads of the folder's own.

    It begins with threads, and does without them when a read has shown that the file system can tell what is
    in memory. `opened` and `clock` are for tests.
    """

    def __init__(
        self,
        opened: Callable[[bytes], OpenFile] = OpenFile.of,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._slow_until = 0.0
        self._can_tell: bool | None = None if _CACHED_ONLY is not None else False
        self._threads: ThreadPoolExecutor | None = None

    @property
    def is_at_once(self) -> bool:
        """Whether the file system is one that can be asked without waiting."""
        return self._can_tell is True

    def shut_down(self) -> None:
        """Let the threads end, without waiting for them."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def open(self, path: bytes) -> OpenFile:
        """Open a file to be read; raises `OSError`."""
        if self.is_at_once and self._clock() >= self._slow_until:
            try:
                return self._timed(path)
            except BlockingIOError:
                pass
        opening = self.in_thread(self._patiently, path)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_discard)
            raise

    def _patiently(self, path: bytes) -> OpenFile:
        """Open a file, also one that another process has a lease on, and gives up when it is asked to."""
        for _ in range(LEASE_TRIES):
            try:
                return self._timed(path)
            except BlockingIOError:
                sleep(LEASE_TRY_SECONDS)
        return self._timed(path)

    def _timed(self, path: bytes) -> OpenFile:
        began = self._clock()
        try:
            return self._opened(path)
        finally:
            if self._clock() - began > SLOW_SECONDS:
                self._slow_until = self._clock() + SLOW_FOR_SECONDS

    def now(self, descriptor: int, size: int, position: int) -> bytes | bytearray | None:
        """Up to `size` bytes if they are in memory; `None` if a thread has to wait for them.

        Raises `OSError`.
        """
        if self._can_tell is False or _CACHED_ONLY is None:
            return None
        buffer = bytearray(size)
        try:
            count = os.preadv(descriptor, (buffer,), position, _CACHED_ONLY)
        except BlockingIOError:
            count = 0
        except OSError as exc:
            if exc.errno not in _CANNOT_TELL:
                raise
            self._can_tell = False
            return None
        self._can_tell = True
        # Nothing may also mean that nothing is in memory: some kernels say so (Linux 5.9 and 5.10).
        if not count:
            return None
        return buffer if count == size else bytes(memoryview(buffer)[:count])

    def wait(self, descriptor: int, size: int, position: int) -> tuple[bytes, os.stat_result]:
        """Up to `size` bytes, wherever they are, and the file's status after that. Raises `OSError`."""
        return os.pread(descriptor, size, position), os.fstat(descriptor)

    def close(self, file: OpenFile) -> None:
        """Close a file, without waiting for that."""
        if self.is_at_once or self._threads is None:
            file.close()
        else:
            self._threads.submit(file.close)

    def in_thread(self, call: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        """Have a thread do what may have to wait."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sluicegate-files")
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


def _discard(opening: asyncio.Future[OpenFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class FileBody:
    """The bytes of `span` of an open file, which the body closes.

    The file is read as it was opened: one that replaces it by its name is another. One that is changed in
    place meanwhile, be it by writing at its end, breaks the body by `VersionChanged`.
    """

    def __init__(self, file: OpenFile, span: Span, access: FileAccess, what: str) -> None:
        self._file: OpenFile | None = file
        self._span = span
        self._position = span.start
        self._access = access
        self._what = what
        self._reading: asyncio.Future[tuple[bytes, os.stat_result]] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the descriptor is given back."""
        return self._file is None

    async def read(self) -> Chunk:
        """The next bytes; empty at the end."""
        size = min(self._span.stop - self._position, self._chunk_size())
        if self._file is None or not size:
            return b""
        file = self._file
        try:
            chunk, status = await self._read(file.descriptor, size)
        except OSError as exc:
            raise BrokenBody(f"{self._what}: {name_of(exc)}") from exc
        # It is the status after the read: what goes on was there before the file was changed.
        if not chunk or _differ(status, file.status):
            raise VersionChanged(f"{self._what}: the file was changed while it was read")
        self._position += len(chunk)
        if self._position == self._span.stop and self._file is file:
            # Nobody has to wait for the closing then, nor to be kept from interrupting it.
            self._file = None
            self._access.close(file)
        return chunk

    async def aclose(self) -> None:
        """Close the file: at once, or when the thread is done that reads from it."""
        file, self._file = self._file, None
        reading, self._reading = self._reading, None
        if file is None:
            return
        if reading is None:
            self._access.close(file)
            return

        def close(done: asyncio.Future[tuple[bytes, os.stat_result]]) -> None:
            # Until now the thread would have read from whatever had the descriptor next.
            if not done.cancelled():
                done.exception()
            self._access.close(file)

        reading.add_done_callback(close)

    def _chunk_size(self) -> int:
        if self._span.length <= SMALL:
            return SMALL
        return min(CHUNK_SIZE, max(FIRST_CHUNK, (self._position - self._span.start) // GROWTH))

    async def _read(self, descriptor: int, size: int) -> tuple[Chunk, os.stat_result]:
        chunk = self._access.now(descriptor, size, self._position)
        if chunk is not None:
            return chunk, os.fstat(descriptor)
        self._reading = self._access.in_thread(self._access.wait, descriptor, size, self._position)
        answer = await asyncio.shield(self._reading)
        self._reading = None
        return answer


def _differ(now: os.stat_result, then: os.stat_result) -> bool:
    return (now.st_mtime_ns, now.st_size) != (then.st_mtime_ns, then.st_size)
