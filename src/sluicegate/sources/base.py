"""The contract between Sluicegate and the places where objects live.

Every source passes `sluicegate.testing.SourceContract`, which shows each MUST below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from sluicegate.errors import InvalidKey
from sluicegate.http.conditions import UNCONDITIONAL, Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.fields import Fields
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import RangeSpec, Span
from sluicegate.sources.tally import Tally

Chunk = bytes | bytearray | memoryview

MAX_KEY_BYTES: Final = 1024
"""The longest key of S3 and GCS, in bytes of UTF-8; Azure's is 1,024 characters."""

_DOT_SEGMENT: Final = re.compile(r"(?:\A|/)\.{1,2}(?:/|\Z)")

CHUNK_SIZE: Final = 512 * 1024
"""Bytes in a chunk of a fast body. Measured on a 10 MB and a 1 GiB object: 256 KiB costs 10 % more wall
time, 1 MiB gains nothing, and from 4 MiB on fresh pages cost more than system calls."""


SMALL: Final = 64 * 1024
"""Bytes of a body that is read as a whole before any of it goes on. The sockets hold as much for a client
anyway, so a client that stalls costs no more, and the origin is done with before the client gets a byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """What to ask of an origin for one key.

    `head` asks for the metadata alone. `conditions` are those that the origin may evaluate itself;
    `fields` are a client's own fields to forward, for origins that speak HTTP. `tally` is the account of the
    transfer that the request is made for, and `begun` whether its client has a part of the answer already, so
    that a failure can be no status any more; both are for who wraps sources, and no part of what is asked.
    """

    head: bool = False
    range: RangeSpec | None = None
    conditions: Conditions = UNCONDITIONAL
    fields: Fields = ()
    tally: Tally = field(default_factory=Tally, compare=False, repr=False)
    begun: bool = field(default=False, compare=False, repr=False)


class Body(Protocol):
    """Bytes on their way from an origin, and the connection that they come by. One task reads it.

    - `read` MUST return the next bytes as soon as there are `CHUNK_SIZE` of them, and SHOULD as soon as
      there are some; an empty chunk at the end, and from then on.
    - `read` MUST raise a `SourceError` if the bytes end before what the origin promised.
    - `read` MUST be cancellable; a cancelled read loses the body, which is then only closed.
    - `aclose` MUST give back the connection in every state, MUST be idempotent, MUST NOT raise.
    - A body MUST NOT buffer without bound ahead of its reader.
    - A body MAY have an attribute `is_closed`, true when it holds nothing that `aclose` would give back.
    """

    async def read(self) -> Chunk:
        """The next bytes, empty at the end."""
        ...

    async def aclose(self) -> None:
        """Give back the connection."""
        ...


class EmptyBody:
    """The body of an answer that has none."""

    is_closed: Final = True

    async def read(self) -> Chunk:
        """Nothing."""
        return b""

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """The object: its metadata, the span of it that the origin says it serves, and the bytes.

    `span` is `None` where the origin serves the whole object, also where it ignored a range.
    Whoever gets a `Found` owns its body and closes it.
    """

    metadata: Metadata
    span: Span | None
    body: Body


OpenOutcome = Found | NotModified | PreconditionFailed | Unsatisfiable


@runtime_checkable
class Source(Protocol):
    """A place where objects live. Entered once with the application, used by many requests at a time.

    - `open` MUST ask the origin once for an unconditional request, and MUST NOT ask for the metadata first.
    - `open` MUST return what the origin says that it serves (span, size, ETag), not what was asked for.
    - `open` MUST raise a `SourceError` for failures, chosen by what happened; 304, 412 and 416 are
      outcomes. A range of an empty object is `Unsatisfiable`, or the whole object; never an empty span.
    - `open` MUST raise `InvalidKey` where no object can have that key, and MUST NOT normalise a key to
      another one (`a//b` is not `a/b`).
    - `open` with `head` MUST read no content, and give the same metadata as without.
    - A cancelled `open` MUST leave no connection behind. One that a thread is making MAY stay until it is
      made, or `connect_timeout`.
    - Leaving the source closes its connections.
    """

    async def __aenter__(self) -> Self:
        """Make the client, once."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the client and its connections."""
        ...

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Ask the origin for `key`."""
        ...


def check_key(key: str) -> str:
    """`key`, if an object may have it at any origin.

    Raises `InvalidKey` if not, and `TypeError` for what is no text.
    """
    if not key:
        raise InvalidKey("the key is empty") if isinstance(key, str) else no_text(key)
    try:
        encoded = key.encode()
    except AttributeError:
        raise no_text(key) from None
    except UnicodeEncodeError as exc:
        raise InvalidKey(f"key {key!r} is not text that UTF-8 can encode") from exc
    if len(encoded) > MAX_KEY_BYTES:
        raise InvalidKey(f"the key has {len(encoded)} bytes, at most {MAX_KEY_BYTES} are allowed")
    if "\0" in key:
        raise InvalidKey(f"key {key!r} has a NUL character")
    # HTTP clients and servers resolve dot segments on the way, and the object would be another one.
    if _DOT_SEGMENT.search(key):
        raise InvalidKey(f"key {key!r} has a dot segment")
    return key


def no_text(key: object) -> TypeError:
    """The error for a key that is not text."""
    return TypeError(f"the key {key!r} is of type {type(key).__name__}, and must be text (str)")
