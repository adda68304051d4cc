"""Bodies that are read as a whole before any of it goes on: what breaks one is still a status."""

from __future__ import annotations

from sluicegate.flow.part import Part, Transfer
from sluicegate.http.ranges import Span
from sluicegate.sources.base import Body, Chunk


class SmallBody:
    """The bytes of `span`, which `body` begins, in one chunk. When it is there, the origin is let go of."""

    def __init__(self, transfer: Transfer, span: Span, body: Body) -> None:
        self._part: Part | None = Part(transfer, span, body)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is held any more."""
        return self._part is None

    async def read(self) -> Chunk:
        """All of it, and then nothing."""
        if self._part is None:
            return b""
        chunks: list[Chunk] = []
        # To the end also where it is whole: more than that is a failure, and the connection is free then.
        while chunk := await self._part.read():
            chunks.append(chunk)
        await self.aclose()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def aclose(self) -> None:
        """Give back the connection."""
        if self._part is not None:
            await self._part.aclose()
            self._part = None
