"""What a request costs at a good origin, what its answer comes to, and that every body is closed."""

import asyncio
from dataclasses import replace

import pytest

from sluicegate.flow.opening import Target, open_object
from sluicegate.http.exchange import (
    NO_OVERRIDES,
    Multiple,
    NotModified,
    Outcome,
    Overrides,
    PreconditionFailed,
    Unsatisfiable,
    Whole,
    read_request,
)
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag, format_date

from .asking import (
    CONTENT,
    EDGE,
    OBJECT,
    OTHER,
    Told,
    drained,
    no_content,
    open_at,
    partial,
    parts_of,
    told,
    whole,
)
from .fakes import (
    MODIFIED,
    Behaviour,
    described,
    ignoring_ranges,
    origin_of,
    refusing_without_size,
    replaced_after,
    saying,
    serving,
)

CURRENT, GONE = NotModified(OBJECT), PreconditionFailed()
DATE = format_date(MODIFIED)
TEN = {"range": "bytes=10-19"}
PAST = {"range": "bytes=100-"}

GOOD = [
    # An ordinary GET, HEAD, conditional GET or range is one request.
    pytest.param({}, whole("GET"), id="whole"),
    pytest.param(TEN, partial(10, 20, "GET 10-19"), id="range"),
    pytest.param({"range": "bytes=0-0"}, partial(0, 1, "GET 0-0"), id="first-byte"),
    pytest.param({"range": "bytes=0-"}, partial(0, 100, "GET 0-"), id="everything-by-range"),
    pytest.param({"range": "bytes=90-"}, partial(90, 100, "GET 90-"), id="open-ended"),
    pytest.param({"range": "bytes=90-500"}, partial(90, 100, "GET 90-500"), id="end-past-the-end"),
    pytest.param({"range": "bytes=-5"}, partial(95, 100, "GET -5"), id="suffix"),
    pytest.param({"range": "bytes=-500"}, partial(0, 100, "GET -500"), id="suffix-longer-than-object"),
    pytest.param({"range": "bytes=x"}, whole("GET"), id="unreadable-range"),
    pytest.param(PAST, no_content(Unsatisfiable(100), "GET 100-"), id="past-the-end"),
    pytest.param({"range": "bytes=-0"}, no_content(Unsatisfiable(100), "GET -0"), id="empty-suffix"),
    pytest.param({"if-none-match": '"v1"'}, no_content(CURRENT, 'GET if not "v1"'), id="current-copy"),
    pytest.param(
        {"if-none-match": 'W/"v1"'}, no_content(CURRENT, 'GET if not "v1"'), id="current-copy-weakly"
    ),
    pytest.param({"if-none-match": '"v0", W/"v1"'}, no_content(CURRENT, "GET"), id="current-copy-in-a-list"),
    pytest.param({"if-none-match": "*"}, no_content(CURRENT, "GET"), id="any-copy"),
    pytest.param({"if-none-match": '"v0"'}, whole('GET if not "v0"'), id="old-copy"),
    pytest.param({"if-none-match": '"é"'}, whole("GET"), id="copy-outside-ascii"),
    pytest.param({"if-modified-since": DATE}, no_content(CURRENT, "GET by date"), id="not-modified-since"),
    pytest.param({"if-match": '"v1"'}, whole('GET if "v1"'), id="match"),
    pytest.param({"if-match": "*"}, whole("GET"), id="match-any"),
    pytest.param({"if-match": '"v0"'}, no_content(GONE, 'GET if "v0"'), id="mismatch"),
    pytest.param({"if-match": 'W/"v1"'}, no_content(GONE, "GET"), id="weak-match"),
    pytest.param({"if-match": "v1"}, no_content(GONE, "GET"), id="unreadable-match"),
    pytest.param({**TEN, "if-match": '"v1"'}, partial(10, 20, 'GET 10-19 if "v1"'), id="match-of-a-range"),
    pytest.param(
        {**TEN, "if-match": '"v0"'}, no_content(GONE, 'GET 10-19 if "v0"'), id="mismatch-of-a-range"
    ),
    pytest.param(
        {**TEN, "if-none-match": '"v1"'},
        no_content(CURRENT, 'GET 10-19 if not "v1"'),
        id="current-copy-of-a-range",
    ),
    pytest.param(
        {**TEN, "if-none-match": '"v1", "v0"'},
        no_content(CURRENT, "GET 10-19"),
        id="current-copy-in-a-list-of-a-range",
    ),
    pytest.param({**TEN, "if-range": '"v1"'}, partial(10, 20, "GET 10-19"), id="if-range-holds"),
    pytest.param({**TEN, "if-range": DATE}, partial(10, 20, "GET 10-19"), id="if-range-holds-by-date"),
    pytest.param({**TEN, "if-range": 'W/"v1"'}, whole("GET"), id="if-range-that-cannot-hold"),
    # A second one is made where the first left something open.
    pytest.param({**TEN, "if-range": '"v0"'}, whole("GET 10-19", "GET"), id="if-range-fails"),
    pytest.param(
        {**TEN, "if-range": '"v0"', "if-none-match": '"v1", "v0"'},
        no_content(CURRENT, "GET 10-19"),
        id="if-range-of-a-current-copy",
    ),
    pytest.param({**PAST, "if-range": '"v0"'}, whole("GET 100-", "HEAD", "GET"), id="if-range-of-a-longer"),
    pytest.param(
        {**PAST, "if-range": '"v1"'},
        no_content(Unsatisfiable(100), "GET 100-", "HEAD"),
        id="if-range-past-the-end",
    ),
    pytest.param(
        {**PAST, "if-match": '"v0", "v2"'}, no_content(GONE, "GET 100-", "HEAD"), id="conditions-come-first"
    ),
    # Several ranges need the size first.
    pytest.param({"range": "bytes=0-0,200-"}, partial(0, 1, "HEAD", "GET 0-0"), id="one-of-several-is-left"),
    pytest.param({"range": "bytes=0-4,5-9"}, partial(0, 10, "HEAD", "GET 0-9"), id="several-that-touch"),
    pytest.param({"range": "bytes=200-,300-"}, no_content(Unsatisfiable(100), "HEAD"), id="none-of-several"),
    pytest.param({"range": "bytes=0-,0-"}, whole("HEAD", "GET"), id="several-that-amplify"),
    pytest.param({"range": "bytes=0-0,9-9", "if-range": '"v0"'}, whole("HEAD", "GET"), id="several-if-range"),
    pytest.param(
        {"range": "bytes=0-0,9-9", "if-none-match": '"v1"'},
        no_content(CURRENT, 'HEAD if not "v1"'),
        id="several-current",
    ),
    pytest.param(
        {"range": "bytes=0-0,9-9", "if-match": '"v0", "v2"'}, no_content(GONE, "HEAD"), id="several-mismatch"
    ),
]


@pytest.mark.parametrize(("fields", "expected"), GOOD)
async def test_request_costs_and_gives(fields: dict[str, str], expected: Told) -> None:
    assert await told(origin_of(CONTENT), fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, Told(Whole(OBJECT), b"", ("HEAD",)), id="plain"),
        pytest.param(TEN, Told(Whole(OBJECT), b"", ("HEAD",)), id="range-is-ignored"),
        pytest.param({"if-none-match": '"v1"'}, Told(CURRENT, b"", ('HEAD if not "v1"',)), id="current-copy"),
        pytest.param({"if-match": "*"}, Told(Whole(OBJECT), b"", ("HEAD",)), id="match-any"),
    ],
)
async def test_head_reads_nothing(fields: dict[str, str], expected: Told) -> None:
    assert await told(origin_of(CONTENT), fields, "HEAD") == expected


EMPTY = described(b"")


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(None, id="tells-the-size"),
        pytest.param(refusing_without_size, id="tells-no-size"),
        pytest.param(ignoring_ranges, id="serves-all-of-it"),
    ],
)
@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        pytest.param({}, Whole(EMPTY), id="plain"),
        pytest.param({"range": "bytes=0-"}, Whole(EMPTY), id="from-its-start"),
        pytest.param({"range": "bytes=0-0"}, Whole(EMPTY), id="first-byte"),
        pytest.param({"range": "bytes=-5"}, Whole(EMPTY), id="suffix"),
        pytest.param({"range": "bytes=-0"}, Unsatisfiable(0), id="empty-suffix"),
        pytest.param({"range": "bytes=1-"}, Unsatisfiable(0), id="past-its-end"),
        pytest.param({"range": "bytes=0-0,5-5"}, Whole(EMPTY), id="several"),
        pytest.param({"range": "bytes=1-,5-5"}, Unsatisfiable(0), id="several-past-its-end"),
        pytest.param({"range": "bytes=1-", "if-range": '"v1"'}, Unsatisfiable(0), id="if-range-holds"),
        pytest.param({"range": "bytes=1-", "if-range": '"v0"'}, Whole(EMPTY), id="if-range-fails"),
        pytest.param({"range": "bytes=0-", "if-none-match": '"v1"'}, NotModified(EMPTY), id="current-copy"),
        pytest.param({"range": "bytes=1-", "if-match": '"v0"'}, GONE, id="mismatch"),
    ],
)
async def test_empty_object(behaviour: Behaviour | None, fields: dict[str, str], outcome: Outcome) -> None:
    came = await told(origin_of(b"", behaviour), fields)
    assert (came.outcome, came.content) == (outcome, b"")
    assert len(came.asked) <= 3


async def test_empty_object_whose_refusal_tells_the_size_is_asked_for_twice() -> None:
    came = await told(origin_of(b""), {"range": "bytes=0-"})
    assert came.asked == ("GET 0-", "GET")


async def test_several_spans_are_pinned_to_one_version() -> None:
    fields = {"range": "bytes=0-1,50-51"}
    opened = await open_at(origin := origin_of(CONTENT), fields)
    body = await drained(opened.body)
    assert opened.outcome == Multiple(OBJECT, Multipart((Span(0, 2), Span(50, 52)), 100, EDGE, "text/plain"))
    assert parts_of(body) == [(Span(0, 2), CONTENT[0:2]), (Span(50, 52), CONTENT[50:52])]
    assert (origin.asked, origin.closed) == (("HEAD", 'GET 0-1 if "v1"', 'GET 50-51 if "v1"'), [1, 1, 1])


async def test_parts_have_the_type_that_the_route_says() -> None:
    overrides = Overrides(media_type="image/png")
    opened = await open_at(origin_of(CONTENT), {"range": "bytes=0-1,50-51"}, overrides=overrides)
    assert (await drained(opened.body)).count(b"Content-Type: image/png\r\n") == 2


@pytest.mark.parametrize(
    ("metadata", "outcome"),
    [
        pytest.param(OBJECT, Multiple, id="strong-tag"),
        pytest.param(replace(OBJECT, etag=ETag("v1", weak=True)), Multiple, id="strong-date"),
        pytest.param(replace(OBJECT, etag=None, answered=MODIFIED), Whole, id="weak-date"),
        pytest.param(replace(OBJECT, etag=ETag("v1", weak=True), last_modified=None), Whole, id="weak-tag"),
        pytest.param(replace(OBJECT, etag=None, last_modified=None), Whole, id="no-validator"),
    ],
)
async def test_several_spans_need_a_strong_validator(metadata: Metadata, outcome: type) -> None:
    origin = origin_of(CONTENT)
    origin.metadata = metadata
    came = await told(origin, {"range": "bytes=0-1,50-51"})
    assert type(came.outcome) is outcome


async def test_fields_are_forwarded_with_every_request() -> None:
    origin = origin_of(CONTENT)
    target = Target(origin, "key", (("accept", "image/webp"),))
    request = read_request("GET", {"range": "bytes=0-0,9-9"})
    opened = await open_object(target, request, NO_OVERRIDES, EDGE)
    await drained(opened.body)
    assert [request.fields for request in origin.requests] == [(("accept", "image/webp"),)] * 3


CLOSING = [
    # Each of these closes a body that is not sent.
    pytest.param({"if-none-match": '"v1", "v0"'}, None, id="not-modified"),
    pytest.param({"if-match": '"v2", "v0"'}, None, id="precondition-failed"),
    pytest.param({**TEN, "if-range": '"v0"'}, None, id="if-range-fails"),
    pytest.param(TEN, saying(serving(Span(3, 5))), id="another-span"),
    pytest.param({}, saying(serving(Span(3, 5))), id="part-for-whole"),
    pytest.param({"range": "bytes=0-0,9-9"}, None, id="probe-before-several"),
    pytest.param({"range": "bytes=0-0,0-1"}, replaced_after(1, OTHER), id="probe-before-one"),
]


@pytest.mark.parametrize(("fields", "behaviour"), CLOSING)
async def test_cancelled_closing_comes_to_its_end(
    fields: dict[str, str], behaviour: Behaviour | None
) -> None:
    origin = origin_of(CONTENT, behaviour)
    origin.interrupted = True
    opening = asyncio.create_task(open_at(origin, fields))
    while not origin.bodies:
        await asyncio.sleep(0)
    await origin.bodies[-1].closing.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert origin.closed == [1] * len(origin.bodies)
