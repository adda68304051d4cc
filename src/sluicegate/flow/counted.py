"""Bodies that go to the client as they come from the origin, counted."""

from __future__ import annotations

from sluicegate.sources.base import Body, Chunk
from sluicegate.sources.tally import Tally


class CountedBody:
    """`body`, each chunk of which is counted as the origin's in `tally`."""

    def __init__(self, body: Body, tally: Tally) -> None:
        self._body = body
        self._tally = tally

    @property
    def is_closed(self) -> bool:
        """Whether the body says that it holds nothing any more."""
        return bool(getattr(self._body, "is_closed", False))

    async def read(self) -> Chunk:
        """The next bytes."""
        chunk = await self._body.read()
        self._tally.origin_bytes += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()
