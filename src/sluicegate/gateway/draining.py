"""uvicorn, with an end that clients, load balancers and operators can rely on."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from types import FrameType
from typing import Any, Final, Protocol

import uvicorn

from .handshakes import Handshakes
from .protocol import LINGER_SECONDS, BoundedProtocol, Refusal
from .reloading import Control
from .signals import ENDING, end_was_asked, taken_over
from .tls import TlsContext

SWEEP_TICKS: Final = 10
"""Every second: a tick is a tenth. Requests that are late are found by looking, not by a timer for each."""

RENEWAL_TICKS: Final = 100
"""Every ten seconds: what renews certificates does so days before they end."""


class Drained(Protocol):
    """An application that can be told that the end has begun."""

    def drain(self) -> None:
        """Be ready for nothing new. It is called by a signal's handler, and MUST NOT wait."""


class DrainingServer(uvicorn.Server):
    """uvicorn, with an end that clients, load balancers and operators can rely on.

    At the first signal the gateway is not ready any more, the listener closes, and transfers go on until
    they end or the drain timeout is over; those left are cancelled, which cuts them. A second signal cancels
    them at once. `beside` is entered before it serves, and left when the last transfer has ended.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(  # noqa: PLR0913 - what a server is made of, most of it by name
        self,
        gateway: Drained,
        config: uvicorn.Config,
        heeded: tuple[int, ...] = ENDING,
        *,
        control: Control | None = None,
        tls: TlsContext | None = None,
        beside: Sequence[AbstractAsyncContextManager[None]] = (),
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._heeded = heeded
        self._control = control
        self._tls = tls
        self._beside = beside
        self._cut_at: dict[object, float] = {}
        self._handshakes: list[Handshakes] = []

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes."""
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            for context in self._beside:
                await stack.enter_async_context(context)
            if self._control is not None:
                await stack.enter_async_context(self._control.attached())
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the application and the listener.

        As uvicorn does, which has no word on how long a TLS handshake may take, nor on how many there may be.
        """
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            self.should_exit = True
            return
        await self._listen(sockets or [])
        self.started = True
        if self._control is not None:
            self._control.started()

    async def _listen(self, sockets: list[socket.socket]) -> None:
        loop, tls, backlog = asyncio.get_running_loop(), self.config.ssl, self.config.backlog
        self.servers = []
        for one in sockets:
            if tls is None:
                self.servers.append(await loop.create_server(self._protocol, sock=one, backlog=backlog))
            else:
                self._handshakes.append(Handshakes(one, tls, self._protocol, self._let_in))

    def _protocol(self) -> asyncio.Protocol:
        # The class changes with the configuration.
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def _let_in(self, client: str | None, handshakes: int) -> bool:
        """Whether there is room for another TLS handshake: as without TLS, for twice as many as may be."""
        protocol = self.config.http_protocol_class
        if not issubclass(protocol, BoundedProtocol):
            return True
        most = protocol.limits.most_held
        if not 0 < most <= handshakes + len(self.server_state.connections):
            return True
        protocol.count.refuse(Refusal("connections", None, client, 0.0))
        return False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, and let what is under way end."""
        if self._control is not None:
            self._control.stopping()
        for one in self._handshakes:
            await one.aclose()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals to heed while serving, and do not raise them again: they have been obeyed."""
        with taken_over(self.handle_exit, self._heeded):
            if end_was_asked():
                self.handle_exit(signal.SIGTERM, None)
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._gateway.drain()
        if self.should_exit and self._loop is not None:
            # The one signal that uvicorn takes for a second one.
            super().handle_exit(signal.SIGINT, frame)
            self._loop.call_soon_threadsafe(self._cut_all)
        else:
            super().handle_exit(sig, frame)

    def _cut_all(self) -> None:
        # In this order: what a transfer hears first is how it ended.
        for task in tuple(self.server_state.tasks):
            task.cancel("a second signal")
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()

    async def on_tick(self, counter: int) -> bool:
        """Look after connections, ten times in a second; returns whether to end."""
        self._abort_the_cut()
        if counter % SWEEP_TICKS == 0:
            self._end_the_late()
        if self._tls is not None and counter % RENEWAL_TICKS == 0:
            self._tls.renew()
        return await super().on_tick(counter)

    def _end_the_late(self) -> None:
        now = time.monotonic()
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.end_if_late(now)

    def _abort_the_cut(self) -> None:
        """End the connections of responses that were cut, whose clients do not read what is left.

        uvicorn closes a connection when it has sent what it holds for it, which may be never.
        """
        now = time.monotonic()
        cut = {one for one in self.server_state.connections if _is_cut(one)}
        self._cut_at = {one: self._cut_at.get(one, now) for one in cut}
        for connection in cut:
            if now - self._cut_at[connection] > LINGER_SECONDS:
                connection.transport.abort()


def _is_cut(connection: Any) -> bool:
    """Whether a connection is closing before its response is complete."""
    if connection.transport is None or not connection.transport.is_closing():
        return False
    return connection.cycle is not None and not connection.cycle.response_complete
