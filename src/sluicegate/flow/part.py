"""One span of one version of an object, by as many requests as it takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import random

from sluicegate.errors import BadAnswer, BrokenBody, SourceError
from sluicegate.flow.budget import Budget
from sluicegate.flow.closing import close
from sluicegate.flow.memory import MemoryReturn
from sluicegate.flow.options import TransferOptions
from sluicegate.flow.patience import (
    Progress,
    longer_reach,
    opening_wait_seconds,
    shorter_reach,
    wait_seconds,
)
from sluicegate.flow.pinned import PinnedObject
from sluicegate.http.ranges import Span
from sluicegate.sources.base import Body, Chunk


@dataclass(frozen=True, slots=True)
class Transfer:
    """What the parts of one transfer share; `budget` and `memory` they share with other transfers.

    `is_begun` says that the client has bytes already of which these are not the first.
    """

    version: PinnedObject
    options: TransferOptions
    attempts: int
    progress: Progress
    budget: Budget
    memory: MemoryReturn
    is_begun: bool = False

    def wait_seconds(self, error: SourceError, failures: int, now: float) -> float | None:
        """How long to wait before asking again after `error`; `None` if that cannot help any more."""
        progress, chance = self.progress, random()  # noqa: S311 - jitter, not a secret
        if not (progress.arrived or self.is_begun):
            elapsed = now - progress.began
            return opening_wait_seconds(error, failures, self.attempts, elapsed, chance)
        wait = wait_seconds(error, failures, chance)
        if wait is None or now + wait - progress.at > self.options.give_up_after:
            return None
        return wait


class Part:
    """The bytes of `span`. Where a request breaks, the next one begins: at the byte that did not come.

    `body` is one that was opened for `span` already. The end of the part may be moved while it is read, up to
    that of `span`: `end_at`.
    """

    def __init__(self, transfer: Transfer, span: Span, body: Body | None = None) -> None:
        self._transfer = transfer
        self.position = span.start
        self.stop = span.stop
        self._body = body
        self._body_stop = span.stop
        self._spill: Chunk = b""
        self._reach: int | None = None
        self._has_given = False
        self._failures = 0
        if body is not None:
            transfer.version.tally.parts += 1

    def end_at(self, stop: int) -> None:
        """End the part before `stop`, which is not before the bytes that were read."""
        self.stop = stop

    async def begin(self) -> SourceError | None:
        """Try once to have a connection, before the first read; what stood against it."""
        try:
            await self._ask()
        except SourceError as error:
            return error
        return None

    async def read(self) -> Chunk:
        """The next bytes; empty at the end.

        Raises `SourceError` where asking again cannot help, or has not for `give_up_after` seconds.
        """
        while self.position < self.stop:
            if self._spill:
                return self._cut(self._spill)
            body = self._body or await self._open()
            if body is not None and (chunk := await self._read(body)):
                return chunk
        return await self._look_behind_the_end()

    async def aclose(self) -> None:
        """Give back the connection. The part may be read on: by another one."""
        self._spill = b""
        if self._body is not None:
            await self._body.aclose()
            self._body = None

    async def _open(self) -> Body | None:
        """Ask for what is left, or for less; nothing comes of it if that failed."""
        try:
            return await self._ask()
        except SourceError as error:
            if not await self.waited_after(error):
                raise
            return None

    async def _ask(self) -> Body:
        longest = self.stop - self.position
        length = longest if self._reach is None else min(longest, self._reach)
        tally = self._transfer.version.tally
        tally.requests += 1
        body = await self._transfer.version.open(Span(self.position, self.position + length))
        tally.parts += 1
        self._body, self._body_stop, self._has_given = body, self.position + length, False
        return body

    async def _read(self, body: Body) -> Chunk:
        """What `body` has next; nothing if it is over, for good or for bad."""
        try:
            chunk = await body.read()
            if not chunk and self.position < self._body_stop:
                what = self._transfer.version.key
                raise BrokenBody(f"{what!r}: the body ended {self._body_stop - self.position} bytes early")
        except SourceError as error:
            if not await self._resumes_after(error, body):
                raise
            return b""
        if not chunk:
            await self.aclose()
            if self._reach is not None:
                self._reach = longer_reach(self._reach, self.stop - self.position)
            return b""
        return self._taken(chunk)

    def _taken(self, chunk: Chunk) -> Chunk:
        if len(chunk) > self._body_stop - self.position:
            raise BadAnswer(f"{self._transfer.version.key!r}: the origin sent more than it promised")
        self._has_given, self._failures = True, 0
        self._transfer.version.tally.origin_bytes += len(chunk)
        self._transfer.progress.add(len(chunk), asyncio.get_running_loop().time())
        return self._cut(chunk)

    def _cut(self, chunk: Chunk) -> Chunk:
        """What of `chunk` lies in the part. The rest is kept, for the end of the part may move again."""
        room = self.stop - self.position
        self._spill = b""
        if len(chunk) > room:
            chunk, self._spill = memoryview(chunk)[:room], memoryview(chunk)[room:]
        self.position += len(chunk)
        return chunk

    async def _look_behind_the_end(self) -> Chunk:
        """Nothing, if the body ends here as it should: then its connection is free for the next request."""
        if self._body is not None and self.stop == self._body_stop and await self._body.read():
            raise BadAnswer(f"{self._transfer.version.key!r}: the origin sent more than it promised")
        return b""

    async def _resumes_after(self, error: SourceError, body: Body) -> bool:
        """Let go of a body that broke, and wait until it is time to ask again; false if that cannot help."""
        self._body = None
        await close(body)
        if not self._has_given:
            self._reach = shorter_reach(self._reach)
        if not await self._paused_after(error):
            return False
        self._transfer.version.tally.resumed(asyncio.get_running_loop().time())
        return True

    async def waited_after(self, error: SourceError) -> bool:
        """Wait until it is time to ask again after a request failed; false if that cannot help."""
        if not await self._paused_after(error):
            return False
        self._transfer.version.tally.retried(asyncio.get_running_loop().time())
        return True

    async def _paused_after(self, error: SourceError) -> bool:
        self._failures += 1
        wait = self._transfer.wait_seconds(error, self._failures, asyncio.get_running_loop().time())
        if wait is None:
            return False
        await asyncio.sleep(wait)
        return True
