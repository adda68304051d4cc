"""Preconditions: what they say of a version, and which of them an origin may see."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.conditions import (
    LONGEST_FORWARDED,
    NO_TAG,
    UNCONDITIONAL,
    Conditions,
    IfRange,
    Verdict,
    evaluate,
    forwardable,
    range_applies,
    read_conditions,
    read_if_range,
)
from sluicegate.http.metadata import Metadata
from sluicegate.http.validators import ETag, ETagList, format_date

from .texts import ANYTHING, DATES, TAGS

MODIFIED = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
BEFORE, AFTER = MODIFIED - timedelta(hours=1), MODIFIED + timedelta(hours=1)
OBJECT = Metadata(size=10, etag=ETag("v1"), last_modified=MODIFIED, answered=AFTER)

PROCEED, NOT_MODIFIED, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.FAILED


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, PROCEED, id="none"),
        pytest.param({"if-none-match": '"v1"'}, NOT_MODIFIED, id="current-copy"),
        pytest.param({"if-none-match": 'W/"v1"'}, NOT_MODIFIED, id="current-copy-weakly"),
        pytest.param({"if-none-match": '"v0", "v1"'}, NOT_MODIFIED, id="current-copy-in-a-list"),
        pytest.param({"if-none-match": "*"}, NOT_MODIFIED, id="any-copy"),
        pytest.param({"if-none-match": '"v0"'}, PROCEED, id="old-copy"),
        pytest.param({"if-none-match": "garbage"}, PROCEED, id="unreadable-copy"),
        pytest.param({"if-match": '"v1"'}, PROCEED, id="match"),
        pytest.param({"if-match": "*"}, PROCEED, id="match-any"),
        pytest.param({"if-match": 'W/"v1"'}, FAILED, id="match-weakly"),
        pytest.param({"if-match": '"v0"'}, FAILED, id="mismatch"),
        pytest.param({"if-match": "garbage"}, FAILED, id="unreadable-match"),
        pytest.param({"if-match": ""}, FAILED, id="empty-match"),
        pytest.param({"if-match": '*, "v1"'}, FAILED, id="any-among-others"),
        pytest.param({"if-match": '"v0",, W/"v1", "v1"'}, PROCEED, id="match-in-a-list"),
        pytest.param({"if-none-match": ""}, PROCEED, id="empty-copy"),
        pytest.param({"if-none-match": "v1"}, PROCEED, id="copy-without-quotes"),
        pytest.param({"if-modified-since": format_date(MODIFIED)}, NOT_MODIFIED, id="since-then"),
        pytest.param({"if-modified-since": format_date(AFTER)}, NOT_MODIFIED, id="since-later"),
        pytest.param({"if-modified-since": format_date(BEFORE)}, PROCEED, id="since-earlier"),
        pytest.param({"if-modified-since": "yesterday"}, PROCEED, id="since-garbage"),
        pytest.param({"if-unmodified-since": format_date(MODIFIED)}, PROCEED, id="unmodified-since-then"),
        pytest.param({"if-unmodified-since": format_date(BEFORE)}, FAILED, id="modified-after"),
        pytest.param({"if-unmodified-since": "yesterday"}, PROCEED, id="unmodified-since-garbage"),
        pytest.param(
            {"if-none-match": '"v0"', "if-modified-since": format_date(AFTER)}, PROCEED, id="tag-beats-date"
        ),
        pytest.param(
            {"if-none-match": "garbage", "if-modified-since": format_date(AFTER)},
            PROCEED,
            id="unreadable-tag-beats-date",
        ),
        pytest.param(
            {"if-match": '"v1"', "if-unmodified-since": format_date(BEFORE)}, PROCEED, id="match-beats-date"
        ),
        pytest.param({"if-match": '"v0"', "if-none-match": '"v1"'}, FAILED, id="match-comes-first"),
        pytest.param({"if-match": '"v1"', "if-none-match": '"v1"'}, NOT_MODIFIED, id="both-tags-hold"),
        pytest.param(
            {"if-match": "garbage", "if-unmodified-since": format_date(AFTER)},
            FAILED,
            id="unreadable-match-beats-date",
        ),
        pytest.param(
            {"if-unmodified-since": format_date(BEFORE), "if-none-match": '"v1"'},
            FAILED,
            id="unmodified-since-comes-first",
        ),
        pytest.param(
            {"if-unmodified-since": format_date(AFTER), "if-modified-since": format_date(AFTER)},
            NOT_MODIFIED,
            id="both-dates-hold",
        ),
        pytest.param({"if-modified-since": "Wednesday, 01-May-24 12:00:00 GMT"}, NOT_MODIFIED, id="rfc-850"),
        pytest.param({"if-modified-since": "Wed May  1 12:00:00 2024"}, NOT_MODIFIED, id="asctime"),
    ],
)
def test_verdict_follows_the_order_of_the_standard(fields: dict[str, str], expected: Verdict) -> None:
    assert evaluate(read_conditions(fields), OBJECT) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"if-match": '"v1"'}, FAILED, id="match"),
        pytest.param({"if-none-match": '"v1"'}, PROCEED, id="none-match"),
        pytest.param({"if-none-match": "*"}, NOT_MODIFIED, id="none-match-any"),
        pytest.param({"if-modified-since": format_date(AFTER)}, PROCEED, id="modified-since"),
        pytest.param({"if-unmodified-since": format_date(BEFORE)}, PROCEED, id="unmodified-since"),
    ],
)
def test_object_without_validators(fields: dict[str, str], expected: Verdict) -> None:
    assert evaluate(read_conditions(fields), Metadata(size=10)) is expected


def test_weak_tag_of_the_origin_matches_weakly_only() -> None:
    weak = replace(OBJECT, etag=ETag("v1", weak=True))
    assert [
        evaluate(read_conditions({name: value}), weak)
        for name in ("if-match", "if-none-match")
        for value in ('"v1"', 'W/"v1"')
    ] == [FAILED, FAILED, NOT_MODIFIED, NOT_MODIFIED]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, UNCONDITIONAL, id="none"),
        pytest.param({"if-match": '"a"'}, Conditions(if_match=ETagList((ETag("a"),))), id="match"),
        pytest.param({"if-match": "a"}, Conditions(if_match=NO_TAG), id="unreadable-match-is-kept"),
        pytest.param({"if-none-match": "a"}, UNCONDITIONAL, id="unreadable-copy-is-ignored"),
        pytest.param(
            {"if-modified-since": format_date(MODIFIED)},
            Conditions(if_modified_since=MODIFIED),
            id="modified-since",
        ),
        pytest.param({"if-modified-since": "1714564800"}, UNCONDITIONAL, id="unreadable-date-is-ignored"),
        pytest.param(
            {
                "if-match": "*",
                "if-unmodified-since": format_date(MODIFIED),
                "if-none-match": "*",
                "if-modified-since": format_date(MODIFIED),
            },
            Conditions(if_match=ETagList(any=True), if_none_match=ETagList(any=True)),
            id="tags-beat-dates",
        ),
    ],
)
def test_conditions_are_read(fields: dict[str, str], expected: Conditions) -> None:
    assert read_conditions(fields) == expected


def test_no_conditions_are_falsy() -> None:
    assert (bool(UNCONDITIONAL), bool(read_conditions({"if-match": "x"}))) == (False, True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param('"v1"', True, id="same-tag"),
        pytest.param('W/"v1"', False, id="weak-tag"),
        pytest.param('"v0"', False, id="other-tag"),
        pytest.param(format_date(MODIFIED), True, id="same-date"),
        pytest.param(format_date(AFTER), False, id="later-date"),
        pytest.param(format_date(BEFORE), False, id="earlier-date"),
        pytest.param("Wed May  1 12:00:00 2024", True, id="same-date-in-another-form"),
        pytest.param('"v1", "v0"', False, id="list"),
        pytest.param("*", False, id="any"),
        pytest.param("garbage", False, id="garbage"),
        pytest.param("", False, id="empty"),
    ],
)
def test_range_is_honoured_only_for_the_very_version(value: str, expected: bool) -> None:
    assert range_applies(read_if_range({"if-range": value}), OBJECT) is expected


def test_range_needs_no_if_range() -> None:
    assert read_if_range({}) is None
    assert range_applies(None, OBJECT)


@pytest.mark.parametrize("answered", [None, MODIFIED, MODIFIED + timedelta(milliseconds=999)], ids=str)
def test_date_of_the_last_second_is_too_weak_for_a_range(answered: datetime | None) -> None:
    assert not range_applies(IfRange(MODIFIED), replace(OBJECT, answered=answered))


@pytest.mark.parametrize("validator", [ETag("v1"), MODIFIED], ids=["tag", "date"])
def test_range_is_never_honoured_for_a_version_without_validators(validator: ETag | datetime) -> None:
    assert not range_applies(IfRange(validator), Metadata(size=10, answered=AFTER))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param('"v1"', True, id="strong-tag"),
        pytest.param(format_date(MODIFIED), True, id="date"),
        pytest.param('W/"v1"', False, id="weak-tag"),
        pytest.param("garbage", False, id="garbage"),
    ],
)
def test_if_range_that_holds_for_no_version_is_known_at_once(value: str, expected: bool) -> None:
    if_range = read_if_range({"if-range": value})
    assert if_range is not None
    assert if_range.may_hold is expected


def test_weak_tag_of_the_origin_never_holds_a_range() -> None:
    weak = replace(OBJECT, etag=ETag("v1", weak=True))
    assert not range_applies(IfRange(ETag("v1")), weak)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param(
            Conditions(if_match=ETagList((ETag("a"),))),
            Conditions(if_match=ETagList((ETag("a"),))),
            id="strong-match",
        ),
        pytest.param(Conditions(if_match=ETagList((ETag("a", weak=True),))), UNCONDITIONAL, id="weak-match"),
        pytest.param(Conditions(if_match=ETagList((ETag("a"), ETag("b")))), UNCONDITIONAL, id="match-list"),
        pytest.param(Conditions(if_match=ETagList(any=True)), UNCONDITIONAL, id="match-any"),
        pytest.param(Conditions(if_match=NO_TAG), UNCONDITIONAL, id="unreadable-match"),
        pytest.param(Conditions(if_match=ETagList((ETag("é"),))), UNCONDITIONAL, id="tag-outside-ascii"),
        pytest.param(
            Conditions(if_match=ETagList((ETag("a" * LONGEST_FORWARDED),))),
            Conditions(if_match=ETagList((ETag("a" * LONGEST_FORWARDED),))),
            id="long-tag",
        ),
        pytest.param(
            Conditions(if_none_match=ETagList((ETag("a" * (LONGEST_FORWARDED + 1)),))),
            UNCONDITIONAL,
            id="tag-longer-than-stores-take",
        ),
        pytest.param(Conditions(if_none_match=ETagList(any=True)), UNCONDITIONAL, id="any-copy"),
        pytest.param(
            Conditions(if_none_match=ETagList((ETag("a"), ETag("b")))), UNCONDITIONAL, id="list-of-copies"
        ),
        pytest.param(
            Conditions(if_unmodified_since=MODIFIED),
            Conditions(if_unmodified_since=MODIFIED),
            id="unmodified-since",
        ),
        pytest.param(
            Conditions(if_none_match=ETagList((ETag("a", weak=True),))),
            Conditions(if_none_match=ETagList((ETag("a"),))),
            id="weak-copy-goes-out-strong",
        ),
        pytest.param(
            Conditions(if_modified_since=MODIFIED),
            Conditions(if_modified_since=MODIFIED),
            id="modified-since",
        ),
    ],
)
def test_origin_sees_only_what_all_understand_alike(conditions: Conditions, expected: Conditions) -> None:
    assert forwardable(conditions) == expected


NAMES = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range")
VALUES = st.one_of(
    ANYTHING,
    TAGS,
    DATES,
    st.sampled_from(['"v1"', 'W/"v1"', "*", '"v0", "v1"', format_date(MODIFIED), format_date(BEFORE)]),
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_any_fields_come_to_a_verdict(fields: dict[str, str]) -> None:
    conditions = read_conditions(fields)
    assert evaluate(conditions, OBJECT) in Verdict
    assert range_applies(read_if_range(fields), OBJECT) in (True, False)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_origin_refuses_nothing_that_the_client_would_get(fields: dict[str, str]) -> None:
    """An origin that obeys what is forwarded never withholds an object that all conditions let through."""
    conditions = read_conditions(fields)
    if evaluate(conditions, OBJECT) is PROCEED:
        assert evaluate(forwardable(conditions), OBJECT) is PROCEED
