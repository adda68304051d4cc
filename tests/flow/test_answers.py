"""What to believe of an origin's answer."""

from dataclasses import replace

import pytest

from sluicegate.flow.answers import is_asked_for, is_credible, is_pinnable, is_same_version
from sluicegate.http.conditions import UNCONDITIONAL, Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, RangeSpec, Span, Suffix
from sluicegate.http.validators import ETag, ETagList
from sluicegate.sources.base import EmptyBody, Found, OpenOutcome, OpenRequest

from .asking import NEWER, OBJECT
from .fakes import MODIFIED

V1 = ETagList((ETag("v1"),))
BEFORE = MODIFIED.replace(year=2023)


@pytest.mark.parametrize(
    ("span", "spec", "size", "expected"),
    [
        pytest.param(Span(10, 20), FromTo(10, 19), 100, True, id="exactly"),
        pytest.param(Span(10, 15), FromTo(10, 19), 100, False, id="too-short"),
        pytest.param(Span(10, 15), FromTo(10, 19), 15, True, id="to-the-end"),
        pytest.param(Span(95, 100), Suffix(5), 100, True, id="suffix"),
        pytest.param(Span(0, 3), Suffix(5), 3, True, id="suffix-longer-than-object"),
        pytest.param(Span(0, 0), Suffix(5), 0, False, id="suffix-of-nothing"),
        pytest.param(Span(0, 0), FromTo(0), 0, False, id="range-of-nothing"),
        pytest.param(Span(10, 20), FromTo(10, 19), None, True, id="exactly-of-unknown-size"),
        pytest.param(Span(10, 15), FromTo(10, 19), None, True, id="object-may-end-there"),
        pytest.param(Span(10, 99), FromTo(10), None, True, id="open-end-of-unknown-size"),
        pytest.param(Span(3, 8), Suffix(5), None, True, id="suffix-of-unknown-size"),
        pytest.param(Span(10, 21), FromTo(10, 19), None, False, id="too-long-of-unknown-size"),
        pytest.param(Span(10, 10), FromTo(10), None, False, id="nothing-of-unknown-size"),
        pytest.param(Span(9, 20), FromTo(10, 19), None, False, id="too-early-of-unknown-size"),
        pytest.param(Span(3, 9), Suffix(5), None, False, id="long-suffix-of-unknown-size"),
        pytest.param(Span(3, 3), Suffix(5), None, False, id="no-suffix-of-unknown-size"),
    ],
)
def test_span_is_what_was_asked_for(span: Span, spec: RangeSpec, size: int | None, expected: bool) -> None:
    assert is_asked_for(span, spec, size) is expected


NONE_MATCH, SINCE = Conditions(if_none_match=V1), Conditions(if_modified_since=MODIFIED)
MATCH, UNMODIFIED = Conditions(if_match=V1), Conditions(if_unmodified_since=MODIFIED)


@pytest.mark.parametrize(
    ("outcome", "conditions", "expected"),
    [
        pytest.param(Found(OBJECT, None, EmptyBody()), UNCONDITIONAL, True, id="found"),
        pytest.param(NotModified(OBJECT), NONE_MATCH, True, id="same-tag"),
        pytest.param(NotModified(NEWER), NONE_MATCH, False, id="another-tag"),
        pytest.param(
            NotModified(Metadata(etag=ETag("v1", weak=True))), NONE_MATCH, True, id="same-tag-weakly"
        ),
        pytest.param(NotModified(Metadata()), NONE_MATCH, True, id="no-tag"),
        pytest.param(NotModified(OBJECT), SINCE, True, id="same-date"),
        pytest.param(NotModified(OBJECT), Conditions(if_modified_since=BEFORE), False, id="later-date"),
        pytest.param(NotModified(Metadata()), SINCE, True, id="no-date"),
        pytest.param(NotModified(OBJECT), UNCONDITIONAL, False, id="current-unasked"),
        pytest.param(NotModified(OBJECT), MATCH, False, id="current-where-none-could"),
        pytest.param(PreconditionFailed(), MATCH, True, id="failed"),
        pytest.param(PreconditionFailed(), UNMODIFIED, True, id="failed-by-date"),
        pytest.param(PreconditionFailed(), NONE_MATCH, False, id="failed-where-none-could"),
        pytest.param(Unsatisfiable(None), UNCONDITIONAL, False, id="unsatisfiable-without-a-range"),
    ],
)
def test_verdict_is_about_something_that_was_asked(
    outcome: OpenOutcome, conditions: Conditions, expected: bool
) -> None:
    assert is_credible(outcome, OpenRequest(conditions=conditions)) is expected


def test_range_may_be_refused() -> None:
    assert is_credible(Unsatisfiable(None), OpenRequest(range=FromTo(5)))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(OBJECT, etag=ETag("v1", weak=True)), id="weak"),
        pytest.param(replace(OBJECT, last_modified=BEFORE), id="date"),
        pytest.param(replace(OBJECT, size=99), id="size"),
    ],
)
def test_versions_differ_by_any_of_their_validators(other: Metadata) -> None:
    assert not is_same_version(OBJECT, other)
    assert is_same_version(OBJECT, replace(OBJECT, content_type="text/css", answered=None))


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param(OBJECT, True, id="strong-tag-and-date"),
        pytest.param(replace(OBJECT, last_modified=None), True, id="strong-tag"),
        pytest.param(replace(OBJECT, etag=None), True, id="strong-date"),
        pytest.param(replace(OBJECT, etag=None, answered=MODIFIED), False, id="weak-date"),
        pytest.param(Metadata(etag=ETag("v1", weak=True)), False, id="weak-tag"),
        pytest.param(Metadata(), False, id="nothing"),
    ],
)
def test_only_a_strong_validator_pins_a_version(metadata: Metadata, expected: bool) -> None:
    assert is_pinnable(metadata) is expected
