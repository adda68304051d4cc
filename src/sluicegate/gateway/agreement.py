"""How workers change to a configuration together or not at all: what is said, and the part of each of them.

Who looks after the workers asks all to prepare. When all are ready, all are told to commit, and say when
they have; if one cannot, or does not answer in time, all are told to abandon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from sluicegate.errors import SluicegateError

from .config import Config
from .reloading import PREPARE_SECONDS, Reloadable, ReloadResult, refused

logger = logging.getLogger(__name__)

VERDICT_SECONDS: Final = 3 * PREPARE_SECONDS
"""How long a worker waits for what came of a reload that it asked for: another may be under way before it."""

LONGEST_REASON: Final = 4000
"""Characters of a worker's reason: it fits into the pipe, so that nobody waits for anybody to read it."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """To a worker: open what this configuration needs, and answer. `turn` is the number of the attempt."""

    turn: int
    config: Config


@dataclass(frozen=True, slots=True)
class Commit:
    """To a worker: serve new requests by what you have prepared."""

    turn: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """To a worker: close what you have prepared, or are preparing."""

    turn: int


@dataclass(frozen=True, slots=True)
class Count:
    """To one of the workers: count a configuration that was read again; `ok` if it was put in place."""

    ok: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """To a worker that asked for a reload: what came of it. `number` is that of its question."""

    number: int
    result: ReloadResult


@dataclass(frozen=True, slots=True)
class Serving:
    """From a worker: requests are served, and orders are heard."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """From a worker: all is open."""

    turn: int


@dataclass(frozen=True, slots=True)
class Committed:
    """From a worker: new requests are served by what was prepared."""

    turn: int


@dataclass(frozen=True, slots=True)
class CannotPrepare:
    """From a worker: something cannot be opened, and nothing is."""

    turn: int
    reason: str


@dataclass(frozen=True, slots=True)
class AskReload:
    """From a worker: an operator wants the file to be read again. A `Verdict` of this number answers it."""

    number: int


Order = Prepare | Commit | Abandon | Count | Verdict
Report = Serving | Prepared | CannotPrepare | Committed | AskReload


class Member:
    """The control of one worker among several: it does what it is told through its pipe.

    `file` is what the one that looks after it reads.
    """

    def __init__(self, server: Reloadable, pipe: Connection, file: Path | None = None) -> None:
        self.file = file
        self._server = server
        self._pipe = pipe
        self._turn = 0
        # The one that prepares, and those before it that are being interrupted.
        self._preparing: set[asyncio.Task[None]] = set()
        self._asked = 0
        self._asking: dict[int, asyncio.Future[ReloadResult]] = {}

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[None]:
        """Hear orders until the block ends."""
        loop = asyncio.get_running_loop()
        number = self._pipe.fileno()
        loop.add_reader(number, self._hear)
        try:
            yield
        finally:
            loop.remove_reader(number)
            self._stop_preparing()
            if self._preparing:
                await asyncio.wait(self._preparing)

    def started(self) -> None:
        """Say so."""
        self._say(Serving())

    def stopping(self) -> None:
        """Nobody needs to know: who looks after the workers has told them to."""

    async def reload(self) -> ReloadResult:
        """Ask for it, and wait for what comes of it."""
        verdict: asyncio.Future[ReloadResult] = asyncio.get_running_loop().create_future()
        self._asked = number = self._asked + 1
        self._asking[number] = verdict
        try:
            self._say(AskReload(number))
            async with asyncio.timeout(VERDICT_SECONDS):
                return await verdict
        except TimeoutError:
            return ReloadResult(
                False, f"no answer after {VERDICT_SECONDS:.0f} s: the log says what came of it"
            )
        finally:
            del self._asking[number]

    def _hear(self) -> None:
        try:
            order: Order = self._pipe.recv()
        except (EOFError, OSError):
            # Who looks after the workers is gone; that ends this one in another way.
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            for number in self._asking:
                self._answer(number, refused("the process that looks after the workers is gone"))
            return
        match order:
            case Prepare():
                self._begin(order)
            case Commit(turn):
                self._commit(turn)
            case Abandon():
                self._stop_preparing()
                self._server.abandon()
            case Count(ok):
                self._server.count_reload(ok=ok)
            case Verdict(number, result):
                self._answer(number, result)

    def _begin(self, order: Prepare) -> None:
        self._stop_preparing()
        self._turn = order.turn
        preparing = asyncio.create_task(self._prepare(order))
        self._preparing.add(preparing)
        preparing.add_done_callback(self._preparing.discard)

    async def _prepare(self, order: Prepare) -> None:
        try:
            await self._server.prepare(order.config)
        except SluicegateError as exc:
            self._say(CannotPrepare(order.turn, str(exc)[:LONGEST_REASON]))
        except Exception:
            logger.exception("the reload failed")
            self._say(CannotPrepare(order.turn, "the reload failed, and the log says how"))
        else:
            self._say(Prepared(order.turn))

    def _commit(self, turn: int) -> None:
        if turn == self._turn:
            self._server.commit()
            self._say(Committed(turn))

    def _stop_preparing(self) -> None:
        for preparing in self._preparing:
            preparing.cancel()

    def _answer(self, number: int, result: ReloadResult) -> None:
        # Who asked may have gone away meanwhile.
        verdict = self._asking.get(number)
        if verdict is not None and not verdict.done():
            verdict.set_result(result)

    def _say(self, report: Report) -> None:
        try:
            self._pipe.send(report)
        except OSError:
            logger.warning("%s could not be said: the process that looks after the workers is gone", report)
