"""What sources make of answers that are right, odd or untrue: spans, lengths, codings, time, connections."""

import asyncio

import pytest
from aiohttp import ClientTimeout

from sluicegate import OpenRequest
from sluicegate.errors import BadAnswer
from sluicegate.http.conditions import Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, Span, Suffix
from sluicegate.http.validators import ETag, ETagList, parse_date
from sluicegate.sources.aiobotocore import AiobotocoreSource
from sluicegate.sources.base import CHUNK_SIZE
from sluicegate.sources.http import POOL_SECONDS, HttpSource
from sluicegate.sources.options import StoreOptions
from tests.sources.raw_origin import CLOSE, Answer, Pause, answer, raw_origin, served
from tests.sources.stores import KINDS, Kind, content_of, found, source_at

S3_KINDS: tuple[Kind, ...] = ("obstore", "aiobotocore", "botocore")
TEN = OpenRequest(range=FromTo(10, 19))


def part(place: str, content: bytes = b"x" * 10, **fields: str | None) -> bytes:
    described = {"etag": '"version-1"', "last_modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    return answer("206 Partial Content", content, **described, content_range=place, **fields)


# What is said of an object.


@pytest.mark.parametrize("kind", KINDS)
async def test_description_is_kept(kind: Kind) -> None:
    reply = served(
        b"content",
        date="Wed, 21 Oct 2015 08:00:00 GMT",
        content_type="image/jpeg",
        content_language="de",
        content_disposition='attachment; filename="a.jpg"',
        cache_control="max-age=60",
        expires="Wed, 21 Oct 2015 09:00:00 GMT",
        x_amz_version_id="v1",
        accept_ranges="bytes",
    )
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert await content_of(outcome) == b"content"
    metadata = found(outcome).metadata
    shows_all = kind != "obstore"
    assert metadata == Metadata(
        size=7,
        etag=ETag("version-1"),
        last_modified=parse_date("Wed, 21 Oct 2015 07:28:00 GMT"),
        # obstore tells neither of these.
        answered=parse_date("Wed, 21 Oct 2015 08:00:00 GMT") if shows_all else metadata.answered,
        expires="Wed, 21 Oct 2015 09:00:00 GMT" if shows_all else None,
        content_type="image/jpeg",
        content_language="de",
        content_disposition='attachment; filename="a.jpg"',
        cache_control="max-age=60",
        version="v1",
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_answer_that_says_nothing_of_the_object_is_served(kind: Kind) -> None:
    async with raw_origin((answer("200 OK", b"content"),)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert await content_of(outcome) == b"content"
    metadata = found(outcome).metadata
    assert (metadata.size, metadata.etag, metadata.last_modified) == (7, None, None)


@pytest.mark.parametrize("kind", KINDS)
async def test_coding_of_the_content_is_relayed_untouched(kind: Kind) -> None:
    packed = b"\x1f\x8b not really"
    reply = served(packed, content_encoding="gzip")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert await content_of(outcome) == packed
        assert origin.requests[0].fields.get("accept-encoding", "identity") == "identity"
    metadata = found(outcome).metadata
    assert (metadata.content_encoding, metadata.size) == ("gzip", len(packed))


@pytest.mark.parametrize("kind", ["botocore", "http"])
async def test_field_values_outside_ascii_are_no_failure(kind: Kind) -> None:
    # The other two refuse the answer: obstore has ASCII only, aiobotocore UTF-8 only.
    reply = served(b"content", content_disposition='attachment; filename="\xe9.jpg"', x_amz_meta_name="\xe9")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        assert await content_of(await source.open("key", OpenRequest())) == b"content"


@pytest.mark.parametrize("kind", ["obstore", "aiobotocore"])
async def test_field_values_outside_ascii_are_a_bad_answer(kind: Kind) -> None:
    reply = served(b"content", x_amz_meta_name="\xe9")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        with pytest.raises(BadAnswer):
            await source.open("key", OpenRequest())


@pytest.mark.parametrize("kind", S3_KINDS)
async def test_date_that_is_none_is_a_bad_answer(kind: Kind) -> None:
    reply = served(b"content", last_modified="yesterday")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        with pytest.raises(BadAnswer):
            await source.open("key", OpenRequest())


# Ranges.


@pytest.mark.parametrize("kind", KINDS)
async def test_part_is_served_as_the_span_that_the_origin_says(kind: Kind) -> None:
    async with raw_origin((part("bytes 10-19/100"),)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", TEN)
        assert await content_of(outcome) == b"x" * 10
        assert origin.requests[0].fields["range"] == "bytes=10-19"
    assert (found(outcome).span, found(outcome).metadata.size) == (Span(10, 20), 100)


@pytest.mark.parametrize("kind", KINDS)
async def test_other_span_than_asked_for_is_told_or_refused(kind: Kind) -> None:
    async with raw_origin((part("bytes 0-9/100"),)) as origin, source_at(kind, origin.url) as source:
        if kind == "obstore":
            with pytest.raises(BadAnswer):
                await source.open("key", TEN)
        else:
            outcome = await source.open("key", TEN)
            await found(outcome).body.aclose()
            assert found(outcome).span == Span(0, 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(part("bytes 10-29/100"), id="longer-than-the-content"),
        pytest.param(part("bytes 10-12/100"), id="shorter-than-the-content"),
        pytest.param(part("bytes 19-10/100"), id="backwards"),
        pytest.param(part("bytes 10-19/15"), id="beyond-the-size"),
        pytest.param(part("bytes */100"), id="no-span"),
        pytest.param(part("items 10-19/100"), id="other-unit"),
        pytest.param(part("what?"), id="garbage"),
        pytest.param(answer("206 Partial Content", b"x" * 10, etag='"a"'), id="missing"),
    ],
)
async def test_content_range_that_cannot_be_is_a_bad_answer(kind: Kind, reply: bytes) -> None:
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        with pytest.raises(BadAnswer):
            await source.open("key", TEN)


@pytest.mark.parametrize("kind", KINDS)
async def test_range_that_the_origin_ignores_is_the_whole_object(kind: Kind) -> None:
    async with raw_origin((served(b"x" * 100),)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", TEN)
        assert await content_of(outcome) == b"x" * 100
        # obstore keeps nothing of an answer without the range that it asked for.
        assert [request.fields.get("range") for request in origin.requests] == (
            ["bytes=10-19", None] if kind == "obstore" else ["bytes=10-19"]
        )
    assert found(outcome).span is None


@pytest.mark.parametrize("kind", ["aiobotocore", "botocore", "http"])
async def test_part_that_nobody_asked_for_is_told(kind: Kind) -> None:
    async with raw_origin((part("bytes 10-19/100"),)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        await found(outcome).body.aclose()
    assert (found(outcome).span, found(outcome).metadata.size) == (Span(10, 20), 100)


async def test_obstore_cannot_tell_a_part_that_nobody_asked_for() -> None:
    # It shows neither status nor Content-Range: no store is known that answers so.
    async with raw_origin((part("bytes 10-19/100"),)) as origin, source_at("obstore", origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        await found(outcome).body.aclose()
    assert (found(outcome).span, found(outcome).metadata.size) == (None, 10)


@pytest.mark.parametrize("kind", KINDS)
async def test_unsatisfiable_range_has_the_size_where_the_client_shows_it(kind: Kind) -> None:
    reply = answer("416 Range Not Satisfiable", content_range="bytes */5")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        assert await source.open("key", TEN) == Unsatisfiable(None if kind == "obstore" else 5)


@pytest.mark.parametrize("kind", KINDS)
async def test_last_bytes_of_an_empty_object_as_minio_describes_them(kind: Kind) -> None:
    async with raw_origin((part("bytes 0--1/0", b""),)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest(range=Suffix(5)))
        if kind == "obstore":
            assert outcome == Unsatisfiable(None)
        else:
            assert (found(outcome).span, found(outcome).metadata.size) == (None, 0)
            assert await content_of(outcome) == b""


# Lengths.


@pytest.mark.parametrize("kind", ["aiobotocore", "botocore", "http"])
async def test_chunked_answer_has_no_size_and_all_its_bytes(kind: Kind) -> None:
    chunked = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    reply = answer("200 OK", chunked, content_length=None, transfer_encoding="chunked")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert await content_of(outcome) == b"hello world"
    assert found(outcome).metadata.size is None


async def test_obstore_needs_a_length() -> None:
    reply = answer("200 OK", b"0\r\n\r\n", content_length=None, transfer_encoding="chunked")
    async with raw_origin((reply,)) as origin, source_at("obstore", origin.url) as source:
        with pytest.raises(BadAnswer, match="Content-Length"):
            await source.open("key", OpenRequest())


@pytest.mark.parametrize("kind", S3_KINDS)
async def test_store_that_ends_a_body_by_closing_is_not_believed(kind: Kind) -> None:
    reply = answer("200 OK", b"half of it", content_length=None)
    async with raw_origin((reply, CLOSE)) as origin, source_at(kind, origin.url) as source:
        with pytest.raises(BadAnswer):
            await source.open("key", OpenRequest())


async def test_http_api_may_end_a_body_by_closing() -> None:
    reply = answer("200 OK", b"all of it", content_length=None)
    async with raw_origin((reply, CLOSE)) as origin, source_at("http", origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert await content_of(outcome) == b"all of it"
    assert found(outcome).metadata.size is None


# Time.


async def test_slow_body_that_goes_on_is_read_to_its_end() -> None:
    drops: Answer = (served(b"", content_length="8"), *[Pause(0.5), b"x"] * 8)

    async def read(kind: Kind) -> bytes:
        async with raw_origin(drops) as origin, source_at(kind, origin.url, read_timeout=3) as source:
            return await content_of(await source.open("key", OpenRequest()))

    assert await asyncio.gather(*(read(kind) for kind in KINDS)) == [b"x" * 8] * len(KINDS)


async def test_aiohttp_has_limits_on_progress_and_none_on_the_whole() -> None:
    # A wait for a free connection has its limit too: else all hang when slow clients hold them all.
    expected = ClientTimeout(total=None, connect=3 + POOL_SECONDS, sock_connect=3, sock_read=7)
    patience = {"connect_timeout": 3, "read_timeout": 7}
    async with source_at("http", "http://127.0.0.1:1", **patience) as source:
        assert isinstance(source, HttpSource)
        assert source._session is not None
        assert source._session.timeout == expected
    async with source_at("aiobotocore", "http://127.0.0.1:1", **patience) as source:
        assert isinstance(source, AiobotocoreSource)
        assert (await source.client._endpoint.http_session._get_session(None))._timeout == expected


def test_progress_is_limited_unless_told_otherwise() -> None:
    options = StoreOptions()
    assert (options.connect_timeout, options.read_timeout) == (5.0, 60.0)


# Requests and connections.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
async def test_object_costs_one_request(kind: Kind, size: int) -> None:
    async with raw_origin((served(b"x" * size),)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest())
        assert await content_of(outcome) == b"x" * size
        assert [(request.method, request.target) for request in origin.requests] == [("GET", "/bucket/key")]
        assert "range" not in origin.requests[0].fields


@pytest.mark.parametrize("kind", KINDS)
async def test_head_costs_one_request(kind: Kind) -> None:
    reply = answer("200 OK", content_length="1000", etag='"version-1"')
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        outcome = await source.open("key", OpenRequest(head=True))
        assert await content_of(outcome) == b""
        assert [request.method for request in origin.requests] == ["HEAD"]
    assert found(outcome).metadata.size == 1000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(served(b"x" * 1000), id="object"),
        pytest.param(served(b"x" * 1_000_000), id="large-object"),
        pytest.param(served(b""), id="empty-object"),
        pytest.param(answer("404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>"), id="missing"),
        pytest.param(answer("403 Forbidden", b"<Error/>"), id="denied"),
        pytest.param(answer("412 Precondition Failed", b"<Error/>"), id="failed"),
        pytest.param(answer("416 Range Not Satisfiable", b"<Error/>"), id="unsatisfiable"),
        pytest.param(answer("503 Slow Down", b"<Error/>"), id="throttled"),
    ],
)
async def test_connection_is_used_again_after(kind: Kind, reply: bytes) -> None:
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        for _ in range(6):
            try:
                outcome = await source.open("key", TEN if b"416" in reply else OpenRequest())
            except Exception:  # noqa: BLE001 - what it is, other tests say
                continue
            if not isinstance(outcome, PreconditionFailed | Unsatisfiable):
                await content_of(outcome)
        # Who gives it back in a thread of its own may be too late for the next request now and then.
        assert len(origin.requests) == 6
        assert origin.connections < 4


@pytest.mark.parametrize("kind", KINDS)
async def test_conditions_go_out_as_they_are(kind: Kind) -> None:
    date = parse_date("Wed, 21 Oct 2015 07:28:00 GMT")
    conditions = Conditions(
        if_match=ETagList((ETag("a"),)),
        if_none_match=ETagList((ETag("b"),)),
        if_modified_since=date,
        if_unmodified_since=date,
    )
    async with raw_origin((served(b""),)) as origin, source_at(kind, origin.url) as source:
        await content_of(await source.open("key", OpenRequest(conditions=conditions)))
        fields = origin.requests[0].fields
    assert {name: value for name, value in fields.items() if name.startswith("if-")} == {
        "if-match": '"a"',
        "if-none-match": '"b"',
        "if-modified-since": "Wed, 21 Oct 2015 07:28:00 GMT",
        "if-unmodified-since": "Wed, 21 Oct 2015 07:28:00 GMT",
    }


@pytest.mark.parametrize("kind", ["aiobotocore", "botocore", "http"])
async def test_not_modified_costs_one_request(kind: Kind) -> None:
    reply = answer("304 Not Modified", etag='"a"', content_length=None, cache_control="max-age=60")
    conditions = Conditions(if_none_match=ETagList((ETag("a"),)))
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        for _ in range(2):
            outcome = await source.open("key", OpenRequest(conditions=conditions))
            assert isinstance(outcome, NotModified)
            assert (outcome.metadata.etag, outcome.metadata.cache_control) == (ETag("a"), "max-age=60")
        assert (len(origin.requests), origin.connections) == (2, 1)


async def test_obstore_asks_again_for_the_metadata_of_a_304() -> None:
    conditions = Conditions(if_none_match=ETagList((ETag("a"),)))
    replies: list[Answer] = [
        (answer("304 Not Modified", etag='"a"', content_length=None),),
        (answer("200 OK", content_length="5", etag='"a"', cache_control="max-age=60"),),
    ]
    async with raw_origin(*replies) as origin, source_at("obstore", origin.url) as source:
        outcome = await source.open("key", OpenRequest(conditions=conditions))
        assert isinstance(outcome, NotModified)
        assert (outcome.metadata.etag, outcome.metadata.cache_control) == (ETag("a"), "max-age=60")
        assert [request.method for request in origin.requests] == ["GET", "HEAD"]


@pytest.mark.parametrize("kind", KINDS)
async def test_answer_that_is_longer_than_its_small_span_is_not_gathered(kind: Kind) -> None:
    reply = part("bytes 10-19/1000000", b"x" * 8_000_000, content_length="8000000")
    async with raw_origin((reply,)) as origin, source_at(kind, origin.url) as source:
        try:
            body = found(await source.open("key", TEN)).body
        except BadAnswer:
            return
        assert len(await body.read()) < 2 * CHUNK_SIZE
        await body.aclose()
