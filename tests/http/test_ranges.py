"""Ranges: what a `Range` asks for, and which bytes of an object that comes to."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.ranges import (
    MAX_FIELD_LENGTH,
    MAX_POSITION,
    MAX_RANGES,
    ContentRange,
    FromTo,
    RangeSpec,
    Span,
    Suffix,
    exactly,
    format_range,
    parse_content_range,
    parse_range,
    select,
)

from .texts import ANYTHING, CONTENT_RANGES, HOSTILE, RANGES

SPECS = st.one_of(
    st.builds(FromTo, st.integers(0, 300)),
    st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda pair: FromTo(min(pair), max(pair))),
    st.builds(Suffix, st.integers(0, 300)),
)

# Short ones too, of which several fit into an object and into each other.
SHORT = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: FromTo(pair[0], sum(pair)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("bytes=0-0", (FromTo(0, 0),), id="first-byte"),
        pytest.param("bytes=5-", (FromTo(5),), id="open-ended"),
        pytest.param("bytes=-7", (Suffix(7),), id="suffix"),
        pytest.param("bytes=-0", (Suffix(0),), id="empty-suffix"),
        pytest.param("BYTES=1-2", (FromTo(1, 2),), id="unit-in-capitals"),
        pytest.param("bytes=1-2, 4-5,-1", (FromTo(1, 2), FromTo(4, 5), Suffix(1)), id="several"),
        pytest.param("bytes=,1-2,\t,", (FromTo(1, 2),), id="empty-elements"),
        pytest.param("bytes=0-18446744073709551615", (FromTo(0),), id="ends-where-64-bits-do"),
        pytest.param("bytes=0-" + "9" * 600, (FromTo(0),), id="ends-beyond-any-object"),
        pytest.param("bytes=" + "9" * 600 + "-", (FromTo(MAX_POSITION),), id="starts-beyond-any-object"),
        pytest.param("bytes=-" + "9" * 600, (Suffix(MAX_POSITION),), id="suffix-longer-than-any-object"),
        pytest.param("bytes=007-0009", (FromTo(7, 9),), id="leading-zeros"),
        pytest.param("bytes=", None, id="nothing"),
        pytest.param("bytes=,", None, id="only-empty-elements"),
        pytest.param("bytes=-", None, id="no-numbers"),
        pytest.param("bytes=2-1", None, id="backwards"),
        pytest.param("bytes=1-2,5-4", None, id="one-of-several-backwards"),
        pytest.param("bytes=a-b", None, id="letters"),
        pytest.param("bytes=1-2-3", None, id="three-numbers"),
        pytest.param("bytes=--1", None, id="two-signs"),
        pytest.param("bytes=+1-2", None, id="plus-sign"),
        pytest.param("bytes= 1 - 2", None, id="spaces-inside"),
        pytest.param("bytes=\u0661-\u0662", None, id="digits-of-another-script"),
        pytest.param("lines=1-2", None, id="other-unit"),
        pytest.param("bytes 1-2", None, id="no-equals"),
        pytest.param("", None, id="empty"),
        pytest.param("bytes=" + "9" * 601 + "-", None, id="more-digits-than-python-counts"),
        pytest.param("bytes=0-0\n", None, id="line-break"),
        pytest.param("bytes=" + "0-0," * MAX_RANGES + "1-1", None, id="too-many"),
        pytest.param("bytes=0-0" + " " * MAX_FIELD_LENGTH, None, id="too-long"),
    ],
)
def test_range_is_parsed_or_ignored(value: str, expected: tuple[RangeSpec, ...] | None) -> None:
    assert parse_range(value) == expected


def test_as_many_ranges_as_are_allowed_are_parsed() -> None:
    parsed = parse_range("bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(MAX_RANGES)))
    assert parsed == tuple(FromTo(n * 2, n * 2) for n in range(MAX_RANGES))


@pytest.mark.parametrize(
    ("specs", "size", "expected"),
    [
        pytest.param((FromTo(0, 0),), 10, (Span(0, 1),), id="first-byte"),
        pytest.param((FromTo(9, 9),), 10, (Span(9, 10),), id="last-byte"),
        pytest.param((FromTo(0),), 10, (Span(0, 10),), id="everything-by-range"),
        pytest.param((FromTo(4, 99),), 10, (Span(4, 10),), id="end-past-the-end"),
        pytest.param((Suffix(3),), 10, (Span(7, 10),), id="suffix"),
        pytest.param((Suffix(30),), 10, (Span(0, 10),), id="suffix-longer-than-object"),
        pytest.param((FromTo(10),), 10, (), id="starts-at-the-end"),
        pytest.param((Suffix(0),), 10, (), id="empty-suffix"),
        pytest.param((FromTo(10), FromTo(1, 2)), 10, (Span(1, 3),), id="unsatisfiable-among-others"),
        pytest.param((FromTo(0, 1), FromTo(2, 3)), 10, (Span(0, 4),), id="touching"),
        pytest.param((FromTo(0, 4), FromTo(2, 6)), 20, (Span(0, 7),), id="overlapping"),
        pytest.param((FromTo(5, 6), FromTo(0, 1)), 10, (Span(5, 7), Span(0, 2)), id="in-the-order-asked-for"),
        pytest.param((FromTo(0), FromTo(0)), 10, None, id="more-bytes-than-the-object"),
        pytest.param((FromTo(0, 9), FromTo(0, 0)), 10, None, id="one-byte-more-than-the-object"),
        pytest.param((FromTo(0, 4), FromTo(0, 4)), 10, (Span(0, 5),), id="as-many-bytes-as-the-object"),
        pytest.param((FromTo(0, 8), FromTo(2, 3)), 20, (Span(0, 9),), id="one-inside-another"),
        pytest.param(
            (FromTo(0, 2), FromTo(8, 9), FromTo(3, 4)), 10, (Span(0, 5), Span(8, 10)), id="where-it-began"
        ),
        pytest.param(
            (FromTo(8), FromTo(0, 1), FromTo(2, 2)), 10, (Span(8, 10), Span(0, 3)), id="joined-in-order"
        ),
        pytest.param((FromTo(0, 0),), 0, None, id="empty-object-from-its-start"),
        pytest.param((Suffix(5),), 0, None, id="empty-object-by-suffix"),
        pytest.param((FromTo(1),), 0, (), id="empty-object-past-its-end"),
        pytest.param((Suffix(0),), 0, (), id="empty-object-by-empty-suffix"),
        pytest.param((FromTo(1), FromTo(0)), 0, None, id="empty-object-several"),
    ],
)
def test_spans_of_an_object(
    specs: tuple[RangeSpec, ...], size: int, expected: tuple[Span, ...] | None
) -> None:
    assert select(specs, size) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("bytes 0-4/10", ContentRange(Span(0, 5), 10), id="part"),
        pytest.param("BYTES 0-4/10", ContentRange(Span(0, 5), 10), id="unit-in-capitals"),
        pytest.param("bytes 0-4/*", ContentRange(Span(0, 5), None), id="size-unknown"),
        pytest.param("bytes */10", ContentRange(None, 10), id="unsatisfied"),
        pytest.param("bytes */*", None, id="says-nothing"),
        pytest.param("bytes 4-0/10", None, id="backwards"),
        pytest.param("bytes 0-10/10", None, id="ends-past-the-size"),
        pytest.param("bytes 0--1/0", None, id="nonsense-for-an-empty-object"),
        pytest.param("lines 0-4/10", None, id="other-unit"),
    ],
)
def test_content_range_is_parsed_or_refused(value: str, expected: ContentRange | None) -> None:
    assert parse_content_range(value) == expected


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Span(2, 1), id="span-backwards"),
        pytest.param(lambda: Span(-1, 1), id="span-before-the-start"),
        pytest.param(lambda: FromTo(2, 1), id="range-backwards"),
        pytest.param(lambda: FromTo(-1), id="range-before-the-start"),
        pytest.param(lambda: Suffix(-1), id="suffix-of-less-than-nothing"),
        pytest.param(lambda: ContentRange(None, None), id="content-range-of-nothing-known"),
        pytest.param(lambda: ContentRange(Span(0, 0), 0), id="content-range-of-no-bytes"),
        pytest.param(lambda: ContentRange(Span(0, 1), 0), id="content-range-of-an-empty-object"),
        pytest.param(lambda: ContentRange(Span(5, 11), 10), id="content-range-past-the-size"),
        pytest.param(lambda: exactly(Span(3, 3)), id="range-of-an-empty-span"),
    ],
)
def test_value_that_makes_no_sense_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"got|no Content-Range"):
        make()


@pytest.mark.parametrize("spec", [Suffix(5), Suffix(0), FromTo(0), FromTo(0, 4)], ids=str)
def test_no_range_selects_a_byte_of_an_empty_object(spec: RangeSpec) -> None:
    assert spec.resolve(0) is None


@given(st.one_of(ANYTHING, RANGES))
def test_no_text_makes_parsing_a_range_raise(value: str) -> None:
    parse_range(value)
    parse_range(f"bytes={value}")


@given(st.one_of(ANYTHING, CONTENT_RANGES))
def test_no_text_makes_parsing_a_content_range_raise(value: str) -> None:
    parse_content_range(value)
    parse_content_range(f"bytes {value}")


@pytest.mark.parametrize(
    "ranges",
    [
        pytest.param("0-1," * HOSTILE, id="ranges"),
        pytest.param("," * HOSTILE + "0-1", id="commas"),
        pytest.param("0-" + "9" * HOSTILE, id="digits"),
        pytest.param(" " * HOSTILE + "0-1", id="blanks"),
        pytest.param(",".join(f"{HOSTILE - n}-{HOSTILE + n}" for n in range(HOSTILE // 20)), id="nested"),
    ],
)
def test_cve_2025_62727_range_without_end_costs_no_more_than_its_length(ranges: str) -> None:
    assert parse_range(f"bytes={ranges}") is None


def test_cve_2011_3192_overlapping_ranges_are_no_more_than_the_object() -> None:
    # As it was sent to Apache: all of the object, and a thousand more ranges inside it.
    killer = "bytes=0-," + ",".join(f"5-{last}" for last in range(5, 1300))
    assert parse_range(killer) is None
    # As many as are taken: who asks for more than there is gets the whole once, others what they join to.
    some = parse_range("bytes=0-," + ",".join(f"5-{last}" for last in range(5, 68))) or ()
    assert (len(some), select(some, 1300)) == (MAX_RANGES, None)
    assert select(some[1:], 10_000) == (Span(5, 68),)


@given(SPECS)
def test_range_survives_the_wire(spec: RangeSpec) -> None:
    assert parse_range(format_range(spec)) == (spec,)


@given(st.lists(SPECS, min_size=1, max_size=MAX_RANGES))
def test_several_ranges_survive_the_wire(specs: list[RangeSpec]) -> None:
    assert parse_range("bytes=" + ", ".join(map(str, specs))) == tuple(specs)


PLACES = st.tuples(st.integers(0, 300), st.integers(1, 300), st.none() | st.integers(0, 300)).map(
    lambda numbers: ContentRange(
        Span(numbers[0], numbers[0] + numbers[1]),
        None if numbers[2] is None else sum(numbers[:2]) + numbers[2],
    )
)


@given(PLACES | st.integers(0, 300).map(lambda size: ContentRange(None, size)))
def test_content_range_survives_the_wire(place: ContentRange) -> None:
    assert parse_content_range(str(place)) == place


@given(st.integers(0, 300), st.integers(1, 300))
def test_range_of_exactly_a_span_selects_it(start: int, length: int) -> None:
    span = Span(start, start + length)
    assert select((exactly(span),), span.stop) == (span,)


def bytes_asked_for(spec: RangeSpec, size: int) -> set[int]:
    """The positions that `spec` names in an object of `size` bytes, by the letter of section 14.1.2."""
    match spec:
        case FromTo(first, last):
            return {byte for byte in range(size) if first <= byte and (last is None or byte <= last)}
        case Suffix(length):
            return {byte for byte in range(size) if byte >= size - length}


@given(st.lists(SPECS | SHORT, min_size=1, max_size=8), st.integers(0, 200))
def test_spans_hold_the_bytes_asked_for_and_no_others(specs: list[RangeSpec], size: int) -> None:
    asked = [bytes_asked_for(spec, size) for spec in specs]
    spans = select(tuple(specs), size)
    if spans is None:
        assert size == 0 or sum(map(len, asked)) > size
        return
    sent = [byte for span in spans for byte in range(span.start, span.stop)]
    assert sorted(sent) == sorted(set().union(*asked))
    assert sum(span.length for span in spans) <= size


@given(st.lists(SPECS | SHORT, min_size=1, max_size=8), st.integers(0, 200))
def test_spans_lie_inside_the_object_and_do_not_touch(specs: list[RangeSpec], size: int) -> None:
    spans = select(tuple(specs), size) or ()
    assert all(0 <= span.start < span.stop <= size for span in spans)
    assert all(one.stop < other.start for one, other in pairwise(sorted(spans)))


@given(st.integers(1, 200), SPECS)
def test_one_range_is_never_too_much(size: int, spec: RangeSpec) -> None:
    assert select((spec,), size) in ((), (spec.resolve(size),))
