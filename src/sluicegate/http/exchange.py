"""From a client's request to what is asked of an origin, and from its answer to a status and fields.

The only place that chooses a status.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Final

from sluicegate.errors import Denied, MethodNotAllowed, SluicegateError, Throttled
from sluicegate.http.active_content import ActiveContent, safe_disposition, safe_fields
from sluicegate.http.conditions import UNCONDITIONAL, Conditions, IfRange, read_conditions, read_if_range
from sluicegate.http.fields import Fields
from sluicegate.http.media_types import DEFAULT_MEDIA_TYPE
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import MAX_RANGES, ContentRange, RangeSpec, Span, parse_range
from sluicegate.http.tracing import REQUEST_ID
from sluicegate.http.validators import format_date

DEFAULT_RETRY_SECONDS: Final = 1
"""`Retry-After` where the origin throttles and names no time."""

MAX_RETRY_SECONDS: Final = 3600
"""The longest `Retry-After`: what an origin asks for beyond that is a mistake that no client should obey."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

PROBLEM_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """What a client asks of an object.

    `ranges` is `None` where there is no `Range`, or one that must be ignored.
    """

    method: str
    conditions: Conditions = UNCONDITIONAL
    ranges: tuple[RangeSpec, ...] | None = None
    if_range: IfRange | None = None

    @property
    def head(self) -> bool:
        """Whether the client wants the fields alone."""
        return self.method == "HEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a route says of its answers, in place of what the object says of itself.

    `fields` are added to every answer that carries the object; they are checked by who made them.
    `active_content` is what to do with an object that a browser would run; `None` says nothing about it.
    """

    media_type: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    fields: Fields = ()
    active_content: ActiveContent | None = None


NO_OVERRIDES: Final = Overrides()


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole object is the answer."""

    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Partial:
    """One span of the object is the answer."""

    metadata: Metadata
    span: Span


@dataclass(frozen=True, slots=True)
class Multiple:
    """Several spans are the answer, framed by `multipart`."""

    metadata: Metadata
    multipart: Multipart


@dataclass(frozen=True, slots=True)
class NotModified:
    """The client's copy is current."""

    metadata: Metadata


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """The object is not the one that the client's preconditions ask for."""


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """No range that the client asked for lies in the object of `size` bytes (`None` if unknown)."""

    size: int | None


Outcome = Whole | Partial | Multiple | NotModified | PreconditionFailed | Unsatisfiable


@dataclass(frozen=True, slots=True)
class Head:
    """The start of an answer: `length` is the exact number of body bytes, `None` if it is not known."""

    status: int
    fields: Fields
    length: int | None


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that says what is wrong: its head, and its whole content (RFC 9457)."""

    head: Head
    content: bytes


def read_request(method: str, fields: Mapping[str, str], max_ranges: int = MAX_RANGES) -> ClientRequest:
    """What a request with `fields` (names in lower case) asks of an object.

    More than `max_ranges` ranges are none.

    Raises `MethodNotAllowed` for methods other than GET and HEAD.
    """
    if method not in ("GET", "HEAD"):
        raise MethodNotAllowed(f"method {method!r} is not allowed: objects answer GET, HEAD and OPTIONS")
    conditions = read_conditions(fields)
    # Section 14.2: "A server MUST ignore a Range header field received with a request method that is
    # unrecognized or for which range handling is not defined. For this specification, GET is the only
    # method for which range handling is defined."
    ranges = parse_range(fields["range"], max_ranges) if method == "GET" and "range" in fields else None
    # Section 13.1.5: "A recipient of an If-Range header field MUST ignore the Range header field if the
    # If-Range condition evaluates as false"; without a Range, If-Range is to be ignored.
    if_range = read_if_range(fields)
    if ranges is None or (if_range is not None and not if_range.may_hold):
        return ClientRequest(method, conditions)
    return ClientRequest(method, conditions, ranges, if_range)


def answer(outcome: Outcome, overrides: Overrides = NO_OVERRIDES) -> Head:
    """The status and fields for what the origin served."""
    match outcome:
        case Whole(metadata):
            return _described(HTTPStatus.OK, metadata, overrides, metadata.size)
        case Partial(metadata, span):
            place = str(ContentRange(span, metadata.size))
            return _described(HTTPStatus.PARTIAL_CONTENT, metadata, overrides, span.length, place)
        case Multiple(metadata, multipart):
            # Section 15.3.7.2: the parts have a Content-Range each, the whole MUST NOT have one.
            framed = replace(overrides, media_type=multipart.media_type)
            return _described(HTTPStatus.PARTIAL_CONTENT, metadata, framed, multipart.length)
        case NotModified(metadata):
            fields = _replacing(_present(_version_values(metadata, overrides)), overrides.fields)
            return Head(HTTPStatus.NOT_MODIFIED, fields, 0)
        case PreconditionFailed():
            return Head(HTTPStatus.PRECONDITION_FAILED, (), 0)
        case Unsatisfiable(size):
            complete = None if size is None else str(ContentRange(None, size))
            refused = _present((("accept-ranges", "bytes"), ("content-range", complete)))
            return Head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, refused, 0)


def content_type_for(metadata: Metadata, overrides: Overrides) -> str:
    """The media type of the object in this answer."""
    return overrides.media_type or metadata.content_type or DEFAULT_MEDIA_TYPE


def answer_problem(
    status: int,
    title: str,
    request_id: str,
    *,
    detail: str | None = None,
    fields: Fields = (),
) -> Problem:
    """A failure as problem details (RFC 9457), never to be stored by a cache."""
    members = {"title": title, "status": int(status), "detail": detail, "request_id": request_id}
    content = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    own = (
        ("content-type", PROBLEM_TYPE),
        ("content-length", str(len(content))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        (REQUEST_ID, request_id),
    )
    return Problem(Head(status, own + fields, len(content)), content)


def answer_error(error: SluicegateError, request_id: str, *, denied_status: int = 404) -> Problem:
    """What the client gets for a failure before the first byte. It says nothing of the origin."""
    status, title = error.status, error.title
    fields: Fields = ()
    match error:
        case Throttled():
            fields = (("retry-after", _retry_after(error.retry_after_seconds)),)
        case MethodNotAllowed():
            fields = (("allow", ", ".join(error.allowed)),)
        case Denied() if denied_status == HTTPStatus.FORBIDDEN:
            status, title = HTTPStatus.FORBIDDEN, "Forbidden"
    return answer_problem(status, title, request_id, fields=fields)


def _retry_after(seconds: float | None) -> str:
    wanted = DEFAULT_RETRY_SECONDS if seconds is None else seconds
    # In this order of arguments, what is no number comes to a number too.
    return str(math.ceil(max(1, min(MAX_RETRY_SECONDS, wanted))))


def accepted_request_id(value: str | None) -> str | None:
    """A client's `X-Request-Id`, if it is short and harmless enough to log and to repeat."""
    return value if value is not None and _REQUEST_ID.fullmatch(value) else None


def _described(
    status: int,
    metadata: Metadata,
    overrides: Overrides,
    length: int | None,
    content_range: str | None = None,
) -> Head:
    """A head that carries the object, or a part of it."""
    media_type, policy = content_type_for(metadata, overrides), overrides.active_content
    disposition = overrides.content_disposition or metadata.content_disposition
    described = (
        ("content-length", None if length is None else str(length)),
        ("content-type", media_type),
        ("content-encoding", metadata.content_encoding),
        ("content-language", metadata.content_language),
        ("content-disposition", safe_disposition(media_type, disposition, policy)),
        ("accept-ranges", "bytes" if metadata.ranges else None),
        ("content-range", content_range),
        *_version_values(metadata, overrides),
        *safe_fields(media_type, policy),
    )
    return Head(status, _replacing(_present(described), overrides.fields), length)


def _version_values(metadata: Metadata, overrides: Overrides) -> tuple[tuple[str, str | None], ...]:
    """Section 15.4.5: what a 304 carries of what a 200 would have carried; a 200 carries it too."""
    return (
        ("etag", None if metadata.etag is None else str(metadata.etag)),
        ("last-modified", _date_or_none(metadata.last_modified)),
        ("cache-control", overrides.cache_control or metadata.cache_control),
        ("content-location", metadata.content_location),
        ("expires", metadata.expires if overrides.cache_control is None else None),
        ("vary", metadata.vary),
    )


def _replacing(fields: Fields, own: Fields) -> Fields:
    """`fields` with those that the route sets itself in their place."""
    if not own:
        return fields
    names = {name for name, _ in own}
    return tuple(field for field in fields if field[0] not in names) + own


def _date_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else format_date(moment)


def _present(fields: tuple[tuple[str, str | None], ...]) -> Fields:
    # A list first: a generator would take twice as long.
    return tuple([(name, value) for name, value in fields if value is not None])
