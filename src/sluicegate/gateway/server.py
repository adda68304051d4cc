"""Running the gateway under uvicorn: sockets, workers, logs."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from sluicegate.errors import SluicegateError, TransferCut

from .app import Gateway
from .config import Config

BACKLOG: Final = 2048

GRACE_SECONDS: Final = 30
"""How long transfers that are under way may take to end after SIGTERM or SIGINT."""

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request before its body: browsers send a tenth of it, and nobody may fill the memory with it."""

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
        bound.listen(BACKLOG)
    except OSError as exc:
        bound.close()
        hint = "; choose another with --port" if exc.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror or exc}{hint}") from exc
    bound.set_inheritable(True)
    return bound


def url_of(bound: socket.socket) -> str:
    """The base URL of what listens on a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the block with `SystemExit(0)`, so that what it holds is cleaned up.

    uvicorn takes over the first two while it serves, and raises them again after its shutdown. Only the
    first one counts: the cleaning up is not interrupted.
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
    gateway = Gateway(config)
    started = _serve_here(gateway, bound) if workers == 1 else _serve_in_workers(config, bound, workers)
    if not started:
        raise CannotStart("the gateway did not start: see the lines above")


def _serve_here(gateway: Gateway, bound: socket.socket) -> bool:
    server = uvicorn.Server(settings(gateway))
    try:
        server.run([bound])
    except SystemExit:
        # uvicorn's own way to say that the start failed; after a start, it is the end that was asked for.
        if server.started:
            raise
    return server.started


def _serve_in_workers(config: Config, bound: socket.socket, workers: int) -> bool:
    # Workers are new processes, and make the application themselves: of the configuration that was checked,
    # whatever its file says by then.
    chosen = settings(partial(Gateway, config), factory=True, workers=workers)
    supervisor = Multiprocess(chosen, sockets=[bound])
    supervisor.run()
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


def settings(
    app: Gateway | Callable[[], Gateway], *, factory: bool = False, workers: int = 1
) -> uvicorn.Config:
    """uvicorn's settings for the gateway."""
    return uvicorn.Config(
        app,
        factory=factory,
        workers=workers,
        loop="auto",
        http=BoundedHead,
        ws="none",
        lifespan="on",
        log_config=LOG_SETTINGS,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class BoundedHead(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which by itself keeps a head of any length."""

    _in_head = False
    _head_size = 0

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


class HideCuts(logging.Filter):
    """Leaves out uvicorn's traceback of a response that was cut: its own line has been logged already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log `record`."""
        return not (record.exc_info and isinstance(record.exc_info[1], TransferCut))


LOG_SETTINGS: Final[dict[str, object]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"cuts": {"()": HideCuts}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["cuts"]},
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
}
