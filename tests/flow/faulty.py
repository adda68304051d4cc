"""An origin in memory whose answers come to the ends that a test writes down, and take the time it says."""

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sluicegate.errors import BrokenBody, NotFound, OriginTimeout, SourceError
from sluicegate.http.conditions import Verdict, evaluate
from sluicegate.http.exchange import PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag
from sluicegate.sources.base import Chunk, Found, OpenOutcome, OpenRequest

MODIFIED = datetime(2024, 1, 1, tzinfo=UTC)
ANSWERED = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Refuse:
    """The request fails, after `seconds`."""

    error: SourceError
    seconds: float = 0.0


@dataclass(frozen=True)
class Break:
    """The body fails after so many bytes; without an error it ends there as if that were all."""

    after: int
    error: SourceError | None = field(default_factory=lambda: BrokenBody("scripted: reset"))


@dataclass(frozen=True)
class Hang:
    """The body stops after so many bytes, and is given up by the client library `seconds` later."""

    after: int
    seconds: float = 60.0


@dataclass(frozen=True)
class Replace:
    """From this request on the object is another one."""

    content: bytes
    etag: str | None = "v2"


@dataclass(frozen=True)
class Gone:
    """From this request on there is no object."""


@dataclass(frozen=True)
class Shift:
    """The answer is about a span that lies so many bytes behind the one that was asked for."""

    by: int = 1


@dataclass(frozen=True)
class Everything:
    """The range is ignored."""


@dataclass(frozen=True)
class Lengthen:
    """The body goes on behind its end."""

    extra: bytes = b"more"


class Fine:
    """The answer is as it should be."""


FINE = Fine()
Event = Refuse | Break | Hang | Replace | Gone | Shift | Everything | Lengthen | Fine


def content_of(size: int, seed: int = 0) -> bytes:
    """Bytes that are the same for the same seed, and no two places of which look alike."""
    return random.Random(seed).randbytes(size)


class FaultyMemory:
    """A source with one object, which answers the n-th request by the n-th of `events`, and well after them.

    `chunk` is the length of its chunks, `seconds` how long each takes, `latency` how long each answer takes.
    """

    def __init__(
        self,
        content: bytes,
        events: Iterable[Event] = (),
        *,
        etag: str | None = "v1",
        weak: bool = False,
        modified: datetime | None = MODIFIED,
        ranges: bool = True,
        sized: bool = True,
        chunk: int = 10_000,
        seconds: float = 0.0,
        latency: float = 0.0,
    ) -> None:
        self.content: bytes | None = content
        self.etag = self._first_etag = etag
        self.events = deque(events)
        self.requests: list[OpenRequest] = []
        self.bodies: list[FaultyBody] = []
        self.most_open = 0
        self.chunk, self.seconds, self.latency = chunk, seconds, latency
        self._weak, self._modified, self._ranges, self._sized = weak, modified, ranges, sized

    @property
    def open_bodies(self) -> int:
        return sum(not body.closed for body in self.bodies)

    @property
    def is_plain(self) -> bool:
        """Whether no part of the object can be asked for again as of the same version."""
        has_strong_tag = self._first_etag is not None and not self._weak
        return not (self._ranges and self._sized and (has_strong_tag or self._modified is not None))

    @property
    def asked(self) -> list[str]:
        """The ranges that were asked for, in order; nothing for the whole."""
        return ["" if request.range is None else str(request.range) for request in self.requests]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        self.requests.append(request)
        event = self.events.popleft() if self.events else FINE
        if self.latency:
            await asyncio.sleep(self.latency)
        match event:
            case Refuse(error, seconds):
                await asyncio.sleep(seconds)
                raise error
            case Replace(content, etag):
                self.content, self.etag = content, etag
            case Gone():
                self.content = None
        if self.content is None:
            raise NotFound("scripted: gone")
        return self._answer(self.content, request, event)

    def _answer(self, content: bytes, request: OpenRequest, event: Event) -> OpenOutcome:
        metadata = self._metadata(content)
        if evaluate(request.conditions, metadata) is Verdict.FAILED:
            return PreconditionFailed()
        span = None
        if request.range is not None and self._ranges and not isinstance(event, Everything):
            span = request.range.resolve(len(content))
            if span is None:
                return Unsatisfiable(len(content))
        if span is not None and isinstance(event, Shift):
            span = Span(min(span.start + event.by, len(content) - 1), len(content))
        served = content if span is None else content[span.start : span.stop]
        body = FaultyBody(self, served, event)
        self.bodies.append(body)
        self.most_open = max(self.most_open, self.open_bodies)
        return Found(metadata, span, body)

    def _metadata(self, content: bytes) -> Metadata:
        return Metadata(
            size=len(content) if self._sized else None,
            etag=None if self.etag is None else ETag(self.etag, weak=self._weak),
            last_modified=self._modified,
            answered=ANSWERED,
            ranges=self._ranges,
        )


class FaultyBody:
    """The bytes of an answer, and what happens to them."""

    def __init__(self, origin: FaultyMemory, content: bytes, event: Event) -> None:
        self._origin = origin
        self._content = content + (event.extra if isinstance(event, Lengthen) else b"")
        self._event = event
        self._position = 0
        self._reading = False
        self.closed = False
        self.broken = False

    async def read(self) -> Chunk:
        assert not self.closed, "read after it was closed"
        assert not self.broken, "read after it broke"
        assert not self._reading, "read by two at a time"
        self._reading = True
        try:
            return await self._read()
        finally:
            self._reading = False

    async def _read(self) -> Chunk:
        if self._origin.seconds:
            await asyncio.sleep(self._origin.seconds)
        end = len(self._content)
        if isinstance(self._event, Break | Hang):
            end = min(end, self._event.after)
        chunk = self._content[self._position : min(end, self._position + self._origin.chunk)]
        self._position += len(chunk)
        if not chunk and end < len(self._content):
            await self._fail()
        return chunk

    async def _fail(self) -> None:
        match self._event:
            case Break(_, error) if error is not None:
                self.broken = True
                raise error
            case Hang(_, seconds):
                await asyncio.sleep(seconds)
                self.broken = True
                raise OriginTimeout("scripted: no byte came")

    async def aclose(self) -> None:
        assert not self._reading, "closed while it is read"
        self.closed = True
