"""ASGI applications under real servers: in a child process, or in a thread of this one."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .process import ServerFailed, answers, free_port, running

ServerName = Literal["uvicorn", "uvicorn-plain", "granian"]
SERVER_NAMES: tuple[ServerName, ...] = ("uvicorn", "uvicorn-plain", "granian")

START_SECONDS = 30.0
STOP_SECONDS = 5.0
GRACE_SECONDS = 1
"""What is still being answered when the server stops is cut off after this."""

_COMMANDS: dict[ServerName, list[str]] = {
    "uvicorn": [
        *("uvicorn", "--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", str(GRACE_SECONDS)),
    ],
    # What `pip install uvicorn` gives, without its faster extras.
    "uvicorn-plain": [
        *("uvicorn", "--host", "127.0.0.1", "--loop", "asyncio", "--http", "h11"),
        *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", str(GRACE_SECONDS)),
    ],
    "granian": [
        *("granian", "--host", "127.0.0.1", "--interface", "asgi", "--loop", "uvloop"),
        *("--no-access-log", "--workers-kill-timeout", str(GRACE_SECONDS)),
    ],
}


@dataclass(frozen=True, slots=True)
class ServedApp:
    """A running application: its base URL (no slash at the end), and the id of the server's first process."""

    url: str
    pid: int


@contextmanager
def serve(
    app: str | Callable[[], Any],
    server: ServerName = "uvicorn",
    *,
    env: Mapping[str, str] | None = None,
    workers: int = 1,
    cwd: Path | None = None,
    ready_path: str = "/",
) -> Iterator[ServedApp]:
    """Run an application in a child process on a free port.

    `app` is `"module:attribute"`, or a function at the top of an importable module that makes one.
    `env` is added to this process's environment.
    The application counts as ready when GET of `ready_path` gets any answer.
    """
    port = free_port()
    command = [
        *(sys.executable, "-m", *_COMMANDS[server]),
        *("--port", str(port), "--workers", str(workers), *_target(app)),
    ]
    with running(command, ready=answers(port, ready_path), env=env, cwd=cwd) as process:
        yield ServedApp(f"http://127.0.0.1:{port}", process.pid)


@contextmanager
def serve_in_thread(
    app: Any,
    *,
    http: Literal["httptools", "h11"] = "httptools",
    loop: Literal["uvloop", "asyncio"] = "uvloop",
) -> Iterator[str]:
    """Run a live application object under uvicorn, in a thread with its own event loop; yields the base URL.

    The lifespan is run. Raises `ServerFailed` if the application does not start.
    """
    import uvicorn  # noqa: PLC0415 (only for who asks)

    config = uvicorn.Config(
        app,
        http=http,
        loop=loop,
        lifespan="auto",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    # Bound here: there is no moment at which somebody else could take the port.
    with socket.create_server(("127.0.0.1", 0), backlog=config.backlog) as listener:
        thread = threading.Thread(target=_run, args=(server, listener), name="uvicorn", daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            _stop(server, thread)


def _target(app: str | Callable[[], Any]) -> list[str]:
    if isinstance(app, str):
        return [app]
    return ["--factory", f"{app.__module__}:{app.__qualname__}"]


def _run(server: Any, listener: socket.socket) -> None:
    # uvicorn calls sys.exit() when the lifespan fails, after it has logged why.
    with suppress(SystemExit):
        server.run(sockets=[listener])


def _wait_until_started(server: Any, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive():
            raise ServerFailed(
                "the application did not start: its lifespan failed (see the log of uvicorn.error)"
            )
        if time.monotonic() > deadline:
            raise ServerFailed(f"the application has not started after {START_SECONDS} s")
        time.sleep(0.005)


def _stop(server: Any, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join(STOP_SECONDS)
    if thread.is_alive():
        server.force_exit = True
        thread.join(STOP_SECONDS)
    if thread.is_alive():
        raise ServerFailed(
            f"uvicorn has not stopped after {2 * STOP_SECONDS} s: the application holds its event loop"
        )
