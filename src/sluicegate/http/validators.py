"""Validators: entity tags and HTTP dates, and how they compare.

RFC 9110 sections 5.6.7, 8.8.2 and 8.8.3. Garbage parses to `None`, never to an exception.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

# Section 8.8.3: etagc = %x21 / %x23-7E / obs-text. Field values arrive decoded as Latin-1.
_ETAGC = r"[\x21\x23-\x7e\x80-\xff]"
_OPAQUE = re.compile(rf"{_ETAGC}*")
_ETAG = re.compile(rf'(W/)?"({_ETAGC}*)"')
# A tag of a list, and what separates it from the next: section 5.6.1.2 has empty elements ignored. No two
# neighbours in it can take the same character, so that a hostile value costs no more than its length.
_LIST_ITEM = re.compile(rf'(W/)?"({_ETAGC}*)"[ \t]*(?:,[ \t,]*|\Z)')

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_MONTH = r"(?P<month>[A-Z][a-z]{2})"
_DATE_FORMS = (
    # Section 5.6.7: IMF-fixdate, then the two obsolete forms that a recipient MUST accept.
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} GMT"),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_CLOCK} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[0-9 ][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})"),
)
_TWO_DIGIT_YEAR: Final = 2

STRONG_DATE_AGE: Final = timedelta(seconds=1)
"""Section 8.8.2.2: a Last-Modified is strong if the origin's Date is at least one second later."""


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag: the opaque text between the quotes, and whether it is weak."""

    opaque: str
    weak: bool = False

    def __post_init__(self) -> None:
        if not _OPAQUE.fullmatch(self.opaque):
            raise ValueError(f"an entity tag cannot hold {self.opaque!r}")

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.opaque}"'

    def strong_match(self, other: ETag) -> bool:
        """Section 8.8.3.2: equal, and neither is weak."""
        return not self.weak and not other.weak and self.opaque == other.opaque

    def weak_match(self, other: ETag) -> bool:
        """Section 8.8.3.2: the opaque tags are equal, weak or not."""
        return self.opaque == other.opaque


@dataclass(frozen=True, slots=True)
class ETagList:
    """The value of `If-Match` or `If-None-Match`: some tags, or `*` (`any`)."""

    tags: tuple[ETag, ...] = ()
    any: bool = False

    def __str__(self) -> str:
        return "*" if self.any else ", ".join(map(str, self.tags))


def parse_etag(value: str) -> ETag | None:
    """One entity tag, or `None` if `value` is not exactly that."""
    matched = _ETAG.fullmatch(value.strip(" \t"))
    return None if matched is None else ETag(matched[2], weak=matched[1] is not None)


def origin_etag(value: str | None) -> ETag | None:
    """The tag that an origin sent, which some send without its quotes."""
    if not value:
        return None
    weak, opaque = ("W/", value[2:]) if value.startswith("W/") else ("", value)
    return parse_etag(value) or parse_etag(f'{weak}"{opaque}"')


def parse_etag_list(value: str) -> ETagList | None:
    """A list of entity tags or `*`; `None` if it is neither."""
    if value.strip(" \t") == "*":
        return ETagList(any=True)
    text = value.strip(" \t,")
    tags: list[ETag] = []
    position = 0
    while position < len(text):
        matched = _LIST_ITEM.match(text, position)
        if matched is None:
            return None
        tags.append(ETag(matched[2], weak=matched[1] is not None))
        position = matched.end()
    return ETagList(tuple(tags)) if tags else None


def parse_date(value: str) -> datetime | None:
    """An HTTP-date in any of its three forms, as an aware UTC datetime; `None` if it is none of them."""
    text = value.strip(" \t")
    for form in _DATE_FORMS:
        if matched := form.fullmatch(text):
            return _datetime_of(matched)
    return None


def _datetime_of(matched: re.Match[str]) -> datetime | None:
    if matched["month"] not in _MONTHS:
        return None
    year = int(matched["year"])
    if len(matched["year"]) == _TWO_DIGIT_YEAR:
        # Section 5.6.7 has a rule relative to the present; the pivot that POSIX uses needs no clock
        # and agrees with it for every date that HTTP has seen.
        year += 1900 if year >= 70 else 2000
    month = _MONTHS.index(matched["month"]) + 1
    # A leap second is valid in an HTTP-date and has no datetime.
    second = min(int(matched["second"]), 59) if matched["second"] == "60" else int(matched["second"])
    try:
        return datetime(
            year, month, int(matched["day"]), int(matched["hour"]), int(matched["minute"]), second, tzinfo=UTC
        )
    except ValueError:
        return None


def format_date(moment: datetime) -> str:
    """An aware datetime as IMF-fixdate; fractions of a second are dropped."""
    date = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    # Not by strftime, whose names are those of the locale.
    clock = f"{date.hour:02}:{date.minute:02}:{date.second:02}"
    return f"{_DAYS[date.weekday()]}, {date.day:02} {_MONTHS[date.month - 1]} {date.year:04} {clock} GMT"


def to_http_seconds(moment: datetime) -> datetime:
    """`moment` in UTC at the resolution of HTTP, whole seconds."""
    if moment.tzinfo is UTC and not moment.microsecond:
        return moment
    return moment.astimezone(UTC).replace(microsecond=0)


def is_strong_date(last_modified: datetime, answered: datetime | None) -> bool:
    """Whether a Last-Modified can serve where a strong validator is needed."""
    return answered is not None and answered - last_modified >= STRONG_DATE_AGE
