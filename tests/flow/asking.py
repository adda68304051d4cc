"""Asking a counted origin, as a response does: open, read to the end, close."""

from dataclasses import dataclass

from sluicegate.flow.opening import Opened, Target, open_object
from sluicegate.http.exchange import NO_OVERRIDES, Outcome, Overrides, Partial, Whole, answer, read_request
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.sources.base import Body

from .fakes import Origin, described

CONTENT = bytes(range(100))
OTHER = CONTENT[::-1]
OBJECT, NEWER = described(CONTENT), described(OTHER, "v2")
EDGE = "edge-of-the-parts"


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a request: the answer, the bytes, and what the origin was asked for them."""

    outcome: Outcome
    content: bytes
    asked: tuple[str, ...]


async def open_at(
    origin: Origin, fields: dict[str, str], method: str = "GET", overrides: Overrides = NO_OVERRIDES
) -> Opened:
    return await open_object(Target(origin, "key"), read_request(method, fields), overrides, EDGE)


async def told(origin: Origin, fields: dict[str, str], method: str = "GET") -> Told:
    """Ask, read to the end and close, as a response does; everything that was opened is closed once then."""
    opened = await open_at(origin, fields, method)
    content = await drained(opened.body)
    assert answer(opened.outcome).length in (None, len(content)) or method == "HEAD"
    assert origin.closed == [1] * len(origin.bodies)
    return Told(opened.outcome, content, origin.asked)


async def drained(body: Body) -> bytes:
    """Everything, and the body closed."""
    content = bytearray()
    while chunk := await body.read():
        content += chunk
    await body.aclose()
    return bytes(content)


def whole(*asked: str, said: Metadata = OBJECT) -> Told:
    return Told(Whole(said), CONTENT, asked)


def partial(start: int, stop: int, *asked: str) -> Told:
    return Told(Partial(OBJECT, Span(start, stop)), CONTENT[start:stop], asked)


def no_content(outcome: Outcome, *asked: str) -> Told:
    return Told(outcome, b"", asked)


def parts_of(body: bytes) -> list[tuple[Span, bytes]]:
    """The parts of a multipart body, taken apart by what each says of itself."""
    parts = []
    left = memoryview(body)
    while bytes(left) != b"\r\n--%s--\r\n" % EDGE.encode():
        head, _, _ = bytes(left).partition(b"\r\n\r\n")
        opening, boundary, kind, place = head.split(b"\r\n")
        assert (opening, boundary, kind) == (b"", b"--" + EDGE.encode(), b"Content-Type: text/plain")
        first, last = place.removeprefix(b"Content-Range: bytes ").partition(b"/")[0].split(b"-")
        span, start = Span(int(first), int(last) + 1), len(head) + 4
        parts.append((span, bytes(left[start : start + span.length])))
        left = left[start + span.length :]
    return parts
