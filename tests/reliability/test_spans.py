"""Several ranges in one answer, over an origin that breaks inside a span."""

from typing import Any

import pytest

from sluicegate import Outcome
from sluicegate.testing import ClientAnswer, Close, OriginRequest, Replaced, Reset, Status

from .conftest import Serving
from .service import CONTENT, OTHER, PATH, SIZE

SPANS = ((0, 300_000), (400_000, 400_001), (500_000, SIZE))
RANGES = "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in SPANS)


def _parts(answer: ClientAnswer) -> list[tuple[str, bytes]]:
    """`Content-Range` and content of each part."""
    boundary = (answer.get("content-type") or "").partition("boundary=")[2].strip('"').encode()
    first, *parts, last = answer.content.split(b"--" + boundary)
    assert (first.strip(), last.strip()) == (b"", b"--")
    found = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        (place,) = [line for line in head.decode().split("\r\n") if line.lower().startswith("content-range")]
        found.append((place.partition(": ")[2], content.removesuffix(b"\r\n")))
    return found


def _is_get(request: OriginRequest) -> bool:
    return request.method == "GET"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([Reset(100_000)], id="first-span"),
        pytest.param([(), (), Reset(100_000)], id="last-span"),
        pytest.param([Close(1), Status(500), (), (), Reset(200_000)], id="all-of-them"),
    ],
)
async def test_spans_that_break_are_resumed(served: Serving, steps: list[Any]) -> None:
    async with served() as service:
        service.origin.script(PATH, steps, when=_is_get)
        answer, record = await service.get([("Range", RANGES)])
        assert (answer.status, answer.complete, record.outcome) == (206, True, Outcome.COMPLETE)
        wanted = [(f"bytes {start}-{stop - 1}/{SIZE}", CONTENT[start:stop]) for start, stop in SPANS]
        assert _parts(answer) == wanted
        assert record.resumes + record.retries == len([step for step in steps if step])
        tags = {seen.fields.get("if-match") for seen in service.asked if seen.method == "GET"}
        assert tags == {answer.get("etag")}


async def test_span_of_another_version_is_a_cut(served: Serving) -> None:
    async with served() as service:
        service.origin.fail(PATH, Replaced(OTHER), first=3, when=_is_get)
        answer, record = await service.get([("Range", RANGES)])
        assert (answer.status, answer.complete, record.outcome) == (206, False, Outcome.VERSION_CHANGED)
        assert CONTENT[:300_000] in answer.content
        assert OTHER[500_000:500_100] not in answer.content


async def test_span_whose_origin_is_away_for_a_while_is_waited_for(served: Serving) -> None:
    async with served() as service:
        service.origin.script(PATH, [(), *[Status(500)] * 4], when=_is_get)
        answer, record = await service.get([("Range", RANGES)])
        assert (answer.status, answer.complete, record.outcome) == (206, True, Outcome.COMPLETE)
