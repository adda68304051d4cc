"""What an origin says of an object: the facts that become header fields, and decide conditions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sluicegate.http.validators import ETag


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """One version of an object, as its origin describes it.

    `size` is the length of the whole object in bytes, `None` if the origin does not say. `answered` is
    when the origin said so (its `Date`, or the time of receipt). `ranges` says whether the origin serves
    ranges of it. Field values are as the origin sent them, already checked to be safe to send on.
    """

    size: int | None = None
    etag: ETag | None = None
    last_modified: datetime | None = None
    answered: datetime | None = None
    ranges: bool = True
    content_type: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    content_location: str | None = None
    cache_control: str | None = None
    expires: str | None = None
    vary: str | None = None
    version: str | None = None
