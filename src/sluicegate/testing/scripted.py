"""A source that follows a script: objects in memory, and whatever can go wrong with them.

For unit tests without mocks and without a network. It never needs a server, a clock or a thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, NamedTuple, Self

import anyio

from sluicegate.errors import BrokenBody, NotFound
from sluicegate.http.conditions import Verdict, evaluate
from sluicegate.http.exchange import NotModified, PreconditionFailed, Unsatisfiable
from sluicegate.http.media_types import media_type_of
from sluicegate.http.metadata import Metadata
from sluicegate.http.ranges import Span
from sluicegate.http.validators import ETag, origin_etag, to_http_seconds
from sluicegate.sources.base import CHUNK_SIZE, Body, EmptyBody, Found, OpenOutcome, OpenRequest, check_key
from sluicegate.testing.scripted_body import STALL, ScriptedBody, Stall, Step

LAST_MODIFIED: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""When scripted objects were last modified, unless they say otherwise: a date that no test run changes."""

ANSWERED: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""When the scripted origin says that it answers."""

_NEVER: Final = 1 << 63
"""More bytes than any body has."""


class Asked(NamedTuple):
    """One call of `open`."""

    key: str
    request: OpenRequest


@dataclass(frozen=True, slots=True)
class _Object:
    content: bytes
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class _Failure:
    """What `open` does instead of answering, and how often; `None` is always."""

    step: BaseException | Stall
    times: int | None


@dataclass(frozen=True, slots=True)
class _Ending:
    """The end that a body comes to after `after` of its bytes: `extra` bytes, and a step if there is one."""

    after: int
    extra: bytes = b""
    step: BaseException | Stall | None = None


class ScriptedSource:
    """A source that holds `objects` in memory and fails as it is told to.

    It honours ranges and conditions as a good origin does. The methods below say what a key does instead:

        source = ScriptedSource({"test/1/image.jpg": b"..."})
        source.fail("secret", Denied("no such key for you"))
        source.break_after("test/1/image.jpg", 1000)

    `requests` are the calls of `open` so far, in order. `open_bodies` is the number of bodies that were
    handed out and not closed: assert that it is 0 at the end of a test. `bodies` are all of them.

    Unlike other sources it works without being entered. `entered` says whether it is entered now.
    `chunk_size` is the length of the chunks of its bodies, in bytes.
    """

    def __init__(self, objects: Mapping[str, bytes] | None = None, *, chunk_size: int = CHUNK_SIZE) -> None:
        if chunk_size < 1:
            raise ValueError(f"chunk_size is at least 1 byte, got {chunk_size!r}")
        self.requests: list[Asked] = []
        self.bodies: list[ScriptedBody] = []
        self.entered = False
        self._chunk_size = chunk_size
        self._objects: dict[str, _Object] = {}
        self._failures: dict[str, _Failure] = {}
        self._endings: dict[str, _Ending] = {}
        self._answers: dict[str, OpenOutcome] = {}
        for key, content in (objects or {}).items():
            self.put(key, content)

    # What the source holds.

    def put(
        self,
        key: str,
        content: bytes,
        *,
        content_type: str | None = None,
        etag: str | None = None,
        last_modified: datetime = LAST_MODIFIED,
    ) -> Metadata:
        """Hold `content` as `key`, in the place of what was there; returns how it is described.

        The type comes from the key and the entity tag from the content unless they are given.
        """
        metadata = Metadata(
            size=len(content),
            etag=origin_etag(etag) or ETag(hashlib.sha256(content).hexdigest()[:32]),
            last_modified=to_http_seconds(last_modified),
            answered=ANSWERED,
            content_type=content_type or media_type_of(key),
        )
        self._objects[check_key(key)] = _Object(content, metadata)
        return metadata

    def describe(self, key: str, metadata: Metadata) -> None:
        """Describe the object that is held as `key` by `metadata`, down to its size: it may be a lie."""
        self._objects[key] = replace(self._objects[key], metadata=metadata)

    def delete(self, key: str) -> None:
        """Hold no object as `key` any more."""
        self._objects.pop(key, None)

    # What goes wrong.

    def fail(self, key: str, error: BaseException, *, times: int | None = None) -> None:
        """Raise `error` when `key` is opened: always, or the next `times` times."""
        self._failures[key] = _Failure(error, times)

    def stall(self, key: str, *, times: int | None = None) -> None:
        """Never answer when `key` is opened, always or the next `times` times: whoever waits is cancelled."""
        self._failures[key] = _Failure(STALL, times)

    def answer(self, key: str, outcome: OpenOutcome) -> None:
        """Answer `outcome` when `key` is opened, whatever was asked: an origin that lies, say."""
        self._answers[key] = outcome

    def break_after(self, key: str, count: int, error: BaseException | None = None) -> None:
        """Break bodies of `key` after `count` bytes: `read` raises `error`, a `BrokenBody` by default."""
        broken = error or BrokenBody(f"scripted: {key!r} breaks after {count} bytes")
        self._endings[key] = _Ending(count, step=broken)

    def stall_after(self, key: str, count: int) -> None:
        """Let bodies of `key` stop for ever after `count` bytes."""
        self._endings[key] = _Ending(count, step=STALL)

    def end_after(self, key: str, count: int) -> None:
        """End bodies of `key` after `count` bytes as if that were all: the length was a lie."""
        self._endings[key] = _Ending(count)

    def lengthen(self, key: str, extra: bytes) -> None:
        """Let bodies of `key` go on with `extra` after their end: the length was a lie."""
        self._endings[key] = _Ending(_NEVER, extra)

    def heal(self, key: str) -> None:
        """Take back everything that `key` was told to do wrong."""
        for script in (self._failures, self._endings, self._answers):
            script.pop(key, None)

    # What happened.

    @property
    def open_bodies(self) -> int:
        """How many bodies are not closed yet."""
        return sum(not body.closed for body in self.bodies)

    # The source.

    async def __aenter__(self) -> Self:
        """Note that the source is entered."""
        self.entered = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Note that the source is left."""
        self.entered = False

    async def open(self, key: str, request: OpenRequest) -> OpenOutcome:
        """Answer as the script says for `key`."""
        self.requests.append(Asked(key, request))
        check_key(key)
        await self._fail(key)
        if key in self._answers:
            return self._answers[key]
        held = self._objects.get(key)
        if held is None:
            raise NotFound(f"scripted: there is no {key!r}")
        return self._outcome(key, held, request)

    async def _fail(self, key: str) -> None:
        failure = self._failures.get(key)
        if failure is None or failure.times == 0:
            return
        if failure.times is not None:
            self._failures[key] = replace(failure, times=failure.times - 1)
        if isinstance(failure.step, Stall):
            await anyio.sleep_forever()
        else:
            raise failure.step

    def _outcome(self, key: str, held: _Object, request: OpenRequest) -> OpenOutcome:
        match evaluate(request.conditions, held.metadata):
            case Verdict.NOT_MODIFIED:
                return NotModified(held.metadata)
            case Verdict.FAILED:
                return PreconditionFailed()
        if request.head:
            return Found(held.metadata, None, EmptyBody())
        if request.range is None:
            return Found(held.metadata, None, self._body(self._steps(key, held.content)))
        span = request.range.resolve(len(held.content))
        # A store refuses every range of an empty object: it has no byte that a Content-Range could name.
        if span is None or not span.length:
            return Unsatisfiable(len(held.content))
        return Found(held.metadata, span, self._body(self._steps(key, _slice(held.content, span))))

    def _steps(self, key: str, content: bytes) -> Iterable[Step]:
        ending = self._endings.get(key, _Ending(_NEVER))
        content = content[: ending.after] + ending.extra
        for start in range(0, len(content), self._chunk_size):
            yield content[start : start + self._chunk_size]
        if ending.step is not None:
            yield ending.step

    def _body(self, steps: Iterable[Step]) -> Body:
        body = ScriptedBody(steps)
        self.bodies.append(body)
        return body


def _slice(content: bytes, span: Span) -> bytes:
    return content[span.start : span.stop]
