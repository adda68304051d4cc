"""Which body a content stands for: an iterable, a file, or what one of the usual client libraries returned.

Client libraries are recognised without being imported: an object of theirs exists only if they are.
"""

from __future__ import annotations

import inspect
import io
import os
import socket
import stat
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from sluicegate.delivery.bodies import (
    CHARSET,
    AsyncIteratorBody,
    ContentBody,
    closer,
    iterable_body,
    to_bytes,
)
from sluicegate.http.fields import Fields, number
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import ContentRange, Span
from sluicegate.http.validators import format_date
from sluicegate.sources.base import CHUNK_SIZE, Body
from sluicegate.sources.headers import describe

FILE_READ_SIZE: Final = 256 * 1024
"""Bytes in one read of a file, and in one chunk of it."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A body, and what is known of it: its exact length in bytes, and fields that describe it.

    `part` says that these are not all bytes of the object that the fields describe, and `place` which ones
    they are, where that is known.
    """

    body: Body
    length: int | None = None
    fields: Fields = ()
    part: bool = False
    place: ContentRange | None = None


def recognise(content: object, charset: str = CHARSET) -> Recognised:
    """The body that `content` stands for. The body owns it, and closes it.

    Bytes-like objects, `str`, asynchronous and synchronous iterables of them, binary files, and the
    responses and bodies of obstore, aiobotocore, botocore, aiohttp, httpx and `urllib.request`. `charset` is
    for `str`. Raises `TypeError` for anything else.
    """
    if type(content).__name__ == "GetResult" and hasattr(content, "stream"):
        return _from_obstore(content)
    for module, name, adapt in _LIBRARIES:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(content, kind):
            return adapt(content)
    match content:
        case str():
            return _from_bytes(content.encode(charset))
        case Mapping():
            # An answer of `get_object`, which has the bytes and much else: nobody means its keys.
            raise TypeError(
                f"cannot stream {type(content).__name__!r}, which is a mapping: give its body, as in "
                '`answer["Body"]`'
            )
        case _ if callable(getattr(content, "read", None)) and not isinstance(content, io.TextIOBase):
            return _from_file(content)
        case AsyncIterable():
            return Recognised(AsyncIteratorBody(content, charset=charset))
        case _ if _is_buffer(content):
            return _from_bytes(to_bytes(content))
        case Iterable():
            return Recognised(iterable_body(content, charset=charset))
        case _:
            raise TypeError(
                f"cannot stream {type(content).__name__!r}: give bytes, an iterable or asynchronous iterable "
                "of bytes, a binary file, or a response of obstore, botocore, aiobotocore, aiohttp, httpx or "
                "urllib.request"
            )


def _is_buffer(content: object) -> bool:
    try:
        memoryview(content).release()  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def _from_bytes(content: bytes) -> Recognised:
    return Recognised(ContentBody(content), len(content))


# Files.


def _from_file(file: Any) -> Recognised:
    close = closer(file)
    if inspect.iscoroutinefunction(file.read):
        return Recognised(AsyncIteratorBody(_read_async(file), close))
    length = _file_length(file)
    return Recognised(iterable_body(_read(file, length), close), length)


def _read(file: Any, length: int | None) -> Iterator[bytes]:
    # read1 hands over what a pipe or a socket has, where read waits for all that was asked for.
    read = getattr(file, "read1", file.read)
    # A file that grows meanwhile is sent up to the length that it had: more would be another answer.
    left = sys.maxsize if length is None else length
    while left and (chunk := read(min(left, FILE_READ_SIZE))):
        left -= len(chunk)
        yield chunk


async def _read_async(file: Any) -> AsyncIterator[bytes]:
    while chunk := await file.read(FILE_READ_SIZE):
        yield chunk


def _file_length(file: Any) -> int | None:
    """Bytes from the file's position to its end, if they are known."""
    try:
        if isinstance(file, io.BytesIO):
            return max(0, file.getbuffer().nbytes - file.tell())
        # Others than the files of `open` have a descriptor of other bytes than they read (`gzip.open`), or
        # change when they are asked for it (`SpooledTemporaryFile`).
        raw = getattr(file, "raw", file)
        if not isinstance(raw, io.FileIO):
            return None
        status = os.fstat(raw.fileno())
        # Files of the kernel say that they have no bytes, and have some.
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return None
        return max(0, status.st_size - int(file.tell()))
    except (OSError, ValueError):
        return None


# What client libraries return.


def _fields(metadata: Metadata) -> Fields:
    described = (
        ("content-type", metadata.content_type),
        ("content-encoding", metadata.content_encoding),
        ("etag", None if metadata.etag is None else str(metadata.etag)),
        ("last-modified", None if metadata.last_modified is None else format_date(metadata.last_modified)),
    )
    return tuple((name, value) for name, value in described if value is not None)


def _described(body: Body, headers: Mapping[str, str]) -> Recognised:
    """A body with the response header fields that came with it."""
    fields = {name.lower(): value for name, value in headers.items()}
    metadata, place = describe(fields, ranges=False)
    length = number(fields.get("content-length"))
    span = None if place is None else place.span
    if place is None or span is None:
        return Recognised(body, length, _fields(metadata))
    is_sound = length is None or length == span.length
    is_part = span.length != place.size
    return Recognised(body, length, _fields(metadata), is_part, place if is_sound else None)


def _decoded(described: Recognised) -> Recognised:
    """The same of a body that its library decodes: length, coding and validators are of other bytes."""
    kept = tuple(field for field in described.fields if field[0] == "content-type")
    return replace(described, length=None, fields=kept, place=None)


def _after(described: Recognised, read: int) -> Recognised:
    """The same of a body of which `read` bytes are gone already."""
    if not read:
        return described
    length = None if described.length is None else max(0, described.length - read)
    return replace(described, length=length, part=True, place=_rest(described.place, read))


def _rest(place: ContentRange | None, read: int) -> ContentRange | None:
    """Where the bytes behind the first `read` ones of `place` are."""
    if place is None or place.span is None or read >= place.span.length:
        return None
    return replace(place, span=Span(place.span.start + read, place.span.stop))


def _from_obstore(result: Any) -> Recognised:
    from sluicegate.sources.object_store import StreamBody, describe_result  # noqa: PLC0415

    start, stop = result.range
    path = result.meta["path"]
    metadata = describe_result(result, path)
    part = stop - start != metadata.size
    place = ContentRange(Span(start, stop), metadata.size) if part and start < stop else None
    return Recognised(StreamBody(result, CHUNK_SIZE, path), stop - start, _fields(metadata), part, place)


def _from_botocore(stream: Any) -> Recognised:
    from sluicegate.sources.botocore import stream_body  # noqa: PLC0415

    headers = getattr(stream._raw_stream, "headers", None) or {}
    described = _described(stream_body(stream, "the body"), headers)
    length = getattr(stream, "_content_length", None)
    known = described if length is None else replace(described, length=int(length))
    return _after(known, stream.tell())


def _from_aiobotocore(stream: Any) -> Recognised:
    from sluicegate.sources.aiobotocore import raw_response  # noqa: PLC0415
    from sluicegate.sources.http import AiohttpBody  # noqa: PLC0415

    response = raw_response(stream)
    return _after(_described(AiohttpBody(response, "the body"), response.headers), stream.tell())


def _from_aiobotocore_httpx(stream: Any) -> Recognised:
    response, read = stream.raw_stream, stream.tell()
    # `read` waits for all that was asked for; but what it has gathered is in none of its other methods.
    chunks = _read_async(stream) if read else response.aiter_raw()
    return _after(_described(AsyncIteratorBody(chunks, stream.aclose), response.headers), read)


def _from_aiohttp(response: Any) -> Recognised:
    from sluicegate.sources.http import AiohttpBody  # noqa: PLC0415

    described = _described(AiohttpBody(response, str(response.url)), response.headers)
    return _decoded(described) if _aiohttp_decodes(response) else described


def _aiohttp_decodes(response: Any) -> bool:
    """Whether aiohttp undoes the coding of this body."""
    with suppress(AttributeError):
        return response.content.total_compressed_bytes is not None
    # Older versions tell only through the session, which lets go of a response that has arrived whole.
    session = getattr(response, "_session", None)
    return "content-encoding" in response.headers and (session is None or bool(session.auto_decompress))


def _from_stream_reader(reader: Any) -> Recognised:
    return Recognised(AsyncIteratorBody(reader.iter_any()))


def _from_httpx(response: Any) -> Recognised:
    if response.is_stream_consumed:
        return _from_read_httpx(response)
    if isinstance(response.stream, AsyncIterable):
        return _described(AsyncIteratorBody(response.aiter_raw(), response.aclose), response.headers)
    interrupt = partial(_interrupt_httpx, response)
    return _described(iterable_body(response.iter_raw(), response.close, interrupt), response.headers)


def _from_read_httpx(response: Any) -> Recognised:
    content = response.content
    described = _described(ContentBody(content), response.headers)
    # An answer to HEAD describes what is not in it.
    is_described = described.length in (None, len(content)) and "content-encoding" not in response.headers
    return replace(described if is_described else _decoded(described), length=len(content))


def _interrupt_httpx(response: Any) -> None:
    """Wake a thread that is blocked in a read of a synchronous response."""
    # An HTTP/2 connection is not this response's alone, and a closed response has given it back.
    if response.is_closed or response.http_version not in ("HTTP/1.0", "HTTP/1.1"):
        return
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _from_http_client(response: Any, close: Callable[[], None] | None = None) -> Recognised:
    from sluicegate.delivery.http_client import response_body  # noqa: PLC0415

    described = _described(response_body(response, close or response.close), response.headers)
    promised, left = described.length, response.length
    if promised is not None and left is not None:
        described = _after(described, promised - left)
    # What it counts is right also where the field is not: beside chunks, and in an answer to HEAD.
    is_part = described.part or response.status == HTTPStatus.PARTIAL_CONTENT
    return replace(described, length=left, part=is_part)


def _from_http_error(error: Any) -> Recognised:
    from http.client import HTTPResponse  # noqa: PLC0415

    # `urlopen` raises answers for their status. Such an error closes its answer when it is collected.
    is_answer = isinstance(error.fp, HTTPResponse)
    return _from_http_client(error.fp, error.close) if is_answer else _from_file(error)


_LIBRARIES: Final[tuple[tuple[str, str, Callable[[Any], Recognised]], ...]] = (
    # aiobotocore's bodies are botocore bodies too, so they stand above them.
    ("aiobotocore.response", "HttpxStreamingBody", _from_aiobotocore_httpx),
    ("aiobotocore.response", "StreamingBody", _from_aiobotocore),
    ("botocore.response", "StreamingBody", _from_botocore),
    ("aiohttp", "ClientResponse", _from_aiohttp),
    ("aiohttp", "StreamReader", _from_stream_reader),
    ("httpx", "Response", _from_httpx),
    ("http.client", "HTTPResponse", _from_http_client),
    ("urllib.error", "HTTPError", _from_http_error),
)
