"""Every fault of the faulty origin, as a client on a raw socket sees it."""

import hashlib
import http.client
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing

import aiohttp
import obstore
import pytest

from sluicegate.testing import (
    OK,
    Bandwidth,
    ClientAnswer,
    Close,
    Fault,
    FaultyOrigin,
    Garbage,
    Generated,
    HangUp,
    IgnoreConditions,
    IgnoreRange,
    Latency,
    NewETags,
    NoETag,
    NoLastModified,
    NoLength,
    OriginRequest,
    Overrun,
    Overstate,
    Replaced,
    Reset,
    ResetBetween,
    Shorten,
    SlowClient,
    Stall,
    Status,
    Trickle,
    Understate,
    WeakETags,
    WrongSize,
    WrongSpan,
)
from tests.testing.test_origin_s3 import obstore_store

SIZE = 3_000_000
CONTENT = Generated(SIZE, seed=1)
RANGE = {"Range": "bytes=1000-1999"}


@pytest.fixture
def origin() -> Iterator[FaultyOrigin]:
    with FaultyOrigin() as running:
        running.put("/a", CONTENT, etag="v1")
        yield running


@pytest.fixture
async def client(origin: FaultyOrigin) -> AsyncIterator[SlowClient]:
    async with SlowClient(origin.url) as connected:
        yield connected


async def get(origin: FaultyOrigin, fields: dict[str, str] | None = None, path: str = "/a") -> ClientAnswer:
    async with SlowClient(origin.url) as client:
        return await client.get(path, fields or {})


def content(start: int = 0, stop: int = SIZE) -> bytes:
    return bytes(CONTENT.read(start, stop))


# How a body ends.


@pytest.mark.parametrize("after", [0, 1, 65_536, 2_999_999])
async def test_reset_comes_when_the_bytes_before_it_have_arrived(after: int, origin: FaultyOrigin) -> None:
    origin.fail("/a", Reset(after))
    got = await get(origin)
    assert (got.status, got.complete, got.reset) == (200, False, True)
    assert got.content == content(0, after)
    assert (origin.requests[0].sent, origin.requests[0].ended) == (after, "reset")


async def test_reset_counts_within_the_range(origin: FaultyOrigin) -> None:
    origin.fail("/a", Reset(10))
    got = await get(origin, RANGE)
    assert (got.status, got.content, got.reset) == (206, content(1000, 1010), True)


@pytest.mark.parametrize("after", [SIZE, SIZE + 1])
async def test_end_behind_the_body_has_no_effect(after: int, origin: FaultyOrigin) -> None:
    origin.fail("/a", Reset(after), Close(after))
    assert (await get(origin)).complete


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
async def test_close_ends_a_body_early(length: bool, origin: FaultyOrigin) -> None:
    origin.put("/b", CONTENT, length=length)
    origin.fail("/b", Close(after=100_000))
    got = await get(origin, path="/b")
    assert (got.content, got.complete, got.reset) == (content(0, 100_000), False, False)
    assert origin.requests[0].ended == "closed"


async def test_random_resets_are_at_other_places_and_the_same_each_run(origin: FaultyOrigin) -> None:
    def offsets() -> list[int]:
        return [ResetBetween(10_000, 90_000, seed=7).offset(number) for number in range(3)]

    origin.fail("/a", ResetBetween(10_000, 90_000, seed=7))
    lengths = [len((await get(origin)).content) for _ in range(3)]
    assert lengths == offsets() == offsets()
    assert len(set(lengths)) == 3


# How fast it comes.


async def test_stall_goes_on_when_it_is_released(origin: FaultyOrigin, client: SlowClient) -> None:
    origin.fail("/a", Stall(after=50_000))
    await client.send("GET", "/a")
    assert await client.read(50_000) == content(0, 50_000)
    await origin.until(lambda _: origin.requests[0].sent == 50_000)
    assert origin.requests[0].open
    origin.release()
    got = await client.drain()
    assert (got.content, got.complete) == (content(50_000), True)


async def test_stall_for_a_while_is_over_by_itself(origin: FaultyOrigin) -> None:
    origin.fail("/a", Stall(after=50_000, seconds=0.01), Latency(0.01))
    assert (await get(origin)).content == content()


async def test_stall_before_a_reset(origin: FaultyOrigin, client: SlowClient) -> None:
    origin.fail("/a", Stall(after=500), Reset(after=500))
    await client.send("GET", "/a")
    assert await client.read(500) == content(0, 500)
    origin.release()
    assert (await client.drain()).reset


async def test_trickle_comes_in_tiny_pieces(origin: FaultyOrigin) -> None:
    origin.put("/b", b"0123456789", length=False)
    origin.fail("/b", Trickle(2000, piece=3))
    got = await get(origin, path="/b")
    assert (got.content, got.complete) == (b"0123456789", True)


async def test_bandwidth_latency_and_reset_combine(origin: FaultyOrigin) -> None:
    origin.always(Bandwidth(20_000_000), Latency(0.001))
    origin.fail("/a", Reset(after=400_000), times=1)
    assert (await get(origin)).content == content(0, 400_000)
    assert (await get(origin)).complete


# Another answer, or none.


@pytest.mark.parametrize(
    ("fault", "status", "retry_after", "code"),
    [
        pytest.param(Status(500), 500, None, b"InternalError", id="500"),
        pytest.param(Status(503, retry_after=1), 503, "1", b"SlowDown", id="503"),
        pytest.param(Status(429), 429, None, b"TooManyRequests", id="429"),
        pytest.param(Status(429, retry_after="soon"), 429, "soon", b"TooManyRequests", id="429-nonsense"),
        pytest.param(Status(403, error="ExpiredToken"), 403, None, b"ExpiredToken", id="403"),
    ],
)
async def test_status(
    fault: Status, status: int, retry_after: str | None, code: bytes, origin: FaultyOrigin
) -> None:
    origin.fail("/a", fault)
    got = await get(origin, RANGE)
    assert (got.status, got.get("retry-after"), got.complete) == (status, retry_after, True)
    assert b"<Code>" + code + b"</Code>" in got.content


async def test_garbage_in_place_of_http(origin: FaultyOrigin, client: SlowClient) -> None:
    origin.fail("/a", Garbage(b"\0\1\2\r\n\r\n"))
    await client.send("GET", "/a")
    with pytest.raises(ConnectionError, match="not the status line"):
        await client.read_head()


@pytest.mark.parametrize(("reset", "words"), [(False, "ended"), (True, "was reset")], ids=["close", "reset"])
async def test_hang_up_before_the_head(
    reset: bool, words: str, origin: FaultyOrigin, client: SlowClient
) -> None:
    origin.fail("/a", HangUp(reset=reset))
    await client.send("GET", "/a")
    with pytest.raises(ConnectionError, match=f"{words} inside the head"):
        await client.read_head()
    assert origin.requests[0].status is None


# Lies about lengths and places.


@pytest.mark.parametrize(
    ("fault", "promised", "sent", "complete"),
    [
        pytest.param(Shorten(10), SIZE - 10, SIZE - 10, True, id="shorten"),
        pytest.param(Understate(10), SIZE - 10, SIZE, False, id="understate"),
        pytest.param(Overstate(10), SIZE + 10, SIZE, False, id="overstate"),
        pytest.param(Overrun(10), SIZE, SIZE + 10, False, id="overrun"),
    ],
)
async def test_length_is_a_lie(
    fault: Fault, promised: int, sent: int, complete: bool, origin: FaultyOrigin
) -> None:
    origin.fail("/a", fault)
    got = await get(origin)
    assert (got.get("content-length"), len(got.content), got.complete) == (str(promised), sent, complete)
    assert got.content[:SIZE] == content()[:sent]


async def test_overrun_in_chunks_is_inside(origin: FaultyOrigin) -> None:
    origin.fail("/a", NoLength(), Overrun(10))
    got = await get(origin)
    assert (len(got.content), got.complete) == (SIZE + 10, True)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        pytest.param(WrongSpan(1), f"bytes 1001-2000/{SIZE}", id="further-on"),
        pytest.param(WrongSpan(-1000), f"bytes 0-999/{SIZE}", id="back"),
        pytest.param(WrongSize(7), f"bytes 1000-1999/{SIZE + 7}", id="larger"),
        pytest.param(WrongSize(-SIZE), "bytes 1000-1999/2000", id="smaller"),
    ],
)
async def test_place_is_a_lie(fault: Fault, named: str, origin: FaultyOrigin) -> None:
    origin.fail("/a", fault)
    got = await get(origin, RANGE)
    assert (got.status, got.get("content-range"), got.content) == (206, named, content(1000, 2000))


async def test_range_is_ignored(origin: FaultyOrigin) -> None:
    origin.fail("/a", IgnoreRange())
    got = await get(origin, RANGE)
    assert (got.status, got.get("content-range"), got.content) == (200, None, content())


@pytest.mark.parametrize(("chunked", "complete"), [(True, True), (False, False)], ids=["chunks", "close"])
async def test_no_length(chunked: bool, complete: bool, origin: FaultyOrigin) -> None:
    origin.fail("/a", NoLength(chunked=chunked))
    got = await get(origin)
    assert (got.get("content-length"), got.content, got.complete) == (None, content(), complete)


# Lies about versions.


async def test_weak_tags_match_no_version(origin: FaultyOrigin) -> None:
    origin.fail("/a", WeakETags())
    assert (await get(origin)).get("etag") == 'W/"v1"'
    assert (await get(origin, {"If-Match": '"v1"'})).status == 412


async def test_each_answer_has_a_new_tag(origin: FaultyOrigin) -> None:
    origin.fail("/a", NewETags())
    tags = [(await get(origin)).get("etag") for _ in range(3)]
    assert len(set(tags)) == 3
    assert (await get(origin, {"If-Match": str(tags[-1])})).status == 412


async def test_no_validators(origin: FaultyOrigin) -> None:
    origin.fail("/a", NoETag(), NoLastModified())
    got = await get(origin)
    assert (got.get("etag"), got.get("last-modified"), got.complete) == (None, None, True)


async def test_object_is_replaced_from_the_second_request_on(origin: FaultyOrigin) -> None:
    other = Generated(2000, seed=2)
    origin.fail("/a", Replaced(other, etag="v2"), first=2)
    answers = [await get(origin, RANGE) for _ in range(3)]
    assert [answer.get("etag") for answer in answers] == ['"v1"', '"v2"', '"v2"']
    assert [answer.content for answer in answers] == [
        content(1000, 2000),
        other.read(1000, 2000),
        other.read(1000),
    ]
    assert answers[0].get("last-modified") != answers[1].get("last-modified")
    assert (await get(origin, {"If-Match": '"v1"'})).status == 412


async def test_conditions_are_ignored(origin: FaultyOrigin) -> None:
    origin.fail("/a", IgnoreConditions(), Replaced(b"new"))
    assert (await get(origin, {"If-Match": '"v1"'})).content == b"new"


# Which requests meet them.


async def test_script_is_followed_and_then_nothing_goes_wrong(origin: FaultyOrigin) -> None:
    origin.script("/a", [Status(503), OK, (Latency(0.0), Status(500))])
    assert [(await get(origin)).status for _ in range(4)] == [503, 200, 500, 200]


async def test_fault_for_some_requests(origin: FaultyOrigin) -> None:
    def is_ranged(request: OriginRequest) -> bool:
        return request.range is not None

    origin.fail("/a", Status(500), times=1, first=2, when=is_ranged)
    asked = [RANGE, {}, RANGE, RANGE]
    assert [(await get(origin, fields)).status for fields in asked] == [206, 200, 500, 206]


async def test_later_fault_of_a_class_holds(origin: FaultyOrigin) -> None:
    origin.always(Status(500))
    origin.fail("/a", Status(503))
    origin.put("/b", b"")
    assert [(await get(origin)).status, (await get(origin, path="/b")).status] == [503, 500]


async def test_healed_origin_answers(origin: FaultyOrigin) -> None:
    origin.always(Status(500))
    origin.fail("/a", Status(503))
    origin.heal("/a")
    assert (await get(origin)).status == 500
    origin.heal()
    assert (await get(origin)).status == 200


def test_predicate_that_fails_is_told() -> None:
    def fails(request: OriginRequest) -> bool:
        raise LookupError(request.path)

    with pytest.raises(RuntimeError, match="LookupError"):
        _run_with(fails)


def _run_with(when: Callable[[OriginRequest], bool]) -> None:
    with FaultyOrigin() as origin:
        origin.always(OK, when=when)
        _get_nothing(origin)


def _get_nothing(origin: FaultyOrigin) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", origin.port, timeout=20)) as connection:
        connection.request("GET", "/a")
        with pytest.raises(ConnectionError):
            connection.getresponse()


# As client libraries take it.


async def test_aiohttp_sees_a_break(origin: FaultyOrigin) -> None:
    origin.fail("/a", Reset(after=1000))
    async with aiohttp.ClientSession() as session, session.get(f"{origin.url}/a") as got:
        with pytest.raises(aiohttp.ClientPayloadError):
            await got.read()


async def test_obstore_resumes_after_a_break(origin: FaultyOrigin) -> None:
    origin.put("/bucket/key", CONTENT)
    origin.fail("/bucket/key", Reset(after=1_000_000), times=1)
    result = await obstore.get_async(obstore_store(origin), "key")
    assert hashlib.sha256(bytes(await result.bytes_async())).hexdigest() == CONTENT.sha256()
    assert [(seen.range, seen.ended) for seen in origin.requests] == [
        (None, "reset"),
        ("bytes=1000000-2999999", "complete"),
    ]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Reset(-1), id="reset"),
        pytest.param(lambda: ResetBetween(5, 4), id="reset-between"),
        pytest.param(lambda: Bandwidth(0), id="bandwidth"),
        pytest.param(lambda: Trickle(1, piece=0), id="trickle"),
        pytest.param(lambda: Latency(-0.1), id="latency"),
        pytest.param(lambda: Stall(seconds=-1), id="stall"),
        pytest.param(lambda: Status(200), id="status"),
        pytest.param(lambda: Overrun(0), id="overrun"),
    ],
)
def test_nonsense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"got -?[0-9.]+"):
        make()
