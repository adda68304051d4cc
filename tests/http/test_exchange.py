"""From a request to what is asked, and from what is served to the answer."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import (
    BadAnswer,
    BrokenBody,
    Denied,
    InvalidKey,
    MethodNotAllowed,
    NotFound,
    OriginTimeout,
    SluicegateError,
    Throttled,
    Unavailable,
)
from sluicegate.http.conditions import Conditions, IfRange
from sluicegate.http.exchange import (
    MAX_RETRY_SECONDS,
    NO_OVERRIDES,
    ClientRequest,
    Head,
    Multiple,
    NotModified,
    Outcome,
    Overrides,
    Partial,
    PreconditionFailed,
    Problem,
    Unsatisfiable,
    Whole,
    accepted_request_id,
    answer,
    answer_error,
    answer_problem,
    content_type_for,
    read_request,
)
from sluicegate.http.fields import check_fields, safe_value
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import MAX_RANGES, FromTo, Span
from sluicegate.http.validators import ETag, ETagList, origin_etag

from .texts import ANYTHING, LATIN_1

OBJECT = Metadata(
    size=100,
    etag=ETag("v1"),
    last_modified=datetime(2024, 5, 1, tzinfo=UTC),
    content_type="image/jpeg",
    content_encoding="gzip",
    content_language="en",
    content_disposition="inline",
    content_location="/other",
    cache_control="max-age=60",
    expires="Thu, 02 May 2024 00:00:00 GMT",
    vary="Accept",
)
VERSION = (
    ("etag", '"v1"'),
    ("last-modified", "Wed, 01 May 2024 00:00:00 GMT"),
    ("cache-control", "max-age=60"),
    ("content-location", "/other"),
    ("expires", "Thu, 02 May 2024 00:00:00 GMT"),
    ("vary", "Accept"),
)
DESCRIBED = (
    ("content-type", "image/jpeg"),
    ("content-encoding", "gzip"),
    ("content-language", "en"),
    ("content-disposition", "inline"),
    ("accept-ranges", "bytes"),
)
PARTS = Multipart((Span(0, 5), Span(10, 20)), 100, "edge", "image/jpeg")


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        pytest.param("GET", {}, ClientRequest("GET"), id="plain"),
        pytest.param("GET", {"range": "bytes=0-1"}, ClientRequest("GET", ranges=(FromTo(0, 1),)), id="range"),
        pytest.param("GET", {"range": "nonsense"}, ClientRequest("GET"), id="bad-range"),
        pytest.param(
            "HEAD", {"range": "bytes=0-1", "if-range": '"a"'}, ClientRequest("HEAD"), id="head-has-no-range"
        ),
        pytest.param(
            "GET",
            {"range": "bytes=0-1", "if-range": '"a"'},
            ClientRequest("GET", ranges=(FromTo(0, 1),), if_range=IfRange(ETag("a"))),
            id="if-range",
        ),
        pytest.param("GET", {"if-range": '"a"'}, ClientRequest("GET"), id="if-range-alone"),
        pytest.param(
            "GET", {"range": "bytes=0-1", "if-range": 'W/"a"'}, ClientRequest("GET"), id="weak-if-range"
        ),
        pytest.param(
            "GET",
            {"range": "bytes=0-1", "if-range": "garbage"},
            ClientRequest("GET"),
            id="bad-if-range",
        ),
        pytest.param(
            "HEAD",
            {"if-none-match": '"a"'},
            ClientRequest("HEAD", Conditions(if_none_match=ETagList((ETag("a"),)))),
            id="conditional-head",
        ),
    ],
)
def test_request_is_read(method: str, fields: dict[str, str], expected: ClientRequest) -> None:
    assert read_request(method, fields) == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "get", ""])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(MethodNotAllowed):
        read_request(method, {})


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        pytest.param(
            Whole(OBJECT), Head(200, (("content-length", "100"), *DESCRIBED, *VERSION), 100), id="whole"
        ),
        pytest.param(
            Partial(OBJECT, Span(0, 1)),
            Head(206, (("content-length", "1"), *DESCRIBED, ("content-range", "bytes 0-0/100"), *VERSION), 1),
            id="one-byte",
        ),
        pytest.param(
            Partial(OBJECT, Span(0, 100)),
            Head(
                206,
                (("content-length", "100"), *DESCRIBED, ("content-range", "bytes 0-99/100"), *VERSION),
                100,
            ),
            id="everything-by-range",
        ),
        pytest.param(NotModified(OBJECT), Head(304, VERSION, 0), id="not-modified"),
        pytest.param(PreconditionFailed(), Head(412, (), 0), id="precondition-failed"),
        pytest.param(
            Unsatisfiable(100),
            Head(416, (("accept-ranges", "bytes"), ("content-range", "bytes */100")), 0),
            id="unsatisfiable",
        ),
        pytest.param(
            Unsatisfiable(None), Head(416, (("accept-ranges", "bytes"),), 0), id="unsatisfiable-unknown"
        ),
        pytest.param(
            Whole(Metadata(ranges=False)),
            Head(200, (("content-type", "application/octet-stream"),), None),
            id="bare",
        ),
    ],
)
def test_outcome_is_answered(outcome: Outcome, expected: Head) -> None:
    assert answer(outcome) == expected


def test_several_spans_are_framed_and_have_no_range_of_their_own() -> None:
    described = (
        ("content-length", str(PARTS.length)),
        ("content-type", "multipart/byteranges; boundary=edge"),
        *DESCRIBED[1:],
    )
    assert answer(Multiple(OBJECT, PARTS)) == Head(206, (*described, *VERSION), PARTS.length)


def test_size_that_the_origin_does_not_tell_is_a_star() -> None:
    head = answer(Partial(Metadata(), Span(3, 5)))
    assert dict(head.fields)["content-range"] == "bytes 3-4/*"


def test_route_has_the_last_word_on_fields() -> None:
    overrides = Overrides(
        media_type="text/plain",
        content_disposition="attachment",
        cache_control="no-cache",
        fields=(("vary", "Cookie"), ("x-mine", "1")),
    )
    fields = dict(answer(Whole(OBJECT), overrides).fields)
    assert (fields["content-type"], fields["content-disposition"]) == ("text/plain", "attachment")
    assert (fields["cache-control"], fields["vary"], fields["x-mine"]) == ("no-cache", "Cookie", "1")
    assert "expires" not in fields


def test_no_field_is_sent_twice() -> None:
    overrides = Overrides(fields=(("etag", '"mine"'), ("content-type", "text/css")))
    for outcome in (Whole(OBJECT), Partial(OBJECT, Span(0, 1)), NotModified(OBJECT)):
        names = [name for name, _ in answer(outcome, overrides).fields]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(NotFound("x"), 404, id="missing"),
        pytest.param(InvalidKey("x"), 404, id="no-such-key-possible"),
        pytest.param(Denied("x"), 404, id="denied"),
        pytest.param(Unavailable("x"), 502, id="unreachable"),
        pytest.param(BadAnswer("x"), 502, id="bad-answer"),
        pytest.param(BrokenBody("x"), 502, id="broken"),
        pytest.param(Throttled("x"), 503, id="throttled"),
        pytest.param(OriginTimeout("x"), 504, id="timeout"),
        pytest.param(MethodNotAllowed("x"), 405, id="method"),
    ],
)
def test_failure_becomes_problem_details(error: SluicegateError, status: int) -> None:
    problem = answer_error(error, "id-1")
    fields = dict(problem.head.fields)
    members = json.loads(problem.content)
    assert (problem.head.status, members["status"], members["request_id"]) == (status, status, "id-1")
    assert (fields["content-type"], fields["cache-control"]) == ("application/problem+json", "no-store")
    assert int(fields["content-length"]) == len(problem.content) == problem.head.length


def test_problem_is_written_as_the_standard_has_it() -> None:
    problem = answer_problem(404, "Not found", "id-1", detail="no route", fields=(("x-more", "1"),))
    content = b'{"title": "Not found", "status": 404, "detail": "no route", "request_id": "id-1"}'
    fields = (
        ("content-type", "application/problem+json"),
        ("content-length", str(len(content))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-request-id", "id-1"),
        ("x-more", "1"),
    )
    assert problem == Problem(Head(404, fields, len(content)), content)


def test_client_learns_nothing_of_the_origin() -> None:
    secret = "s3://images 'key' at 10.0.0.1: AccessDenied"
    for error in (NotFound(secret), Denied(secret), Unavailable(secret), BadAnswer(secret)):
        assert secret.encode() not in answer_error(error, "id").content


def test_denied_looks_exactly_like_missing() -> None:
    assert answer_error(Denied("x"), "id") == answer_error(NotFound("y"), "id")


def test_denied_can_be_said_openly() -> None:
    assert answer_error(Denied("x"), "id", denied_status=403).head.status == 403


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(None, "1", id="unsaid"),
        pytest.param(2.1, "3", id="rounded-up"),
        pytest.param(0.0, "1", id="now"),
        pytest.param(-5.0, "1", id="before-now"),
        pytest.param(1e19, str(MAX_RETRY_SECONDS), id="never"),
        pytest.param(float("inf"), str(MAX_RETRY_SECONDS), id="endless"),
        pytest.param(float("nan"), str(MAX_RETRY_SECONDS), id="no-number"),
    ],
)
def test_throttling_says_when_to_come_back(seconds: float | None, expected: str) -> None:
    assert dict(answer_error(Throttled("x", seconds), "id").head.fields)["retry-after"] == expected


def test_method_that_is_not_allowed_is_told_which_are() -> None:
    assert dict(answer_error(MethodNotAllowed("x"), "id").head.fields)["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("abc-123", "abc-123", id="sane"),
        pytest.param("a b", None, id="space"),
        pytest.param("a\nb", None, id="line-break"),
        pytest.param("a" * 129, None, id="too-long"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_request_id_of_a_client_is_kept_if_it_is_harmless(value: str | None, expected: str | None) -> None:
    assert accepted_request_id(value) == expected


# What an origin may say of an object, each value as a source hands it on.
SAID = st.one_of(st.none(), st.text(st.characters(max_codepoint=300)), LATIN_1).map(safe_value)
DESCRIPTIONS = st.builds(
    Metadata,
    size=st.just(100),
    etag=st.one_of(st.none(), LATIN_1).map(origin_etag),
    last_modified=st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    ranges=st.booleans(),
    content_type=SAID,
    content_encoding=SAID,
    content_language=SAID,
    content_disposition=SAID,
    content_location=SAID,
    cache_control=SAID,
    expires=SAID,
    vary=SAID,
)


@given(DESCRIPTIONS)
def test_nothing_that_an_origin_says_splits_a_header(said: Metadata) -> None:
    outcomes = (
        Whole(said),
        Partial(said, Span(0, 1)),
        Multiple(said, replace(PARTS, content_type=content_type_for(said, NO_OVERRIDES))),
        NotModified(said),
        PreconditionFailed(),
        Unsatisfiable(said.size),
    )
    for fields in (answer(outcome).fields for outcome in outcomes):
        assert check_fields(dict(fields)) == fields


@given(DESCRIPTIONS)
def test_part_of_several_has_as_many_lines_as_its_framing(said: Metadata) -> None:
    framed = replace(PARTS, content_type=content_type_for(said, NO_OVERRIDES))
    assert framed.preamble(PARTS.spans[0]).count(b"\r") == framed.preamble(PARTS.spans[0]).count(b"\n") == 5


ERRORS = st.one_of(
    st.builds(Throttled, st.text(), st.none() | st.floats()),
    *(st.builds(kind, st.text()) for kind in (NotFound, Denied, BadAnswer, MethodNotAllowed, OriginTimeout)),
)


@given(ERRORS, LATIN_1, st.sampled_from([403, 404]))
def test_no_failure_splits_a_header(error: SluicegateError, request_id: str, denied_status: int) -> None:
    chosen = accepted_request_id(request_id) or "made-up"
    problem = answer_error(error, chosen, denied_status=denied_status)
    assert check_fields(dict(problem.head.fields)) == problem.head.fields
    assert problem.head.length == len(problem.content)


@given(
    st.dictionaries(
        st.sampled_from(["range", "if-range", "if-match", "if-none-match", "if-modified-since"]), ANYTHING
    ),
    st.sampled_from(["GET", "HEAD"]),
)
def test_no_fields_make_reading_raise(fields: dict[str, str], method: str) -> None:
    request = read_request(method, fields)
    assert request.method == method
    assert request.ranges is None or 0 < len(request.ranges) <= MAX_RANGES
