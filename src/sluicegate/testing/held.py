"""An object as the `FaultyOrigin` holds it: content, how it is described, and how it is framed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypedDict, Unpack

from sluicegate.http.fields import Fields, check_fields
from sluicegate.http.media_types import media_type_of
from sluicegate.http.metadata import Metadata
from sluicegate.http.validators import ETag, origin_etag
from sluicegate.testing.generated import Generated

LAST_MODIFIED: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""When objects were last modified, unless they say otherwise: a date that no test run changes."""

Content = bytes | Generated


@dataclass(frozen=True, slots=True)
class HeldObject:
    """`content`, as `metadata` describes it, down to its size.

    Without `length` it is sent in chunks that tell no size. `fields` are sent beside those of the metadata.
    """

    content: Content
    metadata: Metadata
    length: bool = True
    fields: Fields = ()

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return size_of(self.content)


def size_of(content: Content) -> int:
    """Bytes of `content`."""
    return content.size if isinstance(content, Generated) else len(content)


class Described(TypedDict, total=False):
    """How an object is described, as far as it does not describe itself.

    `etag` is the tag with or without its quotes, and `weak` makes it a weak one. `last_modified` is an aware
    datetime, or `None` for an object that tells none. Without `ranges` every `Range` is answered by 200, and
    without `length` the body comes in chunks. `fields` are header fields that are sent as well.
    """

    etag: str
    weak: bool
    last_modified: datetime | None
    content_type: str
    ranges: bool
    length: bool
    fields: Mapping[str, str]


def held_object(path: str, content: Content, **described: Unpack[Described]) -> HeldObject:
    """`content` as an object: type by the extension of `path` and strong tag by the content, unless given."""
    tag = origin_etag(described.get("etag")) or tag_of(content)
    metadata = Metadata(
        size=size_of(content),
        etag=replace(tag, weak=described.get("weak", False) or tag.weak),
        last_modified=described.get("last_modified", LAST_MODIFIED),
        ranges=described.get("ranges", True),
        content_type=described.get("content_type") or media_type_of(path),
    )
    fields = check_fields(described.get("fields", {}))
    return HeldObject(content, metadata, described.get("length", True), fields)


def tag_of(content: Content) -> ETag:
    """A strong tag that belongs to the content."""
    described = content if isinstance(content, bytes) else f"{content.size}/{content.seed}".encode()
    return ETag(hashlib.sha256(described).hexdigest()[:32])
