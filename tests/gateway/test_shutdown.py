"""The end of a gateway: what is under way is finished or seen to be cut, and nothing outlives the timeout."""

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
import uvicorn

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import parse_config
from sluicegate.gateway.draining import DrainingServer
from sluicegate.gateway.protocol import LINGER_SECONDS
from tests.delivery.raw_client import fetch
from tests.servers.asgi import serve_in_thread

from .config_texts import ROUTE
from .in_thread import eventually
from .test_cli_serve import CONTENT, Served, end, left_over, serving, wait_for_log
from .test_relay_upstream import raw_upstream

DRAIN_SECONDS = 1
END_SECONDS = 20.0
"""Far below what uvicorn takes where nothing limits it: for ever."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "a.bin").write_bytes(CONTENT)
    path = tmp_path / "sluicegate.toml"
    gateway = f"[gateway]\ndrain_timeout = {DRAIN_SECONDS}\n"
    path.write_text(f'{gateway}[stores.s]\nurl = "file://./objects"\n{ROUTE}')
    return path


class Slow:
    """A client with small buffers, which reads no more than it is told to."""

    def __init__(self, url: str, **fields: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self._socket.settimeout(10)
        self._socket.connect((host, int(port)))
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        request = "\r\n".join(["GET /a.bin HTTP/1.1", f"Host: {host}", *lines, "", ""])
        self._socket.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._socket.recv(1000)
        head, _, self.content = head.partition(b"\r\n\r\n")
        first, *others = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in others)}

    @property
    def name(self) -> str:
        """This end of the connection."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def read(self, size: int) -> None:
        """Wait until so many bytes of the body have come."""
        while len(self.content) < size:
            more = self._socket.recv(size - len(self.content))
            assert more, "the body ended early"
            self.content += more

    def read_to_end(self) -> bytes:
        """Whatever still comes, until the connection ends in one way or another."""
        try:
            while more := self._socket.recv(1 << 20):
                self.content += more
        except ConnectionResetError:
            pass
        return self.content

    def close(self) -> None:
        self._socket.close()


@contextmanager
def slow_client(server: Served, **fields: str) -> Iterator[Slow]:
    with closing(Slow(server.url, **fields)) as client:
        yield client


def transfers(server: Served) -> list[dict[str, object]]:
    """The lines of transfers in the log."""
    text = server.log.read_text()
    assert all(line.startswith("{") for line in text.splitlines()), text
    lines = (json.loads(line) for line in text.splitlines())
    return [line for line in lines if line["event"] == "transfer"]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "sigint"])
def test_client_that_stalls_is_cut_when_the_time_is_over(number: int, workers: str, config: Path) -> None:
    with serving(config, "--workers", workers) as server, slow_client(server) as client:
        family = server.family()
        seconds, code = end(server, number)
        assert (code, left_over(server, family)) == (0, [])
        assert DRAIN_SECONDS * 0.9 < seconds < END_SECONDS
        assert len(client.read_to_end()) < len(CONTENT) == int(client.fields["content-length"])
        assert [line["outcome"] for line in transfers(server)] == ["drained"]
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_second_signal_ends_at_once(workers: str, config: Path) -> None:
    config.write_text(config.read_text().replace(f"drain_timeout = {DRAIN_SECONDS}", "drain_timeout = 60"))
    with serving(config, "--workers", workers) as server, slow_client(server) as client:
        family = server.family()
        server.process.send_signal(signal.SIGTERM)
        wait_for_log(server, "Waiting for connections to close", 1)
        seconds, code = end(server, signal.SIGTERM)
        assert (code, left_over(server, family)) == (0, [])
        assert seconds < END_SECONDS
        assert len(client.read_to_end()) < len(CONTENT)
        assert [line["outcome"] for line in transfers(server)] == ["drained"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_at_a_terminal_signals_the_whole_group_and_counts_once(workers: str, config: Path) -> None:
    config.write_text(config.read_text().replace(f"drain_timeout = {DRAIN_SECONDS}", "drain_timeout = 60"))
    with serving(config, "--workers", workers) as server, slow_client(server) as client:
        wait_for_log(server, "Application startup complete", int(workers))
        for process in server.family():
            process.send_signal(signal.SIGINT)
        wait_for_log(server, "Waiting for connections to close", 1)
        assert client.read_to_end() == CONTENT
        assert end(server, 0)[1] == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_listener_closes_at_the_signal_while_transfers_go_on(workers: str, config: Path) -> None:
    config.write_text(config.read_text().replace(f"drain_timeout = {DRAIN_SECONDS}", "drain_timeout = 60"))
    with serving(config, "--workers", workers) as server, slow_client(server) as client:
        wait_for_log(server, "Application startup complete", int(workers))
        server.process.send_signal(signal.SIGTERM)
        wait_for_log(server, "Waiting for connections to close", 1)
        wait_for_log(server, "Shutting down", int(workers))
        # The line comes before the listener closes.
        eventually(lambda: refuses_connections(server))
        assert client.read_to_end() == CONTENT
        assert end(server, 0)[1] == 0
        assert [line["outcome"] for line in transfers(server)] == ["complete"]


def refuses_connections(server: Served) -> bool:
    try:
        httpx.get(f"{server.url}/healthz", trust_env=False, timeout=10)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        # It closed while it had this connection.
        pass
    return False


def test_body_without_a_length_is_not_ended_well(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    released = threading.Event()

    def endless(connection: socket.socket) -> None:
        connection.sendall(head)
        released.wait(20)

    config = tmp_path / "sluicegate.toml"
    with raw_upstream() as upstream:
        upstream.answers["/a.bin"] = endless
        config.write_text(
            "[gateway]\ndrain_timeout = 0.5\n"
            f'[[routes]]\npath = "/a.bin"\nupstream = "{upstream.url}/a.bin"\n'
        )
        with serving(config) as server, slow_client(server) as client:
            client.read(len(b"5\r\nhello\r\n"))
            server.process.send_signal(signal.SIGTERM)
            received = client.read_to_end()
            assert end(server, 0)[1] == 0
        released.set()
    assert (client.fields["transfer-encoding"], received) == ("chunked", b"5\r\nhello\r\n")


def test_download_goes_on_at_another_instance(config: Path) -> None:
    with serving(config) as first, serving(config) as second, slow_client(first) as client:
        assert end(first, signal.SIGTERM)[1] == 0
        begun = client.read_to_end()
        assert 0 < len(begun) < len(CONTENT)
        rest = {"Range": f"bytes={len(begun)}-", "If-Range": client.fields["etag"]}
        answer = httpx.get(f"{second.url}/a.bin", headers=rest, trust_env=False)
    assert answer.status_code == 206
    assert hashlib.sha256(begun + answer.content).digest() == hashlib.sha256(CONTENT).digest()


def worker_of(server: Served, name: str) -> psutil.Process:
    """The worker that serves a client, whose end of the connection is called `name`."""
    for child in server.process.children():
        for connection in child.net_connections("tcp"):
            if connection.raddr and f"{connection.raddr.ip}:{connection.raddr.port}" == name:
                return child
    raise AssertionError("no worker has this connection")


def test_worker_that_is_killed_breaks_its_own_transfers_and_is_replaced(config: Path) -> None:
    with serving(config, "--workers", "2") as server:
        wait_for_log(server, "Application startup complete", 2)
        clients = [Slow(server.url, Connection="close") for _ in range(12)]
        try:
            workers = [worker_of(server, client.name) for client in clients]
            victim = workers[0]
            victim.kill()
            wait_for_log(server, "another one is started", 1)
            wait_for_log(server, "Application startup complete", 3)
            ends = [client.read_to_end() == CONTENT for client in clients]
        finally:
            for client in clients:
                client.close()
        assert ends == [worker != victim for worker in workers]
        assert httpx.get(f"{server.url}/a.bin", trust_env=False).content == CONTENT
        assert end(server, signal.SIGTERM)[1] == 0


def test_workers_end_with_their_parent(config: Path) -> None:
    with serving(config, "--workers", "2") as server:
        wait_for_log(server, "Application startup complete", 2)
        family = server.family()
        os.kill(server.process.pid, signal.SIGKILL)
        deadline = time.monotonic() + END_SECONDS
        while left_over(server, family):
            assert time.monotonic() < deadline


class Ready:
    """As much of a gateway as a signal needs."""

    drained = False

    def drain(self) -> None:
        self.drained = True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "sigint"])
def test_signal_makes_the_gateway_unready_before_anything_else_happens(number: int) -> None:
    gateway = Ready()
    server = DrainingServer(gateway, uvicorn.Config(lambda: None, log_config=None))  # type: ignore[arg-type]
    server.handle_exit(number, None)
    assert (gateway.drained, server.should_exit, server.force_exit) == (True, True, False)


async def test_gateway_that_drains_answers_503_to_readyz_and_serves_what_comes() -> None:
    gateway = Gateway(parse_config('[stores.s]\nurl = "memory://"\n' + ROUTE, {}))
    with serve_in_thread(gateway) as url:
        assert (await fetch(url, "/readyz")).status == 200
        gateway.drain()
        answers = [(await fetch(url, path)).status for path in ("/readyz", "/healthz", "/missing")]
    assert answers == [503, 200, 404]


def test_client_that_is_too_slow_is_cut_and_its_connection_is_freed(config: Path) -> None:
    config.write_text(config.read_text() + '[transfers]\nmin_drain_rate = "1MiB"\nmin_drain_seconds = 0.5\n')
    with serving(config) as server, slow_client(server) as client:
        wait_for_log(server, "client_too_slow", 1)
        (line,) = transfers(server)
        assert (line["level"], line["status"], line["outcome"]) == ("warning", 200, "client_too_slow")
        deadline = time.monotonic() + 3 * LINGER_SECONDS
        while any(one.raddr for one in server.process.net_connections("tcp")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert len(client.read_to_end()) < len(CONTENT)
