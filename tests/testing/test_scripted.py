"""The source that does what it is told, which other tests lean on."""

import asyncio
from datetime import UTC, datetime

import pytest

from sluicegate import Body, Found, OpenOutcome, OpenRequest, Source
from sluicegate.errors import BrokenBody, Denied, InvalidKey, NotFound, OriginTimeout, Throttled
from sluicegate.http.conditions import Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, Span
from sluicegate.http.validators import ETag, ETagList
from sluicegate.testing import STALL, Asked, ScriptedBody, ScriptedSource

KEY = "test/1/image.jpg"
CONTENT = bytes(range(100))


def body_of(outcome: OpenOutcome) -> Body:
    assert isinstance(outcome, Found)
    return outcome.body


async def read(body: Body) -> bytes:
    content = b""
    while chunk := await body.read():
        content += chunk
    return content


async def stalls(waiting: object) -> bool:
    """Whether an awaitable is still waiting when everything else has happened; it is cancelled then."""
    task = asyncio.ensure_future(waiting)  # type: ignore[call-overload]
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    return bool((await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError)


# Bodies.


async def test_body_does_one_step_a_read() -> None:
    body = ScriptedBody([b"a", bytearray(b"b"), memoryview(b"c")])
    assert [bytes(await body.read()) for _ in range(5)] == [b"a", b"b", b"c", b"", b""]
    assert (body.reads, body.closed) == (5, False)


async def test_body_raises_and_goes_on_as_it_is_told() -> None:
    body = ScriptedBody([b"a", BrokenBody("reset"), b"b"])
    assert await body.read() == b"a"
    with pytest.raises(BrokenBody, match="reset"):
        await body.read()
    assert await body.read() == b"b"


async def test_body_stalls_until_it_is_cancelled() -> None:
    assert await stalls(ScriptedBody([STALL]).read())


async def test_closed_body_has_ended() -> None:
    body = ScriptedBody([b"a", b"b"])
    await body.read()
    await body.aclose()
    await body.aclose()
    assert (body.closed, await body.read()) == (True, b"")


# What is served.


async def test_object_is_described_by_its_key_and_content() -> None:
    source = ScriptedSource({KEY: CONTENT})
    outcome = await source.open(KEY, OpenRequest())
    assert isinstance(outcome, Found)
    metadata = outcome.metadata
    assert (metadata.size, metadata.content_type, metadata.ranges) == (100, "image/jpeg", True)
    assert metadata.etag is not None
    assert metadata.last_modified == datetime(2024, 1, 1, tzinfo=UTC)
    assert await read(outcome.body) == CONTENT
    assert metadata.etag != source.put(KEY, b"other").etag
    assert metadata == source.put(KEY, CONTENT)


async def test_object_is_described_as_it_is_told() -> None:
    source = ScriptedSource()
    modified = datetime(2020, 5, 17, 12, 0, 0, 999, tzinfo=UTC)
    metadata = source.put("key", b"abc", content_type="text/plain", etag='"v1"', last_modified=modified)
    assert metadata == Metadata(
        size=3,
        etag=ETag("v1"),
        last_modified=modified.replace(microsecond=0),
        answered=metadata.answered,
        content_type="text/plain",
    )
    source.describe("key", Metadata(cache_control="no-cache"))
    outcome = await source.open("key", OpenRequest())
    assert isinstance(outcome, Found)
    assert outcome.metadata == Metadata(cache_control="no-cache")


async def test_chunks_have_the_size_that_they_are_told() -> None:
    source = ScriptedSource({KEY: CONTENT}, chunk_size=40)
    body = body_of(await source.open(KEY, OpenRequest()))
    assert [len(await body.read()) for _ in range(4)] == [40, 40, 20, 0]


def test_chunks_of_no_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        ScriptedSource(chunk_size=0)


async def test_ranges_and_conditions_are_honoured() -> None:
    source = ScriptedSource({KEY: CONTENT, "empty": b""})
    metadata = source.put(KEY, CONTENT)
    assert metadata.etag is not None
    same, other = ETagList((metadata.etag,)), ETagList((ETag("other"),))

    async def ask(key: str, spec: FromTo | None = None, conditions: Conditions | None = None) -> OpenOutcome:
        return await source.open(key, OpenRequest(range=spec, conditions=conditions or Conditions()))

    part = await ask(KEY, FromTo(10, 19))
    assert isinstance(part, Found)
    assert (part.span, await read(part.body)) == (Span(10, 20), CONTENT[10:20])
    assert await ask(KEY, FromTo(100)) == Unsatisfiable(100)
    assert await ask("empty", FromTo(0)) == Unsatisfiable(0)
    assert await ask(KEY, conditions=Conditions(if_none_match=same)) == NotModified(metadata)
    assert await ask(KEY, conditions=Conditions(if_match=other)) == PreconditionFailed()


async def test_missing_and_impossible_keys() -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.delete(KEY)
    with pytest.raises(NotFound):
        await source.open(KEY, OpenRequest())
    with pytest.raises(InvalidKey):
        await source.open("a/../b", OpenRequest())
    with pytest.raises(InvalidKey):
        source.put("", b"")


# What goes wrong.


FAILURES = [NotFound("no"), Denied("no"), Throttled("no", 7.0), OriginTimeout("no"), ValueError("no")]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
async def test_open_fails_as_it_is_told(error: Exception) -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.fail(KEY, error)
    for _ in range(3):
        with pytest.raises(type(error)) as caught:
            await source.open(KEY, OpenRequest())
        assert caught.value is error


async def test_open_fails_as_often_as_it_is_told() -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.fail(KEY, Throttled("slow down"), times=2)
    for _ in range(2):
        with pytest.raises(Throttled):
            await source.open(KEY, OpenRequest())
    assert await read(body_of(await source.open(KEY, OpenRequest()))) == CONTENT


async def test_open_stalls() -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.stall(KEY, times=1)
    assert await stalls(source.open(KEY, OpenRequest()))
    assert not await stalls(source.open(KEY, OpenRequest()))


async def test_answer_is_what_it_is_told() -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.answer(KEY, Unsatisfiable(7))
    assert await source.open(KEY, OpenRequest()) == Unsatisfiable(7)


async def test_body_breaks() -> None:
    source = ScriptedSource({KEY: CONTENT}, chunk_size=7)
    source.break_after(KEY, 30)
    body = body_of(await source.open(KEY, OpenRequest()))
    content = b"".join([bytes(await body.read()) for _ in range(5)])
    assert content == CONTENT[:30]
    with pytest.raises(BrokenBody):
        await body.read()


async def test_part_breaks_after_so_many_of_its_own_bytes_and_with_the_given_error() -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.break_after(KEY, 5, OriginTimeout("stalled"))
    body = body_of(await source.open(KEY, OpenRequest(range=FromTo(50))))
    assert await body.read() == CONTENT[50:55]
    with pytest.raises(OriginTimeout):
        await body.read()


async def test_body_stalls() -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.stall_after(KEY, 30)
    body = body_of(await source.open(KEY, OpenRequest()))
    assert await body.read() == CONTENT[:30]
    assert await stalls(body.read())


async def test_body_lies_about_its_length() -> None:
    source = ScriptedSource({"short": CONTENT, "long": CONTENT})
    source.end_after("short", 30)
    source.lengthen("long", b"more")
    contents = {}
    for key in ("short", "long"):
        outcome = await source.open(key, OpenRequest())
        assert isinstance(outcome, Found)
        assert outcome.metadata.size == 100
        contents[key] = await read(outcome.body)
    assert contents == {"short": CONTENT[:30], "long": CONTENT + b"more"}


async def test_everything_can_be_taken_back() -> None:
    source = ScriptedSource({KEY: CONTENT})
    source.fail(KEY, Denied("no"))
    source.break_after(KEY, 1)
    source.answer(KEY, PreconditionFailed())
    source.heal(KEY)
    assert await read(body_of(await source.open(KEY, OpenRequest()))) == CONTENT


# What happened.


async def test_requests_are_kept_in_order() -> None:
    source = ScriptedSource({KEY: CONTENT})
    await source.open(KEY, OpenRequest(head=True))
    with pytest.raises(NotFound):
        await source.open("missing", OpenRequest())
    assert source.requests == [Asked(KEY, OpenRequest(head=True)), Asked("missing", OpenRequest())]


async def test_open_bodies_are_counted() -> None:
    source = ScriptedSource({KEY: CONTENT})
    bodies = [body_of(await source.open(KEY, OpenRequest())) for _ in range(3)]
    assert source.open_bodies == 3
    await bodies[0].aclose()
    await read(bodies[1])
    assert source.open_bodies == 2
    for body in bodies:
        await body.aclose()
    assert source.open_bodies == 0
    assert [body.closed for body in source.bodies] == [True] * 3


async def test_it_is_a_source_and_knows_whether_it_is_entered() -> None:
    source: Source = ScriptedSource()
    assert isinstance(source, ScriptedSource)
    async with source as entered:
        assert entered is source
        assert source.entered
    assert not source.entered
