"""An origin in memory that keeps count: what it was asked, and what became of every body that it gave.

It works out ranges and conditions by itself, so that what is tested is not its own measure. A `Behaviour`
answers in its place where it is to do something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from sluicegate.http.conditions import UNCONDITIONAL, Conditions
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import FromTo, RangeSpec, Span, Suffix
from sluicegate.http.validators import ETag
from sluicegate.sources.base import Chunk, Found, OpenOutcome, OpenRequest

MODIFIED: Final = datetime(2024, 1, 1, tzinfo=UTC)
ANSWERED: Final = datetime(2025, 1, 1, tzinfo=UTC)
CHUNK_SIZE: Final = 7


class CountedBody:
    """The bytes of `content` in small chunks. `closed` counts the times that it was closed to the end.

    With `interrupted`, closing it hangs the first time, until it is cancelled; `closing` is set then.
    """

    def __init__(self, content: bytes, *, interrupted: bool = False) -> None:
        self._left = content
        self._interrupted = interrupted
        self.closing = asyncio.Event()
        self.closed = 0

    async def read(self) -> Chunk:
        assert not self.closed, "read after it was closed"
        chunk, self._left = self._left[:CHUNK_SIZE], self._left[CHUNK_SIZE:]
        return chunk

    async def aclose(self) -> None:
        if self._interrupted:
            self._interrupted = False
            self.closing.set()
            await asyncio.get_running_loop().create_future()
        self.closed += 1


@dataclass
class Origin:
    """A source that holds one object, `content` as `metadata` describe it, and answers by `behaviour`."""

    content: bytes
    metadata: Metadata = field(default_factory=Metadata)
    behaviour: Behaviour = lambda origin, request: origin.answer(request)
    interrupted: bool = False
    requests: list[OpenRequest] = field(default_factory=list)
    bodies: list[CountedBody] = field(default_factory=list)

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
        return self.behaviour(self, request)

    def answer(self, request: OpenRequest) -> OpenOutcome:
        """What a good origin answers: conditions first, then ranges."""
        asked = request.conditions
        if is_refused(asked, self.metadata):
            return PreconditionFailed()
        if is_current(asked, self.metadata):
            return NotModified(self.metadata)
        if request.head:
            return self.found(None, b"")
        if request.range is None:
            return self.found(None, self.content)
        span = span_of(request.range, len(self.content))
        if span is None:
            return Unsatisfiable(len(self.content))
        return self.found(span, self.content[span.start : span.stop])

    def found(self, span: Span | None, content: bytes) -> Found:
        """An answer with a body of its own."""
        body = CountedBody(content, interrupted=self.interrupted)
        self.bodies.append(body)
        return Found(self.metadata, span, body)

    @property
    def asked(self) -> tuple[str, ...]:
        """The requests so far, in short."""
        return tuple(map(in_short, self.requests))

    @property
    def closed(self) -> list[int]:
        """How often each body was closed."""
        return [body.closed for body in self.bodies]


Behaviour = Callable[[Origin, OpenRequest], OpenOutcome]


def origin_of(content: bytes, behaviour: Behaviour | None = None, *, etag: str | None = "v1") -> Origin:
    """An origin that holds `content` with all validators; without a `behaviour` it is a good one."""
    origin = Origin(content, described(content, etag))
    if behaviour is not None:
        origin.behaviour = behaviour
    return origin


def described(content: bytes, etag: str | None = "v1") -> Metadata:
    return Metadata(
        size=len(content),
        etag=None if etag is None else ETag(etag),
        last_modified=MODIFIED,
        answered=ANSWERED,
        content_type="text/plain",
    )


def in_short(request: OpenRequest) -> str:
    words = ["HEAD" if request.head else "GET"]
    if request.range is not None:
        words.append(str(request.range))
    conditions = request.conditions
    if conditions.if_match is not None:
        words.append(f"if {conditions.if_match}")
    if conditions.if_none_match is not None:
        words.append(f"if not {conditions.if_none_match}")
    if conditions.if_modified_since is not None or conditions.if_unmodified_since is not None:
        words.append("by date")
    return " ".join(words)


def span_of(spec: RangeSpec, size: int) -> Span | None:
    match spec:
        case FromTo(first, last):
            inside = range(size)[first : None if last is None else last + 1]
        case Suffix(length):
            inside = range(size)[max(0, size - length) :]
    return Span(inside.start, inside.stop) if inside else None


def is_refused(asked: Conditions, held: Metadata) -> bool:
    if asked.if_match is not None:
        return asked.if_match.tags != (held.etag,)
    since, modified = asked.if_unmodified_since, held.last_modified
    return since is not None and modified is not None and modified > since


def is_current(asked: Conditions, held: Metadata) -> bool:
    if asked.if_none_match is not None:
        return held.etag is not None and asked.if_none_match.tags[0].opaque == held.etag.opaque
    since, modified = asked.if_modified_since, held.last_modified
    return since is not None and modified is not None and modified <= since


# What origins do otherwise.


def without_ranges(origin: Origin, request: OpenRequest) -> OpenOutcome:
    """Serves no ranges, and says so."""
    origin.metadata = replace(origin.metadata, ranges=False)
    return origin.answer(replace(request, range=None))


def ignoring_ranges(origin: Origin, request: OpenRequest) -> OpenOutcome:
    """Says that it serves ranges, and serves everything."""
    return origin.answer(replace(request, range=None))


def ignoring_conditions(origin: Origin, request: OpenRequest) -> OpenOutcome:
    return origin.answer(replace(request, conditions=UNCONDITIONAL))


def refusing_without_size(origin: Origin, request: OpenRequest) -> OpenOutcome:
    outcome = origin.answer(request)
    return Unsatisfiable(None) if isinstance(outcome, Unsatisfiable) else outcome


def refusing_suffixes(origin: Origin, request: OpenRequest) -> OpenOutcome:
    if isinstance(request.range, Suffix):
        return Unsatisfiable(None)
    return origin.answer(request)


def refusing_all_ranges(origin: Origin, request: OpenRequest) -> OpenOutcome:
    return origin.answer(request) if request.range is None else Unsatisfiable(len(origin.content))


def refusing_before_conditions(origin: Origin, request: OpenRequest) -> OpenOutcome:
    """Looks at the range first, and at the conditions only if that can be had."""
    if request.range is not None and span_of(request.range, len(origin.content)) is None:
        return Unsatisfiable(len(origin.content))
    return origin.answer(request)


def without_size(origin: Origin, request: OpenRequest) -> OpenOutcome:
    """Never tells how long the object is."""
    origin.metadata = replace(origin.metadata, size=None)
    return refusing_without_size(origin, request)


def failing(error: Exception, *, heads: bool = False) -> Behaviour:
    """Raises `error`: always, or with `heads` for HEAD alone."""

    def behave(origin: Origin, request: OpenRequest) -> OpenOutcome:
        if heads and not request.head:
            return origin.answer(request)
        raise error

    return behave


def replaced_after(count: int, content: bytes, etag: str | None = "v2") -> Behaviour:
    """A good origin whose object is another one after `count` requests."""

    def behave(origin: Origin, request: OpenRequest) -> OpenOutcome:
        if len(origin.requests) == count + 1:
            origin.content, origin.metadata = content, described(content, etag)
        return origin.answer(request)

    return behave


def saying(*outcomes: Callable[[Origin], OpenOutcome]) -> Behaviour:
    """Answers the `outcomes` in turn, whatever is asked, and then as a good origin."""

    def behave(origin: Origin, request: OpenRequest) -> OpenOutcome:
        turn = len(origin.requests) - 1
        return outcomes[turn](origin) if turn < len(outcomes) else origin.answer(request)

    return behave


def serving(span: Span | None, content: bytes = b"any") -> Callable[[Origin], OpenOutcome]:
    """For `saying`: `span`, whatever was asked for."""
    return lambda origin: origin.found(span, content)
