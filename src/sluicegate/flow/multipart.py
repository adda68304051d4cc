"""The body of a `multipart/byteranges` answer: one request a span, all pinned to one version."""

from __future__ import annotations

from sluicegate.errors import BadAnswer, BrokenBody
from sluicegate.http.conditions import UNCONDITIONAL, pinned_to
from sluicegate.http.fields import Fields
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import Span, exactly
from sluicegate.sources.base import Body, Chunk, Found, OpenRequest, Source


class MultipartBody:
    """Opens the spans of `multipart` in turn, each when the one before is sent.

    A span that cannot be had of the version that `metadata` describes raises `SourceError`.
    """

    def __init__(
        self,
        source: Source,
        key: str,
        metadata: Metadata,
        multipart: Multipart,
        fields: Fields,
    ) -> None:
        self._source = source
        self._key = key
        self._metadata = metadata
        self._multipart = multipart
        self._fields = fields
        self._left = list(reversed(multipart.spans))
        self._current: Body | None = None
        self._missing = 0
        self._ended = False

    async def read(self) -> Chunk:
        """The next bytes: framing, or content of a span."""
        if self._current is not None:
            return await self._content(self._current)
        if self._left:
            return await self._next_span(self._left.pop())
        self._ended, epilogue = True, b"" if self._ended else self._multipart.epilogue
        return epilogue

    async def aclose(self) -> None:
        """Close the span that is being read, and open no other."""
        self._left.clear()
        self._ended = True
        if self._current is not None:
            await self._current.aclose()
            self._current = None

    async def _content(self, body: Body) -> Chunk:
        chunk = await body.read()
        self._missing -= len(chunk)
        if self._missing < 0 or (not chunk and self._missing):
            raise BrokenBody(f"{self._key!r}: a span of a multipart answer had another length than promised")
        if chunk:
            return chunk
        await body.aclose()
        self._current = None
        return await self.read()

    async def _next_span(self, span: Span) -> Chunk:
        """Open `span`, and begin it. Nothing of it is sent before its origin has said that it is right."""
        etag = self._metadata.etag
        pinned = UNCONDITIONAL if etag is None or etag.weak else pinned_to(etag)
        request = OpenRequest(range=exactly(span), conditions=pinned, fields=self._fields)
        outcome = await self._source.open(self._key, request)
        if not isinstance(outcome, Found):
            raise BadAnswer(f"{self._key!r}: the origin answered {outcome} to a span of a multipart answer")
        self._current, self._missing = outcome.body, span.length
        if outcome.span != span or not _same_version(outcome.metadata, self._metadata):
            raise BadAnswer(f"{self._key!r}: the object changed in the middle of a multipart answer")
        return self._multipart.preamble(span)


def _same_version(one: Metadata, other: Metadata) -> bool:
    return (one.etag, one.last_modified, one.size) == (other.etag, other.last_modified, other.size)
