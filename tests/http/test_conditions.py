"""Preconditions: what they say of a version, and which of them an origin may see."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.http.conditions import (
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
        pytest.param("garbage", False, id="garbage"),
        pytest.param("", False, id="empty"),
    ],
)
def test_range_is_honoured_only_for_the_very_version(value: str, expected: bool) -> None:
    assert range_applies(read_if_range({"if-range": value}), OBJECT) is expected


def test_range_needs_no_if_range() -> None:
    assert read_if_range({}) is None
    assert range_applies(None, OBJECT)


def test_date_of_the_last_second_is_too_weak_for_a_range() -> None:
    fresh = replace(OBJECT, answered=MODIFIED)
    assert not range_applies(IfRange(MODIFIED), fresh)


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
    st.text(st.characters(max_codepoint=255)),
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
