"""Requests as they come to the `FaultyOrigin`: bytes into a head, and the uploads of S3 clients into content.

Nothing in here waits or sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, unquote

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_UPLOAD_BYTES: Final = 1 << 30
"""What the origin holds in memory for one PUT; more is answered 413."""

_HTTP_1_0: Final = "HTTP/1.0"


class BadRequest(Exception):
    """Not a request in HTTP/1.1 that this origin can read."""


class NeedMore(Exception):
    """The body is not all there yet."""


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """A request: `path` is decoded and has no leading slash, names of `fields` are in lower case."""

    method: str
    target: str
    path: str
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    version: str = "HTTP/1.1"

    @property
    def range(self) -> str | None:
        """The `Range` field as it came."""
        return self.fields.get("range")

    @property
    def key(self) -> str:
        """The path below its first segment, which is the bucket to an S3 client."""
        return self.path.partition("/")[2]

    @property
    def bucket(self) -> str:
        """The first segment of the path."""
        return self.path.partition("/")[0]

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants the connection to stay."""
        wanted = self.fields.get("connection", "").lower()
        return "close" not in wanted and (self.version != _HTTP_1_0 or "keep-alive" in wanted)


def parse_head(head: bytes) -> OriginRequest:
    """The request whose head (with or without its empty line) this is; raises `BadRequest` for others."""
    line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(f"not a request line: {line[:200]!r}")
    method, target, version = words
    fields: dict[str, str] = {}
    for text in lines:
        name, colon, value = text.partition(":")
        if not colon:
            raise BadRequest(f"not a header field: {text[:200]!r}")
        name, value = name.lower(), value.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    path, _, query = _origin_form(target).partition("?")
    return OriginRequest(
        method,
        target,
        unquote(path, errors="surrogateescape").removeprefix("/"),
        MappingProxyType(dict(parse_qsl(query, keep_blank_values=True))),
        MappingProxyType(fields),
        version,
    )


def _origin_form(target: str) -> str:
    # RFC 9112 section 3.2.2: a server MUST accept the absolute form too.
    if target.startswith(("http://", "https://")):
        return "/" + target.split("://", 1)[1].partition("/")[2]
    return target


def take_body(request: OriginRequest, data: bytes | bytearray) -> tuple[bytes, int]:
    """The content of the body at the start of `data`, and how many bytes of `data` it took.

    Raises `NeedMore` if it is not all there, `BadRequest` if it is framed badly or longer than is held.
    """
    if "chunked" in request.fields.get("transfer-encoding", "").lower():
        raw, taken = _chunks(data)
    else:
        taken = _length(request.fields.get("content-length", "0"))
        if len(data) < taken:
            raise NeedMore
        raw = bytes(data[:taken])
    if "aws-chunked" in request.fields.get("content-encoding", "").lower():
        raw, _ = _chunks(raw)
    return raw, taken


def _length(value: str) -> int:
    if not value.isdecimal() or int(value) > MAX_UPLOAD_BYTES:
        raise BadRequest(f"Content-Length is {value[:40]!r}, at most {MAX_UPLOAD_BYTES} bytes are held")
    return int(value)


def _chunks(data: bytes | bytearray) -> tuple[bytes, int]:
    """What chunks hold, be they of HTTP or of S3, whose signatures are extensions and trailers here."""
    pieces: list[bytes] = []
    position = 0
    while True:
        line, position = _line(data, position)
        size = _chunk_size(line)
        if size == 0:
            return b"".join(pieces), _trailer_end(data, position)
        if len(data) < position + size + 2:
            raise NeedMore
        pieces.append(bytes(data[position : position + size]))
        position += size + 2


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        size = int(digits, 16)
    except ValueError as exc:
        raise BadRequest(f"not the size of a chunk: {digits[:40]!r}") from exc
    if not 0 <= size <= MAX_UPLOAD_BYTES:
        raise BadRequest(f"a chunk of {size} bytes, at most {MAX_UPLOAD_BYTES} are held")
    return size


def _trailer_end(data: bytes | bytearray, position: int) -> int:
    while True:
        line, position = _line(data, position)
        if not line:
            return position


def _line(data: bytes | bytearray, position: int) -> tuple[bytes, int]:
    end = data.find(b"\r\n", position)
    if end < 0:
        raise NeedMore
    return bytes(data[position:end]), end + 2
