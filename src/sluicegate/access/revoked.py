"""Links that have been revoked: a text file of their ids, which all processes read and anybody may edit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

from sluicegate.access.errors import BadCredentials
from sluicegate.access.links import is_link_id

logger = logging.getLogger("sluicegate")

LOOK_SECONDS: Final = 1.0
"""How long a revocation may go unnoticed: the file is looked at no more often."""

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of the file: half a million ids. Links that have expired can be taken out of it."""


class RevokedLinks:
    """The ids in a file, one a line; what stands behind a `#` is for who reads it.

    A file that does not exist is one without ids. One that cannot be read any more leaves what was read last.
    Raises `BadCredentials` for a file that cannot be used from the start.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._ids: frozenset[str] = frozenset()
        self._look_at = clock() + LOOK_SECONDS
        try:
            self._read()
        except (OSError, ValueError) as exc:
            raise BadCredentials(f"the file of revoked links, {str(path)!r}: {exc}") from exc

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
            logger.error("the file of revoked links cannot be read, what was read last counts: %s", exc)  # noqa: TRY400

    def _read(self) -> None:
        """Read the file, if it is another one than before."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            if self._seen is not None:
                raise
            return
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if seen == self._seen:
            return
        if status.st_size > LARGEST:
            raise ValueError(f"it has {status.st_size} bytes, {LARGEST} are allowed")
        lines = self._path.read_text("utf-8").splitlines()
        self._ids = frozenset(text for line in lines if (text := line.partition("#")[0].strip()))
        self._seen = seen


def revoke(path: Path, link_id: str) -> None:
    """Add an id to the file, and have it on the disk. Raises `BadCredentials` for what is no id."""
    if not is_link_id(link_id):
        raise BadCredentials("the id of a link is 1 to 64 letters, digits, '_' and '-'")
    try:
        with path.open("ab") as file:
            # One write: lines of several processes do not mix. A line that was cut off before ends here.
            file.write(f"\n{link_id}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise BadCredentials(f"the file of revoked links, {str(path)!r}: {exc.strerror or exc}") from exc
