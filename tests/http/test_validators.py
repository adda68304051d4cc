"""Entity tags and dates."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.validators import (
    ETag,
    ETagList,
    format_date,
    is_strong_date,
    origin_etag,
    parse_date,
    parse_etag,
    parse_etag_list,
    to_http_seconds,
)

from .texts import ANYTHING, DATES, HOSTILE, TAGS

MOMENT = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param('"a"', ETag("a"), id="strong"),
        pytest.param('W/"a"', ETag("a", weak=True), id="weak"),
        pytest.param('""', ETag(""), id="empty"),
        pytest.param('"a-2;,\\"', ETag("a-2;,\\"), id="backslash-is-no-escape"),
        pytest.param(' "a"\t', ETag("a"), id="white-space-around"),
        pytest.param('"\xff"', ETag("\xff"), id="latin-1"),
        pytest.param('w/"a"', None, id="weakness-is-case-sensitive"),
        pytest.param("a", None, id="no-quotes"),
        pytest.param('"a"b', None, id="something-behind"),
        pytest.param('"a b"', None, id="space-inside"),
        pytest.param('"a', None, id="one-quote"),
    ],
)
def test_entity_tag_is_parsed_or_refused(value: str, expected: ETag | None) -> None:
    assert parse_etag(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("*", ETagList(any=True), id="any"),
        pytest.param('"a"', ETagList((ETag("a"),)), id="one"),
        pytest.param('"a", W/"b","c"', ETagList((ETag("a"), ETag("b", weak=True), ETag("c"))), id="several"),
        pytest.param('"a,b"', ETagList((ETag("a,b"),)), id="comma-inside"),
        pytest.param(', "a",, ', ETagList((ETag("a"),)), id="empty-elements"),
        pytest.param("", None, id="empty"),
        pytest.param('"a" "b"', None, id="no-comma"),
        pytest.param('*, "a"', None, id="any-among-others"),
        pytest.param("a", None, id="no-quotes"),
        pytest.param(" , ,\t,", None, id="only-empty-elements"),
        pytest.param('"a"\t ,\t,, \t"b"', ETagList((ETag("a"), ETag("b"))), id="white-space-between"),
        pytest.param('"a", b', None, id="one-without-quotes"),
        pytest.param('"a", W/', None, id="one-without-a-tag"),
        pytest.param('"a"\n', None, id="line-break"),
        pytest.param("\n", None, id="only-a-line-break"),
    ],
)
def test_list_of_tags_is_parsed_or_refused(value: str, expected: ETagList | None) -> None:
    assert parse_etag_list(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(" " * HOSTILE + "x", id="white-space"),
        pytest.param("," * HOSTILE + "x", id="commas"),
        pytest.param(" ," * HOSTILE + "x", id="both"),
        pytest.param('"a"' + " " * HOSTILE + "x", id="white-space-behind-a-tag"),
        pytest.param('"a",' + " " * HOSTILE + "x", id="white-space-behind-a-comma"),
        pytest.param('"' + "a" * HOSTILE, id="no-second-quote"),
        pytest.param("W/" * HOSTILE, id="weakness-alone"),
    ],
)
@pytest.mark.timeout(10)
def test_hostile_list_costs_no_more_than_its_length(value: str) -> None:
    assert parse_etag_list(value) is None


@pytest.mark.timeout(10)
def test_long_list_is_read_in_a_time_that_its_length_tells() -> None:
    tags = ETagList((ETag("a"),) * 100_000)
    assert parse_etag_list(str(tags)) == tags


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("abc", ETag("abc"), id="no-quotes"),
        pytest.param('"abc"', ETag("abc"), id="quotes"),
        pytest.param('W/"abc"', ETag("abc", weak=True), id="weak"),
        pytest.param("W/abc", ETag("abc", weak=True), id="weak-without-quotes"),
        pytest.param('"a b"', None, id="space-inside"),
        pytest.param('a"b', None, id="quote-inside"),
        pytest.param('"a", "b"', None, id="two-tags"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_tag_of_an_origin_is_read_with_and_without_quotes(value: str | None, expected: ETag | None) -> None:
    assert origin_etag(value) == expected


@pytest.mark.parametrize("opaque", ['a"', "a b", "a\r\nb", "\0", "\x7f", "日本"])
def test_tag_that_no_header_can_hold_cannot_be_made(opaque: str) -> None:
    with pytest.raises(ValueError, match="entity tag"):
        ETag(opaque)


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        # RFC 9110 section 8.8.3.2 has this table.
        pytest.param(ETag("1", weak=True), ETag("1", weak=True), False, True, id="both-weak"),
        pytest.param(ETag("1", weak=True), ETag("2", weak=True), False, False, id="both-weak-different"),
        pytest.param(ETag("1", weak=True), ETag("1"), False, True, id="one-weak"),
        pytest.param(ETag("1"), ETag("1"), True, True, id="both-strong"),
    ],
)
def test_tags_compare_as_the_standard_says(one: ETag, other: ETag, strong: bool, weak: bool) -> None:
    assert (one.strong_match(other), one.weak_match(other)) == (strong, weak)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", id="imf-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", id="rfc-850"),
        pytest.param("Sun Nov  6 08:49:37 1994", id="asctime"),
    ],
)
def test_date_is_read_in_all_three_forms(value: str) -> None:
    assert parse_date(value) == MOMENT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            "Sat, 31 Dec 2016 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), id="leap-second"
        ),
        pytest.param("Friday, 01-Jan-38 00:00:00 GMT", datetime(2038, 1, 1, tzinfo=UTC), id="two-digit-year"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 +0000", None, id="offset-instead-of-gmt"),
        pytest.param("Sun, 31 Feb 1994 08:49:37 GMT", None, id="no-such-day"),
        pytest.param("Sun, 06 Foo 1994 08:49:37 GMT", None, id="no-such-month"),
        pytest.param("Sun, 06 Nov 0000 08:49:37 GMT", None, id="year-zero"),
        pytest.param("784111777", None, id="seconds"),
        pytest.param("", None, id="empty"),
    ],
)
def test_odd_dates(value: str, expected: datetime | None) -> None:
    assert parse_date(value) == expected


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_date_survives_the_wire_at_whole_seconds(moment: datetime) -> None:
    assert parse_date(format_date(moment)) == to_http_seconds(moment)


def test_date_is_written_in_gmt_wherever_it_was_taken() -> None:
    east = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert format_date(east) == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        pytest.param(MOMENT + timedelta(seconds=1), True, id="a-second-later"),
        pytest.param(MOMENT + timedelta(milliseconds=999), False, id="in-the-same-second"),
        pytest.param(MOMENT, False, id="at-once"),
        pytest.param(None, False, id="unknown"),
    ],
)
def test_date_is_strong_only_when_it_is_old_enough(answered: datetime | None, expected: bool) -> None:
    assert is_strong_date(MOMENT, answered) is expected


@given(st.one_of(ANYTHING, TAGS))
def test_no_text_makes_parsing_tags_raise(value: str) -> None:
    parse_etag(value)
    parse_etag_list(value)
    origin_etag(value)


@given(st.one_of(ANYTHING, DATES))
def test_no_text_makes_parsing_a_date_raise(value: str) -> None:
    parse_date(value)


OPAQUE = st.text("abc,-/\\ÿ!#")


@given(st.builds(ETag, OPAQUE, st.booleans()))
def test_tag_survives_the_wire(tag: ETag) -> None:
    assert parse_etag(str(tag)) == tag


@given(st.lists(st.builds(ETag, OPAQUE, st.booleans()), min_size=1))
def test_list_of_tags_survives_the_wire(tags: list[ETag]) -> None:
    listed = ETagList(tuple(tags))
    assert parse_etag_list(str(listed)) == listed
