"""The thread in which a `FaultyOrigin` serves: its loop, its listening socket, its connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, TypeVar

from sluicegate.testing.connection import Connection
from sluicegate.testing.origin_requests import OriginRequest
from sluicegate.testing.sending import Releases, send_reply, silence
from sluicegate.testing.site import Site

HOST: Final = "127.0.0.1"
BACKLOG: Final = 1024
CALL_SECONDS: Final = 10.0
"""Everything that is asked of the thread is done at once, unless something is very wrong."""

SETTLING_TURNS: Final = 8
"""Turns of the loop in which what the sockets have told it by now becomes known: an accept takes most."""

T = TypeVar("T")


class ServingThread:
    """Serves `site` on a free port until it is stopped."""

    def __init__(self, site: Site, tls: ssl.SSLContext | None, send_buffer: int | None) -> None:
        self._site = site
        self._tls = tls
        self._send_buffer = send_buffer
        self._socket = self._bound(0)
        self.port: int = self._socket.getsockname()[1]
        self.failures: list[BaseException] = []
        self._connections: set[Connection] = set()
        self._arrivals: set[asyncio.Task[None]] = set()
        self._listening = False
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=f"faulty-origin-{self.port}", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()
        self._ready.result(CALL_SECONDS)

    def stop(self) -> None:
        """End every connection, and the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(CALL_SECONDS)

    def refuse(self) -> None:
        """Refuse connections; those that are open stay."""
        self._call(self._close_listener)

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._call(self._listen)

    def release(self) -> None:
        """Let everything go on that stalls until then."""
        self._call(self._releases.release)

    def settle(self) -> None:
        """Wait until the thread has noted what has happened on its sockets by now."""
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(CALL_SECONDS)

    def disconnect(self, *, reset: bool) -> None:
        """End every open connection."""
        self._call(lambda: self._disconnect(reset))

    def _call(self, act: Callable[[], T]) -> T:
        async def called() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(CALL_SECONDS)

    # In the thread.

    async def _settle(self) -> None:
        for _ in range(SETTLING_TURNS):
            await asyncio.sleep(0)

    def _run(self) -> None:
        # Not the loop that the process may have set for all: what is done to sockets here fits this one.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._releases = Releases()
        self._listen()
        self._ready.set_result(None)
        await self._stopping.wait()
        self._close_listener()
        self._socket.close()
        for arrival in self._arrivals:
            arrival.cancel()
        for connection in list(self._connections):
            connection.stop()
        # Each of them has to hear that it is closed.
        while self._connections or self._arrivals:  # noqa: ASYNC110 - the next turns of the loop tell them
            await asyncio.sleep(0)

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._socket.listen(BACKLOG)
            self._loop.add_reader(self._socket, self._accept_all)

    def _close_listener(self) -> None:
        if not self._listening:
            return
        # Who has connected by now is connected.
        self._accept_all()
        self._listening = False
        self._loop.remove_reader(self._socket)
        self._socket.close()
        # Bound and not listening: connections are refused, and nobody else gets the port meanwhile.
        self._socket = self._bound(self.port)

    def _accept_all(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self._arrive(self._socket.accept()[0])

    def _arrive(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        arrival = self._loop.create_task(self._serve(accepted))
        self._arrivals.add(arrival)
        arrival.add_done_callback(self._arrivals.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        try:
            # Of a handshake that fails the client knows why.
            with suppress(OSError):
                await self._loop.connect_accepted_socket(self._connection, accepted, ssl=self._tls)
        except BaseException:
            accepted.close()
            raise

    def _bound(self, port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._send_buffer is not None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
        bound.bind((HOST, port))
        bound.setblocking(False)
        return bound

    def _disconnect(self, reset: bool) -> None:
        for connection in list(self._connections):
            if reset:
                connection.reset()
            else:
                connection.close("closed")

    def _connection(self) -> Connection:
        return Connection(self._site, self._connections, self._answer, self.failures.append)

    async def _answer(self, connection: Connection, request: OriginRequest, content: bytes) -> None:
        entry = connection.entry
        assert entry is not None  # noqa: S101 - the connection has just made it
        faults = self._site.faults(request)
        if await silence(connection, faults, self._releases):
            reply = self._site.reply(request, content, faults, entry.number)
            await send_reply(connection, entry, reply, faults, self._releases)
