"""A response as a client reads it, by RFC 9112 section 6.3: its head, its content, and whether that is whole.

Nothing in here waits or reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class ClientHead:
    """The head of an answer: its status, and its fields in order with names in lower case."""

    status: int
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The value of the first field `name` (in lower case), `None` if there is none."""
        return next((value for key, value in self.fields if key == name), None)

    def all(self, name: str) -> list[str]:
        """The values of all fields `name` (in lower case)."""
        return [value for key, value in self.fields if key == name]


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """An answer as far as it came.

    `content` is what was read at last, without its framing. `complete` says whether the whole body came, by
    its framing: `Content-Length`, or chunks with a last one, and nothing behind. A body that only the end of
    the connection ends is never complete, since nobody can tell. `reset` says whether the connection was
    reset.
    """

    head: ClientHead
    content: bytes
    complete: bool
    reset: bool

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    def get(self, name: str) -> str | None:
        """The value of the first field `name` (in lower case)."""
        return self.head.get(name)


class _Place(Enum):
    """Where in a chunked body the next byte stands."""

    SIZE = "size"
    CONTENT = "content"
    AFTER_CONTENT = "after content"
    TRAILER = "trailer"
    END = "end"


class LengthBody:
    """A body with `Content-Length`, or of no bytes at all."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def complete(self) -> bool:
        """Whether exactly the bytes that were promised have come."""
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        """The content in `data`. What comes behind the end is content too, and the body is not complete."""
        self._left -= len(data)
        return data


class UntilCloseBody:
    """A body that only the end of the connection ends: nobody can tell whether it is whole."""

    complete = False

    def feed(self, data: bytes) -> bytes:
        """The content in `data`: all of it."""
        return data


class ChunkedBody:
    """A body in chunks. Raises `ValueError` for what are no chunks."""

    def __init__(self) -> None:
        self._place = _Place.SIZE
        self._waiting = b""
        self._left = 0
        self._behind = False

    @property
    def complete(self) -> bool:
        """Whether the last chunk has come, and nothing behind it."""
        return self._place is _Place.END and not self._behind

    def feed(self, data: bytes) -> bytes:
        """The content of the chunks in `data`."""
        pieces: list[bytes] = []
        rest = self._waiting + data
        self._waiting = b""
        while rest:
            if self._place is _Place.CONTENT:
                pieces.append(rest[: self._left])
                rest = self._after_content(rest)
            elif self._place is _Place.END:
                self._behind = True
                break
            else:
                line, end, behind = rest.partition(b"\r\n")
                if not end:
                    self._waiting = rest
                    break
                rest = behind
                self._after_line(line)
        return b"".join(pieces)

    def _after_content(self, rest: bytes) -> bytes:
        taken = min(self._left, len(rest))
        self._left -= taken
        if self._left == 0:
            self._place = _Place.AFTER_CONTENT
        return rest[taken:]

    def _after_line(self, line: bytes) -> None:
        match self._place:
            case _Place.SIZE:
                self._left = int(line.partition(b";")[0], 16)
                self._place = _Place.CONTENT if self._left else _Place.TRAILER
            case _Place.AFTER_CONTENT:
                if line:
                    raise ValueError(f"a chunk is longer than it says: {line[:40]!r}")
                self._place = _Place.SIZE
            case _Place.TRAILER if not line:
                self._place = _Place.END
            case _:
                pass


FramedBody = LengthBody | UntilCloseBody | ChunkedBody


def parse_head(head: bytes) -> ClientHead:
    """The head of an answer, without its empty line; raises `ConnectionError` for what is none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise ConnectionError(f"not the status line of an answer: {first[:200]!r}")
    pairs = (line.partition(":") for line in lines)
    return ClientHead(int(words[1]), tuple((name.lower(), value.strip()) for name, _, value in pairs))


def framed_body(method: str, head: ClientHead) -> FramedBody:
    """How the body behind `head` is framed; raises `ConnectionError` where it says two things at once."""
    if method == "HEAD" or head.status in (204, 304):
        return LengthBody(0)
    if "chunked" in (head.get("transfer-encoding") or "").lower():
        if head.get("content-length") is not None:
            raise ConnectionError("an answer with Content-Length and Transfer-Encoding has two framings")
        return ChunkedBody()
    length = head.get("content-length")
    if length is None:
        return UntilCloseBody()
    if not length.isdecimal():
        raise ConnectionError(f"not a Content-Length: {length!r}")
    return LengthBody(int(length))
