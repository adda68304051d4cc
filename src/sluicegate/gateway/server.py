"""Running the gateway under uvicorn: sockets, workers, logs."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sluicegate.errors import SluicegateError

from .app import Gateway
from .config import Config
from .log import configure_log
from .workers import supervise

BACKLOG: Final = 2048

LINGER_SECONDS: Final = 5.0
"""How long a client whose response was cut may take to read what was sent of it before."""

UNSENT_BYTES: Final = 128 * 1024
"""What the system may hold of a response beyond what is on its way to the client. Without a bound, Linux
holds up to 4 MB for each client that stalls; the way itself may hold as much as it needs."""

HEAD_SIZE: Final = 4096
"""Bytes that may wait to be sent before the response has to: a head waits, and goes out with what follows it
by one system call."""

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request before its body: browsers send a tenth of it, and nobody may fill the memory with it."""

THREADS: Final = "TOKIO_WORKER_THREADS"
"""What obstore's runtime reads when it is first used: how many threads it has for its connections."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class CannotListen(SluicegateError):
    """The address cannot be listened on; the message says why."""


class CannotStart(SluicegateError):
    """The gateway did not start; its log has said why."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound and listening; raises `CannotListen`.

    Bound before anything else is made, so that a port in use is a line, and no half-started server.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {host!r}: {exc.strerror or exc}") from exc
    except ValueError as exc:
        # Python itself refuses what cannot be a name: an empty or overlong label, a NUL.
        raise CannotListen(f"cannot listen on {host!r}: not the name or address of a host") from exc
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        _bound_unsent(bound)
        bound.listen(BACKLOG)
    except OSError as exc:
        bound.close()
        hint = "; choose another with --port" if exc.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror or exc}{hint}") from exc
    bound.set_inheritable(True)
    return bound


def _bound_unsent(bound: socket.socket) -> None:
    """Bound what the system holds for each connection that is accepted, where it can."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def url_of(bound: socket.socket) -> str:
    """The base URL of what listens on a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the block with `SystemExit(0)`, so that what it holds is cleaned up.

    The server takes over the first two while it serves. Only the first one counts: the cleaning up is not
    interrupted.
    """
    before = {number: signal.signal(number, _exit_once) for number in _SIGNALS}
    # Where it is ignored, as under nohup, it stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, _hang_up)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_once(number: int, frame: FrameType | None) -> None:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise SystemExit(0)


def _hang_up(number: int, frame: FrameType | None) -> None:
    """The terminal is gone: end as on SIGTERM, which is uvicorn's to handle while it serves."""
    signal.raise_signal(signal.SIGTERM)


def serve(config: Config, bound: socket.socket, workers: int = 1) -> None:
    """Serve a configuration on a socket until a signal comes; inside `ended_by_signals`.

    Raises `BadOptions` for stores and upstreams that cannot be used, and `CannotStart`.
    """
    configure_log(config.gateway.log)
    # Made here also for workers, which make their own: what cannot be used is said once, and at once.
    gateway = Gateway(config)
    started = (
        _serve_here(gateway, config, bound) if workers == 1 else supervise(_work, config, bound, workers)
    )
    if not started:
        raise CannotStart("the gateway did not start: see the lines above")


def _work(config: Config, bound: socket.socket) -> bool:
    """Serve in a worker: a new process, which is given the configuration as it was checked."""
    configure_log(config.gateway.log)
    # Ctrl-C at a terminal is for all processes: who looks after the workers tells them by SIGTERM.
    return _serve_here(Gateway(config), config, bound, heeded=(signal.SIGTERM,))


def bound_threads() -> None:
    """Let obstore's runtime have one thread in this process, unless the operator has chosen.

    One event loop can seldom use more, and every chunk would be handed on between them.
    """
    os.environ.setdefault(THREADS, "1")


def _serve_here(
    gateway: Gateway, config: Config, bound: socket.socket, heeded: tuple[int, ...] = _SIGNALS
) -> bool:
    bound_threads()
    server = DrainingServer(gateway, settings(gateway, config.gateway.drain_timeout), heeded)
    try:
        server.run([bound])
    except SystemExit:
        # uvicorn's own way to say that the start failed; after a start, it is the end that was asked for.
        if server.started:
            raise
    return server.started


def settings(gateway: Gateway, drain_timeout: float) -> uvicorn.Config:
    """uvicorn's settings for the gateway."""
    return uvicorn.Config(
        gateway,
        loop="auto",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # It is a number of seconds for `asyncio.wait_for`, which takes fractions.
        timeout_graceful_shutdown=drain_timeout,  # type: ignore[arg-type]
    )


class DrainingServer(uvicorn.Server):
    """uvicorn, with an end that clients, load balancers and operators can rely on.

    At the first signal the gateway is not ready any more, the listener closes, and transfers go on until
    they end or the drain timeout is over; those left are cancelled, which cuts them. A second signal cancels
    them at once.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, gateway: Gateway, config: uvicorn.Config, heeded: tuple[int, ...] = _SIGNALS) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._heeded = heeded
        self._cut_at: dict[object, float] = {}

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals to heed while serving, and do not raise them again: they have been obeyed."""
        before = {number: signal.signal(number, self.handle_exit) for number in self._heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

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
        return await super().on_tick(counter)

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


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which by itself keeps a head of any length, and 64 KiB for a client that stalls."""

    _in_head = False
    _head_size = 0

    def connection_made(self, transport: Any) -> None:
        """Hold no more for a client than a head, and what the system did not take of one chunk."""
        transport.set_write_buffer_limits(high=HEAD_SIZE)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """Count from here."""
        self._in_head, self._head_size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Count no more."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, unless it makes the head too long."""
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_size += len(data)
        if self._head_size > MAX_HEAD:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LARGE)
            self.transport.close()
