"""The body of a `multipart/byteranges` answer: one request a span, all pinned to one version."""

from __future__ import annotations

from sluicegate.errors import BadAnswer, BrokenBody
from sluicegate.flow.answers import is_same_version
from sluicegate.http.conditions import UNCONDITIONAL, forwardable, pinned_to
from sluicegate.http.fields import Fields
from sluicegate.http.metadata import Metadata
from sluicegate.http.multipart import Multipart
from sluicegate.http.ranges import Span, exactly
from sluicegate.sources.base import Body, Chunk, Found, OpenRequest, Source


class MultipartBody:
    """Opens the spans of `multipart` in turn, each when the one before is sent.

    A span that cannot be had of the version that `metadata` describes raises `SourceError`, before anything
    of it is sent: `BadAnswer` where the origin has another version, or serves something else.
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
        self._framing = b""
        self._current: Body | None = None
        self._missing = 0
        self._ended = False

    async def begin(self) -> None:
        """Open the first span already, while another answer is still possible."""
        await self._open(self._left.pop())

    async def read(self) -> Chunk:
        """The next bytes: framing, or content of a span."""
        if not self._framing and self._current is not None:
            if chunk := await self._content(self._current):
                return chunk
            await self._current.aclose()
            self._current = None
        if not self._framing and self._left:
            await self._open(self._left.pop())
        if not self._framing and not self._ended:
            self._ended, self._framing = True, self._multipart.epilogue
        framing, self._framing = self._framing, b""
        return framing

    async def aclose(self) -> None:
        """Close the span that is being read, and open no other."""
        self._left.clear()
        self._framing = b""
        self._ended = True
        if self._current is not None:
            await self._current.aclose()
            self._current = None

    async def _content(self, body: Body) -> Chunk:
        chunk = await body.read()
        self._missing -= len(chunk)
        if self._missing < 0 or (not chunk and self._missing):
            raise BrokenBody(f"{self._key!r}: a span of a multipart answer had another length than promised")
        return chunk

    async def _open(self, span: Span) -> None:
        """Ask for `span`, and have its framing ready."""
        etag = self._metadata.etag
        pinned = UNCONDITIONAL if etag is None or etag.weak else forwardable(pinned_to(etag))
        request = OpenRequest(range=exactly(span), conditions=pinned, fields=self._fields)
        outcome = await self._source.open(self._key, request)
        if not isinstance(outcome, Found):
            raise BadAnswer(f"{self._key!r}: the origin answered {outcome} to a span of a multipart answer")
        self._current, self._missing = outcome.body, 0
        if outcome.span != span or not is_same_version(outcome.metadata, self._metadata):
            raise BadAnswer(f"{self._key!r}: the object changed in the middle of a multipart answer")
        self._missing, self._framing = span.length, self._multipart.preamble(span)
