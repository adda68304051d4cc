"""The body of a `multipart/byteranges` answer: one request a span, all pinned to one version."""

from __future__ import annotations

from sluicegate.errors import BrokenBody
from sluicegate.flow.pinned import PinnedObject
from sluicegate.http.multipart import Multipart
from sluicegate.sources.base import Body, Chunk


class MultipartBody:
    """Opens the spans of `multipart` in turn, each when the one before is sent.

    A span that cannot be had of that version raises `SourceError`, before anything of it is sent.
    """

    def __init__(self, version: PinnedObject, multipart: Multipart) -> None:
        self._version = version
        self._multipart = multipart
        self._left = list(reversed(multipart.spans))
        self._framing = b""
        self._current: Body | None = None
        self._missing = 0
        self._ended = False

    async def begin(self) -> None:
        """Open the first span already, while another answer is still possible."""
        await self._open_next()

    async def read(self) -> Chunk:
        """The next bytes: framing, or content of a span."""
        if not self._framing and self._current is not None:
            if chunk := await self._content(self._current):
                return chunk
            await self._current.aclose()
            self._current = None
        if not self._framing and self._left:
            await self._open_next()
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
            what = self._version.key
            raise BrokenBody(f"{what!r}: a span of a multipart answer had another length than promised")
        return chunk

    async def _open_next(self) -> None:
        """Ask for the next span, and have its framing ready. What failed is still the next one."""
        span = self._left[-1]
        self._current = await self._version.open(span, begun=len(self._left) < len(self._multipart.spans))
        self._left.pop()
        self._missing, self._framing = span.length, self._multipart.preamble(span)
