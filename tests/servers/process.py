"""A server as a child process: started in its own session, waited for, ended with all its children.

Nothing here ends a process by name: only the session that was started here is signalled.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

START_SECONDS = 30.0
"""SeaweedFS needs 4 s on an idle machine; a busy one is several times slower."""

STOP_SECONDS = 5.0
"""A server that has not ended so long after SIGTERM is killed."""

POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 4000

# Below the range from which Linux takes the ports of outgoing connections: nobody gets one of these by chance
# between the moment that it is found free and the moment that the server binds it.
_PORTS = range(20_000, 32_000)
_handed_out: set[int] = set()


class ServerMissing(Exception):
    """The server's executable is not installed; the message says how to install it."""


class ServerFailed(Exception):
    """The server ended or did not answer in time; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: the id of its first process and the file that holds what it printed."""

    pid: int
    log: Path

    def log_tail(self) -> str:
        """Return the end of what the server printed."""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


def free_port() -> int:
    """Return a loopback TCP port that is free, and that this process has not handed out before."""
    for _ in range(len(_PORTS)):
        port = random.choice(_PORTS)
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port
    raise ServerFailed(f"no free port among {_PORTS.start} to {_PORTS.stop - 1}")


def executable(name: str, install: str) -> str:
    """Return the path of an executable, first from beside this Python, then from PATH.

    Raises `ServerMissing`, with the `install` command in its message.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        raise ServerMissing(f"{name!r} is not installed; install it with: {install}")
    return found


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder and remove it at the end, whatever a server leaves in it."""
    with tempfile.TemporaryDirectory(prefix="sluicegate-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def running(
    command: Sequence[str],
    *,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    deadline_seconds: float = START_SECONDS,
    stop_seconds: float = STOP_SECONDS,
) -> Iterator[Running]:
    """Run a server until the block ends; enter the block when `ready()` is true.

    `ready` may raise `OSError` for "not yet". `env` is added to this process's environment.
    At the end it has `stop_seconds` to end by itself, 0 for one that never does.
    Raises `ServerFailed` if the server ends first or is not ready within `deadline_seconds`.
    """
    with temporary_folder() as folder:
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        try:
            server = Running(process.pid, log)
            _wait_until_ready(server, command, ready, deadline_seconds)
            yield server
        finally:
            _stop(process, stop_seconds)


def listens(port: int) -> Callable[[], bool]:
    """Return a `ready` that is true when something accepts TCP connections at a loopback port."""

    def ready() -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    return ready


def answers(port: int, path: str = "/", *, statuses: range = range(200, 600)) -> Callable[[], bool]:
    """Return a `ready` that is true when GET of `path` gets one of `statuses`."""

    def ready() -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status in statuses
        except HTTPException as exc:
            raise OSError(f"no HTTP answer from port {port}") from exc
        finally:
            connection.close()

    return ready


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _wait_until_ready(
    server: Running, command: Sequence[str], ready: Callable[[], bool], deadline_seconds: float
) -> None:
    deadline = time.monotonic() + deadline_seconds
    while True:
        answered = False
        with suppress(OSError):
            answered = ready()
        # Asked after `ready`: an answer that came from another server on the same port must not count.
        if _has_ended(server.pid):
            raise ServerFailed(f"{command[0]!r} ended before it was ready; its log:\n{server.log_tail()}")
        if answered:
            return
        if time.monotonic() > deadline:
            raise ServerFailed(
                f"{command[0]!r} was not ready after {deadline_seconds} s; its log:\n{server.log_tail()}"
            )
        time.sleep(POLL_SECONDS)


def _has_ended(pid: int) -> bool:
    # WNOWAIT leaves the ended process in the table, so that its id still names its group and nobody else's.
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _stop(process: "subprocess.Popen[bytes]", stop_seconds: float) -> None:
    try:
        _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + stop_seconds
        while not _has_ended(process.pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    finally:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
