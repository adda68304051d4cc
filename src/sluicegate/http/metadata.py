"""What an origin says of an object: the facts that become header fields, and decide conditions.

Checked when made: nothing in here can split a header, and dates compare as those of HTTP do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from sluicegate.http.fields import check_value, is_value
from sluicegate.http.validators import ETag, to_http_seconds

_VALUES: Final = (
    "content_type",
    "content_encoding",
    "content_language",
    "content_disposition",
    "content_location",
    "cache_control",
    "expires",
    "vary",
)
_values_of: Final = attrgetter(*_VALUES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """One version of an object, as its origin describes it.

    `size` is the length of the whole object in bytes, `None` if the origin does not say. `answered` is
    when the origin said so (its `Date`, or the time of receipt). `ranges` says whether the origin serves
    ranges of it. Field values are as the origin sent them. `last_modified` loses its fractions of a second,
    which no `Last-Modified` can tell.

    Raises `BadFieldValue` for values that are not safe to send on (`safe_value` drops those), `ValueError`
    for a negative size and for dates without a time zone.
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

    def __post_init__(self) -> None:
        given = [(name, value) for name, value in zip(_VALUES, _values_of(self), strict=True) if value]
        # All at once, for a long way is only worth it where there is something to say.
        if not is_value("".join([value for _, value in given])):
            for name, value in given:
                check_value(name.replace("_", "-"), value)
        if self.size is not None and self.size < 0:
            raise ValueError(f"a size is at least 0 bytes, got {self.size!r}")
        for moment in (self.last_modified, self.answered):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"a date needs a time zone, got {moment!r}")
        if self.last_modified is not None:
            object.__setattr__(self, "last_modified", to_http_seconds(self.last_modified))
