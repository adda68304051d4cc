"""The application that a server runs: the gateway of the newest configuration, and what is left of others.

A request stays with the gateway that it was given to. A gateway is closed when its last request has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Self

from starlette.types import Message, Receive, Scope, Send

from sluicegate.errors import SluicegateError

from .app import CannotOpen, Gateway
from .config import Config
from .readiness import ReadinessReport

logger = logging.getLogger(__name__)

MOST_GENERATIONS: Final = 100
"""Each holds clients with their connections: who reloads more often than transfers end has to wait."""

_LIFESPAN: Final = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}

Make = Callable[[Config], Gateway]


class CannotReplace(SluicegateError):
    """The configuration cannot be replaced now; the message says why."""


class LiveGateway:
    """An ASGI application that serves a `Gateway`, and can change to another one between two requests.

    `make` makes a gateway of a configuration, in a thread. It is opened by the lifespan protocol in a task of
    its own, and closed by that task.
    """

    def __init__(self, gateway: Gateway, make: Make = Gateway) -> None:
        self._make = make
        self._current = _Generation(gateway)
        self._next: _Generation | None = None
        self._open: set[_Generation] = set()
        self._draining = False

    @property
    def config(self) -> Config:
        """The configuration that new requests are served by."""
        return self._current.gateway.config

    async def report(self) -> ReadinessReport:
        """Whether the sources of that configuration answer, and new requests are welcome."""
        # As a request: its sources stay open meanwhile.
        with self._current as generation:
            report = await generation.gateway.readiness.report()
        return report if generation.gateway.is_ready else ReadinessReport(False, report.checks)

    @property
    def generations(self) -> int:
        """How many gateways are open: one, those with requests of before, and one that is prepared."""
        return len(self._open)

    def drain(self) -> None:
        """Be ready for nothing new. What is under way goes on."""
        self._draining = True
        for generation in (self._current, *self._open):
            generation.gateway.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server's, or its lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        with self._current as generation:
            await generation.gateway(scope, receive, send)

    async def replace(self, config: Config) -> None:
        """Serve new requests by a new configuration; raises what cannot be opened."""
        await self.prepare(config)
        self.commit()

    async def prepare(self, config: Config) -> None:
        """Open all that a configuration needs, for `commit` or `abandon`; raises what cannot be opened."""
        self.abandon()
        if self._draining:
            raise CannotReplace("the gateway is ending")
        if len(self._open) >= MOST_GENERATIONS:
            raise CannotReplace(
                f"transfers of {len(self._open) - 1} earlier configurations are under way; "
                f"at most {MOST_GENERATIONS - 1} are kept: try again when some have ended"
            )
        # Clients take a tenth of a second to make, in which nothing would be sent to anybody.
        generation = _Generation(await asyncio.to_thread(self._make, config))
        if self._draining:
            raise CannotReplace("the gateway is ending")
        await self._enter(generation)
        self._next = generation

    def commit(self) -> None:
        """Give new requests to what was prepared."""
        if self._next is None:
            raise CannotReplace("no configuration is prepared")
        before, self._current, self._next = self._current, self._next, None
        self._current.gateway.take_over()
        if self._draining:
            self._current.gateway.drain()
        before.retire()

    def abandon(self) -> None:
        """Close what was prepared, if anything was."""
        if self._next is not None:
            self._next.retire()
            self._next = None

    async def _enter(self, generation: _Generation) -> None:
        self._open.add(generation)
        await generation.open(self._open.discard)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._enter(self._current)
            self._current.gateway.take_over()
        except SluicegateError as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        try:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            self._draining = True
            await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _close(self) -> None:
        # One that is being opened is closed as soon as it is open.
        while self._open:
            await asyncio.gather(*(generation.close() for generation in tuple(self._open)))


class _Generation:
    """A gateway and the task that opens and closes it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._requests = 0
        self._retired = False
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, closed: Callable[[_Generation], None]) -> None:
        """Open the gateway; `closed` is called when it is closed again, or could not be opened."""
        opened = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(opened))
        self._task.add_done_callback(lambda task: closed(self))
        try:
            await asyncio.wait((self._task, opened), return_when=asyncio.FIRST_COMPLETED)
            if not opened.done():
                await self._task
            await opened
        except BaseException:
            opened.cancel()
            self._task.cancel()
            await asyncio.wait((self._task,))
            raise
        self._task.add_done_callback(_log_failure)

    async def _live(self, opened: asyncio.Future[None]) -> None:
        started = False

        async def receive() -> Message:
            nonlocal started
            if not started:
                started = True
                return {"type": "lifespan.startup"}
            await self._ending.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            if opened.done():
                return
            if message["type"] == "lifespan.startup.complete":
                opened.set_result(None)
            else:
                opened.set_exception(CannotOpen(message.get("message", "the gateway did not start")))

        await self.gateway(dict(_LIFESPAN), receive, send)
        if not opened.done():
            opened.set_exception(CannotOpen("the gateway ended before it was open"))

    def __enter__(self) -> Self:
        """Serve a request: the gateway stays open until the block ends."""
        self._requests += 1
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._requests -= 1
        self._end_if_unused()

    def retire(self) -> None:
        """Close when the last request has ended."""
        self._retired = True
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._retired and not self._requests:
            self._ending.set()

    async def close(self) -> None:
        """Close now, and wait until it is done."""
        self._ending.set()
        if self._task is not None:
            await asyncio.wait((self._task,))


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        logger.error("an earlier configuration was not closed well", exc_info=failure)
