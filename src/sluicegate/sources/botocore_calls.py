"""Requests of botocore that can be interrupted while their thread waits for the store.

botocore has no way to do that. Its connections are urllib3's, so the pools that make them are told which call
of which thread uses which connection, and a call that nobody waits for any more has its socket shut down.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from urllib3.exceptions import ProtocolError

_thread = threading.local()


class WaitingCall:
    """A call that a thread makes while it is entered; `interrupt` ends it, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Any = None
        self._is_interrupted = False

    def __enter__(self) -> Self:
        """Make it the call of this thread."""
        _thread.call = self
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget the connection: what it is used for from now on is not this call's."""
        _thread.call = None
        with self._lock:
            self._connection = None

    def use(self, connection: Any) -> None:
        """Note the connection that the call uses now. Raises `ProtocolError` if it was interrupted."""
        with self._lock:
            if self._is_interrupted:
                raise ProtocolError("nobody waits for this call any more")
            self._connection = connection

    def interrupt(self) -> None:
        """End the call."""
        with self._lock:
            self._is_interrupted = True
            if self._connection is not None:
                shut_down(self._connection)


def shut_down(connection: Any) -> None:
    """Wake whoever is blocked on a connection of urllib3, and let the store know."""
    # Both ways: urllib3's own `shutdown` ends reading alone, and its pool would keep the connection, and
    # the store would go on sending. A connection that is being made, or has ended, has no socket.
    with suppress(AttributeError, OSError):
        connection.sock.shutdown(socket.SHUT_RDWR)


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    def _make_request(self, conn: Any, *args: Any, **kwargs: Any) -> Any:
        _note(conn)
        return super()._make_request(conn, *args, **kwargs)


class _TlsPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    def _make_request(self, conn: Any, *args: Any, **kwargs: Any) -> Any:
        _note(conn)
        return super()._make_request(conn, *args, **kwargs)


def _note(connection: Any) -> None:
    call: WaitingCall | None = getattr(_thread, "call", None)
    if call is not None:
        call.use(connection)


def make_interruptible(client: Any) -> None:
    """Let the connections of a botocore client be made by pools that know their calls.

    Those through a proxy are not: such a call waits for its answer, or `read_timeout`, as it always did.
    """
    # Where a later botocore has moved it, calls wait for their answers as before.
    with suppress(AttributeError):
        client._endpoint.http_session._manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
