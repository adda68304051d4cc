"""Sockets that are listened on: for clients, and for who looks after the gateway."""

from __future__ import annotations

import errno
import logging
import socket
from dataclasses import dataclass
from typing import Final

from sluicegate.errors import SluicegateError

from .config import AdminConfig

logger = logging.getLogger(__name__)

BACKLOG: Final = 2048

UNSENT_BYTES: Final = 128 * 1024
"""What the system may hold of a response beyond what is on its way to the client. Without a bound, Linux
holds up to 4 MB for each client that stalls; the way itself may hold as much as it needs."""


class CannotListen(SluicegateError):
    """The address cannot be listened on; the message says why."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """The sockets of a gateway, which all of its processes share; `admin` is `None` where there is none."""

    clients: socket.socket
    admin: socket.socket | None = None

    def close(self) -> None:
        """Accept nobody any more."""
        self.clients.close()
        if self.admin is not None:
            self.admin.close()


def listen(host: str, port: int, hint: str = "") -> socket.socket:
    """A socket that is bound and listening; raises `CannotListen`, with the `hint` if another port may do.

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
        bound_unsent(bound)
        bound.listen(BACKLOG)
    except OSError as exc:
        bound.close()
        told = f"; {hint}" if hint and exc.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror or exc}{told}") from exc
    return bound


def bound_unsent(bound: socket.socket) -> None:
    """Bound what the system holds for each connection that is accepted, where it can."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def url_of(bound: socket.socket, scheme: str = "http") -> str:
    """The base URL of what listens on a socket."""
    host, port = bound.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def listen_for_admin(admin: AdminConfig) -> socket.socket | None:
    """The socket of the admin address, if there is to be one; raises `CannotListen` for one that was chosen.

    Of several gateways on a machine that say nothing, the first has the default.
    """
    if admin.address is None:
        return None
    host, _, port = admin.address.rpartition(":")
    try:
        return listen(host.strip("[]"), int(port))
    except CannotListen as exc:
        if admin.is_chosen:
            raise CannotListen(f"[admin] address: {exc}; --admin takes another, or 'off'") from exc
        logger.warning("no admin address: %s; set [admin] address, or --admin", exc)
        return None
