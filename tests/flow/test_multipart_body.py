"""The body of several spans: each is asked for in its turn, of one version, and closed."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import BadAnswer, BrokenBody, NotFound, SourceError, Unavailable, VersionChanged
from sluicegate.flow.multipart import MultipartBody
from sluicegate.flow.pinned import PinnedObject
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag
from sluicegate.sources.base import OpenOutcome
from sluicegate.sources.tally import Tally

from .asking import CONTENT, EDGE, OBJECT, OTHER, drained, parts_of
from .fakes import Behaviour, Origin, described, failing, origin_of, replaced_after, saying, serving

SPANS = (Span(0, 10), Span(50, 60))


def body_of(origin: Origin, spans: tuple[Span, ...] = SPANS) -> MultipartBody:
    metadata = origin.metadata
    multipart = Multipart(spans, len(origin.content), EDGE, "text/plain")
    version = PinnedObject(origin, "key", metadata, (("accept", "*/*"),), Tally())
    return MultipartBody(version, multipart)


async def test_each_span_is_asked_for_when_the_one_before_is_sent() -> None:
    body = body_of(origin := origin_of(CONTENT))
    asked = []
    while await body.read():
        asked.append((len(origin.requests), origin.closed))
    assert asked == [
        (1, [0]),  # the framing of the first span
        (1, [0]),  # its bytes, in two chunks
        (1, [0]),
        (2, [1, 0]),
        (2, [1, 0]),
        (2, [1, 0]),
        (2, [1, 1]),  # the last boundary
    ]


async def test_bytes_are_framed_as_the_length_says() -> None:
    body = body_of(origin := origin_of(CONTENT))
    served = await drained(body)
    assert parts_of(served) == [(span, CONTENT[span.start : span.stop]) for span in SPANS]
    assert len(served) == Multipart(SPANS, 100, EDGE, "text/plain").length
    assert await body.read() == b""
    assert origin.asked == ('GET 0-9 if "v1"', 'GET 50-59 if "v1"')


async def test_span_that_was_begun_is_not_asked_for_again() -> None:
    body = body_of(origin := origin_of(CONTENT))
    await body.begin()
    assert origin.asked == ('GET 0-9 if "v1"',)
    assert len(parts_of(await drained(body))) == 2
    assert len(origin.requests) == 2


@pytest.mark.parametrize(
    ("metadata", "asked"),
    [
        pytest.param(OBJECT, 'GET 0-9 if "v1"', id="strong-tag"),
        pytest.param(replace(OBJECT, etag=ETag("v1", weak=True)), "GET 0-9 by date", id="weak-tag"),
        pytest.param(replace(OBJECT, etag=ETag("é")), "GET 0-9", id="tag-that-stores-disagree-on"),
        pytest.param(replace(OBJECT, etag=None), "GET 0-9 by date", id="no-tag"),
        pytest.param(replace(OBJECT, etag=None, last_modified=None), "GET 0-9", id="no-validator"),
    ],
)
async def test_span_is_pinned_by_what_every_origin_understands(metadata: Metadata, asked: str) -> None:
    origin = origin_of(CONTENT)
    origin.metadata = metadata
    await drained(body_of(origin))
    assert origin.asked[0] == asked


def telling(metadata: Metadata) -> Callable[[Origin], OpenOutcome]:
    """For `saying`: the right span, of what `metadata` describe."""
    return lambda origin: replace(origin.found(SPANS[0], CONTENT[:10]), metadata=metadata)


WRONG = [
    pytest.param(saying(serving(None)), BadAnswer, id="whole-object"),
    pytest.param(saying(serving(Span(0, 9))), BadAnswer, id="another-span"),
    pytest.param(saying(telling(described(CONTENT, "v2"))), VersionChanged, id="another-tag"),
    pytest.param(saying(telling(described(CONTENT + b"x"))), VersionChanged, id="another-size"),
    pytest.param(saying(telling(replace(OBJECT, last_modified=None))), VersionChanged, id="another-date"),
    pytest.param(saying(lambda _: PreconditionFailed()), VersionChanged, id="precondition-failed"),
    pytest.param(saying(lambda _: Unsatisfiable(5)), VersionChanged, id="unsatisfiable"),
    pytest.param(saying(lambda _: NotModified(OBJECT)), BadAnswer, id="not-modified"),
    pytest.param(failing(NotFound("gone")), VersionChanged, id="gone"),
]


@pytest.mark.parametrize(("behaviour", "error"), WRONG)
async def test_span_of_anything_else_breaks_the_body_before_a_byte_of_it(
    behaviour: Behaviour, error: type[SourceError]
) -> None:
    body = body_of(origin := origin_of(CONTENT, behaviour))
    with pytest.raises(error):
        await body.read()
    await body.aclose()
    assert origin.closed == [1] * len(origin.bodies)


async def test_nothing_of_another_version_is_read_even_if_somebody_tries() -> None:
    body = body_of(origin := origin_of(CONTENT))
    origin.metadata = described(CONTENT, "v2")
    for _ in range(3):
        with pytest.raises(VersionChanged):
            await body.read()


async def test_span_that_failed_is_the_next_one_still() -> None:
    body = body_of(origin_of(CONTENT, saying(lambda _: PreconditionFailed())))
    with pytest.raises(VersionChanged):
        await body.read()
    assert [span for span, _ in parts_of(await drained(body))] == list(SPANS)


async def test_object_that_changes_between_two_spans_breaks_the_body() -> None:
    body = body_of(origin := origin_of(CONTENT, replaced_after(1, OTHER)))
    with pytest.raises(VersionChanged):
        await drained(body)
    await body.aclose()
    assert (len(origin.requests), origin.closed) == (2, [1])


@pytest.mark.parametrize("content", [b"", b"x" * 9, b"x" * 11], ids=["nothing", "short", "long"])
async def test_span_of_another_length_breaks_the_body(content: bytes) -> None:
    body = body_of(origin := origin_of(CONTENT, saying(serving(SPANS[0], content))))
    with pytest.raises(BrokenBody):
        await drained(body)
    await body.aclose()
    assert origin.closed == [1]


async def test_failure_of_the_origin_passes_through() -> None:
    with pytest.raises(Unavailable):
        await body_of(origin_of(CONTENT, failing(Unavailable("x")))).read()


@pytest.mark.parametrize(
    ("reads", "closed"),
    [
        pytest.param(0, [], id="before-the-first-read"),
        pytest.param(1, [1], id="behind-the-framing"),
        pytest.param(2, [1], id="inside-a-span"),
        pytest.param(4, [1, 1], id="inside-the-second-span"),
        pytest.param(7, [1, 1], id="behind-the-last-boundary"),
        pytest.param(9, [1, 1], id="behind-the-end"),
    ],
)
async def test_body_is_closed_in_every_state_and_stays_so(reads: int, closed: list[int]) -> None:
    body = body_of(origin := origin_of(CONTENT))
    for _ in range(reads):
        await body.read()
    await body.aclose()
    await body.aclose()
    requests = len(origin.requests)
    assert (await body.read(), origin.closed, len(origin.requests)) == (b"", closed, requests)


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), min_size=1, max_size=5))
async def test_any_spans_are_framed_and_as_long_as_they_say(pairs: list[tuple[int, int]]) -> None:
    spans = tuple(Span(start, start + length) for start, length in pairs)
    origin = origin_of(CONTENT)
    served = await drained(body_of(origin, spans))
    assert parts_of(served) == [(span, CONTENT[span.start : span.stop]) for span in spans]
    assert len(served) == Multipart(spans, 100, EDGE, "text/plain").length
    assert origin.closed == [1] * len(spans)
