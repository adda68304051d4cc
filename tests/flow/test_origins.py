"""Origins that do otherwise than a good one, that lie, and whose object changes meanwhile."""

from dataclasses import replace

import pytest

from sluicegate.errors import BadAnswer, Denied, NotFound, Throttled, Unavailable
from sluicegate.http.exchange import NotModified, Partial, PreconditionFailed, Unsatisfiable, Whole
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import format_date

from .asking import CONTENT, NEWER, OBJECT, OTHER, Told, no_content, open_at, partial, told, whole
from .fakes import (
    MODIFIED,
    Behaviour,
    described,
    failing,
    ignoring_conditions,
    ignoring_ranges,
    origin_of,
    refusing_all_ranges,
    refusing_before_conditions,
    refusing_suffixes,
    refusing_without_size,
    replaced_after,
    saying,
    serving,
    without_ranges,
    without_size,
)

CURRENT, GONE = NotModified(OBJECT), PreconditionFailed()
RANGELESS = replace(OBJECT, ranges=False)
DATE = format_date(MODIFIED)
TEN = {"range": "bytes=10-19"}
PAST = {"range": "bytes=100-"}
SEVERAL = {"range": "bytes=0-0,9-9"}

ODD = [
    # What an origin may do, and some do.
    pytest.param(without_ranges, TEN, whole("GET 10-19", said=RANGELESS), id="no-ranges"),
    pytest.param(
        without_ranges,
        {"range": "bytes=0-0,9-9"},
        whole("HEAD", "GET", said=RANGELESS),
        id="no-ranges-several",
    ),
    pytest.param(
        ignoring_ranges, {"range": "bytes=0-0,9-9"}, whole("HEAD", 'GET 0-0 if "v1"', "GET"), id="no-parts"
    ),
    pytest.param(
        ignoring_ranges, {"range": "bytes=0-0,0-1"}, whole("HEAD", "GET 0-1"), id="no-part-of-several"
    ),
    pytest.param(ignoring_ranges, {**TEN, "if-range": '"v0"'}, whole("GET 10-19"), id="no-range-if-range"),
    pytest.param(
        ignoring_conditions,
        {"if-none-match": '"v1"'},
        no_content(CURRENT, 'GET if not "v1"'),
        id="no-conditions",
    ),
    pytest.param(
        ignoring_conditions,
        {**TEN, "if-match": '"v0"'},
        no_content(GONE, 'GET 10-19 if "v0"'),
        id="no-conditions-of-a-range",
    ),
    pytest.param(
        refusing_without_size, PAST, no_content(Unsatisfiable(100), "GET 100-", "HEAD"), id="refusal-no-size"
    ),
    pytest.param(
        without_size,
        PAST,
        no_content(Unsatisfiable(None), "GET 100-", "HEAD"),
        id="refusal-and-no-size-at-all",
    ),
    pytest.param(
        refusing_suffixes,
        {"range": "bytes=-5"},
        partial(95, 100, "GET -5", "HEAD", "GET 95-99"),
        id="no-suffixes",
    ),
    pytest.param(
        refusing_suffixes,
        {"range": "bytes=-500"},
        partial(0, 100, "GET -500", "HEAD", "GET 0-99"),
        id="no-long-suffixes",
    ),
    pytest.param(
        refusing_suffixes,
        {"range": "bytes=-5", "if-none-match": '"v0"'},
        partial(95, 100, 'GET -5 if not "v0"', 'HEAD if not "v0"', "GET 95-99"),
        id="no-suffixes-but-conditions",
    ),
    pytest.param(
        refusing_all_ranges, TEN, whole("GET 10-19", "HEAD", "GET 10-19", "GET"), id="refuses-what-it-has"
    ),
    pytest.param(
        refusing_before_conditions,
        {**PAST, "if-none-match": '"v1"'},
        no_content(CURRENT, 'GET 100- if not "v1"', 'HEAD if not "v1"'),
        id="range-before-conditions",
    ),
    pytest.param(
        refusing_before_conditions,
        {**PAST, "if-match": '"v0"'},
        no_content(GONE, 'GET 100- if "v0"', 'HEAD if "v0"'),
        id="range-before-match",
    ),
    pytest.param(
        failing(BadAnswer("405"), heads=True),
        SEVERAL,
        whole("HEAD", "GET"),
        id="no-head-several",
    ),
    pytest.param(
        failing(BadAnswer("405"), heads=True),
        {**PAST, "if-range": '"v1"'},
        whole("GET 100-", "HEAD", "GET"),
        id="no-head-past-the-end",
    ),
]


@pytest.mark.parametrize(("behaviour", "fields", "expected"), ODD)
async def test_origin_that_does_otherwise_gives(
    behaviour: Behaviour, fields: dict[str, str], expected: Told
) -> None:
    assert await told(origin_of(CONTENT, behaviour), fields) == expected


async def test_empty_object_without_ranges_is_whole_whatever_range_is_asked_for() -> None:
    came = await told(origin_of(b"", without_ranges), {"range": "bytes=5-9"})
    assert came == Told(Whole(replace(described(b""), ranges=False)), b"", ("GET 5-9",))


async def test_refusal_is_believed_where_nothing_else_can_be_had() -> None:
    origin = origin_of(CONTENT, saying(lambda _: Unsatisfiable(3), lambda _: Unsatisfiable(3)))
    assert await told(origin, {"range": "bytes=0-4"}) == no_content(Unsatisfiable(3), "GET 0-4", "HEAD")


async def test_head_of_an_origin_that_answers_get_alone_is_answered() -> None:
    origin = origin_of(CONTENT, failing(BadAnswer("405"), heads=True))
    assert await told(origin, {}, "HEAD") == Told(Whole(OBJECT), b"", ("HEAD", "GET"))


@pytest.mark.parametrize(
    "error", [NotFound("x"), Denied("x"), Unavailable("x"), Throttled("x"), BadAnswer("x")], ids=repr
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("fields", [{}, TEN, SEVERAL], ids=["whole", "range", "several"])
async def test_failure_passes_through(error: Exception, fields: dict[str, str], method: str) -> None:
    with pytest.raises(type(error)):
        await open_at(origin_of(CONTENT, failing(error)), fields, method)


@pytest.mark.parametrize("error", [NotFound("x"), Unavailable("x")], ids=repr)
async def test_failure_of_a_head_is_not_tried_again(error: Exception) -> None:
    origin = origin_of(CONTENT, failing(error))
    with pytest.raises(type(error)):
        await open_at(origin, {}, "HEAD")
    assert origin.asked == ("HEAD",)


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        pytest.param({}, Span(0, 50), id="part-for-whole"),
        pytest.param(TEN, Span(11, 20), id="starts-later"),
        pytest.param(TEN, Span(9, 20), id="starts-earlier"),
        pytest.param(TEN, Span(10, 21), id="ends-later"),
        pytest.param(TEN, Span(10, 19), id="ends-earlier"),
        pytest.param(TEN, Span(10, 10), id="nothing"),
        pytest.param({"range": "bytes=-5"}, Span(0, 5), id="suffix-taken-for-a-prefix"),
        pytest.param({"range": "bytes=10-"}, Span(0, 100), id="from-its-start"),
    ],
)
async def test_other_span_than_asked_for_is_a_bad_answer(fields: dict[str, str], served: Span) -> None:
    origin = origin_of(CONTENT, saying(serving(served)))
    with pytest.raises(BadAnswer):
        await open_at(origin, fields)
    assert (len(origin.requests), origin.closed) == (1, [1])


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        pytest.param({}, Span(0, 50), id="part-for-whole"),
        pytest.param(TEN, Span(11, 20), id="starts-later"),
        pytest.param(TEN, Span(10, 21), id="ends-later"),
        pytest.param(TEN, Span(10, 10), id="nothing"),
        pytest.param({"range": "bytes=10-"}, Span(0, 100), id="from-its-start"),
        pytest.param({"range": "bytes=-5"}, Span(0, 6), id="longer-than-the-suffix"),
    ],
)
async def test_other_span_is_a_bad_answer_where_the_size_is_unknown(
    fields: dict[str, str], served: Span
) -> None:
    origin = origin_of(CONTENT, saying(serving(served)))
    origin.metadata = replace(OBJECT, size=None)
    with pytest.raises(BadAnswer):
        await open_at(origin, fields)
    assert origin.closed == [1]


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        pytest.param(TEN, Span(10, 20), id="all-of-it"),
        pytest.param(TEN, Span(10, 15), id="object-ends-there"),
        pytest.param({"range": "bytes=10-"}, Span(10, 15), id="open-ended"),
        pytest.param({"range": "bytes=-5"}, Span(3, 8), id="suffix"),
        pytest.param({"range": "bytes=-5"}, Span(0, 3), id="object-is-shorter-than-the-suffix"),
    ],
)
async def test_span_of_an_object_of_unknown_size_is_believed(fields: dict[str, str], served: Span) -> None:
    origin = origin_of(CONTENT, saying(serving(served, CONTENT[: served.length])))
    origin.metadata = replace(OBJECT, size=None)
    came = await told(origin, fields)
    assert came.outcome == Partial(origin.metadata, served)


@pytest.mark.parametrize("served", [None, Span(0, 100)], ids=["unsaid", "said"])
async def test_whole_object_is_whole_however_the_origin_says_it(served: Span | None) -> None:
    assert await told(origin_of(CONTENT, saying(serving(served, CONTENT))), {}) == whole("GET")


UNASKED = [
    pytest.param({}, NotModified(OBJECT), id="current-without-conditions"),
    pytest.param({}, PreconditionFailed(), id="failed-without-conditions"),
    pytest.param({}, Unsatisfiable(100), id="unsatisfiable-without-a-range"),
    pytest.param(TEN, NotModified(OBJECT), id="range-current-without-conditions"),
    pytest.param({"if-match": "*"}, PreconditionFailed(), id="condition-that-was-not-forwarded"),
]


@pytest.mark.parametrize(("fields", "outcome"), UNASKED)
async def test_verdict_that_nobody_asked_for_is_a_bad_answer(
    fields: dict[str, str], outcome: NotModified | PreconditionFailed | Unsatisfiable
) -> None:
    origin = origin_of(CONTENT, saying(lambda _: outcome))
    with pytest.raises(BadAnswer):
        await open_at(origin, fields)
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("fields", "said", "expected"),
    [
        pytest.param(
            {"if-none-match": '"v0"'},
            NotModified(NEWER),
            whole('GET if not "v0"', "GET"),
            id="current-and-of-another-version",
        ),
        pytest.param(
            {"if-modified-since": DATE},
            NotModified(replace(OBJECT, last_modified=MODIFIED.replace(year=2025))),
            no_content(CURRENT, "GET by date", "GET"),
            id="current-and-yet-later",
        ),
        pytest.param(
            {**TEN, "if-none-match": '"v0"'},
            NotModified(NEWER),
            partial(10, 20, 'GET 10-19 if not "v0"', "GET 10-19"),
            id="range-of-another-version",
        ),
        pytest.param(
            {"if-none-match": '"v0"'}, GONE, whole('GET if not "v0"', "GET"), id="failed-where-none-could"
        ),
        pytest.param(
            {"if-match": '"v1"'}, CURRENT, whole('GET if "v1"', "GET"), id="current-where-none-could"
        ),
    ],
)
async def test_verdict_that_cannot_be_meant_is_asked_for_again(
    fields: dict[str, str], said: NotModified | PreconditionFailed, expected: Told
) -> None:
    assert await told(origin_of(CONTENT, saying(lambda _: said)), fields) == expected


async def test_304_without_a_validator_is_believed() -> None:
    bare = NotModified(Metadata())
    came = await told(origin_of(CONTENT, saying(lambda _: bare)), {"if-none-match": '"v1"'})
    assert came == no_content(bare, 'GET if not "v1"')


async def test_verdict_that_cannot_be_meant_twice_is_a_bad_answer() -> None:
    origin = origin_of(CONTENT, saying(lambda _: NotModified(NEWER), lambda _: NotModified(NEWER)))
    with pytest.raises(BadAnswer):
        await open_at(origin, {"if-none-match": '"v1"'})
    assert len(origin.requests) == 2


async def test_condition_that_the_origin_has_not_seen_counts_beside_its_304() -> None:
    fields = {"if-match": '"v0", "v2"', "if-none-match": '"v1"'}
    assert await told(origin_of(CONTENT), fields) == no_content(GONE, 'GET if not "v1"')


@pytest.mark.parametrize(
    ("count", "fields", "asked"),
    [
        pytest.param(1, {"range": "bytes=0-1,50-51"}, ('GET 0-1 if "v1"',), id="several"),
        pytest.param(1, {"range": "bytes=-1,-2"}, ("GET 98-99",), id="one-of-several-is-left"),
        pytest.param(1, {**TEN, "if-range": '"v0"'}, ("GET",), id="if-range"),
    ],
)
async def test_object_that_changes_between_two_requests_is_served_whole(
    count: int, fields: dict[str, str], asked: tuple[str, ...]
) -> None:
    origin = origin_of(CONTENT, replaced_after(count, OTHER))
    came = await told(origin, fields)
    assert (came.outcome, came.content) == (Whole(NEWER), OTHER)
    assert came.asked[1:2] == asked
    assert len(came.asked) <= 3


async def test_object_that_grows_behind_a_refusal_is_served_as_it_is() -> None:
    origin = origin_of(CONTENT[:10], replaced_after(1, CONTENT))
    came = await told(origin, {"range": "bytes=10-19", "if-match": "*"})
    assert came == Told(Partial(described(CONTENT, "v2"), Span(10, 20)), CONTENT[10:20], came.asked)
    assert came.asked == ("GET 10-19", "HEAD", "GET 10-19")
