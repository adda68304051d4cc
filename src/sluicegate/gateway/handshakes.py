"""TLS connections from the moment that they are accepted: who does not end a handshake takes room as well.

The servers of asyncio and uvloop tell nobody of a connection before its handshake has ended.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

HANDSHAKE_SECONDS: Final = 10.0
"""How long a handshake may take; by default of asyncio a minute."""

RETRY_SECONDS: Final = 1.0
"""How long nobody is accepted where the system has no descriptor left, as asyncio has it."""

LetIn = Callable[[str | None, int], bool]
"""Whether a client, by its address if it has one, may begin a handshake beside so many others."""


class Handshakes:
    """Accepts the connections of a listener, and gives those that have shaken hands to what `make` makes."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        make: Callable[[], asyncio.Protocol],
        let_in: LetIn,
    ) -> None:
        self._context = context
        self._make = make
        self._let_in = let_in
        self._pending: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(listener))

    async def aclose(self) -> None:
        """Accept nobody any more, and end the handshakes that have not ended."""
        tasks = (self._accepting, *self._pending)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except ConnectionAbortedError:
                continue
            except OSError as exc:
                logger.error("cannot accept a connection: %s", exc.strerror or exc)  # noqa: TRY400
                await asyncio.sleep(RETRY_SECONDS)
                continue
            # A Unix socket's clients have no address.
            client = address[0] if isinstance(address, tuple) else None
            if self._let_in(client, len(self._pending)):
                self._begin(connection)
            else:
                connection.close()
            # However many wait to be accepted, others have their turn.
            await asyncio.sleep(0)

    def _begin(self, connection: socket.socket) -> None:
        task = asyncio.create_task(self._shake_hands(connection))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _shake_hands(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except OSError:
            # It is the client's: no TLS, none in common with us, too slow, or gone.
            connection.close()
