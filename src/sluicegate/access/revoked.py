"""Links that have been revoked: a text file of their ids, which all processes read and anybody may edit."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

from sluicegate.access.errors import BadCredentials
from sluicegate.access.link_claims import is_link_id

logger = logging.getLogger("sluicegate")

LOOK_SECONDS: Final = 1.0
"""How long a revocation may go unnoticed: the file is looked at no more often."""

LARGEST: Final = 4 * 1024 * 1024
"""Bytes of the file: two hundred thousand ids. They are read in a fifth of a second, in which nothing else
happens. Links that have expired can be taken out of it."""

_State = tuple[int, int, int, int]

_GONE: Final = (0, 0, 0, 0)
"""The state of no file: another one that comes in its place is read, though it may look the same."""


class RevokedLinks:
    """The ids in a file, one a line; what stands behind a `#` is for who reads it.

    A file that does not exist is one without ids. One that cannot be read any more leaves what was read last.
    Where only some of its lines are ids, these count, and so does all that was read last.
    Raises `BadCredentials` for a file that cannot be used from the start.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._clock = clock
        self._seen: _State | None = None
        self._complaint: str | None = None
        self._ids: frozenset[str] = frozenset()
        self._look_at = clock() + LOOK_SECONDS
        try:
            self._read()
        except (OSError, ValueError) as exc:
            raise BadCredentials(f"the file of revoked links, {str(path)!r}: {_words(exc)}") from exc

    def __call__(self, link_id: str) -> bool:
        """Whether the link of this id has been revoked."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        return link_id in self._ids

    def _look(self) -> None:
        try:
            self._read()
        except (OSError, ValueError) as exc:
            self._complain(_words(exc))
        else:
            self._complaint = None

    def _complain(self, words: str) -> None:
        # Once: the file is looked at every second.
        if words != self._complaint:
            self._complaint = words
            logger.error(
                "the file of revoked links, %r: %s; what was read last counts", str(self._path), words
            )

    def _read(self) -> None:
        """Read the file, if it is another one than before."""
        state = _state(self._path)
        if state is None and self._seen is not None:
            self._seen = _GONE
            raise ValueError("it is gone")
        if state is None or state == self._seen:
            return
        ids, mistake = _parsed(_content(self._path))
        # With a mistake in it, a file may have lost some of what it said.
        self._ids = ids if mistake is None else ids | self._ids
        self._seen = state
        if mistake is not None:
            raise ValueError(f"line {mistake} is not the id of a link")


def _state(path: Path) -> _State | None:
    """What differs between two contents of a file; `None` if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    return content


def _parsed(content: bytes) -> tuple[frozenset[str], int | None]:
    """The ids in a file, and the number of the first line that holds something else."""
    # Some editors put a byte order mark before the first id.
    lines = content.decode("utf-8-sig", "replace").split("\n")
    texts = [line.partition("#")[0].strip() for line in lines]
    ids = frozenset(filter(is_link_id, texts))
    mistakes = (number for number, text in enumerate(texts, 1) if text and text not in ids)
    return ids, next(mistakes, None)


def _words(exc: OSError | ValueError) -> str:
    return (exc.strerror or type(exc).__name__) if isinstance(exc, OSError) else str(exc)


def revoke(path: Path, link_id: str) -> None:
    """Add an id to the file, and have it on the disk.

    Raises `BadCredentials` for what is no id, and for a file that cannot be written, or would be too large.
    """
    if not is_link_id(link_id):
        raise BadCredentials("the id of a link is 1 to 64 letters, digits, '_' and '-'")
    # One write: lines of several processes do not mix. A line that was cut off before ends here.
    line = f"\n{link_id}\n".encode()
    try:
        with path.open("ab") as file:
            if file.tell() + len(line) > LARGEST:
                raise BadCredentials(
                    f"the file of revoked links, {str(path)!r}, would have more than {LARGEST} bytes, "
                    "and not be read: take the links out of it that have expired"
                )
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise BadCredentials(f"the file of revoked links, {str(path)!r}: {exc.strerror or exc}") from exc
