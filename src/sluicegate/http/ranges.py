"""Byte ranges: `Range`, `Content-Range`, and the spans of an object that they stand for.

RFC 9110 section 14. A malformed or absurd `Range` is never an error here: it is no range at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_RANGES = 64
"""More ranges than this in one request are ignored: no player or downloader asks for as many (nginx and
Apache allow 200 and more; CVE-2011-3192 and RangeAmp are what happens then)."""

MAX_FIELD_LENGTH = 4096
"""A longer `Range` is ignored before it is parsed, which keeps parsing cheap for any input."""

MAX_POSITION = 2**63 - 1
"""No object has more bytes. Clients that want all of one ask for more (2**64 - 1 is a favourite end), and
origins that count in 64 bits answer 416 to that, so no greater number leaves this module."""

# RFC 9110 section 14.1.2: positions are 1*DIGIT. 600 digits are what int() takes under every setting.
_RANGE_SPEC = re.compile(r"([0-9]{1,600})-([0-9]{1,600})?|-([0-9]{1,600})")
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,19})-([0-9]{1,19})|\*)/(?:([0-9]{1,19})|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open run of bytes, `start` (included) to `stop` (excluded)."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"a span needs 0 <= start <= stop, got {self.start!r} to {self.stop!r}")

    @property
    def length(self) -> int:
        """Bytes in the span."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class FromTo:
    """`bytes=first-last`: `last` is inclusive, as on the wire; `None` means to the end."""

    first: int
    last: int | None = None

    def __post_init__(self) -> None:
        if self.first < 0 or (self.last is not None and self.last < self.first):
            raise ValueError(f"a range needs 0 <= first <= last, got {self.first!r} to {self.last!r}")

    def resolve(self, size: int) -> Span | None:
        """The bytes that this selects of `size`, or `None` if it selects none."""
        # Section 14.1.2: "An int-range is satisfiable if it has a first-pos that is less than the
        # current length of the selected representation."
        if self.first >= size:
            return None
        stop = size if self.last is None else min(self.last + 1, size)
        return Span(self.first, stop)

    def __str__(self) -> str:
        return f"{self.first}-{'' if self.last is None else self.last}"


@dataclass(frozen=True, slots=True)
class Suffix:
    """`bytes=-length`: the last `length` bytes."""

    length: int

    def __post_init__(self) -> None:
        if self.length < 0:
            raise ValueError(f"a suffix needs a length of at least 0, got {self.length!r}")

    def resolve(self, size: int) -> Span | None:
        """The bytes that this selects of `size`, or `None` if it selects none."""
        # Section 14.1.2: "If the selected representation is shorter than the specified suffix-length,
        # the entire representation is used."
        if self.length == 0 or size == 0:
            return None
        return Span(max(0, size - self.length), size)

    def __str__(self) -> str:
        return f"-{self.length}"


RangeSpec = FromTo | Suffix


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A parsed `Content-Range`: `span` is `None` for `bytes */SIZE`, `size` is `None` for `/*`."""

    span: Span | None
    size: int | None

    def __post_init__(self) -> None:
        # Section 14.4: range-resp = incl-range "/" ( complete-length / "*" ), unsatisfied-range = "*/"
        # complete-length. So there is no form for an empty span, and none without both span and size.
        if self.span is None:
            is_sound = self.size is not None
        else:
            is_sound = self.span.length > 0 and (self.size is None or self.span.stop <= self.size)
        if not is_sound:
            raise ValueError(f"no Content-Range can name {self.span} of {self.size!r} bytes")

    def __str__(self) -> str:
        place = "*" if self.span is None else f"{self.span.start}-{self.span.stop - 1}"
        return f"bytes {place}/{'*' if self.size is None else self.size}"


def exactly(span: Span) -> FromTo:
    """The range that asks for `span` (which is not empty) and nothing else."""
    return FromTo(span.start, span.stop - 1)


def format_range(spec: RangeSpec) -> str:
    """The field value that asks for one range."""
    return f"bytes={spec}"


def parse_range(value: str, most: int = MAX_RANGES) -> tuple[RangeSpec, ...] | None:
    """The ranges that a `Range` field asks for, or `None` if it must be ignored.

    Ignored are other units, malformed values, more than `most` ranges: RFC 9110 section 14.2 lets
    a server ignore any `Range`, and 400 would break clients that a 200 serves well.
    """
    if len(value) > MAX_FIELD_LENGTH:
        return None
    unit, separator, ranges = value.partition("=")
    # Section 14.1: "Range units are case-insensitive."
    if not separator or unit.strip(" \t").lower() != "bytes":
        return None
    # Section 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
    elements = [element for raw in ranges.split(",") if (element := raw.strip(" \t"))]
    if not 0 < len(elements) <= most:
        return None
    specs = [_parse_spec(element) for element in elements]
    return None if None in specs else tuple(spec for spec in specs if spec is not None)


def _parse_spec(text: str) -> RangeSpec | None:
    matched = _RANGE_SPEC.fullmatch(text)
    if matched is None:
        return None
    first, last, suffix = matched.groups()
    if suffix is not None:
        return Suffix(min(int(suffix), MAX_POSITION))
    start, end = int(first), MAX_POSITION if last is None else int(last)
    # Section 14.1.1: "An int-range is invalid if the last-pos value is present and less than first-pos."
    if last is not None and end < start:
        return None
    return FromTo(min(start, MAX_POSITION), None if end >= MAX_POSITION else end)


def parse_content_range(value: str) -> ContentRange | None:
    """What an origin says that it served, or `None` if the value is malformed or contradicts itself."""
    matched = _CONTENT_RANGE.fullmatch(value.strip(" \t"))
    if matched is None:
        return None
    first, last, total = matched.groups()
    size = None if total is None else int(total)
    if first is None:
        return None if size is None else ContentRange(None, size)
    # Section 14.4: "A Content-Range field value is invalid if it contains a range-resp that has a
    # last-pos value less than its first-pos value, or a complete-length value less than or equal to
    # its last-pos value."
    if int(last) < int(first) or (size is not None and size <= int(last)):
        return None
    return ContentRange(Span(int(first), int(last) + 1), size)


def select(specs: tuple[RangeSpec, ...], size: int) -> tuple[Span, ...] | None:
    """The spans of an object of `size` bytes to send for `specs`, in the order asked for.

    `None` means that the whole object is the better answer; an empty tuple means that no range is
    satisfiable (416). Spans that overlap or touch come back as one.
    """
    # An empty object has no byte that a Content-Range could name. A range that starts at its
    # beginning asks for all of it, and the whole of it is what a 200 gives.
    if size == 0:
        return None if any(_wants_all_of_nothing(spec) for spec in specs) else ()
    spans = [span for spec in specs if (span := spec.resolve(size)) is not None]
    # Section 14.2: a server may ignore ranges that overlap much or are many. A set that asks for more
    # bytes than the object has is an attack or a mistake.
    if sum(span.length for span in spans) > size:
        return None
    return _merged(spans)


def _wants_all_of_nothing(spec: RangeSpec) -> bool:
    # Section 14.1.2: "A suffix-range is satisfiable if the suffix-length is non-zero."
    return spec.length > 0 if isinstance(spec, Suffix) else spec.first == 0


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """`spans` with overlapping and touching ones joined, each where its first piece was asked for."""
    # Section 15.3.7.2: "a server that generates a multipart response ... MAY coalesce any of the ranges
    # that overlap, or that are separated by a gap that is smaller than the overhead".
    order = sorted(range(len(spans)), key=lambda index: spans[index])
    joined: list[tuple[int, Span]] = []
    for index in order:
        span = spans[index]
        if joined and span.start <= joined[-1][1].stop:
            place, last = joined[-1]
            joined[-1] = (min(place, index), Span(last.start, max(last.stop, span.stop)))
        else:
            joined.append((index, span))
    return tuple(span for _, span in sorted(joined))
