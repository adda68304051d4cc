"""TLS handshakes that do not end: they take the room of connections, and nobody waits for them."""

import asyncio
import errno
import logging
import socket
import ssl
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from sluicegate.gateway.handshakes import RETRY_SECONDS, Handshakes
from sluicegate.gateway.protocol import ProtocolLimits
from sluicegate.gateway.tls import TlsContext

from .in_thread import END_SECONDS, Threaded, empty, eventually, in_thread
from .test_tls_reload import Files, asks, connect

MOST = 3
LIMITS = ProtocolLimits(max_connections=MOST)

Loop = Literal["auto", "asyncio"]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture(params=["auto", "asyncio"])
def loop(request: pytest.FixtureRequest) -> Loop:
    chosen: Loop = request.param
    return chosen


def silent(server: Threaded, number: int, stack: ExitStack) -> list[socket.socket]:
    return [stack.enter_context(server.connect()) for _ in range(number)]


def ended(clients: list[socket.socket]) -> int:
    """How many of these connections the server has ended."""
    number = 0
    for client in clients:
        client.settimeout(0.02)
        with suppress(TimeoutError):
            try:
                number += client.recv(1) == b""
            except ConnectionError:
                number += 1
    return number


def test_handshakes_that_do_not_end_hold_no_more_than_twice_as_many_connections_as_may_be(
    files: Files, loop: Loop
) -> None:
    with in_thread(empty, LIMITS, tls=TlsContext(files.config), loop=loop) as server, ExitStack() as stack:
        clients = silent(server, 40, stack)
        eventually(lambda: server.count.refused["connections"] == 40 - 2 * MOST)
        assert ended(clients) == 40 - 2 * MOST
        for client in clients:
            client.close()
        eventually(lambda: served(server, files))


def served(server: Threaded, files: Files) -> bool:
    try:
        with connect(server, files) as client:
            return asks(client)
    except OSError:
        return False


def test_connections_with_a_handshake_leave_less_room_for_others(files: Files, loop: Loop) -> None:
    with in_thread(empty, LIMITS, tls=TlsContext(files.config), loop=loop) as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(server, files)) for _ in range(MOST)]
        assert all(asks(client) for client in clients)
        late = silent(server, MOST + 1, stack)
        eventually(lambda: ended(late) == 1)
        assert server.count.open == MOST
        assert all(asks(client) for client in clients)


def test_any_number_may_shake_hands_where_there_is_no_limit(files: Files, loop: Loop) -> None:
    with in_thread(empty, tls=TlsContext(files.config), loop=loop) as server, ExitStack() as stack:
        clients = silent(server, 40, stack)
        assert served(server, files)
        assert ended(clients) == 0


def test_end_of_the_server_waits_for_no_handshake(files: Files, loop: Loop) -> None:
    with ExitStack() as stack:
        with in_thread(empty, tls=TlsContext(files.config), loop=loop) as server:
            clients = silent(server, 3, stack)
            clients[0].sendall(b"\x16\x03\x01\x02\x00")
            assert served(server, files)
            began = time.monotonic()
        assert time.monotonic() - began < END_SECONDS / 4
        assert ended(clients) == 3


class Failing(socket.socket):
    """A listener that fails before it accepts anybody."""

    failures: list[OSError]

    def accept(self) -> Any:
        if self.failures:
            raise self.failures.pop(0)
        return super().accept()


async def test_listener_that_fails_is_tried_again(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    context, shaken = TlsContext(files.config).context, asyncio.Event()

    class Shaken(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            shaken.set()
            transport.close()

    with closing(Failing()) as listener:
        listener.failures = [ConnectionAbortedError(), OSError(errno.EMFILE, "Too many open files")]
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        handshakes = Handshakes(listener, context, Shaken, lambda client, others: client == "127.0.0.1")
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        files.authority.configure_trust(trust)
        port = listener.getsockname()[1]
        async with asyncio.timeout(RETRY_SECONDS + 5):
            _, writer = await asyncio.open_connection("localhost", port, ssl=trust, family=socket.AF_INET)
            await shaken.wait()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        await handshakes.aclose()
    said = [(one.levelno, one.message) for one in caplog.records if one.name.endswith(".handshakes")]
    assert said == [(logging.ERROR, "cannot accept a connection: Too many open files")]
