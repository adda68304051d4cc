"""An origin's HTTP answer as metadata, span or error: what sources that see real headers share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sluicegate.errors import BadAnswer, Denied, NotFound, OriginTimeout, SourceError, Throttled, Unavailable
from sluicegate.http.fields import number, safe_value
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import ContentRange, Span, parse_content_range
from sluicegate.http.validators import origin_etag, parse_date

_PARTIAL_CONTENT: Final = 206

# How MinIO describes the last bytes of an empty object, in a 206.
_NOTHING_OF_NOTHING: Final = "bytes 0--1/0"

# Codings that a store keeps as metadata though they are no coding of the content: `aws-chunked` is the
# framing of an upload, `identity` is none at all.
_NOT_CODINGS: Final = frozenset({"aws-chunked", "identity"})


def describe(fields: Mapping[str, str], *, ranges: bool) -> tuple[Metadata, ContentRange | None]:
    """Metadata, and the `Content-Range` if there is one, from fields with lower-case names.

    `ranges` is whether the origin is known to serve ranges, whatever the fields say. Without a
    `Content-Range` the `Content-Length` is the size of the object.
    """
    place = parse_content_range(fields["content-range"]) if "content-range" in fields else None
    metadata = Metadata(
        size=number(fields.get("content-length")) if place is None else place.size,
        etag=origin_etag(safe_value(fields.get("etag"))),
        last_modified=parse_date(fields.get("last-modified", "")),
        answered=parse_date(fields.get("date", "")) or datetime.now(UTC),
        ranges=ranges or place is not None or "bytes" in fields.get("accept-ranges", "").lower(),
        content_type=safe_value(fields.get("content-type")),
        content_encoding=_codings(safe_value(fields.get("content-encoding"))),
        content_language=safe_value(fields.get("content-language")),
        content_disposition=safe_value(fields.get("content-disposition")),
        content_location=safe_value(fields.get("content-location")),
        cache_control=safe_value(fields.get("cache-control")),
        expires=safe_value(fields.get("expires")),
        vary=safe_value(fields.get("vary")),
        version=safe_value(fields.get("x-amz-version-id")),
    )
    return metadata, place


def span_of(
    metadata: Metadata,
    place: ContentRange | None,
    fields: Mapping[str, str],
    status: int,
    what: str,
) -> tuple[Metadata, Span | None]:
    """What a successful answer serves: its span, `None` for the whole object.

    A `Content-Range` counts beside a 200 too: some stores answer a range so, with only that part in the
    body. Raises `BadAnswer`, about `what`, if the answer contradicts itself.
    """
    if place is None:
        if status == _PARTIAL_CONTENT and fields.get("content-range") != _NOTHING_OF_NOTHING:
            raise BadAnswer(f"{what}: 206 without a valid Content-Range")
        return metadata, None
    length = number(fields.get("content-length"))
    if place.span is None or (length is not None and length != place.span.length):
        raise BadAnswer(f"{what}: Content-Range {str(place)!r} beside Content-Length {length!r}")
    return metadata, place.span


def error_for_status(status: int, message: str, fields: Mapping[str, str]) -> SourceError:
    """The failure that an origin's status stands for."""
    match status:
        case 401 | 403:
            return Denied(message)
        case 404 | 410:
            return NotFound(message)
        case 408 | 504:
            return OriginTimeout(message)
        case 429 | 503:
            return Throttled(message, retry_after_seconds(fields.get("retry-after")))
        case 501:
            # The origin knows the method not at all, and will not in a second try.
            return BadAnswer(message)
        case _ if status >= 500:
            return Unavailable(message)
        case _:
            return BadAnswer(message)


def retry_after_seconds(value: str | None) -> float | None:
    """What a `Retry-After` asks for, in seconds from now; `None` if it asks nothing that is clear."""
    if value is None:
        return None
    if (seconds := number(value.strip())) is not None:
        return float(seconds)
    date = parse_date(value)
    return None if date is None else max(0.0, (date - datetime.now(UTC)).total_seconds())


def _codings(value: str | None) -> str | None:
    codings = [] if value is None else [coding.strip(" \t") for coding in value.split(",")]
    return ", ".join(coding for coding in codings if coding and coding.lower() not in _NOT_CODINGS) or None
