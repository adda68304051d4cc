"""What a client may send before its request is understood, and how long it may take: over real sockets."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from sluicegate.gateway.protocol import (
    LINGER_SIZE,
    MOST_WAITING,
    MOST_WAITING_SIZE,
    ProtocolLimits,
)

from .in_thread import Threaded, connections, empty, eventually, held_back, in_thread

TIMEOUT = 1000.0
"""Nobody is late by the clock of a machine that is busy: what is late is so when a test says it."""

LIMITS = ProtocolLimits(max_head=4096, max_url=1024, max_fields=20, head_timeout=TIMEOUT)

URL = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"


def refusal(status: str, *fields: str) -> bytes:
    return "\r\n".join(
        [f"HTTP/1.1 {status}", "content-length: 0", "connection: close", *fields, "", ""]
    ).encode()


TOO_LARGE = refusal("431 Request Header Fields Too Large")
TOO_LONG = refusal("414 Request-URI Too Long")
LATE = refusal("408 Request Timeout")
BAD = refusal("400 Bad Request")
OTHER_VERSION = refusal("505 HTTP Version Not Supported")
FULL = refusal("503 Service Unavailable", "retry-after: 1")


@pytest.fixture(scope="module")
def server() -> Iterator[Threaded]:
    with in_thread(empty, LIMITS) as running:
        yield running


class Lateness:
    """A server on which time goes by as a test has it."""

    server: Threaded

    def __init__(self) -> None:
        self._ticks = 0
        self._now: float | None = None

    def ticked(self) -> None:
        self._ticks += 1
        now, self._now = self._now, None
        for connection in connections(self.server) if now is not None else ():
            connection.end_if_late(now)

    def settle(self) -> None:
        """Wait until the server has read what has been sent: it reads between two ticks."""
        enough = self._ticks + 3
        eventually(lambda: self._ticks >= enough)

    def end_what_waits_since(self, moment: float) -> None:
        """Let the time go by that a request has which began at this moment, or before it."""
        self._now = moment + TIMEOUT


@pytest.fixture
def late() -> Iterator[Lateness]:
    lateness = Lateness()
    with in_thread(empty, LIMITS, ticked=lateness.ticked) as lateness.server:
        yield lateness


def read(client: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    received = b""
    with suppress(ConnectionResetError):
        while more := client.recv(65536):
            received += more
    return received


def read_when_late(client: socket.socket, late: Lateness, piece: bytes = b"") -> bytes:
    """What comes once what has been sent is late. `piece`, which comes between, makes it begin no later."""
    late.settle()
    since = time.monotonic()
    client.sendall(piece)
    late.settle()
    late.end_what_waits_since(since)
    return read(client)


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /a HTTP/1.1", b"Host: a", *lines, b"", b""])


def fields(number: int) -> list[bytes]:
    return [b"x-%d: 1" % one for one in range(number)]


CASES = [
    pytest.param(head(*fields(19)), ANSWER, id="as-many-fields-as-may-be"),
    pytest.param(head(*fields(20)), TOO_LARGE, id="one-field-more"),
    pytest.param(head(*fields(5000)), TOO_LARGE, id="thousands-of-fields"),
    pytest.param(head(b"x: " + b"v" * 4000), ANSWER, id="head-as-long-as-may-be"),
    pytest.param(head(b"x: " + b"v" * 4096), TOO_LARGE, id="longer-head"),
    pytest.param(head(b"x: " + b"v" * 300_000), TOO_LARGE, id="head-far-too-long"),
    pytest.param(b"GET /a HTTP/1.1\r\n" + b"x" * 10_000, TOO_LARGE, id="name-without-an-end"),
    pytest.param(URL % (b"u" * 1023), ANSWER, id="url-as-long-as-may-be"),
    pytest.param(URL % (b"u" * 1024), TOO_LONG, id="longer-url"),
    pytest.param(URL % (b"u" * 300_000), TOO_LONG, id="url-far-too-long"),
    pytest.param(b"GET /" + b"u" * 5000, TOO_LONG, id="url-without-an-end"),
    pytest.param(b"no request\r\n\r\n", BAD, id="no-request"),
    pytest.param(b"\x16\x03\x01\x02\x00", BAD, id="tls"),
    pytest.param(b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", BAD, id="fragment"),
    pytest.param(b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n", OTHER_VERSION, id="other-version"),
    pytest.param(b"GET /a HTTP/1.0\r\n\r\n", ANSWER, id="older-version"),
    pytest.param(head(b"Transfer-Encoding: xchunked"), BAD, id="unknown-coding"),
    pytest.param(head(b"Transfer-Encoding: chunked") + b"zz\r\n", BAD, id="body-that-is-none"),
    pytest.param(head(b"Connection: Upgrade", b"Upgrade: websocket"), ANSWER, id="upgrade"),
]


@pytest.mark.parametrize(("sent", "expected"), CASES)
@pytest.mark.parametrize("size", [1_000_000, 100], ids=["at-once", "in-pieces"])
def test_request_is_answered_or_refused(sent: bytes, expected: bytes, size: int, server: Threaded) -> None:
    with server.connect() as client:
        with suppress(ConnectionError):
            for start in range(0, len(sent), size):
                client.sendall(sent[start : start + size])
        received = client.recv(65536) if expected == ANSWER else read(client)
    assert received[: len(expected)] == expected
    if expected != ANSWER:
        assert received == expected


def test_head_one_byte_at_a_time_is_served_if_it_is_quick(server: Threaded) -> None:
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head(*fields(3)):
            client.sendall(bytes([byte]))
        assert client.recv(65536).startswith(ANSWER)


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a\r\n", LATE, id="head"),
        pytest.param(b"G", LATE, id="method"),
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"\r\n", b"", id="empty-line"),
    ],
)
def test_head_that_does_not_end_is_ended(begun: bytes, expected: bytes, late: Lateness) -> None:
    with late.server.connect() as client:
        client.sendall(begun)
        assert read_when_late(client, late) == expected


@pytest.mark.parametrize("before", [False, True], ids=["first-request", "second-request"])
def test_trickled_head_is_ended_however_regularly_it_comes(before: bool, late: Lateness) -> None:
    with late.server.connect() as client:
        if before:
            client.sendall(head())
            assert client.recv(65536).startswith(ANSWER)
        client.sendall(b"GET /a HTTP/1.1\r\nx: ")
        assert read_when_late(client, late, b"v") == LATE


def test_empty_lines_after_an_answer_do_not_keep_a_connection(late: Lateness) -> None:
    with late.server.connect() as client:
        client.sendall(head())
        assert client.recv(65536).startswith(ANSWER)
        client.sendall(b"\r\n")
        assert read_when_late(client, late, b"\r\n") == b""


def test_late_head_behind_a_request_that_is_answered_does_not_cut_the_answer() -> None:
    begun = released = False
    checks = 0

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal begun
        begun = scope["type"] == "http"
        while begun and not released:
            await asyncio.sleep(0.01)
        await empty(scope, receive, send)

    def long_after() -> None:
        nonlocal released, checks
        if begun:
            checks += 1
            for connection in connections(server):
                connection.end_if_late(time.monotonic() + 1000)
            released = checks > 3

    with in_thread(slow, ticked=long_after) as server, server.connect() as client:
        client.sendall(head() + b"GET /b HTTP/1.1\r\n")
        assert client.recv(65536).startswith(ANSWER)


def test_many_requests_at_once_are_all_answered_however_long_they_are_together(server: Threaded) -> None:
    one = head(b"x: " + b"v" * 300)
    with server.connect() as client:
        # The last head comes in two pieces, behind 30 KB of others.
        client.sendall(one * 100 + one[:100])
        client.sendall(one[100:])
        received = b""
        while received.count(ANSWER) < 101:
            more = client.recv(65536)
            assert more, received[-200:]
            received += more


def test_refused_request_behind_others_ends_the_connection_with_their_answers(server: Threaded) -> None:
    with server.connect() as client:
        client.sendall(head() * 3 + URL % (b"u" * 5000) + head())
        received = read(client)
    assert (received.count(ANSWER), received.count(b"HTTP/1.1 ")) == (3, 3)


UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket")


@pytest.mark.parametrize("upgrade", [UPGRADE, (b"Connection: Upgrade", b"Upgrade: h2c"), ()])
@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("cut", [0, 5, None], ids=["head-first", "half-a-body-first", "at-once"])
def test_body_is_never_taken_for_a_request(
    upgrade: tuple[bytes, ...], coding: str, cut: int | None, server: Threaded
) -> None:
    hidden = head(b"x: hidden")
    framing, body = (
        (b"Content-Length: %d" % len(hidden), hidden)
        if coding == "length"
        else (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden))
    )
    first, last = head(*upgrade, framing), head(b"Connection: close")
    pieces = [first + body + last] if cut is None else [first + body[:cut], body[cut:] + last]
    with server.connect() as client:
        received = b""
        for piece in pieces:
            with suppress(ConnectionError):
                client.sendall(piece)
            if piece is not pieces[-1]:
                received += client.recv(65536)
        received += read(client)
    # What asks for an upgrade is the last request of its connection.
    assert received.count(ANSWER) == (1 if upgrade else 2)


async def never(scope: Any, receive: Any, send: Any) -> None:
    """Answers nobody until the client has left, and asks again and again whether it has."""
    message = {"type": scope["type"]}
    while message["type"] in ("http", "http.request"):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                message = await receive()


def test_requests_that_wait_are_bounded() -> None:
    with in_thread(never) as server, server.connect() as client:
        for _ in range(100):
            client.sendall(head() * 100)
        eventually(lambda: all(one._is_deaf for one in connections(server)) and connections(server) != set())
        (connection,) = connections(server)
        assert len(connection.pipeline) == MOST_WAITING


def test_heads_of_requests_that_wait_are_bounded_together() -> None:
    with in_thread(never) as server, server.connect() as client:
        client.sendall(head(b"x: " + b"v" * 60_000) * 20)
        eventually(lambda: all(one._is_deaf for one in connections(server)) and connections(server) != set())
        (connection,) = connections(server)
        assert len(connection.pipeline) <= 1 + MOST_WAITING_SIZE // 60_000


def test_requests_beyond_those_that_may_wait_are_asked_again() -> None:
    released = threading.Event()

    with in_thread(held_back(released)) as server, server.connect() as client:
        client.sendall(head() * 1000)
        eventually(lambda: any(one._is_deaf for one in connections(server)))
        released.set()
        received = read(client)
    assert received.count(ANSWER) == 1 + MOST_WAITING
    assert received.count(b"connection: close") == 1


def test_sending_to_a_client_that_left_fails() -> None:
    asked, left, failures = threading.Event(), threading.Event(), list[BaseException]()

    async def sending(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        asked.set()
        await never(scope, receive, send)
        try:
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        except OSError as exc:
            failures.append(exc)
            raise
        finally:
            left.set()

    with in_thread(sending) as server:
        with server.connect() as client:
            client.sendall(head())
            assert asked.wait(10)
        assert left.wait(10)
    assert len(failures) == 1


@pytest.mark.parametrize("waiting", [0, 1, 3])
def test_client_that_leaves_is_noticed_whatever_waits_behind_its_request(waiting: int) -> None:
    asked, left = [], threading.Event()

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            asked.append(scope["path"])
            await never(scope, receive, send)
            left.set()

    with in_thread(watching) as server:
        with server.connect() as client:
            client.sendall(head() * (1 + waiting))
            eventually(lambda: bool(asked))
        assert left.wait(10)
    assert asked == ["/a"]


def test_body_that_nobody_reads_is_not_kept(server: Threaded) -> None:
    with server.connect() as client:
        client.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"b" * 3_000_000)
        assert client.recv(65536).startswith(ANSWER)
        # It is read to its end, so that the connection can be used again.
        client.sendall(head())
        assert client.recv(65536).startswith(ANSWER)


def test_body_that_is_read_arrives_however_long_it_is(server: Threaded) -> None:
    with server.connect() as client:
        client.sendall(
            b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"b" * 3_000_000
        )
        assert client.recv(65536).startswith(ANSWER)


def test_fields_behind_a_body_are_bounded(server: Threaded) -> None:
    with server.connect() as client:
        client.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: ")
        assert client.recv(65536).startswith(ANSWER)
        with suppress(ConnectionError):
            for _ in range(100):
                client.sendall(b"v" * 10_000)
        assert read(client) in (TOO_LARGE, b"")


def test_body_that_does_not_end_does_not_keep_a_connection(late: Lateness) -> None:
    with late.server.connect() as client:
        client.sendall(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
        assert client.recv(65536).startswith(ANSWER)
        client.sendall(b"b")
        assert read_when_late(client, late, b"b") == b""


def test_client_that_goes_on_sending_after_a_refusal_is_cut(server: Threaded) -> None:
    with server.connect() as client:
        client.sendall(URL % (b"u" * 5000))
        sent = 0
        with suppress(ConnectionError):
            while sent < 100 * LINGER_SIZE:
                sent += client.send(b"u" * 65536)
    assert sent < 100 * LINGER_SIZE


def test_connections_beyond_the_limit_are_told_to_come_again() -> None:
    limits = ProtocolLimits(max_connections=2)
    with in_thread(empty, limits) as server, ExitStack() as stack:
        first, second = (stack.enter_context(server.connect()) for _ in range(2))
        for client in (first, second):
            client.sendall(head())
            assert client.recv(65536).startswith(ANSWER)
        third = stack.enter_context(server.connect())
        third.sendall(head())
        assert read(third) == FULL
        assert (server.count.open, server.count.refused) == (2, {"connections": 1})
        first.close()
        eventually(lambda: server.count.open == 1)
        fourth = stack.enter_context(server.connect())
        fourth.sendall(head())
        assert fourth.recv(65536).startswith(ANSWER)


def test_flood_beyond_the_limit_leaves_no_more_connections_than_twice_as_many() -> None:
    limits = ProtocolLimits(max_connections=3)
    with in_thread(empty, limits) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(40)]
        # The last one to be taken in is answered or ended.
        assert read(clients[-1]) in (FULL, b"")
        assert len(connections(server)) <= 2 * 3
        assert server.count.open == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_head", 0), ("max_url", -1), ("max_fields", 0), ("head_timeout", 0.0), ("max_connections", -1)],
)
def test_limit_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: found {value}"):
        ProtocolLimits(**{name: value})  # type: ignore[arg-type]
