"""Folders of files, without a thread or a copy where none is needed.

obstore stays the way to write and to list: `client` is its store of the same folder.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from os import stat_result
from types import TracebackType
from typing import Final

from sluicegate.errors import Denied, InvalidKey, NotFound, SourceError, Unavailable
from sluicegate.http.conditions import Verdict, evaluate
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.media_types import media_type_of
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag
from sluicegate.sources.base import EmptyBody, Found, OpenOutcome, OpenRequest, check_key
from sluicegate.sources.local_file import FileAccess, FileBody
from sluicegate.sources.object_store import ObjectStore
from sluicegate.sources.options import DEFAULT_OPTIONS, StoreOptions
from sluicegate.sources.translation import by_table

ERRORS: Final[tuple[tuple[type[Exception], type[SourceError]], ...]] = (
    (FileNotFoundError, NotFound),
    (NotADirectoryError, NotFound),
    (IsADirectoryError, NotFound),
    (PermissionError, Denied),
    (OSError, Unavailable),
)

_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO})
"""A circle of links, and a socket: nothing that could be read."""

_NO_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})

# What obstore cannot name: control characters, and names that end as those of its unfinished uploads do.
_UNUSED: Final = re.compile(r"[\x00-\x1f\x7f]|#[0-9]+\Z")


class FileStore(ObjectStore):
    """A source on a folder, `file:///folder`: a key is the path of a file below it, as it is.

    The file is opened once for a request, and what is said and sent of it is of that file, also if another
    one takes its name meanwhile. Symbolic links are followed, wherever they lead: who may write into the
    folder decides what is served. The ETag is made of inode, time of change and size, as obstore makes it;
    the type comes from the extension.
    """

    def __init__(self, url: str, options: StoreOptions = DEFAULT_OPTIONS) -> None:
        super().__init__(url, options)
        self._access = FileAccess()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop the client, and the threads."""
        self._access.shut_down()
        await super().__aexit__(exc_type, exc, traceback)

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Open the file."""
        _ = self.client
        # In bytes: a file is the one that obstore means by this key, in whatever locale the process is.
        path = f"{self.location.bucket}/{_checked(key)}".encode()
        what = f"{self.location} {key!r}"
        try:
            file = await self._access.open(path)
        except OSError as exc:
            raise _failure(exc, what) from exc
        try:
            metadata = describe(file.status, key)
            decided = _decided(metadata, file.status.st_size, request)
        except BaseException:
            self._access.close(file)
            raise
        if isinstance(decided, _Bytes):
            body = FileBody(file, decided.span, self._access, what)
            return Found(metadata, None if request.range is None else decided.span, body)
        self._access.close(file)
        return decided


@dataclass(frozen=True, slots=True)
class _Bytes:
    """The answer is these bytes of the file."""

    span: Span


def _checked(key: str) -> str:
    if _UNUSED.search(check_key(key)):
        raise InvalidKey(f"key {key!r} has control characters, or ends as uploads do that are not finished")
    # The system would take an empty segment for none: the object would be another one.
    if "//" in f"/{key}/":
        raise InvalidKey(f"key {key!r} has an empty segment, which no file can have")
    return key


def _failure(exc: OSError, what: str) -> SourceError:
    if exc.errno in _NO_NAME:
        return InvalidKey(f"{what}: no file can have that name")
    return NotFound(what) if exc.errno in _NO_FILE else by_table(ERRORS, exc, what)


def _decided(metadata: Metadata, size: int, request: OpenRequest) -> _Bytes | OpenOutcome:
    """What the answer is to `request` for a file of `size` bytes."""
    match evaluate(request.conditions, metadata):
        case Verdict.FAILED:
            return PreconditionFailed()
        case Verdict.NOT_MODIFIED:
            return NotModified(metadata)
    if request.head or not size:
        return Found(metadata, None, EmptyBody())
    span = Span(0, size) if request.range is None else request.range.resolve(size)
    return Unsatisfiable(size) if span is None else _Bytes(span)


def describe(status: stat_result, key: str) -> Metadata:
    """The metadata of a file."""
    microseconds = max(0, status.st_mtime_ns // 1000)
    return Metadata(
        size=status.st_size,
        etag=ETag(f"{status.st_ino:x}-{microseconds:x}-{status.st_size:x}"),
        last_modified=_moment(microseconds // 1_000_000),
        answered=datetime.now(UTC),
        content_type=media_type_of(key),
    )


def _moment(seconds: int) -> datetime | None:
    """When a file was changed, if it tells: images of systems say 1970, and broken disks anything."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None
