"""`sluicegate serve` as a process: workers, signals, and what is left when it has ended."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from sluicegate.gateway.server import THREADS, bound_threads
from tests.servers.process import answers, executable, free_port, running

from .config_texts import ROUTE, s3
from .test_relay_upstream import raw_upstream

SLUICEGATE = executable("sluicegate", "pip install -e '.[server]'")
END_SECONDS = 15.0
"""An idle gateway ends well within this, and one that waits for the end of its `drain_timeout` does not."""

CONTENT = os.urandom(12_000_000)
"""More than the sockets between take in: a client that does not read leaves the rest with the gateway."""
FILES = '[stores.s]\nurl = "file://./objects"\n' + ROUTE


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway in a process of its own: its base URL, the process, and the file that it logs to."""

    url: str
    process: psutil.Process
    log: Path

    def family(self) -> list[psutil.Process]:
        """The process and all that it started."""
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def serving(
    config: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = (SLUICEGATE,),
) -> Iterator[Served]:
    """Run `sluicegate serve CONFIG` on a free port until the block ends; unless told, without admin."""
    port = free_port()
    # A pipe is not for us to read.
    has_admin = "--admin" in arguments or (config.is_file() and "[admin]" in config.read_text())
    if not has_admin:
        arguments = (*arguments, "--admin", "off")
    command = [*program, "serve", str(config), "--port", str(port), *arguments]
    ready = answers(port, "/readyz", statuses=range(200, 201))
    with running(command, ready=ready, env=env) as server:
        yield Served(f"http://127.0.0.1:{port}", psutil.Process(server.pid), server.log)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "a.bin").write_bytes(CONTENT)
    path = tmp_path / "sluicegate.toml"
    path.write_text(FILES)
    return path


def end(server: Served, number: int) -> tuple[float, int]:
    """Send a signal; how many seconds the process then took to end, and its exit code."""
    began = time.monotonic()
    server.process.send_signal(number)
    deadline = began + 2 * END_SECONDS
    while time.monotonic() < deadline:
        # It is left in the table for who started it.
        done = os.waitid(os.P_PID, server.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if done is not None:
            assert done.si_code == os.CLD_EXITED, "a signal killed it"
            return time.monotonic() - began, done.si_status
        time.sleep(0.01)
    raise AssertionError(f"still running {deadline - began} s after signal {number}")


def wait_for_log(server: Served, text: str, count: int) -> None:
    """Wait until the log says something `count` times."""
    deadline = time.monotonic() + 20.0
    while server.log.read_text().count(text) < count:
        assert time.monotonic() < deadline, f"{text!r} is not {count} times in the log"
        time.sleep(0.02)


def left_over(server: Served, family: list[psutil.Process]) -> list[psutil.Process]:
    """Which children still run a moment after their parent has ended."""
    left = [process for process in family if process != server.process]
    deadline = time.monotonic() + 10.0
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left = [process for process in left if runs(process)]
    return left


def runs(process: psutil.Process) -> bool:
    # An orphan that has ended may stay a zombie: not every container has an init that collects them.
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "sigint"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_signal_ends_an_idle_gateway_at_once_with_0(number: int, workers: str, config: Path) -> None:
    with serving(config, "--workers", workers) as server, httpx.Client(trust_env=False) as client:
        # The connection stays open: being kept alive is being idle.
        assert client.get(f"{server.url}/a.bin").content == CONTENT
        family = server.family()
        seconds, code = end(server, number)
        assert code == 0
        assert seconds < END_SECONDS
        assert left_over(server, family) == []
        log = server.log.read_text()
    assert "Traceback" not in log
    assert '"error"' not in log


def test_ctrl_c_reaches_all_workers_and_ends_them_without_tracebacks(config: Path) -> None:
    with serving(config, "--workers", "2") as server:
        # One that answers is enough for `serving`.
        wait_for_log(server, "Application startup complete", 2)
        family = server.family()
        # A terminal sends it to the whole group.
        for worker in family[1:]:
            with suppress(psutil.NoSuchProcess):
                worker.send_signal(signal.SIGINT)
        seconds, code = end(server, signal.SIGINT)
        assert (code, left_over(server, family)) == (0, [])
        assert seconds < END_SECONDS
        assert "Traceback" not in server.log.read_text()


def test_two_workers_share_the_port(config: Path) -> None:
    with serving(config, "--workers", "2") as server:
        answers = [httpx.get(f"{server.url}/a.bin", trust_env=False) for _ in range(8)]
        assert {answer.status_code for answer in answers} == {200}
        assert all(answer.content == CONTENT for answer in answers)
        # The parent, two workers, and what multiprocessing needs to look after them.
        assert len(server.family()) >= 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_file_is_read_once(workers: str, config: Path, tmp_path: Path) -> None:
    # A pipe can be read only once; and a file may be in the middle of an edit when a worker is replaced.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(config.read_text(),), daemon=True)
    writer.start()
    with serving(pipe, "--workers", workers) as server:
        assert httpx.get(f"{server.url}/a.bin", trust_env=False).content == CONTENT
    writer.join()


def test_transfer_that_is_under_way_is_finished_after_sigterm(config: Path) -> None:
    with serving(config) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.settimeout(10)
            client.connect((host, int(port)))
            client.sendall(f"GET /a.bin HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            received = client.recv(1000)
            server.process.send_signal(signal.SIGTERM)
            wait_for_log(server, "Shutting down", 1)
            while more := client.recv(1 << 20):
                received += more
        assert received.partition(b"\r\n\r\n")[2] == CONTENT
        assert end(server, 0)[1] == 0


def test_log_names_the_address_and_no_secret(tmp_path: Path) -> None:
    config = tmp_path / "sluicegate.toml"
    config.write_text(s3('access_key_id = "AKIA-7f3a"', 'secret_access_key = "very-secret-7f3a"'))
    with serving(config) as server:
        log = server.log.read_text()
    assert json.loads(log.splitlines()[0])["event"].endswith(f"{config} at {server.url}")
    assert "7f3a" not in log


def test_body_that_was_cut_is_one_line_in_the_log(tmp_path: Path) -> None:
    config = tmp_path / "sluicegate.toml"
    with raw_upstream() as upstream:
        upstream.answers["/short"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
        config.write_text(f'[[routes]]\npath = "/short"\nupstream = "{upstream.url}/short"\n')
        with serving(config) as server:
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(f"{server.url}/short", trust_env=False)
            wait_for_log(server, "origin_failed", 1)
            assert httpx.get(f"{server.url}/nope", trust_env=False).status_code == 404
            log = server.log.read_text()
    assert [json.loads(line)["event"] for line in log.splitlines() if '"error",' in line] == ["transfer"]
    assert "Traceback" not in log


@pytest.mark.parametrize("field", [b"x-%d: %s\r\n", b"%d%s"], ids=["many-fields", "one-field"])
def test_endless_head_is_refused_instead_of_kept(field: bytes, config: Path) -> None:
    with serving(config) as server:
        host, port = server.url.removeprefix("http://").split(":")
        before = server.process.memory_info().rss
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"GET /a.bin HTTP/1.1\r\nHost: a\r\nx: ")
            sent = 0
            with suppress(ConnectionError):
                while sent < 64_000_000:
                    sent += client.send(field % (sent, b"v" * 8000))
            with suppress(ConnectionError):
                assert client.recv(1000).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
        # What the sockets between take in is not kept by the gateway.
        assert sent < 64_000_000
        assert server.process.memory_info().rss - before < 16_000_000
        assert httpx.get(f"{server.url}/healthz", trust_env=False).status_code == 200


def test_large_head_is_served(config: Path) -> None:
    with serving(config) as server, httpx.Client(trust_env=False) as client:
        for _ in range(3):
            fields = {"Cookie": "c" * 20_000, "Range": "bytes=0-9"}
            assert client.get(f"{server.url}/a.bin", headers=fields).content == CONTENT[:10]


@pytest.mark.parametrize(
    ("chosen", "threads"),
    [pytest.param(None, "1", id="one"), pytest.param("3", "3", id="as-the-operator-says")],
)
def test_obstore_gets_one_thread_unless_the_operator_says_otherwise(
    chosen: str | None, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    if chosen is not None:
        monkeypatch.setenv(THREADS, chosen)
    bound_threads()
    assert os.environ[THREADS] == threads
    monkeypatch.delenv(THREADS)
