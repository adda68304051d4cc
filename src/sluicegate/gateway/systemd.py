"""What systemd and a service say to each other: sockets that it has opened, and what the service is doing.

sd_listen_fds(3) and sd_notify(3). Without systemd there are no sockets, and nothing is said.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final

from sluicegate.errors import SluicegateError

logger = logging.getLogger(__name__)

FIRST_FD: Final = 3
"""SD_LISTEN_FDS_START."""

NOTIFY_SECONDS: Final = 1.0
"""How long a message may wait for room: systemd takes them at once, and nothing may wait for it."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class BadActivation(SluicegateError):
    """What was handed over is no listening TCP socket; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Activated:
    """A listening socket that was handed over, and its name (`FileDescriptorName=` in the unit)."""

    name: str
    socket: socket.socket


def activated_sockets(environ: MutableMapping[str, str]) -> tuple[Activated, ...]:
    """The sockets that this process was started with; raises `BadActivation`.

    Their variables are taken out of `environ`, so that no child thinks that they are its own.
    """
    pid, count, names = (environ.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()):
        return ()
    if not (count.isascii() and count.isdigit() and len(count) < 5):
        raise BadActivation(f"LISTEN_FDS: found {count!r}; expected a number of sockets")
    named = names.split(":") if names else []
    return tuple(
        Activated(named[index] if index < len(named) else "unknown", _listening(FIRST_FD + index))
        for index in range(int(count))
    )


def _listening(fd: int) -> socket.socket:
    try:
        given = socket.socket(fileno=fd)
    except OSError as exc:
        raise BadActivation(f"LISTEN_FDS: file descriptor {fd} is no socket: {exc.strerror}") from exc
    is_tcp = given.family in (socket.AF_INET, socket.AF_INET6) and given.type == socket.SOCK_STREAM
    if not is_tcp or not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        given.close()
        raise BadActivation(
            f"LISTEN_FDS: file descriptor {fd} is no listening TCP socket; expected ListenStream= with a port"
        )
    given.set_inheritable(False)
    return given


class Notifier:
    """Says to systemd what the service is doing. Without an address it says nothing.

    A message that cannot be sent is logged: what is served matters more.
    """

    def __init__(self, address: str = "") -> None:
        # The kernel's abstract names begin with a zero byte.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Notifier:
        """The one of this process; its variable is taken out of `environ`: children have nothing to say."""
        return cls(environ.pop("NOTIFY_SOCKET", ""))

    def ready(self, status: str) -> None:
        """The service has started, or what it began with `reloading` is over; `status` is for people."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The service has begun to read its configuration again."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reading the configuration again")

    def stopping(self) -> None:
        """The service has begun to end."""
        self._send("STOPPING=1", "STATUS=ending the transfers that are under way")

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        # An assignment ends with its line.
        lines = "\n".join(" ".join(one.split("\n")) for one in assignments)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(NOTIFY_SECONDS)
                sender.sendto(lines.encode(), self._address)
        except OSError as exc:
            logger.warning("systemd was not told %s: %s", assignments[0], exc.strerror or exc)
