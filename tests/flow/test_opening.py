"""What a request costs at the origin, what its answer comes to, and that every body is closed."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import BadAnswer, NotFound, SourceError
from sluicegate.flow.opening import Opened, Target, open_object
from sluicegate.http.exchange import (
    NO_OVERRIDES,
    Multiple,
    NotModified,
    Partial,
    PreconditionFailed,
    Unsatisfiable,
    Whole,
    answer,
    read_request,
)
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag, format_date
from sluicegate.sources.base import Found
from sluicegate.testing import ScriptedBody, ScriptedSource

CONTENT = bytes(range(100))
MODIFIED = datetime(2024, 1, 1, tzinfo=UTC)
KEY = "key"


@pytest.fixture
def source() -> ScriptedSource:
    scripted = ScriptedSource(chunk_size=7)
    scripted.put(KEY, CONTENT, etag='"v1"', last_modified=MODIFIED)
    scripted.put("empty", b"", etag='"v1"', last_modified=MODIFIED)
    return scripted


async def ask(
    source: ScriptedSource, fields: dict[str, str], *, method: str = "GET", key: str = KEY
) -> Opened:
    return await open_object(Target(source, key), read_request(method, fields), NO_OVERRIDES, "edge")


async def drained(opened: Opened) -> bytes:
    content = bytearray()
    while chunk := await opened.body.read():
        content += chunk
    await opened.body.aclose()
    return bytes(content)


def asked(source: ScriptedSource) -> list[str]:
    """What the origin was asked, in short."""
    return [
        ("HEAD" if call.request.head else f"GET {call.request.range or ''}").strip()
        for call in source.requests
    ]


RANGE = {"range": "bytes=10-19"}
CASES = [
    # Fields, what the origin was asked, the outcome's class, the bytes.
    pytest.param({}, ["GET"], Whole, CONTENT, id="whole"),
    pytest.param(RANGE, ["GET 10-19"], Partial, CONTENT[10:20], id="range"),
    pytest.param({"range": "bytes=-5"}, ["GET -5"], Partial, CONTENT[-5:], id="suffix"),
    pytest.param({"range": "bytes=-500"}, ["GET -500"], Partial, CONTENT, id="suffix-longer-than-object"),
    pytest.param({"range": "bytes=90-"}, ["GET 90-"], Partial, CONTENT[90:], id="open-ended"),
    pytest.param({"range": "bytes=100-"}, ["GET 100-"], Unsatisfiable, b"", id="past-the-end"),
    pytest.param({"if-none-match": '"v1"'}, ["GET"], NotModified, b"", id="current-copy"),
    pytest.param({"if-none-match": '"v0", W/"v1"'}, ["GET"], NotModified, b"", id="current-copy-in-a-list"),
    pytest.param({"if-none-match": '"v0"'}, ["GET"], Whole, CONTENT, id="old-copy"),
    pytest.param({"if-match": '"v0"'}, ["GET"], PreconditionFailed, b"", id="mismatch"),
    pytest.param({"if-match": 'W/"v1"'}, ["GET"], PreconditionFailed, b"", id="weak-match"),
    pytest.param({"if-match": "*"}, ["GET"], Whole, CONTENT, id="match-any"),
    pytest.param(
        {**RANGE, "if-match": '"v0"'}, ["GET 10-19"], PreconditionFailed, b"", id="mismatch-of-a-range"
    ),
    pytest.param(
        {**RANGE, "if-none-match": '"v1"'}, ["GET 10-19"], NotModified, b"", id="current-copy-of-a-range"
    ),
    pytest.param({**RANGE, "if-range": '"v1"'}, ["GET 10-19"], Partial, CONTENT[10:20], id="if-range-holds"),
    pytest.param(
        {**RANGE, "if-range": format_date(MODIFIED)}, ["GET 10-19"], Partial, CONTENT[10:20], id="date-holds"
    ),
    pytest.param({**RANGE, "if-range": '"v0"'}, ["GET 10-19", "GET"], Whole, CONTENT, id="if-range-fails"),
    pytest.param(
        {"range": "bytes=100-", "if-range": '"v0"'},
        ["GET 100-", "HEAD", "GET"],
        Whole,
        CONTENT,
        id="if-range-of-a-shorter",
    ),
    pytest.param(
        {"range": "bytes=100-", "if-range": '"v1"'},
        ["GET 100-", "HEAD"],
        Unsatisfiable,
        b"",
        id="if-range-past-the-end",
    ),
    pytest.param(
        {"range": "bytes=100-", "if-match": '"v0", "v2"'},
        ["GET 100-", "HEAD"],
        PreconditionFailed,
        b"",
        id="condition-first",
    ),
    pytest.param(
        {"range": "bytes=0-0,200-300"}, ["HEAD", "GET 0-0"], Partial, CONTENT[:1], id="one-of-several-is-left"
    ),
    pytest.param(
        {"range": "bytes=0-4,5-9"}, ["HEAD", "GET 0-9"], Partial, CONTENT[:10], id="several-that-touch"
    ),
    pytest.param({"range": "bytes=200-,300-"}, ["HEAD"], Unsatisfiable, b"", id="none-of-several"),
    pytest.param({"range": "bytes=0-,0-"}, ["HEAD", "GET"], Whole, CONTENT, id="several-that-amplify"),
    pytest.param(
        {"range": "bytes=0-0,9-9", "if-range": '"v0"'}, ["HEAD", "GET"], Whole, CONTENT, id="several-if-range"
    ),
    pytest.param(
        {"range": "bytes=0-0,9-9", "if-none-match": '"v1"'}, ["HEAD"], NotModified, b"", id="several-current"
    ),
]


@pytest.mark.parametrize(("fields", "requests", "outcome", "content"), CASES)
async def test_request_costs_and_gives(
    source: ScriptedSource, fields: dict[str, str], requests: list[str], outcome: type, content: bytes
) -> None:
    opened = await ask(source, fields)
    assert type(opened.outcome) is outcome
    assert await drained(opened) == content
    assert asked(source) == requests
    assert source.open_bodies == 0


@pytest.mark.parametrize(
    ("fields", "requests", "outcome"),
    [
        pytest.param({}, ["GET"], Whole, id="plain"),
        pytest.param({"range": "bytes=0-"}, ["GET 0-", "HEAD", "GET"], Whole, id="from-its-start"),
        pytest.param({"range": "bytes=-5"}, ["GET -5", "HEAD", "GET"], Whole, id="suffix"),
        pytest.param({"range": "bytes=1-"}, ["GET 1-", "HEAD"], Unsatisfiable, id="past-its-end"),
        pytest.param({"range": "bytes=0-0,5-5"}, ["HEAD", "GET"], Whole, id="several"),
    ],
)
async def test_empty_object(
    source: ScriptedSource, fields: dict[str, str], requests: list[str], outcome: type
) -> None:
    # Stores answer 416 to any range of an empty object; so must this source, for the test to be one.
    metadata = Metadata(size=0, etag=ETag("v1"))
    opened = await ask(source, fields, key="empty")
    assert type(opened.outcome) is outcome
    if outcome is Unsatisfiable:
        assert opened.outcome == Unsatisfiable(metadata.size)
    assert await drained(opened) == b""
    assert asked(source)[0] == requests[0]
    assert len(source.requests) <= len(requests)
    assert source.open_bodies == 0


async def test_head_reads_nothing(source: ScriptedSource) -> None:
    opened = await ask(source, {"range": "bytes=0-1"}, method="HEAD")
    assert (type(opened.outcome), await opened.body.read(), asked(source)) == (Whole, b"", ["HEAD"])


async def test_several_spans_are_pinned_to_one_version(source: ScriptedSource) -> None:
    opened = await ask(source, {"range": "bytes=0-1,50-51"})
    assert isinstance(opened.outcome, Multiple)
    body = await drained(opened)
    assert len(body) == opened.outcome.multipart.length
    assert asked(source) == ["HEAD", "GET 0-1", "GET 50-51"]
    assert [str(call.request.conditions.if_match) for call in source.requests[1:]] == ['"v1"', '"v1"']


async def test_object_that_changes_between_two_spans_breaks_the_answer(source: ScriptedSource) -> None:
    opened = await ask(source, {"range": "bytes=0-1,50-51"})
    assert b"Content-Range: bytes 0-1/100" in bytes(await opened.body.read())
    source.put(KEY, CONTENT[::-1], etag='"v2"')
    with pytest.raises(SourceError):
        await drained(opened)
    await opened.body.aclose()
    assert source.open_bodies == 0


async def test_body_of_several_spans_is_closed_in_the_middle(source: ScriptedSource) -> None:
    opened = await ask(source, {"range": "bytes=0-20,50-70"})
    await opened.body.read()
    await opened.body.read()
    assert source.open_bodies == 1
    await opened.body.aclose()
    assert (source.open_bodies, await opened.body.read()) == (0, b"")


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        pytest.param({}, Span(0, 50), id="part-for-whole"),
        pytest.param(RANGE, Span(11, 20), id="starts-later"),
        pytest.param(RANGE, Span(10, 21), id="ends-later"),
        pytest.param(RANGE, Span(10, 19), id="ends-earlier"),
        pytest.param({"range": "bytes=-5"}, Span(0, 5), id="suffix-taken-for-a-prefix"),
    ],
)
async def test_other_span_than_asked_for_is_a_bad_answer(
    source: ScriptedSource, fields: dict[str, str], served: Span
) -> None:
    body = ScriptedBody([CONTENT])
    source.answer(KEY, Found(Metadata(size=100, etag=ETag("v1")), served, body))
    with pytest.raises(BadAnswer):
        await ask(source, fields)
    assert body.closed


async def test_range_that_the_origin_ignores_is_a_whole_answer(source: ScriptedSource) -> None:
    body = ScriptedBody([CONTENT])
    source.answer(KEY, Found(Metadata(size=100, ranges=False), None, body))
    opened = await ask(source, RANGE)
    assert (type(opened.outcome), await drained(opened)) == (Whole, CONTENT)


@pytest.mark.parametrize("outcome", [NotModified(Metadata()), PreconditionFailed()])
async def test_verdict_that_nobody_asked_for_is_a_bad_answer(
    source: ScriptedSource, outcome: NotModified | PreconditionFailed
) -> None:
    source.answer(KEY, outcome)
    with pytest.raises(BadAnswer):
        await ask(source, {})


async def test_unsatisfiable_without_a_range_is_a_bad_answer(source: ScriptedSource) -> None:
    source.answer(KEY, Unsatisfiable(3))
    with pytest.raises(BadAnswer):
        await ask(source, {})


async def test_size_that_the_refusal_tells_needs_no_second_request(source: ScriptedSource) -> None:
    source.answer(KEY, Unsatisfiable(7))
    opened = await ask(source, {"range": "bytes=9-"})
    assert (opened.outcome, asked(source)) == (Unsatisfiable(7), ["GET 9-"])


async def test_failure_passes_through(source: ScriptedSource) -> None:
    with pytest.raises(NotFound):
        await ask(source, {}, key="missing")


async def test_fields_are_forwarded_with_every_request(source: ScriptedSource) -> None:
    target = Target(source, KEY, (("accept", "image/webp"),))
    opened = await open_object(target, read_request("GET", {"range": "bytes=0-0,9-9"}), NO_OVERRIDES, "edge")
    await drained(opened)
    assert {call.request.fields for call in source.requests} == {(("accept", "image/webp"),)}


def framed(content: bytes, body: bytes) -> bytes:
    """The bytes of `content` that a multipart body holds, each checked against its own Content-Range."""
    parts = re.findall(rb"Content-Range: bytes (\d+)-(\d+)/(\d+)\r\n\r\n", body)
    held = b""
    for first, last, size in parts:
        assert int(size) == len(content)
        piece = content[int(first) : int(last) + 1]
        assert b"bytes %s-%s/%s\r\n\r\n%s\r\n--edge" % (first, last, size, piece) in body
        held += piece
    return held


RANGES = st.one_of(
    st.text(st.characters(max_codepoint=255)),
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 250), st.integers(0, 250)).map(lambda pair: f"{min(pair)}-{max(pair)}"),
            st.integers(0, 250).map(lambda first: f"{first}-"),
            st.integers(0, 250).map(lambda length: f"-{length}"),
        ),
        min_size=1,
        max_size=4,
    ).map(lambda specs: "bytes=" + ",".join(specs)),
)
TAGS = st.sampled_from(['"v1"', '"v0"', 'W/"v1"', "*", '"v0", "v1"', "garbage"])
FIELDS = st.fixed_dictionaries(
    {}, optional={"range": RANGES, "if-range": TAGS, "if-match": TAGS, "if-none-match": TAGS}
)


@given(st.binary(max_size=200), FIELDS)
async def test_bytes_served_are_what_the_answer_says(content: bytes, fields: dict[str, str]) -> None:
    source = ScriptedSource(chunk_size=16)
    source.put(KEY, content, etag='"v1"')
    opened = await ask(source, fields)
    body = await drained(opened)
    match opened.outcome:
        case Whole():
            assert body == content
        case Partial(_, span):
            assert body == content[span.start : span.stop]
        case Multiple(_, multipart):
            assert framed(content, body) == b"".join(
                content[span.start : span.stop] for span in multipart.spans
            )
        case _:
            assert body == b""
    assert answer(opened.outcome).length == len(body)
    assert source.open_bodies == 0
