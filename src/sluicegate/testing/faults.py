"""What can go wrong with an answer of the `FaultyOrigin`: one frozen class for each fault.

Faults of different classes combine; of two of the same class the one that was given last holds. Bytes
are counted within one answer's body, from 0, and times are seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from sluicegate.testing.generated import Generated

MIB: Final = 1024 * 1024


def _check(fault: object, name: str, least: float, above: bool = False) -> None:
    value = getattr(fault, name)
    if value < least or (above and value == least):
        raise ValueError(f"{name} is {'above' if above else 'at least'} {least}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset when the first `after` bytes of the body have arrived (TCP RST)."""

    after: int = 0

    def __post_init__(self) -> None:
        _check(self, "after", 0)


@dataclass(frozen=True, slots=True)
class ResetBetween:
    """Each answer is reset at an offset between `first` and `last` bytes, by chance but the same each run.

    An answer that is shorter than its offset is whole.
    """

    first: int
    last: int
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self, "first", 0)
        _check(self, "last", self.first)

    def offset(self, number: int) -> int:
        """Where the answer `number` (from 0) is reset."""
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311 - not a secret
        return chance.randint(self.first, self.last)


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is closed, without an error in TCP, after `after` bytes of the body."""

    after: int = 0

    def __post_init__(self) -> None:
        _check(self, "after", 0)


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing comes after `after` bytes of the body for `seconds`; then the rest.

    Without `seconds` nothing comes until the client leaves, or until `FaultyOrigin.release`.
    """

    after: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        _check(self, "after", 0)
        if self.seconds is not None:
            _check(self, "seconds", 0)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The body comes at `bytes_per_second`, evenly, on each connection."""

    bytes_per_second: float

    def __post_init__(self) -> None:
        _check(self, "bytes_per_second", 0, above=True)


@dataclass(frozen=True, slots=True)
class Trickle:
    """The body comes in pieces of `piece` bytes, as many a second as make `bytes_per_second`."""

    bytes_per_second: float
    piece: int = 1

    def __post_init__(self) -> None:
        _check(self, "bytes_per_second", 0, above=True)
        _check(self, "piece", 1)


@dataclass(frozen=True, slots=True)
class Latency:
    """The answer begins `seconds` after the request."""

    seconds: float

    def __post_init__(self) -> None:
        _check(self, "seconds", 0)


@dataclass(frozen=True, slots=True)
class Status:
    """An error in the place of the object: an S3 error in XML, with `Retry-After` if one is given.

    `error` is the S3 error code, by default the usual one of the status. `retry_after` is seconds, or the
    text of the field (an HTTP-date, or nonsense).
    """

    status: int
    retry_after: int | str | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if not 300 <= self.status <= 599:
            raise ValueError(f"an error has a status from 300 to 599, got {self.status!r}")


@dataclass(frozen=True, slots=True)
class Garbage:
    """What comes is `content` in the place of HTTP; then the connection is closed."""

    content: bytes = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"


@dataclass(frozen=True, slots=True)
class HangUp:
    """The connection ends before the answer begins: it is closed, or with `reset` it is reset."""

    reset: bool = False


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request is read and never answered, until the client leaves or `FaultyOrigin.release`."""


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """The request is never answered, and the connection stays open whatever the client does.

    As behind a firewall that forgot the connection: the origin neither notices nor says that it is over.
    """


@dataclass(frozen=True, slots=True)
class Shorten:
    """`Content-Length` and body are both `by` bytes short: whole by its framing, and not the object."""

    by: int = 1

    def __post_init__(self) -> None:
        _check(self, "by", 1)


@dataclass(frozen=True, slots=True)
class Understate:
    """`Content-Length` says `by` bytes fewer than are sent."""

    by: int = 1

    def __post_init__(self) -> None:
        _check(self, "by", 1)


@dataclass(frozen=True, slots=True)
class Overstate:
    """`Content-Length` says `by` bytes more than are sent; then the connection is closed."""

    by: int = 1

    def __post_init__(self) -> None:
        _check(self, "by", 1)


@dataclass(frozen=True, slots=True)
class Overrun:
    """`by` bytes come behind a body whose `Content-Length` is right (or inside it, if it is chunked)."""

    by: int = 1

    def __post_init__(self) -> None:
        _check(self, "by", 1)


@dataclass(frozen=True, slots=True)
class WrongSpan:
    """`Content-Range` names a span `shift` bytes further on (a negative number: back) than what is sent.

    Where the object is too short for that it is further back, and the whole object stays what it is.
    """

    shift: int = 1


@dataclass(frozen=True, slots=True)
class WrongSize:
    """`Content-Range` says that the object is `by` bytes larger (a negative number: smaller) than it is.

    Never smaller than the span that it names.
    """

    by: int = 1


@dataclass(frozen=True, slots=True)
class NoLength:
    """There is no `Content-Length`: the body is chunked, or with `chunked=False` ends with the connection."""

    chunked: bool = True


@dataclass(frozen=True, slots=True)
class IgnoreRange:
    """A range is answered by 200 with everything."""


@dataclass(frozen=True, slots=True)
class IgnoreConditions:
    """`If-Match` and the like are not looked at."""


@dataclass(frozen=True, slots=True)
class WeakETags:
    """The entity tag is weak, so that it names no version byte for byte."""


@dataclass(frozen=True, slots=True)
class NewETags:
    """Each answer has another entity tag for the same content."""


@dataclass(frozen=True, slots=True)
class NoETag:
    """There is no entity tag."""


@dataclass(frozen=True, slots=True)
class NoLastModified:
    """There is no `Last-Modified`."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another content is served, under the entity tag `etag`: by default one that belongs to the content."""

    content: bytes | Generated
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Ok:
    """Nothing goes wrong: a step of a script. `OK` is the one that there is."""


OK: Final = Ok()

Fault = (
    Reset
    | ResetBetween
    | Close
    | Stall
    | Bandwidth
    | Trickle
    | Latency
    | Status
    | Garbage
    | HangUp
    | NoAnswer
    | HalfOpen
    | Shorten
    | Understate
    | Overstate
    | Overrun
    | WrongSpan
    | WrongSize
    | NoLength
    | IgnoreRange
    | IgnoreConditions
    | WeakETags
    | NewETags
    | NoETag
    | NoLastModified
    | Replaced
    | Ok
)
"""Everything that can go wrong with one answer, and `OK`."""
