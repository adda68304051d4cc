"""The gateway's own server around any application, in a thread of the test, with what a test wants of it."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sluicegate.gateway.draining import DrainingServer
from sluicegate.gateway.installation import settings
from sluicegate.gateway.listening import listen
from sluicegate.gateway.protocol import BoundedProtocol, ConnectionCount, ProtocolLimits, bounded
from sluicegate.gateway.reloading import Control
from sluicegate.gateway.tls import TlsContext

END_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Threaded:
    """A server that runs: its port, what it counts, and how to do something in its event loop."""

    port: int
    count: ConnectionCount
    server: DrainingServer

    def connect(self) -> socket.socket:
        """A connection to it, which waits for 10 seconds at most."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


class Undrained:
    """An application that need not be told of the end."""

    def drain(self) -> None: ...


@contextmanager
def in_thread(
    app: Any,
    limits: ProtocolLimits | None = None,
    *,
    tls: TlsContext | None = None,
    control: Control | None = None,
    ticked: Callable[[], None] | None = None,
    loop: Literal["auto", "asyncio"] = "auto",
) -> Iterator[Threaded]:
    """Serve an application until the block ends. `ticked` is called in the event loop at each tick.

    The loop is uvloop's by default.
    """
    count = ConnectionCount()
    bound = listen("127.0.0.1", 0)
    config = settings(app, 1.0, bounded(limits or ProtocolLimits(), count), tls)
    config.loop = loop

    class Ticking(DrainingServer):
        async def on_tick(self, counter: int) -> bool:
            if ticked is not None:
                ticked()
            return await super().on_tick(counter)

    server = Ticking(Undrained(), config, heeded=(), control=control, tls=tls)
    started = threading.Event()
    thread = threading.Thread(target=_run, args=(server, bound, started))
    thread.start()
    try:
        assert started.wait(END_SECONDS)
        yield Threaded(bound.getsockname()[1], count, server)
    finally:
        server.should_exit = True
        thread.join(END_SECONDS)
        assert not thread.is_alive()


def _run(server: DrainingServer, bound: socket.socket, started: threading.Event) -> None:
    # The listener takes connections already: they wait in its queue until the server is there.
    started.set()
    server.run([bound])


def connections(server: Threaded) -> set[BoundedProtocol]:
    """The connections that the server has."""
    # It changes while a test looks at it from another thread.
    live = server.server.server_state.connections.copy()
    return {one for one in live if isinstance(one, BoundedProtocol)}


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def held_back(released: threading.Event) -> Any:
    """The application `empty`, which answers no request before `released` is set."""

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "http" and not released.is_set():
            await asyncio.sleep(0.01)
        await empty(scope, receive, send)

    return waiting


async def empty(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answers tell the path; `/body` reads the request's body first."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/body":
        total = 0
        while (message := await receive()).get("more_body"):
            total += len(message["body"])
    content = scope["raw_path"]
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": content})
