"""Running the gateway: in this process, or in several workers that another one looks after."""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from sluicegate import __version__
from sluicegate.errors import SluicegateError

from .administration import Administration
from .agreement import Member
from .config import Config
from .config.values import SignedAuth
from .draining import DrainingServer
from .installation import Installation, server_settings
from .listening import Listeners
from .live import LiveGateway
from .log import configure_log
from .metrics import Metrics
from .process import Process
from .process_state import ProcessState
from .reloading import Control, FileControl, Operation
from .shared_metrics import shared_folder
from .signals import ENDING, end_was_asked
from .tls import load_certificate
from .workers import supervise

logger = logging.getLogger(__name__)

THREADS: Final = "TOKIO_WORKER_THREADS"
"""What obstore's runtime reads when it is first used: how many threads it has for its connections."""

FAILED: Final = 1
"""The exit code of a worker that cannot use its configuration at the moment: another one may."""


class CannotStart(SluicegateError):
    """The gateway did not start; its log has said why."""


def serve(config: Config, listeners: Listeners, workers: int = 1, operation: Operation | None = None) -> None:
    """Serve a configuration until a signal comes; inside `ended_by_signals`.

    With an `operation`, its file is read again when an operator says so. Raises `BadOptions` for stores and
    upstreams that cannot be used, `BadCertificate`, and `CannotStart`.
    """
    configure_log(config.gateway.log)
    if operation is not None:
        operation = replace(operation, admin=config.admin)
    # Made here also for workers, which make their own: what cannot be used is said once, and at once.
    process, wanted = Process(), server_settings(config)
    gateway = process.gateway(config)
    if workers == 1:
        live = LiveGateway(gateway, process.gateway)
        installation = Installation(live, wanted, process.metrics, process.listener())
        control = FileControl(installation, operation) if operation else None
        started = _serve_here(installation, process, listeners, control)
    else:
        _check_workers(config)
        with shared_folder() as folder:
            work = partial(_work, file=None if operation is None else operation.file.path)
            started = supervise(work, config, listeners, workers, operation, folder)
    if not started:
        raise CannotStart("the gateway did not start: see the lines above")


def _check_workers(config: Config) -> None:
    if config.tls is not None:
        load_certificate(config.tls)
    rates = [config.limits, *(route.limits for route in config.routes)]
    if not config.limits.is_counted_here:
        return
    if any(one.requests or one.client_requests for one in rates):
        logger.warning(
            "each worker counts requests for itself: a rate is one of each; [limits] storage = redis://... "
            "counts for all"
        )
    if any(isinstance(auth, SignedAuth) for auth in config.auth.values()):
        logger.warning(
            "signed links with a number of uses are refused: each worker would allow all of them; "
            "[limits] storage = redis://... counts for all"
        )


def _work(config: Config, listeners: Listeners, pipe: Connection, file: Path | None) -> bool:
    """Serve in a worker: a new process, which is given the configuration as it was checked."""
    configure_log(config.gateway.log)
    try:
        process = Process(ProcessState(Metrics(__version__), has_siblings=True))
        gateway = LiveGateway(process.gateway(config), process.gateway)
        installation = Installation(gateway, server_settings(config), process.metrics, process.listener())
    except SluicegateError as exc:
        logger.error("%s", exc)  # noqa: TRY400
        sys.exit(FAILED)
    # Ctrl-C at a terminal is for all processes: who looks after the workers tells them by SIGTERM.
    member = Member(installation, pipe, file)
    return _serve_here(installation, process, listeners, member, heeded=(signal.SIGTERM,))


def bound_threads() -> None:
    """Let obstore's runtime have one thread in this process, unless the operator has chosen.

    One event loop can seldom use more, and every chunk would be handed on between them.
    """
    os.environ.setdefault(THREADS, "1")


def _serve_here(
    installation: Installation,
    process: Process,
    listeners: Listeners,
    control: Control | None = None,
    heeded: tuple[int, ...] = ENDING,
) -> bool:
    """Serve in this process until one of the signals `heeded` comes; false if it did not start."""
    bound_threads()
    process.metrics.loaded()
    administration = Administration(installation.gateway, process.metrics, control)
    server = DrainingServer(
        installation.gateway,
        installation.uvicorn,
        heeded,
        control=control,
        tls=installation.tls,
        beside=() if listeners.admin is None else (administration.served(listeners.admin),),
    )
    try:
        server.run([listeners.clients])
    except SystemExit:
        # uvicorn's own way to say that the start failed, if it is not the end that was asked for.
        if server.started or end_was_asked():
            raise
    finally:
        process.close()
    return server.started
