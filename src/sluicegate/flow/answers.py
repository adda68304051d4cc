"""What to believe of an origin's answer. Pure: what follows from it is decided elsewhere."""

from __future__ import annotations

from sluicegate.http.conditions import Conditions, Verdict, evaluate
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, RangeSpec, Span
from sluicegate.http.validators import is_strong_date
from sluicegate.sources.base import Found, OpenOutcome, OpenRequest


def is_credible(outcome: OpenOutcome, asked: OpenRequest) -> bool:
    """Whether `outcome` can be the answer to `asked`.

    A verdict of an origin ends the exchange, so it must be about something that was asked. A 304 is also
    held against the validator that it carries: some sources ask for that in a second request, when another
    version may be there already, and the client must not take its old copy for the new version.
    """
    match outcome:
        case Found():
            return True
        case Unsatisfiable():
            return asked.range is not None
        case PreconditionFailed():
            return asked.conditions.if_match is not None or asked.conditions.if_unmodified_since is not None
        case NotModified(metadata):
            return _may_be_current(metadata, asked.conditions)


def _may_be_current(metadata: Metadata, asked: Conditions) -> bool:
    tags, since = asked.if_none_match, asked.if_modified_since
    if (tags is not None and metadata.etag is None) or (since is not None and metadata.last_modified is None):
        return True
    current = Conditions(if_none_match=tags, if_modified_since=since)
    return evaluate(current, metadata) is Verdict.NOT_MODIFIED


def is_asked_for(span: Span, spec: RangeSpec, size: int | None) -> bool:
    """Whether an origin that was asked for `spec` of an object of `size` bytes may serve `span`."""
    if size is not None:
        return spec.resolve(size) == span
    if isinstance(spec, FromTo):
        is_inside = spec.first == span.start and (spec.last is None or span.stop <= spec.last + 1)
    else:
        is_inside = span.length <= spec.length
    return is_inside and span.length > 0


def is_same_version(one: Metadata, other: Metadata) -> bool:
    """Whether two answers are of one version, as far as they tell."""
    return (one.etag, one.last_modified, one.size) == (other.etag, other.last_modified, other.size)


def is_pinnable(metadata: Metadata) -> bool:
    """Whether answers that `is_same_version` holds for are of one version for certain.

    RFC 9110 section 8.8.1: a weak validator may stay as it is when the bytes change.
    """
    if metadata.etag is not None and not metadata.etag.weak:
        return True
    modified = metadata.last_modified
    return modified is not None and is_strong_date(modified, metadata.answered)
