"""Slow clients are there when each has what it waits for, and tell in the end how their heads were ended."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from bench.crowd import HEAD, REFUSAL, Crowd, gathering

READERS = 3
HEADS = 2


class Server(socketserver.ThreadingTCPServer):
    """Answers whole heads, and refuses the first bytes of slow ones."""

    daemon_threads = True
    allow_reuse_address = True
    refusal = REFUSAL

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answered = threading.Semaphore(0)
        self.refused = threading.Semaphore(0)
        self.first_bytes: set[bytes] = set()


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        asked = self.request.recv(65536)
        if asked.endswith(b"\r\n\r\n"):
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            self.server.answered.release()
            # The reader stays until the crowd leaves, which resets what was not read.
            with suppress(ConnectionResetError):
                self.request.recv(1)
        elif asked:
            # Nothing comes of one that is leaving already.
            # More of them have come where the machine stops for a moment.
            self.server.first_bytes.add(asked[:1])
            self.request.sendall(self.server.refusal)
            self.server.refused.release()
            # A byte that comes after the refusal must not reset it.
            with suppress(ConnectionError):
                while self.request.recv(65536):
                    pass


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("refusal", "refused"),
    [pytest.param(REFUSAL, True, id="408"), pytest.param(b"HTTP/1.1 400 ", False, id="400")],
)
def test_crowd_is_there_with_every_reader_answered(server: Server, refusal: bytes, refused: bool) -> None:
    server.refusal = refusal
    host, port = server.server_address[:2]
    with gathering(Crowd(f"http://{host!s}:{port}/large?link=token", HEADS, READERS)) as others:
        others.wait()
        answered = [server.answered.acquire(blocking=False) for _ in range(READERS + 1)]
        # One comes again when it has seen its refusal: these are seen, but for the last of each.
        assert all(server.refused.acquire(timeout=30) for _ in range(2 * HEADS))
        ended = others.leave()

    assert answered == [True, True, True, False]
    assert server.first_bytes == {HEAD[:1]}
    counts = (ended.refused, ended.otherwise) if refused else (ended.otherwise, ended.refused)
    assert counts[0] >= HEADS
    assert counts[1] == 0
