"""A body that follows a script, for whoever reads bodies: what a source gives, without the source."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import anyio

from sluicegate.sources.base import Chunk


@dataclass(frozen=True, slots=True)
class Stall:
    """A step of a script that takes for ever: whoever awaits it is cancelled, or waits."""


STALL: Final = Stall()

Step = Chunk | BaseException | Stall
"""What happens in one read of a `ScriptedBody`: bytes come, an exception is raised, or nothing happens."""


class ScriptedBody:
    """A body whose reads are written down: `ScriptedBody([b"abc", BrokenBody("reset")])`.

    Each item of `steps` is one read: bytes are returned, an exception is raised, `STALL` waits until it is
    cancelled. After the last one the body has ended. `closed` says whether `aclose` was called, `reads` how
    often `read` was.
    """

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps = deque(steps)
        self.closed = False
        self.reads = 0

    async def read(self) -> Chunk:
        """Do the next step."""
        self.reads += 1
        if self.closed or not self._steps:
            return b""
        match self._steps.popleft():
            case Stall():
                await anyio.sleep_forever()
                return b""
            case BaseException() as error:
                raise error
            case chunk:
                return chunk

    async def aclose(self) -> None:
        """Forget the steps that are left."""
        self.closed = True
        self._steps.clear()
