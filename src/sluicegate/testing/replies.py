"""What the `FaultyOrigin` answers: status, fields, and which bytes, with the lies that it was told to tell.

Decisions alone: nothing in here waits or sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from http import HTTPStatus
from typing import Final

from sluicegate.http.conditions import UNCONDITIONAL, Verdict, evaluate, range_applies
from sluicegate.http.exchange import ClientRequest, NotModified, Partial, Whole, answer, read_request
from sluicegate.http.fields import Fields
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import ContentRange, Span
from sluicegate.http.validators import ETag, format_date
from sluicegate.testing import faults as broken
from sluicegate.testing.held import Content, HeldObject, held_object
from sluicegate.testing.origin_requests import OriginRequest
from sluicegate.testing.rules import Faults
from sluicegate.testing.s3_texts import error_text

REPLACED_LATER: Final = timedelta(hours=1)
"""How much younger a `Replaced` object is than the one in whose place it comes."""


NOTHING: Final = Span(0, 0)
"""The span of no bytes."""


class Framing(Enum):
    """How a client is to know the end of the body."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reply:
    """A head, and the body: `span` of `content`, then `extra` bytes more. With `closes` nothing follows."""

    status: int
    fields: Fields
    content: Content = b""
    span: Span = NOTHING
    framing: Framing = Framing.LENGTH
    extra: int = 0
    closes: bool = False

    @property
    def length(self) -> int:
        """Bytes of the body that are sent."""
        return self.span.length + self.extra


def refusal(request: OriginRequest, status: int, error: str | None = None, fields: Fields = ()) -> Reply:
    """An error, as S3 puts it."""
    return text_reply(request, status, error_text(status, request.path, error), fields)


def text_reply(request: OriginRequest, status: int, text: bytes, fields: Fields = ()) -> Reply:
    """A status with XML, which HEAD does not get."""
    described = (("content-type", "application/xml"), ("content-length", str(len(text))), *fields)
    sent = Span(0, 0 if request.method == "HEAD" else len(text))
    return Reply(status, described, text, sent, Framing.NONE if request.method == "HEAD" else Framing.LENGTH)


def faulty_status(request: OriginRequest, fault: broken.Status) -> Reply:
    """The error that a fault puts in the place of whatever was asked for."""
    fields = () if fault.retry_after is None else (("retry-after", str(fault.retry_after)),)
    return refusal(request, fault.status, fault.error, fields)


def object_reply(
    request: OriginRequest, held: HeldObject | None, faults: Faults, number: int, now: datetime
) -> Reply:
    """The answer to a GET or HEAD of an object, the `number`-th of the origin (from 1), at `now`."""
    held = _replaced(request, held, faults)
    if held is None:
        return refusal(request, 404)
    metadata = replace(_described(held.metadata, faults, number), answered=now)
    asked = read_request(request.method, request.fields)
    conditions = UNCONDITIONAL if faults.has(broken.IgnoreConditions) else asked.conditions
    match evaluate(conditions, metadata):
        case Verdict.NOT_MODIFIED:
            head = answer(NotModified(metadata))
            return Reply(head.status, head.fields, framing=Framing.NONE)
        case Verdict.FAILED:
            return refusal(request, 412)
    span = _span(asked, metadata, held.size, faults)
    if span == NOTHING:
        return refusal(request, 416, fields=(("content-range", f"bytes */{held.size}"),))
    return _framed(request, held, metadata, span, faults)


def _replaced(request: OriginRequest, held: HeldObject | None, faults: Faults) -> HeldObject | None:
    fault = faults.get(broken.Replaced)
    if fault is None:
        return held
    fresh = held_object(request.path, fault.content, etag=fault.etag or "")
    if held is None:
        return fresh
    before = held.metadata.last_modified
    later = None if before is None else before + REPLACED_LATER
    metadata = replace(held.metadata, size=fresh.size, etag=fresh.metadata.etag, last_modified=later)
    return replace(held, content=fault.content, metadata=metadata)


def _described(metadata: Metadata, faults: Faults, number: int) -> Metadata:
    etag = metadata.etag
    if etag is not None and faults.has(broken.NewETags):
        etag = replace(etag, opaque=f"{etag.opaque}-{number}")
    if etag is not None and faults.has(broken.WeakETags):
        etag = replace(etag, weak=True)
    if faults.has(broken.NoETag):
        etag = None
    modified = None if faults.has(broken.NoLastModified) else metadata.last_modified
    return replace(metadata, etag=etag, last_modified=modified)


def _span(asked: ClientRequest, metadata: Metadata, size: int, faults: Faults) -> Span | None:
    """The span to serve: `None` is the whole object, and `NOTHING` no byte of it."""
    honoured = metadata.ranges and not faults.has(broken.IgnoreRange)
    # Several ranges are served as the whole: RFC 9110 section 14.2 lets a server ignore any Range, and
    # S3 does so.
    if asked.ranges is None or len(asked.ranges) != 1 or not honoured:
        return None
    if not range_applies(asked.if_range, metadata):
        return None
    return asked.ranges[0].resolve(size) or NOTHING


def _framed(
    request: OriginRequest, held: HeldObject, metadata: Metadata, span: Span | None, faults: Faults
) -> Reply:
    head = answer(Whole(metadata) if span is None else Partial(metadata, span))
    fields = dict(head.fields) | dict(held.fields)
    if span is not None:
        fields["content-range"] = str(_content_range(span, held.size, faults))
    sent = Span(0, held.size) if span is None else span
    reply = _with_length(Reply(head.status, (), held.content, sent), fields, held, faults)
    if request.method == "HEAD":
        return replace(reply, span=NOTHING, extra=0, framing=Framing.NONE)
    return reply


def _content_range(span: Span, size: int, faults: Faults) -> ContentRange:
    named, told = span, size
    if (wrong_span := faults.get(broken.WrongSpan)) is not None:
        named = next((moved for moved in _moved(span, wrong_span.shift, size)), span)
    if (wrong_size := faults.get(broken.WrongSize)) is not None:
        told = max(named.stop, size + wrong_size.by)
    return ContentRange(named, told)


def _moved(span: Span, shift: int, size: int) -> list[Span]:
    """`span` moved by `shift`, or else the other way, where that is inside the object."""
    places = [(span.start + by, span.stop + by) for by in (shift, -shift)]
    return [Span(start, stop) for start, stop in places if start >= 0 and stop <= size]


def _with_length(reply: Reply, fields: dict[str, str], held: HeldObject, faults: Faults) -> Reply:
    """`reply` with its length told, or not told, or a lie."""
    span, promised, extra = reply.span, reply.span.length, 0
    if (shorten := faults.get(broken.Shorten)) is not None:
        promised = max(0, promised - shorten.by)
        span = Span(span.start, span.start + promised)
    if (understate := faults.get(broken.Understate)) is not None:
        promised = max(0, promised - understate.by)
    if (overstate := faults.get(broken.Overstate)) is not None:
        promised += overstate.by
    if (overrun := faults.get(broken.Overrun)) is not None:
        extra = overrun.by
    framing = _framing(held, faults)
    fields.pop("content-length", None)
    if framing is Framing.LENGTH:
        fields["content-length"] = str(promised)
    elif framing is Framing.CHUNKED:
        fields["transfer-encoding"] = "chunked"
    closes = promised > span.length or framing is Framing.CLOSE
    return replace(
        reply, fields=tuple(fields.items()), span=span, framing=framing, extra=extra, closes=closes
    )


def _framing(held: HeldObject, faults: Faults) -> Framing:
    fault = faults.get(broken.NoLength)
    if fault is not None:
        return Framing.CHUNKED if fault.chunked else Framing.CLOSE
    return Framing.LENGTH if held.length else Framing.CHUNKED


def put_refusal(request: OriginRequest, held: HeldObject | None) -> Reply | None:
    """The 412 to a PUT whose conditions do not hold for what is there, if they do not."""
    found: Mapping[str, bool] = {
        "if-none-match": held is not None,
        "if-match": held is None or not _tag_matches(request.fields.get("if-match", ""), held.metadata.etag),
    }
    failed = any(name in request.fields and fails for name, fails in found.items())
    return refusal(request, 412) if failed else None


def _tag_matches(value: str, etag: ETag | None) -> bool:
    return value.strip() == "*" or value.strip() == str(etag)


def head_bytes(reply: Reply, now: datetime, keeps_alive: bool) -> bytes:
    """The head as it goes out."""
    own = [("date", format_date(now)), ("connection", "keep-alive" if keeps_alive else "close")]
    lines = [f"HTTP/1.1 {reply.status} {_phrase_of(reply.status)}"]
    lines += [f"{name}: {value}" for name, value in (*own, *reply.fields)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _phrase_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
