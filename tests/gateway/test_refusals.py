"""What the server itself refuses is counted and logged like every other answer."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.servers.process import free_port

from .test_cli_serve import Served, serving

CONFIG = """
[admin]
address = "127.0.0.1:%d"
[limits]
max_url = 1024
max_head = 4096
max_connections = 4
head_timeout = 0.5
[stores.files]
url = "memory://"
[[routes]]
path = "/{key:path}"
object = "files:{key}"
"""

SENT = {
    "malformed": (b"no request\r\n\r\n", 400),
    "url_too_long": (b"GET /%s HTTP/1.1\r\n" % (b"a" * 2000), 414),
    "head_too_large": (b"GET / HTTP/1.1\r\nx: %s\r\n" % (b"a" * 5000), 431),
    "head_timeout": (b"GET / HTT", 408),
    "silent": (b"", None),
}


@pytest.fixture(scope="module")
def admin() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def server(admin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = tmp_path_factory.mktemp("refusals") / "sluicegate.toml"
    config.write_text(CONFIG % urlsplit(admin).port)
    with serving(config) as served:
        yield served


def connect(server: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10)


def number(admin: str, series: str) -> float:
    """The value of a series of `/metrics`; 0 where there is none."""
    lines = httpx.get(f"{admin}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), 0.0)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refusals(log: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if str(line.get("error", "")).startswith("Protocol: ")]


@pytest.mark.parametrize("reason", SENT)
def test_refusal_is_a_number_and_a_line_of_the_log(reason: str, server: Served, admin: str) -> None:
    sent, status = SENT[reason]
    series = f'sluicegate_refused_total{{reason="{reason}",route=""}}'
    requests = (
        f'sluicegate_requests_total{{method="other",outcome="complete",route="",status="{status}",store=""}}'
    )
    lines = len(refusals(server.log))
    with connect(server) as client:
        client.sendall(sent)
        while client.recv(65536):
            pass
    eventually(lambda: number(admin, series) == 1)
    if status is None:
        assert len(refusals(server.log)) == lines
        return
    assert number(admin, requests) == 1
    *_, last = refusals(server.log)
    assert (last["status"], last["client"], last["level"]) == (status, "127.0.0.1", "info")


def test_connections_are_counted_and_those_beyond_the_limit_refused(server: Served, admin: str) -> None:
    eventually(lambda: number(admin, "sluicegate_connections") == 0)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(4)]
        eventually(lambda: number(admin, "sluicegate_connections") == 4)
        assert connect(server).recv(65536).startswith(b"HTTP/1.1 503 ")
        assert all(client.fileno() >= 0 for client in clients)
    series = 'sluicegate_refused_total{reason="connections",route=""}'
    eventually(lambda: number(admin, series) == 1)
    eventually(lambda: number(admin, "sluicegate_connections") == 0)
