"""A part that is fetched before the client gets to it."""

from __future__ import annotations

import asyncio
from collections import deque

from sluicegate.errors import SourceError
from sluicegate.flow.part import Part
from sluicegate.sources.base import Chunk


class AheadPart:
    """What a task has read of `part`, and goes on to read: never more than the part."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self.stop = part.stop
        self.length = part.stop - part.position
        self._chunks: deque[Chunk] = deque()
        self._begun = False
        self._obstacle: SourceError | None = None
        self._news = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._fetch(), name="sluicegate-part")

    async def obstacle(self) -> SourceError | None:
        """What stood against the first try to have a connection for the part, once that is known."""
        while not (self._begun or self._task.done()):
            self._news.clear()
            await self._news.wait()
        return self._obstacle

    async def read(self) -> Chunk:
        """The next bytes; empty at the end. Raises what the part raised, after the bytes before that."""
        while not self._chunks:
            if self._task.done():
                self._task.result()
                return b""
            self._news.clear()
            await self._news.wait()
        return self._chunks.popleft()

    def cancel(self) -> None:
        """Begin to close: many are to be closed at the same time."""
        self._task.cancel()

    async def aclose(self) -> None:
        """Stop the task, which gives back the connection, and forget its bytes."""
        self.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled():
            self._task.exception()
        self._chunks.clear()
        # Its traceback holds the part, and the task holds it.
        self._obstacle = None

    async def _fetch(self) -> None:
        try:
            self._obstacle = await self._part.begin()
            self._begun = True
            self._news.set()
            if self._obstacle is not None and not await self._part.waited_after(self._obstacle):
                raise self._obstacle
            while chunk := await self._part.read():
                self._chunks.append(chunk)
                self._news.set()
        finally:
            try:
                await self._part.aclose()
            finally:
                self._news.set()
