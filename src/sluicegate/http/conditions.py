"""Conditional requests: what `If-*` fields ask, and what holds for a given version of an object.

RFC 9110 section 13. Sources hand on to their origin what `forwardable` leaves; whatever the origin made
of it, `evaluate` decides on the metadata of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from sluicegate.http.metadata import Metadata
from sluicegate.http.validators import (
    ETag,
    ETagList,
    is_strong_date,
    parse_date,
    parse_etag,
    parse_etag_list,
)

NO_TAG = ETagList()
"""A list that nothing matches: what a malformed `If-Match` comes to, so that a precondition which cannot
be read is never taken as met."""


LONGEST_FORWARDED: Final = 1024
"""Characters of a tag that an origin gets to see. No origin makes longer ones, and stores answer 400 or 431
to fields that a client may well send to this server (AWS has 8 KiB for all of them)."""


class Verdict(Enum):
    """What a request's preconditions say of a version."""

    PROCEED = "proceed"
    NOT_MODIFIED = "not modified"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Conditions:
    """The preconditions of a request; `None` where the field is absent or must be ignored."""

    if_match: ETagList | None = None
    if_unmodified_since: datetime | None = None
    if_none_match: ETagList | None = None
    if_modified_since: datetime | None = None

    def __bool__(self) -> bool:
        return self is not UNCONDITIONAL and self != UNCONDITIONAL


UNCONDITIONAL = Conditions()

_FIELDS: Final = frozenset({"if-match", "if-unmodified-since", "if-none-match", "if-modified-since"})


@dataclass(frozen=True, slots=True)
class IfRange:
    """An `If-Range` field: an entity tag, a date, or neither (which never holds)."""

    validator: ETag | datetime | None

    @property
    def may_hold(self) -> bool:
        """Whether there can be a version that it holds for: a weak tag matches none strongly."""
        return self.validator is not None and not (isinstance(self.validator, ETag) and self.validator.weak)


def read_conditions(fields: Mapping[str, str]) -> Conditions:
    """The preconditions in `fields` (names in lower case)."""
    if _FIELDS.isdisjoint(fields):
        return UNCONDITIONAL
    if_match = if_none_match = None
    if (value := fields.get("if-match")) is not None:
        if_match = parse_etag_list(value) or NO_TAG
    if (value := fields.get("if-none-match")) is not None:
        if_none_match = parse_etag_list(value)
    return Conditions(
        if_match=if_match,
        # Sections 13.1.3 and 13.1.4: a recipient MUST ignore the date if it is not a valid HTTP-date,
        # and if the entity tag condition of the same kind is present.
        if_unmodified_since=_date(fields, "if-unmodified-since") if if_match is None else None,
        if_none_match=if_none_match,
        if_modified_since=_date(fields, "if-modified-since") if "if-none-match" not in fields else None,
    )


def _date(fields: Mapping[str, str], name: str) -> datetime | None:
    value = fields.get(name)
    return None if value is None else parse_date(value)


def read_if_range(fields: Mapping[str, str]) -> IfRange | None:
    """The `If-Range` in `fields`, or `None` if there is none."""
    value = fields.get("if-range")
    if value is None:
        return None
    return IfRange(parse_etag(value) or parse_date(value))


def evaluate(conditions: Conditions, metadata: Metadata) -> Verdict:
    """What `conditions` say of the version that `metadata` describes, in the order of section 13.2.2."""
    if conditions is UNCONDITIONAL:
        return Verdict.PROCEED
    if not _match_holds(conditions, metadata):
        return Verdict.FAILED
    if conditions.if_none_match is not None:
        tagged = _names(conditions.if_none_match, metadata.etag, weak=True)
        return Verdict.NOT_MODIFIED if tagged else Verdict.PROCEED
    since, modified = conditions.if_modified_since, metadata.last_modified
    if since is not None and modified is not None and modified <= since:
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


def _match_holds(conditions: Conditions, metadata: Metadata) -> bool:
    """Steps 1 and 2 of section 13.2.2: If-Match, or else If-Unmodified-Since."""
    if conditions.if_match is not None:
        # Section 13.1.1: "An origin server MUST use the strong comparison function".
        return _names(conditions.if_match, metadata.etag, weak=False)
    since, modified = conditions.if_unmodified_since, metadata.last_modified
    return since is None or modified is None or modified <= since


def _names(tags: ETagList, etag: ETag | None, *, weak: bool) -> bool:
    if tags.any or etag is None:
        return tags.any
    return any(tag.weak_match(etag) if weak else tag.strong_match(etag) for tag in tags.tags)


def range_applies(if_range: IfRange | None, metadata: Metadata) -> bool:
    """Section 13.1.5: whether a `Range` beside this `If-Range` may be honoured for that version."""
    match None if if_range is None else if_range.validator:
        case ETag() as tag:
            return metadata.etag is not None and tag.strong_match(metadata.etag)
        case datetime() as date:
            modified = metadata.last_modified
            return modified == date and modified is not None and is_strong_date(modified, metadata.answered)
        case _:
            return if_range is None


def forwardable(conditions: Conditions) -> Conditions:
    """The part of `conditions` that every origin understands alike.

    Stores disagree on lists, on `*`, on weak tags, and on bytes outside ASCII, so only single plain tags go
    out: in `If-Match` a strong one; in `If-None-Match`, which compares weakly, as a strong one. `evaluate`
    sees to the rest.
    """
    if conditions is UNCONDITIONAL:
        return UNCONDITIONAL
    match, none_match = conditions.if_match, conditions.if_none_match
    return Conditions(
        if_match=_single(match) if match is not None and not any(tag.weak for tag in match.tags) else None,
        if_unmodified_since=conditions.if_unmodified_since,
        if_none_match=_single(none_match) if none_match is not None else None,
        if_modified_since=conditions.if_modified_since,
    )


def _single(tags: ETagList) -> ETagList | None:
    match tags.tags:
        case (ETag(opaque),) if opaque.isascii() and len(opaque) <= LONGEST_FORWARDED:
            return ETagList((ETag(opaque),))
        case _:
            return None


def pinned_to(etag: ETag) -> Conditions:
    """The condition that only the version of this (strong) tag meets."""
    return Conditions(if_match=ETagList((etag,)))
